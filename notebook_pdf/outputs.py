"""The outputs of code cells as Typst, each in the best form that can be printed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from selectolax.lexbor import LexborNode

from notebook_pdf.captions import drawn_titles, given_text, last_line, origin
from notebook_pdf.css import inline_style_sheets
from notebook_pdf.drawn_tables import read_drawn_table
from notebook_pdf.errors import ExportError
from notebook_pdf.html_tables import TableCaption
from notebook_pdf.html_tree import parse_html
from notebook_pdf.markdown import markdown_to_html
from notebook_pdf.markup import MarkupWriter
from notebook_pdf.mathematics import Formulas, without_placeholders
from notebook_pdf.notebook import Cell, Output, text_of
from notebook_pdf.pictures import POINTS_PER_PIXEL, Picture, Pictures, html_in_svg, picture_bytes, svg_texts
from notebook_pdf.tables import write_table
from notebook_pdf.terminal import typst_output
from notebook_pdf.typst_text import shorten, typst_prose, typst_string

COLUMNS = 103
"""Characters per line of a text output."""
MAX_DESCRIPTION_LENGTH = 1500
MAX_WIDTH = 100_000
"""A picture's width in metadata, in pixels, is ignored if it is larger."""
DRAWING = "image/svg+xml"
RASTER_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp")
JSON_KINDS = ("application/json", "application/geo+json")
_INLINE_DISPLAY = re.compile(r"\$\s*\\displaystyle\b([^$]+)\$", re.DOTALL)


