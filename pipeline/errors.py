"""One way for every command to fail: a sentence for the user, exit status 1, no stack trace."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says if there is no room on a disk, or none left for this user."""


class UserError(Exception):
    """Something the user can mend. The text says what was wrong, what was expected and what to do."""


def is_full(error: BaseException) -> bool:
    """Whether an error, or the one in a notebook that it tells of, is that there was no room left on a disk."""
    return getattr(error, "errno", None) in FULL or any(f"[Errno {number}]" in str(error) for number in FULL)


def run_command(command: Callable[[], None], *expected: type[Exception]) -> None:
    """Run a command's main function; print errors meant for the user, those of the types `expected` too, as sentences."""
    try:
        command()
    except (UserError, OSError, *expected) as error:  # a folder without rights: the message names the file
        text = str(error)
        if is_full(error):
            text += "\nThe disk is full. What was finished is kept: free some space and run it again."
        print(f"error: {text}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(130)
