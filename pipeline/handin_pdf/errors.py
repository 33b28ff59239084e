"""What can go wrong with a notebook's export."""


class ExportError(Exception):
    """The notebook can't be typeset. The text says which file and cell, and why."""


class UnforeseenError(ExportError):
    """The exporter met something that it should have foreseen: told in a sentence all the same, with what it was as its cause."""

    def __init__(self, place: str, error: BaseException) -> None:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        super().__init__(f"{place} can't be typeset, which is the exporter's fault ({reason})")
