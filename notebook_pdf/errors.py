"""The errors of an export."""


class ExportError(Exception):
    """The notebook can't be typeset. The message names the file and the cell, and says why."""


class InternalError(ExportError):
    """A bug in the exporter, reported in a sentence like any other error; the original exception is its cause."""

    def __init__(self, place: str, error: BaseException) -> None:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        super().__init__(f"{place} can't be typeset because of a bug in the exporter ({reason})")


class PictureRefusedError(Exception):
    """Typst can't draw a picture.

    Args:
        file: the picture's name among `Pictures.files`.
        reason: what Typst says.
    """

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(reason)
        self.file, self.reason = file, reason
