"""One way for every command to fail: a sentence for the user, exit status 1, no stack trace."""

from __future__ import annotations

import sys
from collections.abc import Callable


class UserError(Exception):
    """Something the user can mend. The text says what was wrong, what was expected and what to do."""


def run_command(command: Callable[[], None], *expected: type[Exception]) -> None:
    """Run a command's main function; print errors meant for the user, those of the types `expected` too, as sentences."""
    try:
        command()
    except (UserError, OSError, *expected) as error:  # a full disk, a folder without rights: the message names the file
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(130)