class OutputWriter:
    """Writes outputs as Typst.

    Args:
        writer: writes HTML.
        pictures: collects the pictures' files.
        formulas: collects the formulas.
        warn: called with a sentence about each output that is not printed as it is.
        max_lines: print at most this many lines of a text output; 0 prints all.

    Attributes:
        section: the heading above the current cell, for the description of a picture that has none.
    """

    def __init__(
        self,
        writer: MarkupWriter,
        pictures: Pictures,
        formulas: Formulas,
        warn: Callable[[str], None],
        max_lines: int = 0,
    ) -> None:
        self.writer, self.pictures, self.formulas, self.warn = writer, pictures, formulas, warn
        self.max_lines = max_lines
        self.section = ""

    def write(self, output: Output, cell: Cell) -> str:
        """An output in the first of its forms, best first, that can be printed.

        Raises:
            ExportError: the output has a table that is too large.
        """
        if output["kind"] == "stream":
            return self._text(output["text"], "error_text" if output["name"] == "stderr" else "output_text")
        if output["kind"] == "error":
            return self._text(output["text"], "error_text")
        forms = (self._as_drawing, self._as_table, self._as_markdown, self._as_picture, self._as_html, self._as_text)
        for form in forms:
            if markup := form(output, cell):
                return markup
        if not output["data"]:
            return ""
        kinds = ", ".join(sorted(output["data"]))
        self.warn(f"an output has no form that can be printed ({kinds})")
        return self._text(f"[an output that can't be printed: {kinds}]")

    def _text(self, text: str, function: str = "output_text") -> str:
        return f"{function}({{{typst_output(text, COLUMNS, self.max_lines)}}})" if text.strip("\n") else ""

    def _as_drawing(self, output: Output, cell: Cell) -> str:
        return self._as_picture(output, cell, (DRAWING,))

    def _as_picture(self, output: Output, cell: Cell, kinds: tuple[str, ...] = RASTER_PICTURES) -> str:
        for kind in kinds:
            if kind in output["data"]:
                try:
                    content = picture_bytes(kind, output["data"][kind])
                    return self._figure(kind, content, self.pictures.add(content, f"a picture ({kind})"), output, cell)
                except ExportError as error:
                    self.warn(f"{error}; another form of the output is printed")
        return ""

    def _as_table(self, output: Output, cell: Cell) -> str:
        """HTML that contains a table or a picture. If there is one table, it gets a number and a caption."""
        body = _html(output)
        wanted = "table,img,svg" if _is_uninformative(_plain_text(output)) else "table,img"
        if body is None or body.css_first(wanted) is None:
            return ""
        inline_style_sheets(body)
        if len(body.css("table")) == 1:
            given = given_text(output, cell, "caption", "tbl-cap")
            markup = self._line_of_markdown(given) if given else typst_string(origin(cell))
            self.writer.table_caption = TableCaption(markup, overrides=bool(given))
        try:
            return self.writer.document(body)
        finally:
            self.writer.table_caption = None

    def _as_markdown(self, output: Output, cell: Cell) -> str:
        """Markdown, or LaTeX that is a formula."""
        data = output["data"]
        source = text_of(data.get("text/markdown") or data.get("text/latex") or "")
        if not source.strip():
            return ""
        if "text/markdown" not in data:
            if not re.search(r"\$|\\begin|\\\[|\\\(", source):
                return self._text(source)
            if formula := _INLINE_DISPLAY.fullmatch(source.strip()):  # SymPy's form of a displayed formula
                source = f"$${formula[1]}$$"
        return self.writer.document(parse_html(markdown_to_html(self.formulas.extract(source))))

    def _as_html(self, output: Output, cell: Cell) -> str:
        """Other HTML, unless there is plain text, which needs no browser."""
        if not _is_uninformative(_plain_text(output)):
            return ""
        body = _html(output)
        return self.writer.document(body) if body is not None else ""

    def _as_text(self, output: Output, cell: Cell) -> str:
        """Plain text, with a table in place of one drawn with box characters; or else JSON or another kind of text."""
        data, plain = output["data"], _plain_text(output)
        for kind in JSON_KINDS:
            if kind in data and _is_uninformative(plain):
                return self._text(json.dumps(data[kind], indent=2, ensure_ascii=False))
        if not plain.strip():
            others = [kind for kind in data if kind.startswith("text/") and kind not in ("text/html", "text/plain")]
            return self._text(text_of(data[others[0]])) if others else ""
        others = ", ".join(sorted(set(data) - {"text/plain", DRAWING, *RASTER_PICTURES}))
        if others and _is_uninformative(plain):
            self.warn(f"an output is interactive ({others}); its plain text is printed")
        before, cells, after = read_drawn_table(plain) if "text/html" in data else (plain, [], "")
        if not cells:
            return self._text(plain)
        caption = before.strip() if before.count("\n") <= 1 else ""
        table = write_table(cells, 1, typst_prose(caption or origin(cell)))
        return ";".join(part for part in ("" if caption else self._text(before), table, self._text(after)) if part)

    def _line_of_markdown(self, markdown: str) -> str:
        body = parse_html(markdown_to_html(self.formulas.extract(markdown)))
        return self.writer.line(body.css_first("p") or body)

    def _figure(self, kind: str, content: bytes, picture: Picture, output: Output, cell: Cell) -> str:
        """A picture with its number, caption and description."""
        caption, titles = given_text(output, cell, "caption", "fig-cap"), drawn_titles(cell["source"])
        description = self._description(kind, content, output, cell, caption or "; ".join(titles))
        printed = self._line_of_markdown(caption) if caption else typst_prose(titles[0] if titles else origin(cell))
        width = _requested_width(output["metadata"].get(kind)) or picture.width
        arguments = (
            typst_string(picture.file),
            typst_string(shorten(description, MAX_DESCRIPTION_LENGTH)),
            f"{width:.5g}pt" if width else "auto",
            f"{{{printed}}}",
        )
        return f"figure_output({', '.join(arguments)})"

    def _description(self, kind: str, content: bytes, output: Output, cell: Cell, caption: str) -> str:
        """The alternative text of a picture: given, or its caption, or the words in it, or where it comes from."""
        drawing = content.decode(errors="replace") if kind == DRAWING else ""
        words = svg_texts(drawing)
        if text := html_in_svg(drawing):
            self.warn(f"a drawing contains HTML, which is not printed: {text[:200]}")
        description = given_text(output, cell, "alt", "fig-alt") or caption
        if not description and words:
            description = f"A drawing with the words {', '.join(words)}"
        if not description:
            self.warn("a picture has no description: give it a title, or the cell a line '#| fig-alt: ...'")
            section = f", in the section {self.formulas.restore(self.section)}" if self.section else ""
            description = f"{origin(cell)}{section}: {last_line(cell['source'])}"
        return description


def _html(output: Output) -> LexborNode | None:
    return parse_html(without_placeholders(text_of(output["data"].get("text/html", ""))))


def _plain_text(output: Output) -> str:
    return text_of(output["data"].get("text/plain", ""))


def _is_uninformative(plain: str) -> bool:
    """Whether an output's plain text is missing, or only the name of an object."""
    return not plain.strip() or bool(re.fullmatch(r"<.*>", plain.strip(), re.DOTALL))


def _requested_width(metadata: object) -> float | None:
    """The width in points that an output's metadata requests for a picture; None if it is not a valid width."""
    width = metadata.get("width") if isinstance(metadata, dict) else None
    return width * POINTS_PER_PIXEL if isinstance(width, (int, float)) and 0 < width < MAX_WIDTH else None
