import runpy
import signal
import subprocess
import sys

import pytest
from tests.running import heed_signals

import utilities
from coursework import data, files, submission


@pytest.mark.parametrize(
    ("command", "function", "error"),
    [
        (["pipeline.fetch_data", "mnist"], "load_mnist", data.DataError),
        (["pipeline.submission", "check", "--profile", "smoke"], "load_fashion_mnist", data.DataError),
        (["pipeline.submission", "check", "--profile", "smoke"], "load_fashion_mnist", submission.SubmissionError),
        (["pipeline.readme"], "output_folder", PermissionError),
    ],
)
def test_a_command_that_fails_says_so_in_a_sentence(monkeypatch, capsys, command, function, error):
    def fail(*arguments, **options):
        raise error("what was wrong")

    monkeypatch.setattr(utilities, function, fail)
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.delitem(sys.modules, command[0], raising=False)
    with pytest.raises(SystemExit) as stopped:
        runpy.run_module(command[0], run_name="__main__")
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "error: what was wrong\n"


@pytest.mark.fault("Ctrl-C")
def test_ctrl_c_while_a_command_imports_what_it_needs_is_told_in_a_word():
    code = (
        "import os, signal, sys; sys.argv = ['-m']; import pipeline; os.kill(os.getpid(), signal.SIGINT); import runpy"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=files.ROOT, capture_output=True, text=True, preexec_fn=heed_signals)
    assert (done.stderr, done.returncode) == ("\nstopped\n", -signal.SIGINT)
