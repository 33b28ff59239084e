"""Read arrays out of an HDF5 file: `python pipeline/read_hdf5.py FILE '{"images": [3, 28, 28]}'`.

`utilities.py` runs this in a process of its own, because a damaged or hostile file can crash the HDF5 library, keep it busy for
ever or fill the memory. The arrays go to standard output; what does not fit goes to standard error as a sentence.
"""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Mapping, Sequence

import h5py
import numpy as np

MEMORY = 4 << 30
"""Bytes of address space that reading may take."""
LARGEST_PIECE = 1 << 26
"""Bytes that a piece of a dataset may hold, so that no compressed one fills the memory: more than the whole dataset has."""
DOES_NOT_FIT = 3
"""The exit status if the file is readable, but not what is expected."""


class UnfitError(ValueError):
    """The file holds something else than what is expected. The text says what."""


def read(path: str, shapes: Mapping[str, Sequence[int]]) -> tuple[dict[str, np.ndarray], str | None]:
    """The named arrays of whole numbers, uint8, and the attribute `sha256` of the file if it has one.

    Args:
        shapes: of each array; those of one dimension are classes from 0 to 9.

    Raises:
        UnfitError: a dataset is missing, or has another shape, another type or impossible values.
        Exception: whatever h5py raises for a damaged file.
    """
    with h5py.File(path, "r") as file:
        missing = [name for name in shapes if not isinstance(file.get(name), h5py.Dataset)]
        if missing:
            held = ", ".join(list(file)[:9]) or "nothing"
            raise UnfitError(f"has no dataset {', '.join(missing)}: it holds {held}, expected {', '.join(shapes)}")
        for name, shape in shapes.items():
            _require(file, name, tuple(shape))
        arrays = {name: file[name][...] for name in shapes}
        stored_hash = file.attrs.get("sha256")
    for name, array in arrays.items():
        if array.ndim == 1:
            if array.min() < 0 or array.max() > 9:
                raise UnfitError(f"{name} holds classes outside 0 to 9")
            arrays[name] = array.astype(np.uint8)
    return arrays, None if stored_hash is None else str(stored_hash)


def _require(file: h5py.File, name: str, shape: tuple[int, ...]) -> None:
    found, is_image = file[name], len(shape) > 1
    if found.shape != shape or not (found.dtype == np.uint8 if is_image else found.dtype.kind in "iu"):
        raise UnfitError(
            f"{name} has shape {found.shape} and dtype {found.dtype}, "
            f"expected {shape} of {'uint8' if is_image else 'whole numbers'}"
        )
    piece = math.prod(found.chunks or (0,)) * found.dtype.itemsize
    if found.external or found.is_virtual or found.file != file or piece > LARGEST_PIECE:
        raise UnfitError(
            f"{name} lies in another file, or in pieces of more than {LARGEST_PIECE >> 20} MiB: expected an ordinary dataset"
        )


def main() -> None:
    path, shapes = sys.argv[1], json.loads(sys.argv[2])
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        arrays, stored_hash = read(path, shapes)
    except UnfitError as error:
        print(error, file=sys.stderr)
        sys.exit(DOES_NOT_FIT)
    except Exception as error:  # h5py has one of many kinds for each way in which a file can be damaged
        sys.exit(f"can't be read as HDF5, it may be truncated ({error})")
    stream = io.BytesIO(
        json.dumps(stored_hash).encode() + b"\n"
    )  # NumPy asks a stream for its position, which a pipe has not
    stream.seek(0, io.SEEK_END)
    for name in shapes:
        np.lib.format.write_array(stream, np.ascontiguousarray(arrays[name]), allow_pickle=False)
    sys.stdout.buffer.write(stream.getbuffer())


if __name__ == "__main__":
    main()
