"""The disk is full or read-only while data, a checkpoint or a submission is written: nothing is lost."""

import numpy as np
import pytest

from coursework import data, submission
from pipeline.errors import is_full
from tests.models import small_model, train

pytestmark = pytest.mark.slow


def fill(folder, leave):
    """Leave so many bytes of the disk, a multiple of 4,096."""
    (folder / "filling").write_bytes(bytes(64 * 1024 - leave))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_data_on_a_full_disk_are_an_error_without_incomplete_files_until_there_is_room(
    mirror, small_disk, small_data_set
):
    folder, remount = small_disk
    mirror("well")
    fill(folder, 12 * 1024)
    message = r"can't be written .*No space left on device.*Nothing was lost: free some"
    with pytest.raises(data.DataError, match=message):
        data.load_idx("fashion_mnist", folder, 0)
    kept = {path.name: path.stat().st_size for path in (folder / "fashion_mnist").iterdir() if path.name != ".lock"}
    assert kept == {name: len(small_data_set[name]) for name in kept}
    remount("size=1m")
    assert data.load_idx("fashion_mnist", folder, 0)["X_train"].shape == (8, 28, 28)
    assert set(data.IDX_SIZES) <= set(names(folder / "fashion_mnist"))


def test_data_in_a_read_only_folder_are_read_or_downloaded_but_not_kept(mirror, small_disk):
    folder, remount = small_disk
    mirror("well")
    remount("ro")
    with pytest.warns(UserWarning, match="can't be written .*Read-only file system.*: the data will not be kept"):
        assert data.load_idx("fashion_mnist", folder, 0)["X_test"].shape == (4, 28, 28)
    assert names(folder) == []
    remount("rw")
    data.load_idx("fashion_mnist", folder, 0)
    remount("ro")
    data.MIRRORS["fashion_mnist"].clear()
    assert data.load_idx("fashion_mnist", folder, 0)["X_test"].shape == (4, 28, 28)


def trained_weights(checkpoint):
    """The weights of a small model after four epochs."""
    model = small_model()
    train(model, epochs=4, checkpoint=checkpoint)
    return model.get_weights()


def test_a_training_resumes_once_there_is_room_for_its_checkpoint(small_disk, tmp_path, capsys):
    folder, remount = small_disk
    expected = trained_weights(tmp_path / "undisturbed.npz")
    fill(folder, 2 * (tmp_path / "undisturbed.npz").stat().st_size)  # room for two, and a third is written beside them
    with pytest.raises(OSError, match="No space left on device") as error:
        trained_weights(folder / "model.npz")
    assert is_full(error.value)
    assert "model.npz" in names(folder)
    remount("size=1m")
    capsys.readouterr()
    for weights, undisturbed in zip(trained_weights(folder / "model.npz"), expected, strict=True):
        np.testing.assert_array_equal(weights, undisturbed)
    assert "resuming after epoch" in capsys.readouterr().out


def test_a_full_disk_leaves_the_previous_submission(small_disk):
    folder, _ = small_disk
    path = folder / "submission.csv"
    submission.write_submission(path, np.zeros(10, int), 10)
    before = path.read_bytes()
    fill(folder, 8 * 1024)
    with pytest.raises(OSError, match="No space left on device"):
        submission.write_submission(path, np.ones(10_000, int), 10_000)
    assert (path.read_bytes(), names(folder)) == (before, ["filling", "submission.csv"])
