"""Errors of commands: a sentence for the user and exit status 1, without a stack trace."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk and of an exhausted quota."""


class UserError(Exception):
    """An error that the user can fix. The message says what was wrong, what was expected and what to do."""


def is_full(error: BaseException) -> bool:
    """Whether an error, or the error of a notebook that its message quotes, is a full disk."""
    return getattr(error, "errno", None) in FULL or any(f"[Errno {number}]" in str(error) for number in FULL)


def run_command(command: Callable[[], None], *expected: type[Exception]) -> None:
    """Run a command's main function; print errors for the user, and those of the types `expected`, as sentences."""
    try:
        command()
    except (UserError, OSError, *expected) as error:  # OSError: its message names the file
        text = str(error)
        if is_full(error):
            text += "\nThe disk is full. Finished results are kept: free some space and run it again."
        print(f"error: {text}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(130)
