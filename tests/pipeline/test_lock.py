"""The lock that lets one make at a time write to an output folder."""

import subprocess
import sys
import time

import pytest

from coursework import files

SCRIPT = files.ROOT / "pipeline" / "lock.py"


def start(lock, command):
    return subprocess.Popen(
        [sys.executable, "-u", str(SCRIPT), str(lock), "sh", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def started(lock, mark, command, child="true"):
    """Start a command that holds the lock and has a child in the background, and wait until it runs."""
    holder = start(lock, f"{child} & touch {mark}; {command}")
    while not mark.exists():
        assert holder.poll() is None
        time.sleep(0.01)
    return holder


@pytest.mark.fault("two commands at once in one folder")
def test_a_second_command_waits_for_the_first(tmp_path):
    log = tmp_path / "log"
    first = started(tmp_path / "new" / ".lock", tmp_path / "mark", f"sleep 1; echo first >> {log}")
    second = start(tmp_path / "new" / ".lock", f"echo second >> {log}")
    second.communicate()
    assert first.wait() == second.returncode == 0
    assert log.read_text() == "first\nsecond\n"


@pytest.mark.fault("two commands at once in one folder")
def test_a_waiting_command_prints_which_process_it_waits_for(tmp_path):
    first = started(tmp_path / ".lock", tmp_path / "mark", "sleep 1")
    printed, _ = start(tmp_path / ".lock", "true").communicate()
    first.wait()
    assert f"(process {first.pid}) is running in this folder: waiting until it ends ..." in printed


def test_the_command_that_holds_the_lock_has_the_name_that_a_user_typed(tmp_path):
    command = [sys.executable, "-u", str(SCRIPT), str(tmp_path / ".lock"), "echo", "report-now"]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.stdout == "report-now\n"
    assert (tmp_path / ".lock").read_text().startswith("make report (process ")


@pytest.mark.fault("a lock whose owner was killed")
def test_the_lock_of_a_killed_command_is_free(tmp_path):
    first = started(tmp_path / ".lock", tmp_path / "mark", "exec sleep 60")
    first.kill()
    first.wait()
    printed, _ = start(tmp_path / ".lock", "echo done").communicate(timeout=10)
    assert printed == "done\n"


@pytest.mark.fault("a lock whose owner was killed")
def test_a_child_of_a_killed_command_holds_the_lock_until_it_ends(tmp_path):
    ended = tmp_path / "ended"
    child = f"(sleep 1.5; touch {ended})"
    first = started(tmp_path / ".lock", tmp_path / "mark", "exec sleep 60", child=child)
    first.kill()
    first.wait()
    printed, _ = start(tmp_path / ".lock", f"ls {ended}").communicate()
    assert "is running in this folder" in printed
    assert printed.endswith(f"{ended}\n")


def test_the_exit_status_and_the_arguments_are_those_of_the_command(tmp_path):
    process = start(tmp_path / ".lock", "echo 'two  words'; exit 3")
    printed, _ = process.communicate()
    assert (printed, process.returncode) == ("two  words\n", 3)


def test_a_lock_that_can_not_be_written_is_reported_in_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    process = start(tmp_path / "file" / ".lock", "echo done")
    printed, _ = process.communicate()
    assert printed.startswith("error: ")
    assert len(printed.splitlines()) == process.returncode == 1
