"""Run a command with a lock: `python3 pipeline/lock.py reports/.lock make report-now`.

The lock is the operating system's lock on an open file, so it is released when the processes that hold it end,
however they end.
The module uses the standard library only, because it runs before the environment exists.
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path


def acquire(path: Path, what: str) -> int:
    """Wait for the lock, print who holds it, and hold it until the returned file is closed, in children as well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 1000, 0).decode(errors="replace").strip()
        print(f"{holder or 'another command'} is running in this folder: waiting until it ends ...", flush=True)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, f"{what} (process {os.getpid()})\n".encode(), 0)
    return descriptor


def main() -> None:
    path, *command = sys.argv[1:]
    os.set_inheritable(acquire(Path(path), f"make {command[-1].split('-now')[0]}"), True)
    os.execvp(command[0], command)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        sys.exit(f"error: {error}")
