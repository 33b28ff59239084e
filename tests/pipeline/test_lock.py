import subprocess
import sys

import pytest

from coursework import files
from tests.running import wait_for


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Starts a shell command that holds a lock, in a folder of the test."""
    monkeypatch.chdir(tmp_path)

    def start_command(command, lock="new/.lock"):
        words = [sys.executable, "-u", files.ROOT / "pipeline" / "lock.py", lock, "sh", "-c", command]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return start_command


def test_a_second_command_waits_for_the_first_and_says_so(start, tmp_path):
    first = start("touch begun; sleep 1; touch ended")
    wait_for("start", (tmp_path / "begun").exists, limit=10)
    printed, _ = start("ls").communicate()
    assert f"(process {first.pid}) is running in this folder: waiting until it ends ..." in printed
    assert first.wait() == 0 and "ended" in printed


@pytest.mark.parametrize("child", ["true", "(sleep 1.5; touch ended)"])
def test_a_killed_command_holds_the_lock_until_its_children_have_ended(start, tmp_path, child):
    first = start(f"{child} & touch begun; exec sleep 60")
    wait_for("start", (tmp_path / "begun").exists, limit=10)
    first.kill()
    first.wait()
    printed, _ = start("ls").communicate(timeout=10)
    assert ("is running in this folder" in printed) == ("ended" in printed) == (child != "true")


def test_the_exit_status_and_the_arguments_are_those_of_the_command(start):
    process = start("echo 'two  words'; exit 3")
    assert (process.communicate()[0], process.returncode) == ("two  words\n", 3)


def test_a_lock_that_can_not_be_written_is_reported_in_a_sentence(start, tmp_path):
    (tmp_path / "file").touch()
    process = start("echo done", "file/.lock")
    printed, _ = process.communicate()
    assert printed.startswith("error: ")
    assert len(printed.splitlines()) == process.returncode == 1
