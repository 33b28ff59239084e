"""Nothing that is read is executed: checkpoints, models, packages and data files may be hostile."""

import os
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


def test_a_pickle_in_a_checkpoint_is_not_opened(here, capsys):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    np.savez(here / "model.npz", about=np.array([Stolen()], dtype=object))
    assert checkpoint.restore(here / "model.npz", {}, model) == ([], None)
    assert "model.npz is damaged and not used" in capsys.readouterr().out


def test_a_model_with_code_in_it_is_not_loaded(here):
    steal = keras.layers.Lambda(lambda x: (os.system("touch stolen"), x)[1], output_shape=(2,))
    model = keras.Sequential([keras.Input((2,)), steal])
    (here / "stolen").unlink(missing_ok=True)  # building it called it
    model.save(here / "model.keras")
    with pytest.raises(ValueError, match="safe"):
        models.load_model(here / "model.keras")


@pytest.mark.parametrize("how", ["link", "external", "large chunks"])
def test_a_course_file_that_refers_to_others_or_is_a_bomb_is_an_error(tmp_path, how):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["labels"] = np.zeros(1000, np.uint8)
    with h5py.File(tmp_path / "Fashion_MNIST.h5", "w") as file:
        if how == "link":
            file["labels"] = h5py.ExternalLink("other.h5", "labels")
        elif how == "external":
            file.create_dataset("labels", (1000,), "u1", external=[(str(tmp_path / "other.h5"), 0, 1000)])
        else:
            file.create_dataset("labels", (1000,), "u1", maxshape=(None,), chunks=(1 << 27,), compression="gzip")
    with pytest.raises(data.DataError, match="is stored in another file, or in chunks of more than 64 MiB"):
        course_split.read_h5(tmp_path / "Fashion_MNIST.h5", {"labels": (1000,)})


def test_a_reader_that_crashes_ends_in_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(course_split, "HDF5_READER", tmp_path / "reader.py")
    course_split.HDF5_READER.write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(data.DataError, match="made the HDF5 library crash"):
        course_split.read_h5(course_split.HDF5_READER, {"labels": (3,)})


@pytest.mark.slow
def test_a_course_file_that_hangs_the_library_is_an_error(monkeypatch):
    monkeypatch.setattr(course_split, "READING_TIMEOUT", 10)
    with pytest.raises(data.DataError, match="can't be read within 10 s, so it is damaged"):
        course_split.read_h5(HANGS_THE_LIBRARY, {"images": (3, 4, 4), "labels": (3,)})
