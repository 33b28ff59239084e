"""HTML tables and the tables that Keras draws with box characters, as Typst tables that fit the page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from selectolax.lexbor import LexborNode

from pipeline.handin_pdf.errors import ExportError
from pipeline.handin_pdf.html_tree import css_colour_light, declarations, visible_text
from pipeline.handin_pdf.typst_text import typst_prose, without_escapes

if TYPE_CHECKING:
    from pipeline.handin_pdf.markup import MarkupWriter

PAGE_WIDTH = 478
SIZES = (8.0, 7.0, 6.0, 5.5)
"""Points of a table's letters, smaller for wider tables; what is still too wide is split by columns."""
LETTER = 0.53
"""Width of a wide letter, in its size: what words are sure to fit in."""
AVERAGE_LETTER = 0.45
SURE_TO_FIT, SURE_NOT_TO_FIT = 0.8, 1.6
"""Shares of the page's width by estimate. Between them Typst measures whether the columns fit as wide as they would be."""
INSET = 8
LONGEST_WORD = 28
MOST_COLUMNS, MOST_PLACES = 2000, 1_000_000
MOST_CELLS_MEASURED = 300
"""A table of more cells, or one with pictures, is not measured before it is set, which would take several times as long."""
NUMBER = re.compile(r"[-+−(]?[\d,]*\.?\d+(e[-+]?\d+)?\)?( ?%)?|nan|inf|-inf|None|<NA>|NaN", re.IGNORECASE)
_PICTURE_WIDTH = re.compile(r"picture\([^)]*width: ([\d.]+)pt")
_LINKS = ("link(", "reference(", "footnote(")
"""What may not be in a header that is repeated on every page: a repetition is no content of its own."""
_TOP, _SIDES, _BOTTOM = tuple("┏┌╒╭"), "┃│║", tuple("┗└╘╰")


@dataclass
class Cell:
    """A cell where it stands in the grid."""

    row: int
    column: int
    rows: int
    columns: int
    markup: str
    text: str
    header: bool = False
    side: str = ""
    fill: str = ""


def typst_table(table: LexborNode, writer: MarkupWriter) -> str:
    """An HTML table; with a number if the writer has a caption for it, else a caption of its own stands above."""
    given, writer.table_caption = writer.table_caption, None
    cells, header_rows, own_caption = read_table(table, writer)
    if not cells:
        return own_caption
    if given is not None:
        caption, overrides = given
        return write_table(cells, header_rows, caption if overrides or not own_caption else own_caption)
    above = f"table_title({{{own_caption}}});" if own_caption else ""
    return above + write_table(cells, header_rows)


def read_table(table: LexborNode, writer: MarkupWriter) -> tuple[list[Cell], int, str]:
    """The cells, the number of rows that head the table, and its caption as Typst."""
    rows, caption = [], ""
    for part in table.iter():
        if part.tag == "caption":
            caption = writer.line(part)
        elif part.tag in ("thead", "tbody", "tfoot"):
            rows += [(row, part.tag == "thead") for row in part.iter() if row.tag == "tr"]
        elif part.tag == "tr":
            rows.append((part, False))
    occupied: set[tuple[int, int]] = set()
    cells: list[Cell] = []
    for number, (row, _) in enumerate(rows):
        column = 0
        for item in row.iter():
            if item.tag not in ("td", "th"):
                continue
            while (number, column) in occupied:
                column += 1
            wide = _span(item, "colspan", 1000)
            high = min(_span(item, "rowspan", 65534) or len(rows), len(rows) - number)
            wide = next((step for step in range(1, wide) if (number, column + step) in occupied), wide)
            if column + wide > MOST_COLUMNS or len(occupied) + high * wide > MOST_PLACES:
                raise ExportError(f"a table has more than {MOST_COLUMNS:,} columns or {MOST_PLACES:,} places")
            occupied |= {(number + down, column + right) for down in range(high) for right in range(wide)}
            style = declarations(item)
            side = item.attributes.get("align") or style.get("text-align") or ""
            cells.append(
                Cell(
                    number, column, high, wide, writer.table_cell(item),
                    " ".join(writer.formulas.put_back(visible_text(item, " ")).split()), item.tag == "th",
                    side if side in ("left", "right", "center") else "",
                    css_colour_light(style.get("background-color") or style.get("background") or ""),
                )
            )  # fmt: skip
            column += wide
    columns = max((cell.column for cell in cells), default=0) + 1
    for cell in cells:  # a span of 100 columns means all that there are
        cell.columns = min(cell.columns, columns - cell.column)
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


