"""Commands that the tests start, and the kernels below them."""

import contextlib
import os
import signal
import subprocess
import time

import psutil

from coursework import files

MARK = "COURSEWORK_TEST"
"""An environment variable by which processes of a test are known, whoever their parent is by now."""
TIME_LIMIT = 400
FUZZ_CASES = int(os.environ.get("FUZZ_CASES", "40"))
"""Of each property test; `make fuzz` asks for many."""


def make(*arguments):
    """Run make as a user would, with the smoke profile: nothing of the make that runs the tests is passed on."""
    return subprocess.run(
        ["make", "PROFILE=smoke", *arguments], cwd=files.ROOT, env=environment(), capture_output=True, text=True
    )


def environment():
    return {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}


def kernels(mark):
    """Kernels that were started with this mark, directly or through other processes."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        with contextlib.suppress(psutil.Error):
            if "ipykernel_launcher" in (process.info["cmdline"] or []) and process.environ().get(MARK) == mark:
                found.append(process)
    return found


def wait_for(what, condition, limit=TIME_LIMIT):
    deadline = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.2)
    return found


def heed_signals():
    """Where the tests themselves run under nohup, or in the background of a script, some signals are ignored."""
    for one in (signal.SIGHUP, signal.SIGINT):
        signal.signal(one, signal.SIG_DFL)


def stop(process):
    """Kill a process and all below it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    process.wait()
