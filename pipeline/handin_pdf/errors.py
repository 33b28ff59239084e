"""What can go wrong with a notebook's export."""


class ExportError(Exception):
    """The notebook can't be typeset. The text says which file and cell, and why."""
