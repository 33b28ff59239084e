"""Faults injected into a whole run with the smoke profile: it ends with the results of an undisturbed run."""

import os
import random
import re
import signal
import subprocess
from functools import partial

import pytest

from pipeline import verify
from pipeline.parameters import REPORTED_NOTEBOOKS
from tests.running import TIME_LIMIT, copy_project, kernels, wait_for

HOSTILE_NAME = "Übung 3 – it's 100 % „größer“ $(touch stolen) ; `touch stolen` #1 "
INTERRUPTIONS = (
    (os.killpg, signal.SIGKILL),  # all processes, as if the machine lost its power
    (os.killpg, signal.SIGINT),  # Ctrl-C
    (os.kill, signal.SIGTERM),  # a queue's time is up
    (os.killpg, signal.SIGHUP),  # a terminal that is closed
    (os.kill, signal.SIGKILL),  # make alone: its children continue, and the next make waits for them
)
DAY = 24 * 60 * 60


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A copy of the project in a folder with an unusual name of 200 characters, owned by another user."""
    folder = tmp_path_factory.mktemp("x") / HOSTILE_NAME
    folder = copy_project(folder.with_name(f"{folder.name}{'x' * (200 - len(str(folder)))}"))
    if os.getuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, 54321, 54321, follow_symlinks=False)
    return folder


def set_clock_back(folder):
    """Give all files a time in the future."""
    for path in folder.rglob("*"):
        times = path.stat()
        os.utime(path, (times.st_atime + DAY, times.st_mtime + DAY))


def has_begun(process):
    return kernels() or process.poll() is not None


@pytest.mark.slow
def test_a_run_that_is_interrupted_repeatedly_ends_with_the_results_of_an_undisturbed_one(smoke_run, start, place):
    """All in parallel, without HOME, in the locale C."""
    surroundings = {"PATH": os.environ["PATH"], "PYTHONPATH": str(place), "LC_ALL": "C"}
    start_make = partial(start, place, surroundings, "make", "PROFILE=smoke")
    chosen, output = random.Random(0), place / "reports" / "smoke"
    for kill, how in INTERRUPTIONS:
        process, log = start_make("-j4", "report")
        wait_for("a kernel", partial(has_begun, process))
        try:
            process.wait(chosen.uniform(0, 12))
            break  # it ended
        except subprocess.TimeoutExpired:
            kill(process.pid, how)
        assert process.wait(TIME_LIMIT) != 0
        if (kill, how) != (os.kill, signal.SIGKILL):
            wait_for("end of all kernels", lambda: not kernels(), limit=15)
        assert "Traceback" not in log.read_text() or how == signal.SIGKILL, log.read_text()
        if how == signal.SIGINT:
            set_clock_back(output)
    (first, first_log), (second, second_log) = (start_make("-j4", "report") for _ in range(2))
    assert (first.wait(TIME_LIMIT), second.wait(TIME_LIMIT)) == (0, 0), first_log.read_text() + second_log.read_text()
    last, log = start_make("submit", "score")
    assert last.wait(TIME_LIMIT) == 0, log.read_text()
    both = first_log.read_text() + second_log.read_text()
    assert re.search(r"make report \(process \d+\) is running in this folder: waiting until it ends", both)
    assert all(both.count(f"== {name}, profile smoke: running") <= 1 for name in REPORTED_NOTEBOOKS)
    assert verify.differences(smoke_run.output, output) == []
    assert [path for path in output.rglob(".*") if path.name != ".lock"] == []
    assert list(place.rglob("stolen")) == []
