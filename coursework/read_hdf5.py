"""Read arrays from an HDF5 file: `python coursework/read_hdf5.py FILE '{"images": [3, 28, 28]}' MEMORY`.

`course_split` runs this in a separate process, because a damaged or hostile file can crash the HDF5 library, make it
loop forever or use more than MEMORY bytes of address space. The arrays go to standard output, a sentence on an unfit
file to standard error.
"""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

import h5py
import numpy as np

LARGEST_CHUNK = 1 << 26
"""Maximum bytes of a chunk, more than a whole dataset has, so that no compressed chunk fills the memory."""


class UnfitError(ValueError):
    """The file has another content than expected. The message says which."""


def read(path: str, shapes: Mapping[str, Sequence[int]]) -> tuple[dict[str, np.ndarray], str | None]:
    """The named arrays of whole numbers, uint8, and the attribute `sha256` of the file if it has one.

    Arrays with one dimension are classes from 0 to 9. An UnfitError says if the file has another content; for a damaged
    one, h5py raises any exception.
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
    chunk = math.prod(found.chunks or (0,)) * found.dtype.itemsize
    if found.external or found.is_virtual or found.file != file or chunk > LARGEST_CHUNK:
        raise UnfitError(
            f"{name} is stored in another file, or in chunks of more than {LARGEST_CHUNK >> 20} MiB: expected an "
            "ordinary dataset"
        )


def main() -> None:
    path, shapes, memory = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
    if sys.platform != "win32":
        import resource

        with suppress(ValueError, OSError):  # macOS may refuse
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    try:
        arrays, stored_hash = read(path, shapes)
    except UnfitError as error:
        sys.exit(str(error))
    except Exception as error:  # each way in which a file can be damaged raises another kind
        sys.exit(f"can't be read as HDF5, it may be truncated ({error})")
    stream = io.BytesIO(json.dumps(stored_hash).encode() + b"\n")  # NumPy needs a stream with a position, unlike a pipe
    stream.seek(0, io.SEEK_END)
    for name in shapes:
        np.lib.format.write_array(stream, np.ascontiguousarray(arrays[name]), allow_pickle=False)
    sys.stdout.buffer.write(stream.getbuffer())


if __name__ == "__main__":
    main()
