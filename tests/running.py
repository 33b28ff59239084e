"""Copies of the project, the commands that tests start in them, and the kernels below these commands."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import nbformat
import psutil

ROOT = Path(__file__).resolve().parent.parent
"""The project that the tests belong to, whatever `coursework.files.ROOT` is set to."""
MARK = {"COURSEWORK_TEST": str(os.getpid())}
"""An environment variable that identifies the processes of a test, also after their parent has ended."""
TIME_LIMIT = 400
VARIABLES_OF_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")


def copy_project(folder: Path) -> Path:
    """Copy what git tracks or would track, with the times of the files, and link the environment and the data.

    Untracked files in `reports/` stay behind, so that nothing is made yet.
    """
    untracked = [name for name in _git_files("--others", "--exclude-standard") if not name.startswith("reports/")]
    for name in _git_files("--cached") + untracked:
        if (ROOT / name).exists():  # git lists a deleted file until its deletion is staged
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    data = ROOT / "data"
    for path in (ROOT / ".venv", data / "mnist", data / "fashion_mnist", *data.glob("*.h5")):
        if path.exists():
            (folder / path.relative_to(ROOT)).symlink_to(path)
    return folder


def _git_files(*options: str) -> list[str]:
    command = ["git", "ls-files", "-z", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")[:-1]


def make(project: Path, *arguments: str, variables: Mapping[str, str] = os.environ) -> subprocess.CompletedProcess[str]:
    """Run make with the smoke profile in a copy of the project, as a user would."""
    return run_command(project, "make", "PROFILE=smoke", *arguments, variables=variables)


def run_command(project: Path, *command: object, variables: Mapping[str, str] = os.environ):
    """Run a command in a copy of the project to its end, and return what it printed."""
    words = list(map(str, command))
    return subprocess.run(words, cwd=project, env=environment(project, variables), capture_output=True, text=True)


def environment(project: Path, variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a command that runs the code of a copy, without the variables of make."""
    kept = {name: value for name, value in variables.items() if name not in VARIABLES_OF_MAKE}
    return kept | {"PYTHONPATH": str(project)}


def write_notebook(path: Path, values: Mapping[str, object]) -> None:
    """Write a copy of the project's notebook with the name of `path`, with other values in its cell of parameters."""
    notebook = nbformat.read(ROOT / "notebooks" / path.name, as_version=4)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            for parameter, value in values.items():
                declaration = rf"^({parameter}: \w+ = ).+?(?=  #|$)"
                cell.source, count = re.subn(declaration, rf"\g<1>{value!r}", cell.source, flags=re.M)
                assert count == 1, parameter
    nbformat.write(notebook, path)


def kernels() -> list[psutil.Process]:
    """The kernels below the commands that this process has started with `MARK`, also if their parents have ended."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        with contextlib.suppress(psutil.Error):
            if "ipykernel_launcher" in (process.info["cmdline"] or []) and MARK.items() <= process.environ().items():
                found.append(process)
    return found


def wait_for(what, condition, limit=TIME_LIMIT):
    """Wait until a condition holds, and return its value; fail after `limit` seconds."""
    deadline = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < deadline, f"no {what} within {limit} s"
        time.sleep(0.2)
    return found


def heed_signals():
    """Restore the default action of signals that are ignored if the tests run under nohup or in the background."""
    for one in (signal.SIGHUP, signal.SIGINT):
        signal.signal(one, signal.SIG_DFL)


def stop(process: subprocess.Popen) -> None:
    """Kill a process and its descendants."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in [*psutil.Process(process.pid).children(recursive=True), process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
    process.wait()
