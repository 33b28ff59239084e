"""Runs of make in a copy of the project, killed at random moments and compared with undisturbed ones."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from benchmarks.robustness.results import record
from coursework import files
from pipeline import verify

MARK = "COURSEWORK_KILLS"
"""Environment variable that identifies the processes of a run."""
MAX_KILLS_PER_RUN = 12
FILES_IN_ORDER = (
    "checkpoints/lenet5.npz", "metrics/part1_mnist.json", "part1_mnist.ipynb", "part1_mnist.pdf", "checkpoints/iteration1.npz",
    "checkpoints/iteration2.npz", "checkpoints/iteration3.npz", "models/part2_best.keras", "submission.csv", "part2_fashion_mnist.ipynb",
    "part2_fashion_mnist.pdf", "part3_experiments.ipynb", "part3_experiments.pdf", "metrics/score.json",
)  # fmt: skip
"""The files of a run in the order in which it writes them. Every other kill follows one of the next two, so that all steps are hit."""
MAX_SECONDS_AFTER_FILE = 3.0


def copy_project(folder: Path, links: Iterable[str] = (".venv", "data")) -> Path:
    """Copy the project without results. The names in `links` are linked to ours; other data and environments are missing."""
    patterns = shutil.ignore_patterns(".git", ".venv*", "data", "packages", "runs", "__pycache__", ".*_cache", "*.lock")

    def ignore(path: str, names: list[str]) -> set[str]:
        results = [name for name in names if Path(name).suffix != ".csv" or name == "submission.csv"]
        return {*patterns(path, names), *(results if Path(path) == files.ROOT / "reports" else ())}

    shutil.copytree(files.ROOT, folder, ignore=ignore)
    for name in links:
        (folder / name).symlink_to(files.ROOT / name)
    return folder


class Run:
    """A run of make's targets with a profile, in a copy of the project."""

    def __init__(self, place: Path, profile: str, targets: Iterable[str] = ("report", "submit", "score")) -> None:
        self.place, self.profile, self.targets = place, profile, targets
        self.output = place / files.output_folder(profile).relative_to(files.ROOT)

    def start(self) -> subprocess.Popen:
        environment = {
            name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
        }
        return subprocess.Popen(
            ["make", f"PROFILE={self.profile}", *self.targets],
            cwd=self.place,
            env=environment | {MARK: str(os.getpid()), "PYTHONPATH": str(self.place)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def finish(self) -> None:
        process = self.start()
        _, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(f"the run does not reach the end: {errors.decode()[-2000:]}")

    def kill_after(self, seconds: float, file: str | None = None) -> str | None:
        """Start the run and kill all its processes.

        Args:
            seconds: time until the kill, from the start or from the moment at which the file exists.
            file: path in the output folder.

        Returns:
            The command that was running, or None if the run reached the end before.
        """
        process = self.start()
        while file is not None and process.poll() is None and not (self.output / file).exists():
            time.sleep(0.01)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            command = running_command(processes_of_run())
            while processes := processes_of_run():
                for one in processes:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        one.send_signal(signal.SIGKILL)
            process.communicate()
            return command
        _, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(f"the run does not resume after a kill: {errors.decode()[-2000:]}")
        return None


def processes_of_run() -> list[psutil.Process]:
    """All processes of the run, whatever their parent is by now."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(MARK) == str(os.getpid()):
                found.append(process)
    return found


def running_command(processes: list[psutil.Process]) -> str:
    """The module that is running, with its first argument, and whether it has a kernel."""
    commands, kernel = [], False
    for process in processes:
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            kernel |= "ipykernel_launcher" in command
            if "pipeline/set_up.py" in command:
                commands.append("set-up")
            if "-m" in command:
                module, *arguments = command[command.index("-m") + 1 :]
                if module.split(".")[0] in ("pipeline", "notebook_pdf"):
                    commands.append(" ".join([module.removeprefix("pipeline."), *arguments[:1]]))
    name = commands[0].replace("reports/smoke/", "").replace("reports/", "") if commands else "make"
    return f"{name} and its kernel" if kernel else name


def kill_until(part: str, kills: int, seed: int, profile: str, undisturbed: Path | None) -> None:
    """Run the pipeline and kill each run several times, until the number of kills is reached; record after every run.

    Args:
        part: name of the recorded result.
        undisturbed: output folder of an undisturbed run; None makes one.
    """
    generator, killed, differing, runs = random.Random(seed), Counter(), [], 0
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        if undisturbed is None:
            run = Run(copy_project(Path(folder) / "undisturbed"), profile)
            run.finish()
            undisturbed = run.output
        # A smoke run consists mostly of the start of its processes: with less time, it would not advance between two kills.
        metrics = [json.loads(path.read_text(encoding="utf-8")) for path in undisturbed.glob("metrics/part*.json")]
        latest = sum(one["duration_seconds"] for one in metrics) / (2 if profile == "smoke" else kills)
        while killed.total() < kills:
            run = Run(copy_project(Path(folder) / str(runs)), profile)
            for number in range(min(MAX_KILLS_PER_RUN, kills - killed.total())):
                file, seconds = None, generator.uniform(0, latest)
                missing = [name for name in FILES_IN_ORDER if not (run.output / name).exists()]
                if number % 2 and missing:
                    file, seconds = generator.choice(missing[:2]), generator.uniform(0, MAX_SECONDS_AFTER_FILE)
                if (command := run.kill_after(seconds, file)) is None:
                    break
                killed[command] += 1
            run.finish()
            runs += 1
            found = verify.differences(undisturbed, run.output)
            differing += found
            print(f"{killed.total()} kills, {runs} runs, {len(differing)} differences {found or ''}", flush=True)
            shutil.rmtree(run.place)
            result = {"profile": profile, "kills": killed.total(), "runs": runs, "differences": differing}
            took = time.perf_counter() - began
            record(part, result | {"killed": dict(killed.most_common()), "seconds": took})


def kill_set_up(kills: int, seed: int) -> dict[str, Any]:
    """Create environment and data, killed this number of times, and compare with an undisturbed run."""
    generator, killed = random.Random(seed), Counter()
    with tempfile.TemporaryDirectory() as folder:
        undisturbed, disturbed = (
            Run(copy_project(Path(folder) / name, links=()), "smoke", ["data"]) for name in ("undisturbed", "disturbed")
        )
        began = time.perf_counter()
        undisturbed.finish()
        took = time.perf_counter() - began
        while killed.total() < kills and (command := disturbed.kill_after(generator.uniform(0, took))) is not None:
            killed[command] += 1
        disturbed.finish()
        first, second = (set_up_contents(run.place) for run in (undisturbed, disturbed))
    differences = sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
    return {
        "kills": killed.total(),
        "killed": dict(killed.most_common()),
        "seconds": took,
        "differences": differences,
    }


def set_up_contents(place: Path) -> dict[str, str]:
    """The packages of an environment, and the hashes of the data files."""
    command = [place / ".venv" / "bin" / "python", "-m", "pip", "list", "--format", "freeze"]
    packages = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    paths = sorted(path for path in (place / "data").rglob("*") if path.is_file() and path.suffix != ".lock")
    return {"packages": packages} | {str(path.relative_to(place)): files.file_sha256(path) for path in paths}
