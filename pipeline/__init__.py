"""What make runs around the notebooks. No notebook imports it."""

import sys
from types import TracebackType


def _stopped(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Ctrl-C while a command is still importing what it needs: the one word that `run_command` prints later."""
    if issubclass(kind, KeyboardInterrupt):
        print("\nstopped", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


if sys.argv[:1] == ["-m"]:  # as long as a command of this package is only being imported
    sys.excepthook = _stopped