def _has_row_of_index_names(cells: list[Cell]) -> bool:
    """Whether the second row only names the index, as pandas writes it, below empty cells of the first."""
    first = {cell.column for cell in cells if cell.row == 0 and cell.text}
    second = {cell.column for cell in cells if cell.row == 1 and cell.text}
    return not first & second and all(cell.rows == cell.columns == 1 for cell in cells if cell.row < 2)


def _span(item: LexborNode, name: str, most: int) -> int:
    value = (item.attributes.get(name) or "").strip()
    known = re.fullmatch("[0-9]{1,6}", value) and (int(value) or name == "rowspan")
    return min(int(value), most) if known else 1


def write_table(cells: list[Cell], header_rows: int, caption: str | None = None) -> str:
    """Typst's table, split by columns if it is too wide for the page.

    Args:
        caption: Typst expressions; the table gets a number with them. None sets no caption and no number.
    """
    columns = max(cell.column + cell.columns for cell in cells)
    _set_sides(cells, header_rows, columns)
    least, natural = _widths(cells, columns)
    size = next((size for size in SIZES if sum(least) * size * LETTER + INSET * columns <= PAGE_WIDTH), SIZES[-1])
    letter = size * LETTER
    if sum(least) * letter + INSET * columns <= PAGE_WIDTH:
        groups = [list(range(columns))]
    else:
        groups = _column_groups(cells, header_rows, [width * letter + INSET for width in least])
    costly = len(cells) > MOST_CELLS_MEASURED or any("picture(" in cell.markup for cell in cells)
    parts = []
    for number, group in enumerate(groups):
        wanted = [max(natural[column] * size * AVERAGE_LETTER, least[column] * letter) + INSET for column in group]
        needed = [least[column] * letter + INSET for column in group]
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


def _set_sides(cells: list[Cell], header_rows: int, columns: int) -> None:
    """Set columns of numbers right, headers with them, and everything else left, where the table says nothing."""
    for column in range(columns):
        inside = [cell for cell in cells if cell.column == column and cell.columns == 1]
        values = [cell.text for cell in inside if cell.row >= header_rows and cell.text and not cell.header]
        side = "right" if values and all(NUMBER.fullmatch(value) for value in values) else "left"
        for cell in inside:
            cell.side = "right" if side == "right" and not cell.header else cell.side or side
    for cell in cells:
        cell.side = cell.side or ("center" if cell.columns > 1 else "left")


def _widths(cells: list[Cell], columns: int) -> tuple[list[float], list[float]]:
    """Letters that each column needs at least, for its longest word, and those it would like."""
    least, natural = [1.0] * columns, [1.0] * columns
    for cell in cells:
        if cell.columns == 1:
            scale = 1.1 if cell.header else 1.0
            longest = min(max(map(len, cell.text.split()), default=1), LONGEST_WORD)
            picture = max(map(float, _PICTURE_WIDTH.findall(cell.markup)), default=0) / (SIZES[0] * LETTER)
            least[cell.column] = max(least[cell.column], scale * longest, min(picture, LONGEST_WORD))
            natural[cell.column] = max(natural[cell.column], scale * len(cell.text), picture)
    return least, natural


def _column_groups(cells: list[Cell], header_rows: int, widths: list[float]) -> list[list[int]]:
    """The columns of each part of a table too wide: the row headers are repeated in every part."""
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
    """The cells of the columns in `group`, those of the header in a header of their own."""
    place = {column: number for number, column in enumerate(group)}
    header, body = [], []
    for cell in cells:
        covered = [place[column] for column in range(cell.column, cell.column + cell.columns) if column in place]
        if not covered:
            continue
        high = min(cell.rows, header_rows - cell.row) if cell.row < header_rows else cell.rows
        options = f"x: {covered[0]}, y: {cell.row}"
        options += f", colspan: {len(covered)}" if len(covered) > 1 else ""
        options += f", rowspan: {high}" if high > 1 else ""
        options += f", align: {cell.side}" if cell.side != "left" else ""
        options += f", fill: {cell.fill}" if cell.fill else ""
        markup = f"strong({{{cell.markup}}})" if cell.header and cell.markup else f"{{{cell.markup}}}"
        (header if cell.row < header_rows else body).append(f"table.cell({options}, {markup if cell.markup else '[]'})")
    repeat = "false" if any(link in cell for cell in header for link in _LINKS) else "true"
    head = f"table.header(repeat: {repeat}, {', '.join(header)}), " if header else ""
    return head + "".join(f"{cell}, " for cell in body)


def drawn_table(text: str) -> tuple[str, list[Cell], str]:
    """The first table drawn with box characters in a text, as Keras draws a model's summary.

    Returns:
        The text before it, its cells, none if there is no such table, and the text after it.
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
