"""The errors of commands: a sentence and an exit status, without a stack trace."""

import errno
import runpy
import signal
import subprocess
import sys

import pytest

from coursework import course_split, data, files, submission
from pipeline.errors import UserError, is_full, run_command
from tests.running import heed_signals


@pytest.mark.parametrize(
    ("command", "module", "function", "error"),
    [
        (["pipeline.fetch_data", "mnist"], data, "load_mnist", data.DataError),
        (["pipeline.submission", "check"], course_split, "load_fashion_mnist", data.DataError),
        (["pipeline.submission", "check"], course_split, "load_fashion_mnist", submission.SubmissionError),
        (["pipeline.readme"], files, "output_folder", PermissionError),
    ],
)
def test_a_command_that_fails_prints_a_sentence(monkeypatch, capsys, tmp_path, command, module, function, error):
    def fail(*arguments, **options):
        raise error("what was wrong")

    monkeypatch.setattr(files, "REPORTS_FOLDER", tmp_path)
    monkeypatch.setattr(module, function, fail)
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.delitem(sys.modules, command[0], raising=False)
    with pytest.raises(SystemExit) as stopped:
        runpy.run_module(command[0], run_name="__main__")
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "error: what was wrong\n"


def failing(error):
    def command():
        raise error

    return command


def test_an_error_of_the_program_keeps_its_stack_trace():
    with pytest.raises(ZeroDivisionError):
        run_command(failing(ZeroDivisionError()))


def test_an_expected_error_of_another_kind_is_a_sentence(capsys):
    with pytest.raises(SystemExit) as stopped:
        run_command(failing(KeyError("what")), KeyError)
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "error: 'what'\n"


def test_a_full_disk_is_reported_with_what_to_do(capsys):
    with pytest.raises(SystemExit):
        run_command(failing(OSError(errno.ENOSPC, "No space left on device", "data/mnist")))
    assert capsys.readouterr().err == (
        "error: [Errno 28] No space left on device: 'data/mnist'\n"
        "The disk is full. Finished results are kept: free some space and run it again.\n"
    )


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (UserError("code cell 3 failed: OSError: [Errno 28] No space left on device"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (UserError("code cell 28 failed"), False),
    ],
)
def test_a_full_disk_is_known_by_the_number_of_the_error(error, full):
    assert is_full(error) == full


@pytest.mark.fault("Ctrl-C")
def test_ctrl_c_during_a_command_is_reported_in_a_word(capsys):
    with pytest.raises(SystemExit) as stopped:
        run_command(failing(KeyboardInterrupt()))
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "\nstopped\n"


@pytest.mark.fault("Ctrl-C")
def test_ctrl_c_during_the_imports_of_a_command_is_reported_in_a_word():
    code = (
        "import os, signal, sys; sys.argv = ['-m']; import pipeline; os.kill(os.getpid(), signal.SIGINT); import runpy"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=files.ROOT, capture_output=True, text=True, preexec_fn=heed_signals)
    assert (done.stderr, done.returncode) == ("\nstopped\n", -signal.SIGINT)
