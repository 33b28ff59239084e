"""What make runs around the notebooks: parameters, execution, submission, experiments. No notebook imports it."""

import sys
from types import TracebackType


def _stopped(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Print "stopped" for Ctrl-C during the imports of a command, as `run_command` does later."""
    if issubclass(kind, KeyboardInterrupt):
        print("\nstopped", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


if sys.argv[:1] == ["-m"]:  # while a command of this package is being imported
    sys.excepthook = _stopped
