import hashlib
import subprocess
import sys

import h5py
import numpy as np
import pytest

from coursework import course_split, data, files

SHAPES = {"train_images": (120, 28, 28), "train_labels": (120,), "test_images": (20, 28, 28)}
"""The course split of the 140 images of `public`."""


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


def test_a_lower_memory_limit_of_the_user_does_not_make_a_good_file_a_bad_one(public, tmp_path):
    path = write_course_file(tmp_path)
    code = f"from coursework import course_split; course_split.read_h5(Path({str(path)!r}), {SHAPES})"
    command = f'ulimit -v 3000000; exec "{sys.executable}" -c "from pathlib import Path; {code}"'
    subprocess.run(["bash", "-c", command], cwd=files.ROOT, check=True)


def test_a_lack_of_memory_is_not_called_a_damaged_file(public, tmp_path, monkeypatch):
    path = write_course_file(tmp_path)
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda *_: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(MemoryError):
        course_split.read_h5(path, SHAPES)
