"""HTML as Typst: Markdown cells are HTML first, and so are tables and other rich outputs."""

from __future__ import annotations

import re
from collections.abc import Callable

from selectolax.lexbor import LexborNode

from notebook_pdf.anchors import Anchors
from notebook_pdf.css import style_of
from notebook_pdf.html_pictures import PictureWriter, only_picture
from notebook_pdf.html_tables import TableCaption, write_html_table
from notebook_pdf.html_tree import is_visible, not_blank, visible_text
from notebook_pdf.inline import EMBEDDED, PARAGRAPH_END, InlineWriter, text_colour
from notebook_pdf.lexers import named_lexer
from notebook_pdf.listings import typst_code
from notebook_pdf.mathematics import Formulas
from notebook_pdf.pictures import Pictures

HEADINGS = {f"h{level}": level for level in range(1, 7)}
BLOCK_TAGS = {
    "address", "article", "aside", "blockquote", "center", "dd", "details", "dialog", "dir", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr",
    "iframe", "li", "main", "menu", "nav", "object", "ol", "p", "pre", "section", "summary", "table", "textarea", "ul",
    "video",
}  # fmt: skip
ANY_BLOCK = ",".join(sorted(BLOCK_TAGS))
CONTAINERS = {"ul", "ol", "menu", "dir", "dl", "table", "blockquote", "figure"}
"""Headings in these are not headings of the document."""
MAX_DEPTH = 20
"""Elements nested more deeply are printed without their layout."""
MAX_QUOTE_DEPTH = 8
CODE_COLUMNS, COLUMNS_PER_LEVEL = 92, 4
"""Characters per line of a code block, and how many fewer there are in each nested list or quotation."""
TEXT_AREA_COLUMNS = 90
TOKEN_LENGTH_IN_TABLE = 12


