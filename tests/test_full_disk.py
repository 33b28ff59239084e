"""A real disk that is full, or can only be read, while something is written: a sentence, nothing lost, and it goes on once there is room."""

import runpy
import sys

import keras
import nbformat
import numpy as np
import pytest

from coursework import data, files, metrics, submission, training
from pipeline import run_notebook
from pipeline.errors import is_full
import notebook_pdf


def fill(folder, leave):
    """Leave so many bytes of the disk, of 4,096 at a time."""
    (folder / "filling").write_bytes(bytes(64 * 1024 - leave))


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.fault("a full disk, while data are kept")
def test_data(mirror, small_disk, small_data_set):
    folder, remount = small_disk
    mirror("well")
    fill(folder, 12 * 1024)
    with pytest.raises(
        data.DataError, match=r"can't be written .*No space left on device.*Nothing was lost: free some"
    ):
        data.load_idx("fashion_mnist", folder, 0)
    kept = {path.name: path.stat().st_size for path in (folder / "fashion_mnist").iterdir() if path.name != ".lock"}
    assert all(size == len(small_data_set[name]) for name, size in kept.items())
    remount("size=1m")
    assert data.load_idx("fashion_mnist", folder, 0)["X_train"].shape == (8, 28, 28)


@pytest.mark.fault("a data folder that can only be read")
def test_data_in_a_folder_that_can_only_be_read(mirror, small_disk, small_data_set):
    folder, remount = small_disk
    mirror("well")
    remount("ro")
    with pytest.warns(UserWarning, match="can't be written .*Read-only file system.*: the data will not be kept"):
        assert data.load_idx("fashion_mnist", folder, 0)["X_test"].shape == (4, 28, 28)
    remount("rw")
    data.load_idx("fashion_mnist", folder, 0)
    remount("ro")
    data.MIRRORS["fashion_mnist"].clear()
    assert data.load_idx("fashion_mnist", folder, 0)["X_test"].shape == (4, 28, 28)


def trained(checkpoint, epochs):
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    layers = [keras.Input((4, 4, 1), dtype="uint8"), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    model = keras.Sequential([*layers, keras.layers.Dropout(0.5), keras.layers.Dense(64)])
    model.add(keras.layers.Dense(3, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=[metrics.F1Score(num_classes=3)])
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (32, 4, 4, 1)).astype(np.uint8), random.integers(0, 3, 32)
    training.train(model, images, labels, images, labels, epochs=epochs, batch_size=8, seed=1, checkpoint=checkpoint)
    return model.get_weights()


@pytest.mark.fault("a full disk, while a checkpoint is written")
def test_a_checkpoint(small_disk, tmp_path, capsys):
    folder, remount = small_disk
    expected = trained(tmp_path / "undisturbed.npz", 4)
    fill(folder, 2 * (tmp_path / "undisturbed.npz").stat().st_size)  # room for two, and a third is written beside them
    with pytest.raises(OSError, match="No space left on device") as error:
        trained(folder / "model.npz", 4)
    assert is_full(error.value)
    assert "model.npz" in files(folder)
    remount("size=1m")
    capsys.readouterr()
    for one, other in zip(trained(folder / "model.npz", 4), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert "going on after epoch" in capsys.readouterr().out


@pytest.mark.fault("a full disk, while the submission is written")
def test_a_submission(small_disk):
    folder, remount = small_disk
    path = folder / "submission.csv"
    submission.write_submission(path, np.zeros(10, int), 10)
    before = path.read_bytes()
    fill(folder, 8 * 1024)
    with pytest.raises(OSError, match="No space left on device"):
        submission.write_submission(path, np.ones(10_000, int), 10_000)
    assert (path.read_bytes(), files(folder)) == (before, ["filling", "submission.csv"])
    remount("size=1m")
    submission.write_submission(path, np.ones(10_000, int), 10_000)
    assert len(submission.read_submission(path, 10_000)) == 10_000


@pytest.mark.fault("a full disk, while a PDF is written")
def test_a_pdf(small_disk, tmp_path):
    folder, remount = small_disk
    notebook = tmp_path / "one.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# One")]), notebook)
    fill(folder, 4 * 1024)
    with pytest.raises(OSError, match="No space left on device"):
        make_pdf(notebook, folder / "one.pdf")
    assert files(folder) == ["filling"]
    remount("size=1m")
    make_pdf(notebook, folder / "one.pdf")
    assert (folder / "one.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.fault("a full disk, while a notebook is written")
@pytest.mark.slow
def test_an_executed_notebook(small_disk, tmp_path, monkeypatch, capsys):
    folder, remount = small_disk
    monkeypatch.setattr(files, "ROOT", tmp_path)
    monkeypatch.setattr(run_notebook, "NOTEBOOKS_FOLDER", tmp_path)
    source, target = tmp_path / "one.ipynb", folder / "one.ipynb"
    cells = [nbformat.v4.new_code_cell("x = 1", metadata={"tags": ["parameters"]})]
    cells.append(nbformat.v4.new_code_cell("print('x' * 100_000)"))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), source)
    with pytest.raises(OSError, match="No space left on device"):
        run_notebook.execute_notebook(source, target, {}, show=False)
    assert files(folder) == []
    remount("size=1m")
    run_notebook.execute_notebook(source, target, {}, show=False)
    assert files(folder) == ["one.ipynb"]


def test_the_sentence(monkeypatch, capsys):
    def fail(*arguments, **options):
        raise OSError(28, "No space left on device", "data/mnist")

    monkeypatch.setattr(data, "load_mnist", fail)
    monkeypatch.setattr(sys, "argv", ["pipeline.fetch_data", "mnist"])
    monkeypatch.delitem(sys.modules, "pipeline.fetch_data", raising=False)
    with pytest.raises(SystemExit):
        runpy.run_module("pipeline.fetch_data", run_name="__main__")
    assert capsys.readouterr().err == (
        "error: [Errno 28] No space left on device: 'data/mnist'\n"
        "The disk is full. What was finished is kept: free some space and run it again.\n"
    )
