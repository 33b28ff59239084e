"""Captions and descriptions of figures and tables: where the notebook gives them, and what to print if it does not."""

from __future__ import annotations

import re

from notebook_pdf.notebook import Cell, Output
from notebook_pdf.typst_text import shorten

_COMMENT = re.compile(r"^#\| *(fig-cap|fig-alt|tbl-cap):(.+)$", re.MULTILINE)
_TITLE_CALL = re.compile(r"""(?:title|suptitle|set_title)\(\s*[rfb]?(["'])(.+?)\1""")


def given_text(output: Output, cell: Cell, name: str, comment: str) -> str:
    """A caption or description that the notebook gives; empty if it gives none.

    Args:
        output: the output, whose metadata has precedence.
        cell: its cell, with comments such as `#| fig-alt: ...` or else metadata.
        name: "caption" or "alt", in metadata.
        comment: the name in comments: "fig-cap", "fig-alt" or "tbl-cap".
    """
    comments = {key: text.strip() for key, text in _COMMENT.findall(cell["source"])}
    given = output["metadata"].get(name) or comments.get(comment) or cell["metadata"].get(name) or ""
    return str(given).strip("\"'")


def drawn_titles(source: str) -> list[str]:
    """The titles that a cell's code gives its plots."""
    return [match[1] for match in _TITLE_CALL.findall(source)]


def origin(cell: Cell) -> str:
    """Where an output comes from: its caption if there is no other."""
    return f"Output of cell [{cell['execution_count'] or cell['number']}]"


def last_line(source: str) -> str:
    """The last line of code, which usually makes the output."""
    lines = [line.strip() for line in source.splitlines() if line.strip() and not line.strip().startswith("#")]
    return shorten(lines[-1], 80) if lines else "no code"
