"""Fashion-MNIST as the course hands it out: read, check and rebuild `Fashion_MNIST.h5`."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from coursework.data import DataError, disk_errors_as_data_error, load_idx
from coursework.files import DATA_FOLDER, content_hash, display_path, replace_when_complete

FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

COURSE_FILE = "Fashion_MNIST.h5"
TEST_LABELS_FILE = "Fashion_MNIST_test_labels.h5"
COURSE_SHAPES = {"train_images": (59_500, 28, 28), "train_labels": (59_500,), "test_images": (10_500, 28, 28)}
TEST_LABELS_SHAPE = (10_500,)
COURSE_SPLIT_SEED = 0


def load_fashion_mnist(
    split: str = "course", verbose: int = 0, data_folder: Path | str = DATA_FOLDER
) -> dict[str, np.ndarray]:
    """Load Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017), downloading it the first time.

    Args:
        split: "course" reads `Fashion_MNIST.h5`: 59,500 labelled images and 10,500 test images without labels.
            An existing file of that name is used as it is; otherwise it is built from the public 70,000 images by a
            fixed split, stratified by class. "official" gives the public 60,000/10,000 split with the labels of both,
            so that a score can be compared with published ones.
        verbose: 0 is silent; 1 shows the progress of downloads.
        data_folder: folder of the files; downloaded files are kept there.

    Returns:
        `X_train` and `X_test` (n, 28, 28) uint8 with 0 for the background; `y_train` (n,) uint8 class indices
        into `FASHION_CLASSES`, and `y_test` with the official split only.

    Raises:
        DataError: no source has the data, or `Fashion_MNIST.h5` does not have the content of the course's file.
    """
    data_folder = Path(data_folder)
    if split == "official":
        return load_idx("fashion_mnist", data_folder, verbose)
    if split != "course":
        raise ValueError(f'split={split!r} is unknown: expected "course" or "official"')
    data, _ = _load_course_file(data_folder, verbose)
    return {"X_train": data["train_images"], "y_train": data["train_labels"], "X_test": data["test_images"]}


def load_fashion_mnist_test_labels(verbose: int = 0, data_folder: Path | str = DATA_FOLDER) -> np.ndarray | None:
    """The held-out labels (10500,) of the course split, uint8, or None if they are unknown.

    Only the local leaderboard reads them. They exist for the split that this package builds. The course does not
    publish those of its own file, and labels of other images are never returned.
    """
    data_folder = Path(data_folder)
    _, is_ours = _load_course_file(data_folder, verbose)
    if not is_ours:
        return None
    path = data_folder / TEST_LABELS_FILE
    try:
        content, is_intact = read_h5(path, {"test_labels": TEST_LABELS_SHAPE})
    except (DataError, FileNotFoundError):
        is_intact = False
    if not is_intact:
        path.unlink(missing_ok=True)
        _make_missing_files(data_folder, verbose)
        content, _ = read_h5(path, {"test_labels": TEST_LABELS_SHAPE})
    return content["test_labels"]


def _load_course_file(data_folder: Path, verbose: int) -> tuple[dict[str, np.ndarray], bool]:
    """The arrays of the course's file, and whether this package built it."""
    path = data_folder / COURSE_FILE
    if not path.exists():
        _make_missing_files(data_folder, verbose)
    content, is_intact = read_h5(path, COURSE_SHAPES)
    if is_intact is False:
        kept = path.with_name(f"{path.name}.damaged")
        warnings.warn(f"{path} has changed since it was built: it is kept as {kept.name} and built again", stacklevel=3)
        path.replace(kept)
        _make_missing_files(data_folder, verbose)
        content, is_intact = read_h5(path, COURSE_SHAPES)
    return content, is_intact is not None


def read_h5(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> tuple[dict[str, np.ndarray], bool | None]:
    """The named arrays of an HDF5 file, uint8, and whether they have the hash that this package stores with them.

    The latter is None for a file without a hash. Arrays with one dimension are classes from 0 to 9. A DataError says if
    the file is damaged or has another content.
    """
    import h5py

    try:
        with h5py.File(path) as file:
            names, stored_hash = list(file), file.attrs.get("sha256")
            arrays = {name: file[name][...] for name in shapes if name in file}
        problem = _misfit(arrays, shapes, names)
    except (FileNotFoundError, MemoryError):
        raise
    except Exception as error:  # each way in which a file can be damaged raises another kind
        problem = f"can't be read as HDF5, it may be truncated ({error})"
    if problem:
        raise DataError(
            f"{path} {problem}. Delete {path.name} or move it away, and it is built again from the public data."
        )
    arrays = {name: array.astype(np.uint8, copy=False) for name, array in arrays.items()}
    return arrays, None if stored_hash is None else stored_hash == content_hash(arrays)


def _misfit(arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]], names: list[str]) -> str | None:
    """What is wrong with the content of a file that holds these `names`; None if it is as expected."""
    if missing := [name for name in shapes if name not in arrays]:
        held = ", ".join(names) or "nothing"
        return f"has no dataset {', '.join(missing)}: it holds {held}, expected {', '.join(shapes)}"
    for name, array in arrays.items():
        is_image = len(shapes[name]) > 1
        if array.shape != shapes[name] or not (array.dtype == np.uint8 if is_image else array.dtype.kind in "iu"):
            expected = f"{shapes[name]} of {'uint8' if is_image else 'whole numbers'}"
            return f"{name} has shape {array.shape} and dtype {array.dtype}, expected {expected}"
        if not is_image and not ((array >= 0) & (array <= 9)).all():
            return f"{name} holds classes outside 0 to 9"
    return None


def _make_missing_files(data_folder: Path, verbose: int) -> None:
    """Write the course split and the labels it holds out from the public 70,000 images; an existing file stays."""
    import filelock
    import h5py
    from sklearn.model_selection import train_test_split

    public = load_idx("fashion_mnist", data_folder, verbose)
    images = np.concatenate([public["X_train"], public["X_test"]])
    labels = np.concatenate([public["y_train"], public["y_test"]])
    X_train, X_test, y_train, y_test = train_test_split(
        images, labels, test_size=TEST_LABELS_SHAPE[0], stratify=labels, random_state=COURSE_SPLIT_SEED
    )
    contents = {
        TEST_LABELS_FILE: {"test_labels": y_test},
        COURSE_FILE: {"train_images": X_train, "train_labels": y_train, "test_images": X_test},
    }
    with disk_errors_as_data_error(data_folder), filelock.FileLock(data_folder / ".course_split.lock"):
        for file_name, arrays in contents.items():
            path, stream = data_folder / file_name, io.BytesIO()  # the HDF5 library crashes if the disk is full
            if path.exists():
                continue
            with h5py.File(stream, "w") as file:
                for name, array in arrays.items():
                    chunks = (min(len(array), 500), *array.shape[1:])
                    file.create_dataset(name, data=array, chunks=chunks, compression="gzip", fletcher32=True)
                file.attrs["sha256"] = content_hash(arrays)
            with replace_when_complete(path) as temporary:
                temporary.write_bytes(stream.getbuffer())
            if verbose:
                print(f"{display_path(path)}: built from the public data", flush=True)
