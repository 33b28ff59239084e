"""The options of an export."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """The options of an export."""

    attach_notebook: bool = True
    """Attach the notebook to the PDF."""
    max_output_lines: int = 0
    """Print at most this many lines of a text output, and the number of lines left out; 0 prints all."""
    missing_pictures: str = "error"
    """What to do if the file of a picture in a Markdown cell is missing: "error" refuses the notebook, "describe"
    prints the picture's description and warns."""
    language: str = "en"
    """The language of the text (ISO 639-1) if the notebook's metadata has no `lang`."""
