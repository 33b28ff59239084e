"""The lock that lets one make at a time write to an output folder."""

import subprocess
import sys
import time

import pytest

from coursework import files

SCRIPT = files.ROOT / "pipeline" / "one_at_a_time.py"


def start(lock, command):
    return subprocess.Popen(
        [sys.executable, "-u", str(SCRIPT), str(lock), "sh", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def started(lock, mark, command, child="true"):
    """A command that holds the lock, and has a child in the background."""
    holder = start(lock, f"{child} & touch {mark}; {command}")
    while not mark.exists():
        time.sleep(0.01)
    return holder


@pytest.mark.fault("two commands at once in one folder")
def test_the_second_waits_and_says_for_whom(tmp_path):
    log = tmp_path / "log"
    first = started(tmp_path / "new" / ".lock", tmp_path / "mark", f"sleep 1; echo first >> {log}")
    second = start(tmp_path / "new" / ".lock", f"echo second >> {log}")
    said, _ = second.communicate()
    assert first.wait() == second.returncode == 0
    assert log.read_text() == "first\nsecond\n"
    assert f"(process {first.pid}) is at work in this folder: waiting until it is done" in said


@pytest.mark.fault("a lock whose owner was killed")
def test_the_lock_of_a_killed_command_is_free(tmp_path):
    first = started(tmp_path / ".lock", tmp_path / "mark", "exec sleep 60")
    first.kill()
    first.wait()
    began = time.monotonic()
    said, _ = start(tmp_path / ".lock", "echo done").communicate()
    assert said == "done\n"
    assert time.monotonic() - began < 10


@pytest.mark.fault("a lock whose owner was killed")
def test_the_lock_is_held_as_long_as_a_child_works(tmp_path):
    first = started(tmp_path / ".lock", tmp_path / "mark", "exec sleep 60", child="sleep 2")
    began = time.monotonic()
    first.kill()
    first.wait()
    said, _ = start(tmp_path / ".lock", "echo done").communicate()
    assert "is at work in this folder" in said
    assert time.monotonic() - began > 1


def test_the_exit_status_and_the_arguments_are_those_of_the_command(tmp_path):
    result = start(tmp_path / ".lock", "echo 'two  words'; exit 3")
    said, _ = result.communicate()
    assert (said, result.returncode) == ("two  words\n", 3)


def test_a_folder_that_can_not_be_written_gives_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    said, _ = start(tmp_path / "file" / ".lock", "echo done").communicate()
    assert said.startswith("error: ")
    assert "Traceback" not in said
