"""Tables as Typst, with columns that fit the page."""

from __future__ import annotations

import re
from dataclasses import dataclass

PAGE_WIDTH = 478
SIZES = (8.0, 7.0, 6.0, 5.5)
"""Font sizes in points, smaller for wider tables. A table that is still too wide is split by columns."""
WIDE_CHARACTER, AVERAGE_CHARACTER = 0.53, 0.45
"""Widths of characters as shares of the font size: words are sure to fit in wide ones."""
SURE_TO_FIT, SURE_NOT_TO_FIT = 0.8, 1.6
"""Estimated widths of a table as shares of the page's width. Between them, Typst measures whether the table fits."""
INSET = 8
LONGEST_WORD = 28
MAX_CELLS_MEASURED = 300
"""A table with more cells, or with pictures, is not measured: that would take several times as long."""
NUMBER = re.compile(r"[-+−(]?[\d,]*\.?\d+(e[-+]?\d+)?\)?( ?%)?|nan|inf|-inf|None|<NA>|NaN", re.IGNORECASE)
_PICTURE_WIDTH = re.compile(r"picture\([^)]*width: ([\d.]+)pt")
_LINKS = ("link(", "reference(", "footnote(")
"""A header with one of these is not repeated on every page: a repetition may not contain links (PDF/UA)."""


@dataclass
class Cell:
    """A cell and its position in the grid. It spans `rows` and `columns`; `markup` is Typst, `fill` a Typst colour."""

    row: int
    column: int
    rows: int
    columns: int
    markup: str
    text: str
    header: bool = False
    align: str = ""
    fill: str = ""


def write_table(cells: list[Cell], header_rows: int, caption: str | None = None) -> str:
    """A table as Typst, split by columns if it is too wide for the page.

    Args:
        cells: at least one cell.
        header_rows: the number of rows in the header.
        caption: Typst expressions for a table with a number; None for no caption and no number.
    """
    columns = max(cell.column + cell.columns for cell in cells)
    _set_alignment(cells, header_rows, columns)
    least, natural = _widths(cells, columns)
    size = next(
        (size for size in SIZES if sum(least) * size * WIDE_CHARACTER + INSET * columns <= PAGE_WIDTH), SIZES[-1]
    )
    character = size * WIDE_CHARACTER
    if sum(least) * character + INSET * columns <= PAGE_WIDTH:
        groups = [list(range(columns))]
    else:
        groups = _column_groups(cells, header_rows, [width * character + INSET for width in least])
    costly = len(cells) > MAX_CELLS_MEASURED or any("picture(" in cell.markup for cell in cells)
    parts = []
    for number, group in enumerate(groups):
        wanted = [
            max(natural[column] * size * AVERAGE_CHARACTER, least[column] * character) + INSET for column in group
        ]
        needed = [least[column] * character + INSET for column in group]
        spare = max(PAGE_WIDTH - sum(needed), 0) / max(sum(wanted) - sum(needed), 1e-9)
        widths = [f"{need + (want - need) * min(spare, 1):.4g}pt" for need, want in zip(needed, wanted, strict=True)]
        share = sum(wanted) / PAGE_WIDTH
        fits = "true" if share < SURE_TO_FIT else "false" if share > SURE_NOT_TO_FIT else "auto"
        if fits == "auto" and costly:
            fits = "true" if share < 1 else "false"
        if len(groups) > 1:
            parts.append(f"table_part({number + 1}, {len(groups)})")
        body = _cells_markup(cells, group, header_rows)
        parts.append(f"data_table(({', '.join(widths)},), {fits}, {size}pt, {header_rows}, ({body}))")
    markup = ";".join(parts)
    together = "false" if costly else "auto"
    if caption is None:
        return f"table_block({together}, {{{markup}}})"
    return f"captioned_table({{{caption}}}, {together}, {{{markup}}})"


def _set_alignment(cells: list[Cell], header_rows: int, columns: int) -> None:
    """Align columns of numbers right, with their headers, and everything else left, unless the table says otherwise."""
    for column in range(columns):
        inside = [cell for cell in cells if cell.column == column and cell.columns == 1]
        values = [cell.text for cell in inside if cell.row >= header_rows and cell.text and not cell.header]
        align = "right" if values and all(NUMBER.fullmatch(value) for value in values) else "left"
        for cell in inside:
            cell.align = "right" if align == "right" and not cell.header else cell.align or align
    for cell in cells:
        cell.align = cell.align or ("center" if cell.columns > 1 else "left")


def _widths(cells: list[Cell], columns: int) -> tuple[list[float], list[float]]:
    """For each column, the characters of its longest word, and of its longest cell."""
    least, natural = [1.0] * columns, [1.0] * columns
    for cell in cells:
        if cell.columns == 1:
            scale = 1.1 if cell.header else 1.0
            longest = min(max(map(len, cell.text.split()), default=1), LONGEST_WORD)
            picture = max(map(float, _PICTURE_WIDTH.findall(cell.markup)), default=0) / (SIZES[0] * WIDE_CHARACTER)
            least[cell.column] = max(least[cell.column], scale * longest, min(picture, LONGEST_WORD))
            natural[cell.column] = max(natural[cell.column], scale * len(cell.text), picture)
    return least, natural


def _column_groups(cells: list[Cell], header_rows: int, widths: list[float]) -> list[list[int]]:
    """The columns of each part of a table that is too wide. Every part repeats the row headers."""
    columns = len(widths)
    stubs = [
        column
        for column in range(columns)
        if all(cell.header for cell in cells if cell.column == column and cell.row >= header_rows)
    ]
    stubs = stubs if sum(widths[column] for column in stubs) < PAGE_WIDTH / 2 else []
    groups: list[list[int]] = []
    group, used = [], sum(widths[column] for column in stubs)
    for column in range(columns):
        if column in stubs:
            continue
        if group and used + widths[column] > PAGE_WIDTH:
            groups.append([*stubs, *group])
            group, used = [], sum(widths[stub] for stub in stubs)
        group.append(column)
        used += widths[column]
    return [*groups, [*stubs, *group]]


def _cells_markup(cells: list[Cell], group: list[int], header_rows: int) -> str:
    """The cells in the columns of `group`; those of the header rows are in a `table.header`."""
    place = {column: number for number, column in enumerate(group)}
    header, body = [], []
    for cell in cells:
        covered = [place[column] for column in range(cell.column, cell.column + cell.columns) if column in place]
        if not covered:
            continue
        height = min(cell.rows, header_rows - cell.row) if cell.row < header_rows else cell.rows
        options = f"x: {covered[0]}, y: {cell.row}"
        options += f", colspan: {len(covered)}" if len(covered) > 1 else ""
        options += f", rowspan: {height}" if height > 1 else ""
        options += f", align: {cell.align}" if cell.align != "left" else ""
        options += f", fill: {cell.fill}" if cell.fill else ""
        markup = f"strong({{{cell.markup}}})" if cell.header and cell.markup else f"{{{cell.markup}}}"
        (header if cell.row < header_rows else body).append(f"table.cell({options}, {markup if cell.markup else '[]'})")
    repeat = "false" if any(link in cell for cell in header for link in _LINKS) else "true"
    head = f"table.header(repeat: {repeat}, {', '.join(header)}), " if header else ""
    return head + "".join(f"{cell}, " for cell in body)
