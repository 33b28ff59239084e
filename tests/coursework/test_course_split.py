import hashlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from coursework import course_split, data, files

SHAPES = {"train_images": (120, 28, 28), "train_labels": (120,), "test_images": (20, 28, 28)}
"""The course split of the 140 images of `public`."""
HANGS_THE_LIBRARY = Path(__file__).parents[1] / "files" / "hangs_the_library.h5"
"""Found by a fuzzer."""


@pytest.fixture
def public(tmp_path, monkeypatch):
    """140 images, 14 of each class, in place of the 70,000 of Fashion-MNIST: the four arrays."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (140, 28, 28), dtype=np.uint8)
    labels = random.permutation(np.arange(140, dtype=np.uint8) % 10)
    arrays = {"X_train": images[:110], "y_train": labels[:110], "X_test": images[110:], "y_test": labels[110:]}
    sizes, hashes = {}, {}
    (tmp_path / "fashion_mnist").mkdir()
    for key, name in data.IDX_FILES.items():
        content = bytes(16 if key.startswith("X") else 8) + arrays[key].tobytes()
        sizes[name], hashes[name] = len(content), hashlib.sha256(content).hexdigest()
        (tmp_path / "fashion_mnist" / name).write_bytes(content)
    monkeypatch.setattr(data, "IDX_SIZES", sizes)
    monkeypatch.setitem(data.IDX_SHA256, "fashion_mnist", hashes)
    monkeypatch.setattr(course_split, "COURSE_SHAPES", SHAPES)
    monkeypatch.setattr(course_split, "TEST_LABELS_SHAPE", (20,))
    return arrays


def load(folder, split="course"):
    return course_split.load_fashion_mnist(split, data_folder=folder)


@pytest.fixture
def folder(public, tmp_path):
    """A data folder in which the course split was built."""
    load(tmp_path)
    return tmp_path


def test_the_official_split_is_that_of_the_public_files(public, tmp_path):
    np.testing.assert_equal(load(tmp_path, "official"), public)


def pairs(data):
    """Each image with its label, sorted."""
    images, labels = [*data["X_train"], *data["X_test"]], [*data["y_train"], *data["y_test"]]
    return sorted((image.tobytes(), label) for image, label in zip(images, labels, strict=True))


def test_the_course_split_is_stratified_and_contains_each_public_image_once_with_its_label(public, folder):
    loaded = load(folder)
    assert np.bincount(loaded["y_train"]).tolist() == [12] * 10
    assert pairs(public) == pairs(loaded | {"y_test": course_split.load_fashion_mnist_test_labels(data_folder=folder)})


def test_the_course_split_of_fashion_mnist_has_the_documented_hash(tmp_path):
    source = files.DATA_FOLDER / "fashion_mnist"
    if not source.exists():
        pytest.skip("data/fashion_mnist is not downloaded")
    (tmp_path / "fashion_mnist").symlink_to(source)
    expected = "73bbef6af762cb93851af8164ad15183449320f405d8f8d6a31e1a5b14245c96"
    assert files.content_hash(load(tmp_path)) == expected


def test_a_changed_file_of_this_package_is_kept_and_built_again(folder):
    path, before = folder / "Fashion_MNIST.h5", load(folder)
    with h5py.File(path, "r+") as file:
        file["train_labels"][0] = (before["y_train"][0] + 1) % 10
    changed = path.read_bytes()
    with pytest.warns(UserWarning, match=r"it is kept as Fashion_MNIST.h5.damaged and built again"):
        np.testing.assert_array_equal(load(folder)["y_train"], before["y_train"])
    assert path.with_name("Fashion_MNIST.h5.damaged").read_bytes() == changed


@pytest.mark.parametrize("content", [None, b"damaged"])
def test_lost_test_labels_are_built_again_and_the_course_file_stays(folder, content):
    path, before = folder / "Fashion_MNIST.h5", course_split.load_fashion_mnist_test_labels(data_folder=folder)
    modified = path.stat().st_mtime_ns
    labels = folder / "Fashion_MNIST_test_labels.h5"
    labels.unlink() if content is None else labels.write_bytes(content)
    np.testing.assert_array_equal(course_split.load_fashion_mnist_test_labels(data_folder=folder), before)
    assert path.stat().st_mtime_ns == modified


def write_course_file(folder, content=None, **changes):
    """The course's own file, without labels of the test set and without our hash, or one with changed arrays."""
    arrays = {name: np.zeros(shape, "u1" if len(shape) > 1 else "i8") for name, shape in SHAPES.items()} | changes
    path = folder / "Fashion_MNIST.h5"
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            if array is not None:
                file[name] = array
    if content is not None:
        path.write_bytes(content)
    return path


