import errno
import runpy
import signal
import subprocess
import sys

import pytest

from coursework import course_split, data, files, submission
from tests.running import heed_signals

FETCH = ["pipeline.fetch_data", "mnist"]
CHECK = ["pipeline.submission", "check"]
FULL = OSError(errno.EDQUOT, "Disk quota exceeded", "data/mnist")
WHAT_TO_DO = "The disk is full. Finished results are kept: free some space and run it again."


@pytest.mark.parametrize(
    ("command", "module", "function", "error", "status", "printed"),
    [
        (FETCH, data, "load_mnist", data.DataError("it is wrong"), 1, "error: it is wrong\n"),
        (CHECK, course_split, "load_fashion_mnist", submission.SubmissionError("7"), 1, "error: 7\n"),
        (["pipeline.readme"], files, "output_folder", PermissionError("not yours"), 1, "error: not yours\n"),
        (FETCH, data, "load_mnist", FULL, 1, f"error: {FULL}\n{WHAT_TO_DO}\n"),
        (FETCH, data, "load_mnist", KeyboardInterrupt(), 130, "\nstopped\n"),
    ],
)
def test_a_command_that_fails_prints_a_sentence(
    monkeypatch, capsys, tmp_path, command, module, function, error, status, printed
):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(files, "REPORTS_FOLDER", tmp_path)
    monkeypatch.setattr(module, function, fail)
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.delitem(sys.modules, command[0], raising=False)
    with pytest.raises(SystemExit) as stopped:
        runpy.run_module(command[0], run_name="__main__")
    assert (stopped.value.code, capsys.readouterr().err) == (status, printed)


def test_ctrl_c_during_the_imports_of_a_command_is_reported_in_a_word():
    code = "import os, sys; sys.argv = ['-m']; import pipeline; os.kill(os.getpid(), 2); import runpy"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=files.ROOT, capture_output=True, text=True, preexec_fn=heed_signals)
    assert (done.stderr, done.returncode) == ("\nstopped\n", -signal.SIGINT)
