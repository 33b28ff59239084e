"""Folders of the project, atomic writes, content hashes, and paths as a reader sees them."""

from __future__ import annotations

import glob
import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parent.parent
DATA_FOLDER = ROOT / "data"
REPORTS_FOLDER = ROOT / "reports"


@contextmanager
def replace_when_complete(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; the temporary file replaces `path` only if the block succeeds.

    Whatever happens in the block, and if the machine loses power, `path` holds either its previous content or the
    complete new file. The temporary file of a process that was killed is removed by the next process of the same
    machine that writes the same file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    machine = hashlib.sha256(platform.node().encode()).hexdigest()[:8]  # the disk may be shared with others
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.{machine}.*.*"):
        process = leftover.name.split(".")[-2]
        if process.isdigit() and not psutil.pid_exists(int(process)):
            shutil.rmtree(leftover, ignore_errors=True)
    prefix = f".{path.name}.{machine}.{os.getpid()}."
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=prefix) as folder:
        temporary = Path(folder) / path.name
        yield temporary
        _sync(temporary, os.O_RDWR)
        temporary.replace(path)
        with suppress(OSError):  # Windows and some network disks refuse to sync a folder
            _sync(path.parent, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def output_folder(profile: str) -> Path:
    """The folder that a run with this profile writes to: `reports/` for `full`, `reports/<profile>/` for any other."""
    return REPORTS_FOLDER if profile == "full" else REPORTS_FOLDER / profile


def display_path(path: Path | str) -> str:
    """`path` as a reader should see it: relative to the project's root, never with a folder of this machine."""
    path = Path(path)
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


def content_hash(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the names, shapes, dtypes and bytes of arrays, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.shape} {array.dtype}\n".encode())
        digest.update(array)
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
