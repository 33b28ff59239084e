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
from tests.running import MARK, TIME_LIMIT, copy_project, heed_signals, kernels, stop, wait_for

HOSTILE_NAME = "Übung 3 – it's 100 % „größer“ $(touch stolen) ; `touch stolen` #1 "
INTERRUPTIONS = {
    "all processes killed at once": ("group", signal.SIGKILL),  # as if the machine lost its power
    "Ctrl-C": ("group", signal.SIGINT),
    "SIGTERM": ("make", signal.SIGTERM),  # a queue's time is up
    "a terminal that is closed": ("group", signal.SIGHUP),
    "make alone killed": ("make", signal.SIGKILL),  # its children continue; the next make waits for them
}
SURROUNDINGS = (
    "a path of 200 characters with spaces, quotes, `$()` and letters beyond ASCII",
    "a checkout that belongs to another user",
    "the locale C",
    "no `HOME`",
)
DAY = 24 * 60 * 60

pytestmark = [pytest.mark.slow, pytest.mark.fault]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A copy of the project in an unusual folder, owned by another user; the data and the environment are linked."""
    folder = tmp_path_factory.mktemp("x") / HOSTILE_NAME
    folder = folder.with_name(f"{folder.name}{'x' * (200 - len(str(folder)))}")
    copy_project(folder)
    if os.getuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, 54321, 54321, follow_symlinks=False)
    return folder


@pytest.fixture
def start_make(place, record_property):
    """Starts make in `place`, without HOME and in the locale C."""
    mark, started = str(os.getpid()), []

    def start(*arguments):
        surroundings = {"PATH": os.environ["PATH"], "PYTHONPATH": str(place), "LC_ALL": "C", MARK: mark}
        for fault in SURROUNDINGS:
            record_property("fault", fault)
        log = place.parent / f"{len(started)}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                ["make", "PROFILE=smoke", *arguments],
                cwd=place,
                env=surroundings,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=heed_signals,
            )
        started.append(process)
        return process, log

    yield start
    for process in started:
        stop(process)


def set_clock_back(folder):
    """Give all files a time in the future."""
    for path in folder.rglob("*"):
        times = path.stat()
        os.utime(path, (times.st_atime + DAY, times.st_mtime + DAY))


def has_begun(process):
    return kernels(str(os.getpid())) or process.poll() is not None


def test_a_run_that_is_interrupted_repeatedly_ends_with_the_results_of_an_undisturbed_one(
    smoke_run, start_make, place, record_property
):
    """All in parallel, without HOME, in the locale C, in a folder with a hostile name that belongs to another user."""
    chosen, output = random.Random(0), place / "reports" / "smoke"
    for fault, (whom, how) in INTERRUPTIONS.items():
        process, log = start_make("-j4", "report")
        wait_for("a kernel", partial(has_begun, process))
        try:
            process.wait(chosen.uniform(0, 12))
            break  # it ended
        except subprocess.TimeoutExpired:
            record_property("fault", fault)
            os.killpg(process.pid, how) if whom == "group" else process.send_signal(how)
        assert process.wait(TIME_LIMIT) != 0
        if (whom, how) != ("make", signal.SIGKILL):
            wait_for("all kernels to end", lambda: not kernels(str(os.getpid())), limit=15)
        assert "Traceback" not in log.read_text() or how == signal.SIGKILL, log.read_text()
        if fault == "Ctrl-C":
            record_property("fault", "a clock set back by a day")
            set_clock_back(output)
    record_property("fault", "two `make -j4 report` at once")
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
