"""The disk is full or read-only while data or a checkpoint is written: nothing is lost."""

import numpy as np
import pytest

from coursework import data
from pipeline.errors import is_full
from tests.models import small_model, train

pytestmark = pytest.mark.slow


def fill(folder, leave):
    """Leave so many bytes of the disk, a multiple of 4,096."""
    (folder / "filling").write_bytes(bytes(64 * 1024 - leave))


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
    assert all((folder / "fashion_mnist" / name).exists() for name in data.IDX_SIZES)


def test_data_in_a_read_only_folder_are_read_or_downloaded_but_not_kept(mirror, small_disk):
    folder, remount = small_disk
    mirror("well")
    remount("ro")
    with pytest.warns(UserWarning, match="can't be written .*Read-only file system.*: the data will not be kept"):
        assert data.load_idx("fashion_mnist", folder, 0)["X_test"].shape == (4, 28, 28)
    assert list(folder.iterdir()) == []
    remount("rw")
    data.load_idx("fashion_mnist", folder, 0)
    remount("ro")
    data.MIRRORS["fashion_mnist"].clear()
    assert data.load_idx("fashion_mnist", folder, 0)["X_test"].shape == (4, 28, 28)


def test_a_training_resumes_once_there_is_room_for_its_checkpoint(small_disk, tmp_path, capsys):
    folder, remount = small_disk
    models = [small_model() for _ in range(3)]
    train(models[0], epochs=4, checkpoint=tmp_path / "undisturbed.npz")
    fill(folder, 2 * (tmp_path / "undisturbed.npz").stat().st_size)  # room for two, and a third is written beside them
    with pytest.raises(OSError, match="No space left on device") as error:
        train(models[1], epochs=4, checkpoint=folder / "model.npz")
    assert is_full(error.value)
    remount("size=1m")
    train(models[2], epochs=4, checkpoint=folder / "model.npz")
    assert "resuming after epoch" in capsys.readouterr().out
    for weights, undisturbed in zip(models[2].get_weights(), models[0].get_weights(), strict=True):
        np.testing.assert_array_equal(weights, undisturbed)