class MarkupWriter:
    """Writes the HTML of a notebook's cells, one after another, as Typst.

    Args:
        formulas: the formulas whose placeholders are in the texts.
        pictures: collects the pictures' files.
        targets: the names that links of the notebook refer to.
        warn: called with a sentence about each thing that is not printed as it is.
        describe_missing: whether to print the description of a missing picture instead of raising an error.

    Attributes:
        headings: the level and text of each heading so far.
        table_caption: the caption of the next table, which then gets a number.
    """

    def __init__(
        self,
        formulas: Formulas,
        pictures: Pictures,
        targets: set[str],
        warn: Callable[[str], None],
        describe_missing: bool = False,
    ) -> None:
        self.formulas = formulas
        self.headings: list[tuple[int, str]] = []
        self.table_caption: TableCaption | None = None
        self._anchors = Anchors(targets)
        self._pictures = PictureWriter(formulas, pictures, warn, describe_missing)
        self._inline = InlineWriter(formulas, self._anchors, self._pictures, self.blocks, warn)
        self._open_headings: list[int] = []
        self._containers = 0
        """How many lists, tables and quotations the current element is in."""

    def document(self, body: LexborNode, attachments: dict | None = None) -> str:
        """The HTML of a cell or output as Typst statements.

        Args:
            body: the element with the HTML.
            attachments: the cell's attachments, for pictures.

        Raises:
            ExportError: a picture is missing or damaged, or a table is too large.
        """
        self._pictures.attachments = attachments or {}
        self._inline.footnotes = {
            item.attributes.get("id") or "": item
            for section in body.css("section.footnotes")
            for item in section.css("li.footnote-item")
        }
        return self.blocks(body)

    def blocks(self, node: LexborNode) -> str:
        """The children of `node`: paragraphs of inline content, and the blocks between them."""
        statements: list[str] = []
        paragraph: list[LexborNode] = []

        def end_paragraph() -> None:
            if paragraph and (statement := self._paragraph(paragraph)):
                statements.append(statement)
            paragraph.clear()

        for child in node.iter(include_text=True):
            if not child.is_text_node and not is_visible(child):
                continue
            if not child.is_text_node and (child.tag in BLOCK_TAGS or child.css_first(ANY_BLOCK) is not None):
                end_paragraph()
                if block := self._block(child):
                    statements.append(block)
            else:
                paragraph.append(child)
        end_paragraph()
        return "\n".join(statements)

    def line(self, node: LexborNode) -> str:
        """The content of `node` on one line, as Typst expressions."""
        return self._inline.line(node.iter(include_text=True))

    def plain_text(self, node: LexborNode) -> str:
        """The visible text of `node` on one line, with formulas as TeX."""
        return " ".join(self.formulas.restore(visible_text(node, " ")).split())

    def table_cell(self, node: LexborNode) -> str:
        """The content of a table's cell, where words may be broken early and formulas are scaled to fit."""
        inline = self._inline
        before = inline.token_length, inline.shrink_formulas
        inline.token_length, inline.shrink_formulas = TOKEN_LENGTH_IN_TABLE, True
        try:
            return self.blocks(node).removesuffix(PARAGRAPH_END)
        finally:
            inline.token_length, inline.shrink_formulas = before

    def heading(self, level: int, body: str, text: str) -> str:
        """A heading. Skipped levels are closed up, as the outline of a PDF requires.

        Args:
            level: from 1 to 6.
            body: the heading as Typst expressions.
            text: its text, with placeholders of formulas.
        """
        while self._open_headings and self._open_headings[-1] >= level:
            self._open_headings.pop()
        self._open_headings.append(level)
        self.headings.append((len(self._open_headings), text))
        slug = re.sub(r"\s", "-", self.formulas.restore(text))
        return f"{self._anchors.of_heading(slug)}heading(level: {len(self._open_headings)}, {{{body}}})"

    def _paragraph(self, nodes: list[LexborNode]) -> str:
        visible = list(not_blank(nodes))
        if len(visible) == 1 and (picture := only_picture(visible[0])) is not None:
            return self._pictures.write(picture, inline=False)
        inline = self._inline.line(nodes)
        return f"{inline}{PARAGRAPH_END}" if inline else ""

    def _block(self, node: LexborNode) -> str:
        tag, attributes = node.tag, node.attributes
        is_container = tag in CONTAINERS
        self._inline.depth += 1
        self._containers += is_container
        try:
            if self._inline.depth > MAX_DEPTH:
                flat = self._inline.flat(node)
                return f"{flat}{PARAGRAPH_END}" if flat else ""
            written = self._anchors.of_element(node) + self._block_by_tag(tag, node)
        finally:
            self._inline.depth -= 1
            self._containers -= is_container
        align = attributes.get("align") or style_of(node).get("text-align") or ("center" if tag == "center" else "")
        if written and align in ("center", "right") and tag != "table":
            return f"align({align}, {{{written}}})"
        return written

    def _block_by_tag(self, tag: str, node: LexborNode) -> str:
        if tag in HEADINGS:
            return self._heading(node, HEADINGS[tag])
        if tag in ("ul", "ol", "menu", "dir"):
            return self._list(node)
        if tag == "blockquote":
            body = self.blocks(node)
            is_quote = self._inline.depth < MAX_QUOTE_DEPTH
            return _call("quote", "block: true", body=body) if is_quote else _call("pad", "left: 1em", body=body)
        if tag == "pre":
            return self._code_block(node)
        if tag == "textarea":
            return f"listing({{{typst_code(node.text(), None, TEXT_AREA_COLUMNS)}}})"
        if tag == "hr":
            return "rule"
        if tag == "table":
            caption, self.table_caption = self.table_caption, None
            return write_html_table(node, self, caption)
        if tag in ("dt", "summary"):
            body = self.blocks(node)
            return f"block(above: 0.8em, below: 0.5em, sticky: true, strong({{{body}}}))" if body else ""
        if tag == "dd":
            return _call("pad", "left: 1.5em", body=self.blocks(node))
        if tag == "figcaption":
            return _call("small_centred", body=self.blocks(node))
        if tag in EMBEDDED:
            return self._inline.embedded(node)
        colour, blocks = text_colour(node), self.blocks(node)
        return f"text(fill: {colour}, {{{blocks}}})" if colour and blocks else blocks

    def _heading(self, node: LexborNode, level: int) -> str:
        with self._anchors.postponed() as postponed:
            body = self.line(node)
        anchors = "".join(postponed)
        if not body:
            return anchors
        if self._containers:
            return f"{anchors}block(above: 1.2em, below: 0.7em, sticky: true, strong({{{body}}}))"
        return anchors + self.heading(level, body, " ".join(visible_text(node).split()))

    def _list(self, node: LexborNode) -> str:
        items, loose = [], False
        for child in node.iter(include_text=True):
            if child.is_text_node:
                if (child.text_content or "").strip():
                    items.append(self._inline.line([child]))
            elif is_visible(child):
                loose = loose or any(part.tag == "p" for part in child.iter())
                is_item = child.tag == "li"
                items.append(self._anchors.of_element(child) + self.blocks(child) if is_item else self._block(child))
        if not items:
            return ""
        options = [f"tight: {'false' if loose else 'true'}"]
        attributes = node.attributes
        if node.tag == "ol":
            start = attributes.get("start") or ""
            options += [f"start: {int(start)}"] if re.fullmatch("[0-9]{1,9}", start) else []
            kind = attributes.get("type") or ""
            options += [f'numbering: "{kind}."'] if kind in ("a", "A", "i", "I") else []
        bodies = ", ".join(f"{{{item}\n}}" if item else "[]" for item in items)
        return f"align(start, {'enum' if node.tag == 'ol' else 'list'}({', '.join(options)}, {bodies}))"

    def _code_block(self, node: LexborNode) -> str:
        source = self.formulas.restore(visible_text(node, "\n"))
        code = node.css_first("code")
        language = re.search(r"language-(\S+)", (code.attributes.get("class") or "") if code else "")
        lexer = named_lexer(language[1].strip("{}.")) if language else None
        columns = CODE_COLUMNS - COLUMNS_PER_LEVEL * min(self._inline.depth - 1, 8)
        pictures = "".join(f";{self._pictures.write(picture, inline=False)}" for picture in node.css("img"))
        return f"listing({{{typst_code(source.rstrip(), lexer, columns)}}}){pictures}"


def _call(function: str, *options: str, body: str) -> str:
    return f"{function}({', '.join([*options, f'{{{body}}}'])})" if body else ""
