"""Tables drawn with box characters, such as Keras's summary of a model."""

from __future__ import annotations

import re

from notebook_pdf.tables import Cell
from notebook_pdf.terminal import without_escapes
from notebook_pdf.typst_text import typst_prose

_TOP, _SIDES, _BOTTOM = tuple("┏┌╒╭"), "┃│║", tuple("┗└╘╰")


def read_drawn_table(text: str) -> tuple[str, list[Cell], str]:
    """Find the first table drawn with box characters in a text.

    Returns:
        The text before the table, its cells and the text after it; all of the text and no cells if there is no table.
    """
    lines = without_escapes(text).split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip()[:1] in _TOP), None)
    last = next((number for number, line in enumerate(lines) if line.strip()[:1] in _BOTTOM), None)
    if first is None or last is None:
        return text, [], ""
    rows: list[list[str]] = []
    row_begins = True
    for line in map(str.strip, lines[first + 1 : last]):
        if line[:1] in _SIDES:
            parts = [part.strip() for part in re.split(f"[{_SIDES}]", line)[1:-1]]
            if row_begins:
                rows.append(parts)
            elif len(parts) == len(rows[-1]):
                rows[-1] = [f"{above} {part}".strip() for above, part in zip(rows[-1], parts, strict=True)]
            row_begins = False
        else:
            row_begins = True
    if len(rows) < 2 or len({len(row) for row in rows}) != 1:
        return text, [], ""
    cells = [
        Cell(row, column, 1, 1, typst_prose(text), text, header=row == 0)
        for row, parts in enumerate(rows)
        for column, text in enumerate(parts)
    ]
    return "\n".join(lines[:first]), cells, "\n".join(text.split("\n")[last + 1 :])
