"""How well the guarantees of reproducibility hold: `python -m benchmarks.robustness PART`. The parts:

- `kills` runs the smoke profile from scratch to the score, first undisturbed, then again and again. It kills all
  processes (SIGKILL) at random moments, every other time soon after a new file, until the run reaches the end, and
  compares the results bit for bit with the undisturbed run. 200 kills take an hour and a half.
- `training` does the same with the full profile: three kills, two hours.
- `machines` trains with another number of threads and without oneDNN, which sum in another order as another machine
  would. Half an hour; it resumes where it was stopped.

The results go to `benchmarks/robustness.json`, and their page to `benchmarks/robustness.md`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from benchmarks import page
from coursework import files, run_record
from pipeline import verify
from pipeline.parameters import TRAINING_NOTEBOOKS

MARK = "COURSEWORK_KILLS"
"""Environment variable that identifies the processes of a run."""
MAX_KILLS_PER_RUN = 12
MAX_SECONDS_AFTER_FILE = 3.0
KILLS = {"kills": ("smoke", 200), "training": ("full", 3)}
"""The profile and the number of kills of each part."""
MACHINES = {
    "as here": {},
    "one thread": {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"},
    "without oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0"},
}


def record(part: str, result: dict[str, Any]) -> None:
    """Replace the result of a part, and write the page again."""
    results, hardware = page.read("robustness"), run_record.environment()["hardware"]
    machine = f"{hardware['cores']} cores ({hardware['processor']}, {hardware['system']})"
    page.write("robustness", results | {part: result, "machine": results["machine"] | {part: machine}})


# --- Kills ----------------------------------------------------------------------------------------


def kill_until(part: str, seed: int = 0) -> None:
    """Run the pipeline, kill each run several times until all kills are done, and record the result of each run."""
    profile, kills = KILLS[part]
    generator, killed, differing, runs = random.Random(seed), Counter(), [], 0
    output = files.output_folder(profile).relative_to(files.ROOT)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        place = copy_project(Path(folder) / "undisturbed")
        kill_after(place, profile)
        undisturbed = place / output
        metrics = [json.loads(path.read_text(encoding="utf-8")) for path in undisturbed.glob("metrics/part*.json")]
        # With less time, a run that mostly starts processes would not advance between two kills.
        latest = sum(one["duration_seconds"] for one in metrics) / 2
        paths = sorted(undisturbed.rglob("*.*"), key=lambda path: path.stat().st_mtime)
        names = [path.relative_to(undisturbed) for path in paths]
        while killed.total() < kills:
            place = copy_project(Path(folder) / str(runs))
            for number in range(min(MAX_KILLS_PER_RUN, kills - killed.total())):
                file, seconds = None, generator.uniform(0, latest)
                missing = [path for name in names if not (path := place / output / name).exists()]
                if number % 2 and missing:  # so that all steps are hit, also the short ones
                    file, seconds = generator.choice(missing[:2]), generator.uniform(0, MAX_SECONDS_AFTER_FILE)
                if (command := kill_after(place, profile, seconds, file)) is None:
                    break
                killed[command] += 1
            kill_after(place, profile)
            runs += 1
            differing += verify.differences(undisturbed, place / output)
            print(f"{killed.total()} kills, {runs} runs, differences: {differing or 'none'}", flush=True)
            shutil.rmtree(place)
            result = {"profile": profile, "kills": killed.total(), "runs": runs, "differences": differing}
            took = time.perf_counter() - began
            record(part, result | {"killed": dict(killed.most_common()), "seconds": took})


def copy_project(folder: Path) -> Path:
    """Copy the project without its results; the environment and the data are linked."""
    patterns = shutil.ignore_patterns(".git", ".venv*", "data", "packages", "runs", "__pycache__", ".*_cache", "*.lock")

    def ignore(path: str, names: list[str]) -> set[str]:
        results = {*names} - {"experiments.csv", "experiments_epochs.csv"}
        return {*patterns(path, names), *(results if Path(path) == files.REPORTS_FOLDER else ())}

    shutil.copytree(files.ROOT, folder, ignore=ignore)
    for name in (".venv", "data"):
        (folder / name).symlink_to(files.ROOT / name)
    return folder


def kill_after(place: Path, profile: str, seconds: float | None = None, file: Path | None = None) -> str | None:
    """Run the pipeline in a copy of the project, and kill all its processes.

    Args:
        seconds: time until the kill, from the start or from the moment at which the file exists; None never kills.

    Returns:
        The command that was running, or None if the run reached the end before.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    process = subprocess.Popen(
        ["make", f"PROFILE={profile}", "report", "submit", "score"],
        cwd=place,
        env=kept | {MARK: str(os.getpid()), "PYTHONPATH": str(place)},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    while file is not None and process.poll() is None and not file.exists():
        time.sleep(0.01)
    try:
        if process.wait(seconds):
            raise RuntimeError("the run does not reach the end, see its message above")
        return None
    except subprocess.TimeoutExpired:
        command = running_command()
        while processes := processes_of_run():
            for one in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
        process.wait()
        return command


def processes_of_run() -> list[psutil.Process]:
    """All processes of the run, whatever their parent is by now."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(MARK) == str(os.getpid()):
                found.append(process)
    return found


def running_command() -> str:
    """The module that is running, with its first argument, and whether it has a kernel."""
    commands = []
    for process in processes_of_run():
        with contextlib.suppress(psutil.Error):
            commands.append(" ".join(process.cmdline()))
    text = "\n".join(commands)
    module = re.search(r"-m (?:pipeline\.)?(notebook_pdf|(?<=pipeline\.)\w+) (?:\S*/)?(\S+)", text)
    name = " ".join(module.groups()) if module else "make"
    return f"{name} and its kernel" if "ipykernel_launcher" in text else name


# --- Other machines -------------------------------------------------------------------------------


def compare_machines(profile: str = "quick") -> dict[str, Any]:
    """Run the training notebooks with the settings of each machine; returns all scores."""
    code = "import sys; from pipeline.run_notebook import run_notebook; run_notebook(*sys.argv[1:])"
    found: dict[str, Any] = {}
    for number, (name, settings) in enumerate(MACHINES.items()):
        output, found[name] = f"machines/{number}", {}
        for notebook in TRAINING_NOTEBOOKS:
            command = [sys.executable, "-c", code, notebook, profile, output]
            subprocess.run(command, cwd=files.ROOT, env=os.environ | settings, check=True)
            path = files.output_folder(output) / "metrics" / f"{notebook}.json"
            found[name] |= scores_by_place(verify.read_metrics(path)["scores"], notebook)
    return {"profile": profile, "scores": found}


def scores_by_place(metrics: Any, place: str) -> dict[str, float]:
    """The accuracies and F1 scores in nested metrics, by their place."""
    if not isinstance(metrics, dict):
        return {}
    flat = {f"{place}/{name}": metrics[name] for name in ("accuracy", "f1") if isinstance(metrics.get(name), float)}
    for name, part in metrics.items():
        flat |= scores_by_place(part, f"{place}/{name}")
    return flat


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how well the guarantees of reproducibility hold.")
    parser.add_argument("part", choices=(*KILLS, "machines"))
    part = parser.parse_args().part
    if part in KILLS:
        kill_until(part)
    else:
        record(part, compare_machines())


if __name__ == "__main__":
    main()
