"""A file is replaced atomically, whatever happens to the process that writes it."""

import os
import platform
import stat
import subprocess
import sys

import numpy as np
import pytest

from coursework import files

KILLED_WRITER = """
import os, platform, signal, sys
from coursework import files
platform.node = lambda: sys.argv[2]
with files.replace_when_complete(sys.argv[1]) as temporary:
    temporary.write_text("half of the new")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def write(path, text):
    with files.replace_when_complete(path) as temporary:
        temporary.write_text(text)


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_a_file_is_written_into_a_new_folder_and_replaced_and_not_overwritten(tmp_path):
    path, link = tmp_path / "new" / "file.txt", tmp_path / "link"
    write(path, "old")
    link.hardlink_to(path)
    write(path, "new")
    assert (path.read_text(), link.read_text(), names(path.parent)) == ("new", "old", ["file.txt"])


def test_an_error_leaves_the_previous_file_and_no_other(tmp_path):
    path = tmp_path / "file [1].txt"
    write(path, "old")
    with pytest.raises(RuntimeError), files.replace_when_complete(path) as temporary:
        temporary.write_text("half of the new")
        write(path, "of another writer, which leaves the temporary file of a running process")
        assert temporary.exists()
        raise RuntimeError
    assert path.read_text().startswith("of another writer")
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize(("machine", "kept"), [(platform.node(), 0), ("another", 1)])
def test_a_killed_process_leaves_the_previous_file_and_the_next_on_its_machine_cleans_up(tmp_path, machine, kept):
    """The process of another machine, seen from here on a shared disk, may still be running."""
    path = tmp_path / "file [1].txt"
    write(path, "old")
    subprocess.run([sys.executable, "-c", KILLED_WRITER, str(path), machine], cwd=files.ROOT)
    assert path.read_text() == "old"
    assert len(names(tmp_path)) == 2
    write(path, "new")
    assert path.read_text() == "new"
    assert len(names(tmp_path)) == 1 + kept


def test_the_content_is_on_the_disk_before_the_name_and_the_name_at_the_end(tmp_path, monkeypatch):
    path, synced = tmp_path / "file.txt", []
    write(path, "old")
    monkeypatch.setattr(
        os, "fsync", lambda file: synced.append((stat.S_ISDIR(os.fstat(file).st_mode), path.read_text()))
    )
    write(path, "new")
    assert synced == [(False, "old"), (True, "new")]


def test_a_path_is_displayed_relative_to_the_project_or_by_its_name(tmp_path):
    assert files.display_path(files.output_folder("full")) == "reports"
    assert files.display_path(files.output_folder("smoke")) == "reports/smoke"
    assert files.display_path(tmp_path / "model.npz") == "model.npz"


A, B = np.arange(6, dtype=np.uint8).reshape(2, 3), np.ones(2, np.float32)


@pytest.mark.parametrize("changed", [{"a": A + 1}, {"a": A.reshape(3, 2)}, {"b": B.view(np.int32)}, {"c": A}])
def test_the_hash_covers_values_shapes_dtypes_and_names_but_no_order(changed):
    assert files.content_hash({"a": A, "b": B} | changed) != files.content_hash({"a": A, "b": B})
    assert files.content_hash({"b": B, "a": np.asfortranarray(A)}) == files.content_hash({"a": A, "b": B})
