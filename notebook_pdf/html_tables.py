"""HTML tables as Typst."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from selectolax.lexbor import LexborNode

from notebook_pdf.css import style_of, typst_background
from notebook_pdf.errors import ExportError
from notebook_pdf.tables import Cell, write_table

MAX_COLUMNS, MAX_SLOTS = 2000, 1_000_000
"""A slot is one position of the grid: a cell that spans rows and columns takes several."""
MAX_COLSPAN, MAX_ROWSPAN = 1000, 65534
"""The limits of HTML."""


class CellWriter(Protocol):
    """Writes the content of a table's elements."""

    def line(self, node: LexborNode) -> str:
        """The element's content on one line, as Typst expressions."""

    def table_cell(self, node: LexborNode) -> str:
        """A cell's content as Typst statements."""

    def plain_text(self, node: LexborNode) -> str:
        """The element's visible text on one line, with formulas as TeX."""


@dataclass(frozen=True)
class TableCaption:
    """A caption for a table that gets a number."""

    markup: str
    overrides: bool
    """Whether it replaces the table's own caption."""


def write_html_table(table: LexborNode, writer: CellWriter, caption: TableCaption | None = None) -> str:
    """An HTML table as Typst.

    Args:
        table: the element.
        writer: writes the content of the cells.
        caption: None for a table without a number; its own caption is printed above it.

    Raises:
        ExportError: the table is too large.
    """
    cells, header_rows, own_caption = read_html_table(table, writer)
    if not cells:
        return own_caption
    if caption is not None:
        use_own = own_caption and not caption.overrides
        return write_table(cells, header_rows, own_caption if use_own else caption.markup)
    above = f"table_title({{{own_caption}}});" if own_caption else ""
    return above + write_table(cells, header_rows)


def read_html_table(table: LexborNode, writer: CellWriter) -> tuple[list[Cell], int, str]:
    """The cells of a table, its number of header rows, and its own caption as Typst.

    Raises:
        ExportError: the table is too large.
    """
    rows, caption = _rows_and_caption(table, writer)
    cells = _place_cells([row for row, _ in rows], writer)
    heads = [all(cell.header for cell in cells if cell.row == number) for number in range(len(rows))]
    in_head = sum(head for _, head in rows)
    header_rows = in_head or next((number for number, head in enumerate(heads) if not head), 0)
    header_rows = min(header_rows, max(len(rows) - 1, 0))
    if header_rows == 2 and _has_row_of_index_names(cells):
        cells = [cell for cell in cells if cell.row != 0 or cell.text]
        cells = [cell for cell in cells if cell.row != 1 or cell.text]
        for cell in cells:
            cell.row -= cell.row > 0
        header_rows = 1
    return cells, header_rows, caption


def _rows_and_caption(table: LexborNode, writer: CellWriter) -> tuple[list[tuple[LexborNode, bool]], str]:
    """The rows, each with whether it is in the table's head, and the caption as Typst."""
    rows, caption = [], ""
    for part in table.iter():
        if part.tag == "caption":
            caption = writer.line(part)
        elif part.tag in ("thead", "tbody", "tfoot"):
            rows += [(row, part.tag == "thead") for row in part.iter() if row.tag == "tr"]
        elif part.tag == "tr":
            rows.append((part, False))
    return rows, caption


def _place_cells(rows: list[LexborNode], writer: CellWriter) -> list[Cell]:
    """The cells at their positions in the grid."""
    occupied: set[tuple[int, int]] = set()
    cells: list[Cell] = []
    for number, row in enumerate(rows):
        column = 0
        for item in row.iter():
            if item.tag not in ("td", "th"):
                continue
            while (number, column) in occupied:
                column += 1
            width = _span(item, "colspan", MAX_COLSPAN)
            height = min(_span(item, "rowspan", MAX_ROWSPAN) or len(rows), len(rows) - number)
            width = next((step for step in range(1, width) if (number, column + step) in occupied), width)
            if column + width > MAX_COLUMNS or len(occupied) + height * width > MAX_SLOTS:
                raise ExportError(f"a table has more than {MAX_COLUMNS:,} columns or {MAX_SLOTS:,} cells")
            occupied |= {(number + down, column + right) for down in range(height) for right in range(width)}
            style = style_of(item)
            align = item.attributes.get("align") or style.get("text-align") or ""
            cells.append(
                Cell(
                    number, column, height, width, writer.table_cell(item), writer.plain_text(item), item.tag == "th",
                    align if align in ("left", "right", "center") else "",
                    typst_background(style.get("background-color") or style.get("background") or ""),
                )
            )  # fmt: skip
            column += width
    columns = max((cell.column for cell in cells), default=0) + 1
    for cell in cells:  # a span over more columns than there are covers the rest of the row
        cell.columns = min(cell.columns, columns - cell.column)
    return cells


def _has_row_of_index_names(cells: list[Cell]) -> bool:
    """Whether the second row only names the index, as pandas writes it, below empty cells of the first."""
    first = {cell.column for cell in cells if cell.row == 0 and cell.text}
    second = {cell.column for cell in cells if cell.row == 1 and cell.text}
    return not first & second and all(cell.rows == cell.columns == 1 for cell in cells if cell.row < 2)


def _span(item: LexborNode, name: str, maximum: int) -> int:
    value = (item.attributes.get(name) or "").strip()
    known = re.fullmatch("[0-9]{1,6}", value) and (int(value) or name == "rowspan")
    return min(int(value), maximum) if known else 1
