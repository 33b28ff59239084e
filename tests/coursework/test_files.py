"""Files are replaced in one step, whatever happens to the process that writes them."""

import subprocess
import sys

import pytest

import utilities
from coursework import files

KILLED_WRITER = """
import os, signal, sys, utilities
with files.replace_when_complete(sys.argv[1]) as temporary:
    temporary.write_text("half of the new")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def write(path, text):
    with files.replace_when_complete(path) as temporary:
        temporary.write_text(text)


def names(folder):
    return [path.name for path in folder.iterdir()]


@pytest.mark.fault("an error while a file is written")
def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path):
    path = tmp_path / "file [1].txt"
    write(path, "old")
    with pytest.raises(ZeroDivisionError), files.replace_when_complete(path) as temporary:
        temporary.write_text("half of the new")
        1 / 0  # noqa: B018
    assert path.read_text() == "old"
    assert names(tmp_path) == [path.name]


@pytest.mark.fault("a kill while a file is written")
def test_what_a_killed_process_left_is_removed_by_the_next_that_writes_the_file(tmp_path):
    path = tmp_path / "file [1].txt"
    write(path, "old")
    subprocess.run([sys.executable, "-c", KILLED_WRITER, str(path)], cwd=files.ROOT)
    assert path.read_text() == "old"
    assert len(names(tmp_path)) == 2
    with files.replace_when_complete(path) as unfinished:
        write(path, "new")
        assert unfinished.parent.exists()  # its process is alive
        unfinished.write_text("newest")
    assert path.read_text() == "newest"
    assert names(tmp_path) == [path.name]
