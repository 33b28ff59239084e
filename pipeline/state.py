"""The status that plain `make` prints: `python3 pipeline/state.py make full`. Uses the standard library only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = {"part1_mnist": "part 1", "part2_fashion_mnist": "part 2", "part3_experiments": "part 3"}
DATA = {"MNIST": "data/mnist/train-images-idx3-ubyte", "Fashion-MNIST": "data/Fashion_MNIST.h5"}
SET_UP = "a minute or two, and about 0.6 GB to download the first time"


def environment(make: str) -> str:
    configuration = ROOT / ".venv" / "pyvenv.cfg"
    if not (configuration.exists() and (ROOT / ".venv" / ".complete").exists()):
        return f"missing; every command creates it first: {SET_UP}"
    if not is_current(make, "full", ".venv/.complete"):
        return f"older than its list of packages; every command creates it again first: {SET_UP}"
    lines = dict(line.split(" = ", 1) for line in configuration.read_text().splitlines() if " = " in line)
    return f"ready, Python {lines.get('version', 'unknown')}"


def data() -> str:
    missing = [name for name, path in DATA.items() if not (ROOT / path).exists()]
    return f"{' and '.join(missing)} missing: `make data`" if missing else "ready"


def report(make: str, profile: str) -> str:
    folder = "reports" if profile == "full" else f"reports/{profile}"
    option = "" if profile == "full" else f" PROFILE={profile}"
    outdated = [name for name in PARTS if not is_current(make, profile, f"{folder}/{name}.pdf")]
    if not outdated and is_current(make, profile, f"{folder}/index.html"):
        return f"up to date: see {folder}/index.html"
    if not outdated:
        return f"up to date, except its index page: `make report{option}`"
    text = f"{', '.join(PARTS[name] for name in outdated)} out of date: `make report{option}`"
    known = [seconds for name in outdated if (seconds := _last_duration(ROOT / folder, name)) is not None]
    return f"{text}, {max(1, round(sum(known) / 60))} min last time, less after an interruption" if known else text


def _last_duration(folder: Path, notebook: str) -> float | None:
    """As `record.last_duration`, with the standard library only."""
    try:
        return float(json.loads((folder / "metrics" / f"{notebook}.json").read_text())["duration_seconds"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def is_current(make: str, profile: str, target: str) -> bool:
    of_make = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    environment = {name: value for name, value in os.environ.items() if name not in of_make}
    command = [make, "--question", "--no-print-directory", f"PROFILE={profile}", target]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True).returncode == 0


def main() -> None:
    make, profile = sys.argv[1:]
    print(f"\nStatus, profile {profile}:")
    for name, text in (("environment", environment(make)), ("data", data()), ("report", report(make, profile))):
        print(f"  {name:<11} {text}")


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # the reader closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except KeyboardInterrupt:
        sys.exit(130)