def test_the_courses_own_file_is_used_as_it_is_and_its_test_labels_are_unknown(folder):
    """Those of our split lie beside it, but they belong to other images."""
    path = write_course_file(folder)
    before = path.read_bytes()
    assert load(folder)["X_train"].shape == SHAPES["train_images"]
    assert load(folder)["y_train"].dtype == np.uint8
    assert (folder / "Fashion_MNIST_test_labels.h5").exists()
    assert course_split.load_fashion_mnist_test_labels(data_folder=folder) is None
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train_labels": None}, "no dataset train_labels: it holds test_images, train_images"),
        ({"train_images": np.zeros((120, 28, 29), "u1")}, r"shape \(120, 28, 29\)"),
        ({"train_images": np.zeros((120, 28, 28), "f4")}, "dtype float32"),
        ({"train_labels": np.zeros(120, "f8")}, "expected .* of whole numbers"),
        ({"train_labels": np.full(120, 10)}, "classes outside 0 to 9"),
        ({"content": b"not HDF5 at all"}, "can't be read as HDF5"),
    ],
)
def test_a_course_file_with_other_content_is_rejected_and_kept(public, tmp_path, changes, words):
    path = write_course_file(tmp_path, **changes)
    before = path.read_bytes()
    with pytest.raises(data.DataError, match=words):
        load(tmp_path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("code", "limit", "words"),
    [
        ("raise MemoryError", 3 << 30, "within the limit of `ulimit -v`: allow 4096 MiB and try again"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", 1 << 40, "made the HDF5 library crash"),
    ],
)
def test_a_reader_that_lacks_memory_or_crashes_ends_in_an_error(tmp_path, monkeypatch, code, limit, words):
    (tmp_path / "reader.py").write_text(code)
    monkeypatch.setattr(course_split, "HDF5_READER", tmp_path / "reader.py")
    monkeypatch.setattr("resource.getrlimit", lambda _: (limit, 1 << 40))
    with pytest.raises(data.DataError, match=words):
        course_split.read_h5(write_course_file(tmp_path), SHAPES)


@pytest.mark.slow
def test_a_course_file_that_hangs_the_library_is_an_error(monkeypatch):
    monkeypatch.setattr(course_split, "READING_TIMEOUT", 10)
    with pytest.raises(data.DataError, match="can't be read within 10 s, so it is damaged"):
        course_split.read_h5(HANGS_THE_LIBRARY, {"images": (3, 4, 4), "labels": (3,)})


@pytest.mark.parametrize(
    "options",
    [{"external": [("other", 0, 1000)]}, {"maxshape": (None,), "chunks": (1 << 27,), "compression": "gzip"}],
)
def test_a_course_file_that_refers_to_others_or_is_a_bomb_is_an_error(tmp_path, options):
    with h5py.File(tmp_path / "Fashion_MNIST.h5", "w") as file:
        file.create_dataset("labels", (1000,), "u1", **options)
    with pytest.raises(data.DataError, match="is stored in another file, or in chunks of more than 64 MiB"):
        course_split.read_h5(tmp_path / "Fashion_MNIST.h5", {"labels": (1000,)})
