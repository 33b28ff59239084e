"""Limits on the time and memory of an export, so that no notebook can block a computer or fill its memory."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

from notebook_pdf.errors import ExportError

PROCESSOR_SECONDS, MEMORY = 300, 4 << 30
"""A usual notebook takes a second and 0.3 GiB."""
ADVICE = "if you trust it, run again with --no-limits"


def continue_with_limits(notebook: Path) -> None:
    """Continue in a child process with limited time and memory. The parent waits, and exits with the child's status.

    So the parent can report a child that exceeds its limits or crashes in a library. Without `fork`, there are none.

    Args:
        notebook: the file that the error messages name.

    Raises:
        ExportError: the child exceeded its limits, or a library crashed.
    """
    if not hasattr(os, "fork"):
        return
    child = os.fork()
    if child == 0:
        import resource

        signal.signal(signal.SIGINT, signal.SIG_DFL)  # the parent reports it
        os.environ.setdefault("RAYON_NUM_THREADS", "4")  # Typst's: a hundred threads would exceed the address space
        for limit, value in ((resource.RLIMIT_CPU, PROCESSOR_SECONDS), (resource.RLIMIT_AS, MEMORY)):
            with contextlib.suppress(ValueError, OSError):  # not every system supports them
                resource.setrlimit(limit, (value, value))
        return
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        sys.exit(os.WEXITSTATUS(status))
    if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL):
        raise ExportError(f"{notebook} can't be typeset within {PROCESSOR_SECONDS} seconds of processor time: {ADVICE}")
    raise ExportError(f"{notebook} needs more than {MEMORY >> 30} GiB, or makes a library crash: {ADVICE}")
