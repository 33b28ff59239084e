"""What can go wrong with a notebook's export."""

from nbconvert.utils.exceptions import ConversionException


class ExportError(ConversionException):
    """The notebook can't be typeset. The text says which file and cell, and why."""
