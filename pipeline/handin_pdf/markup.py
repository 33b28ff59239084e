"""HTML as Typst: what Markdown cells become first, and what tables and other rich outputs are."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable, Iterator

from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound
from selectolax.lexbor import LexborNode

from pipeline.handin_pdf.errors import ExportError
from pipeline.handin_pdf.html_tree import css_colour, declarations, is_shown, not_blank, visible_text
from pipeline.handin_pdf.mathematics import PLACEHOLDER, Formulas
from pipeline.handin_pdf.pictures import POINTS_PER_PIXEL, Pictures, foreign_text
from pipeline.handin_pdf.tables import typst_table
from pipeline.handin_pdf.typst_text import TOKEN_LENGTH, shortened, typst_code, typst_prose, typst_string

TEXT_WIDTH = 481
"""Points between the margins of the page."""
HEADINGS = {f"h{level}": level for level in range(1, 7)}
BLOCKS = (
    "address article aside blockquote center dd details dialog dir div dl dt fieldset figcaption figure footer form h1 h2 h3 "
    "h4 h5 h6 header hgroup hr iframe li main menu nav object ol p pre section summary table textarea ul video"
)
BLOCK_TAGS = set(BLOCKS.split())
CONTAINERS = {"ul", "ol", "menu", "dir", "dl", "table", "blockquote", "figure"}
DEEPEST = 20
"""Elements nested more deeply than this are printed without their layout."""
LONGEST_ADDRESS = 2000
TOKEN_LENGTH_IN_CELL = 12
HAS_BLOCK = BLOCKS.replace(" ", ",")
STYLED = {
    "b": "strong", "strong": "strong", "i": "emph", "em": "emph", "cite": "emph", "var": "emph", "dfn": "emph",
    "sub": "sub", "sup": "super", "u": "underline", "ins": "underline", "s": "strike", "del": "strike", "strike": "strike",
    "mark": "highlight", "small": "small", "big": "big",
}  # fmt: skip
EMBEDDED = {"iframe": "src", "video": "src", "audio": "src", "embed": "src", "object": "data"}


class MarkupWriter:
    """Writes the HTML of a notebook's cells, one after another, as Typst.

    Args:
        formulas: of which the texts hold placeholders.
        pictures: where the pictures go.
        targets: the fragments that links of the notebook point to.
        warn: told of everything that can't be shown.
        describe_missing: whether a missing picture is replaced by its description.
    """

    def __init__(
        self,
        formulas: Formulas,
        pictures: Pictures,
        targets: set[str],
        warn: Callable[[str], None],
        describe_missing: bool = False,
    ) -> None:
        self.formulas, self.pictures, self.targets, self.warn = formulas, pictures, targets, warn
        self.attachments: dict = {}
        self.table_caption: tuple[str, bool] | None = None
        """The caption that the next table gets with a number, and whether it overrides the table's own."""
        self.describe_missing = describe_missing
        self.headings: list[tuple[int, str]] = []
        self._open_headings: list[int] = []
        self._labels: set[str] = set()
        self._footnotes: dict[str, LexborNode] = {}
        self._depth = 0
        self._contained = 0
        """How many lists, tables and quotations the present element is in: a heading there is none of the document's."""
        self._at_space = True
        self._held_anchors: list[str] | None = None
        """The anchors of the heading that is being written: the table of contents repeats what is in a heading."""
        self.longest_token = TOKEN_LENGTH
        self.in_cell = False

    # --- blocks ---

    def document(self, body: LexborNode) -> str:
        """A cell's HTML as Typst statements."""
        self._footnotes = {}
        for section in body.css("section.footnotes"):
            for item in section.css("li.footnote-item"):
                self._footnotes[item.attributes.get("id") or ""] = item
        return self.blocks(body)

    def blocks(self, node: LexborNode) -> str:
        """The children of `node`: paragraphs for what stands in lines, and the blocks between them."""
        statements: list[str] = []
        line: list[LexborNode] = []

        def end_line() -> None:
            if line and (paragraph := self._paragraph(line)):
                statements.append(paragraph)
            line.clear()

        for child in node.iter(include_text=True):
            if not child.is_text_node and not is_shown(child):
                continue
            if not child.is_text_node and (child.tag in BLOCK_TAGS or child.css_first(HAS_BLOCK) is not None):
                end_line()
                if block := self._block(child):
                    statements.append(block)
            else:
                line.append(child)
        end_line()
        return "\n".join(statements)

    def table_cell(self, node: LexborNode) -> str:
        """What is in a cell of a table, where words may be broken early and formulas are set to fit."""
        before = self.longest_token, self.in_cell
        self.longest_token, self.in_cell = TOKEN_LENGTH_IN_CELL, True
        try:
            return self.blocks(node).removesuffix(";parbreak()")
        finally:
            self.longest_token, self.in_cell = before

    def _paragraph(self, nodes: list[LexborNode]) -> str:
        shown = list(not_blank(nodes))
        if len(shown) == 1 and (picture := _only_picture(shown[0])) is not None:
            return self._picture(picture, inline=False)
        inline = self._inline_of(nodes)
        return f"{inline};parbreak()" if inline else ""

    def _block(self, node: LexborNode) -> str:
        tag, attributes = node.tag, node.attributes
        contains = tag in CONTAINERS
        self._depth, self._contained = self._depth + 1, self._contained + contains
        try:
            if self._depth > DEEPEST:
                flat = self._flat(node)
                return f"{flat};parbreak()" if flat else ""
            written = self._anchor(node) + self._block_by_tag(tag, node)
        finally:
            self._depth, self._contained = self._depth - 1, self._contained - contains
        aligned = (
            attributes.get("align") or declarations(node).get("text-align") or ("center" if tag == "center" else "")
        )
        return (
            f"align({aligned}, {{{written}}})"
            if written and aligned in ("center", "right") and tag != "table"
            else written
        )

    def _flat(self, node: LexborNode) -> str:
        """The text of what is nested too deeply to be laid out."""
        return typst_prose(self.formulas.put_back(" ".join(visible_text(node, " ").split())), self.longest_token)

    def _block_by_tag(self, tag: str, node: LexborNode) -> str:
        if tag in HEADINGS:
            return self._heading(node, HEADINGS[tag])
        if tag in ("ul", "ol", "menu", "dir"):
            return self._list(node)
        if tag == "blockquote":
            body = self.blocks(node)
            return _call("quote", "block: true", body=body) if self._depth < 8 else _call("pad", "left: 1em", body=body)
        if tag == "pre":
            return self._code_block(node)
        if tag == "textarea":
            return f"listing({{{typst_code(node.text(), None, 90)}}})"
        if tag == "hr":
            return "rule"
        if tag == "table":
            return typst_table(node, self)
        if tag in ("dt", "summary"):
            inline = self.blocks(node)
            return f"block(above: 0.8em, below: 0.5em, sticky: true, strong({{{inline}}}))" if inline else ""
        if tag == "dd":
            return _call("pad", "left: 1.5em", body=self.blocks(node))
        if tag == "figcaption":
            return _call("small_centred", body=self.blocks(node))
        if tag in EMBEDDED:
            return self._embedded(node)
        colour = self._colour(node)
        blocks = self.blocks(node)
        return f"text(fill: {colour}, {{{blocks}}})" if colour and blocks else blocks

    def _heading(self, node: LexborNode, level: int) -> str:
        self._held_anchors = []
        body = self.line(node)
        anchors, self._held_anchors = "".join(self._held_anchors), None
        if not body:
            return anchors
        if self._contained:
            return f"{anchors}block(above: 1.2em, below: 0.7em, sticky: true, strong({{{body}}}))"
        return anchors + self.heading(level, body, " ".join(visible_text(node).split()))

    def heading(self, level: int, body: str, text: str) -> str:
        """A heading; levels that the notebook skips are closed up, because a document outline has none."""
        while self._open_headings and self._open_headings[-1] >= level:
            self._open_headings.pop()
        self._open_headings.append(level)
        self.headings.append((len(self._open_headings), text))
        slug = re.sub(r"\s", "-", self.formulas.put_back(text))
        names = [
            name for name in dict.fromkeys((slug, slug.lower())) if name in self.targets and name not in self._labels
        ]
        self._labels.update(names)
        anchors = "".join(f"anchor({typst_string(name)});" for name in names)
        return f"{anchors}heading(level: {len(self._open_headings)}, {{{body}}})"

    def _list(self, node: LexborNode) -> str:
        items, loose = [], False
        for child in node.iter(include_text=True):
            if child.is_text_node:
                if (child.text_content or "").strip():
                    items.append(self._inline_of([child]))
            elif is_shown(child):
                loose = loose or any(part.tag == "p" for part in child.iter())
                items.append(self._anchor(child) + self.blocks(child) if child.tag == "li" else self._block(child))
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
        source = self.formulas.put_back(visible_text(node, "\n"))
        code = node.css_first("code")
        language = re.search(r"language-(\S+)", (code.attributes.get("class") or "") if code else "")
        try:
            lexer = get_lexer_by_name(language[1].strip("{}.").lower()) if language else None
        except ClassNotFound:
            lexer = None
        pictures = "".join(f";{self._picture(picture, inline=False)}" for picture in node.css("img"))
        return f"listing({{{typst_code(source.rstrip(), lexer, 92 - 4 * min(self._depth - 1, 8))}}}){pictures}"

    def _embedded(self, node: LexborNode) -> str:
        source = node.attributes.get(EMBEDDED[node.tag]) or next(
            (child.attributes["src"] for child in node.css("source") if child.attributes.get("src")), ""
        )
        if not source or source.startswith("data:"):
            self.warn(f"a {node.tag} can't be printed")
            return f'emph("[{node.tag}]");parbreak()'
        return f'emph("{node.tag}: ");{_link(source, typst_prose(source))};parbreak()'

    # --- what stands in lines ---

    def line(self, node: LexborNode) -> str:
        """What is in `node`, in a line: Typst expressions."""
        return self._inline_of(node.iter(include_text=True))

    def _inline_of(self, nodes) -> str:
        self._at_space = True
        return ";".join(self._inline(nodes))

    def _inline(self, nodes) -> Iterator[str]:
        for node in nodes:
            if node.is_text_node:
                yield from self._text(node.text_content or "")
            elif is_shown(node):
                yield from self._element(node)

    def _text(self, text: str) -> Iterator[str]:
        for number, part in enumerate(PLACEHOLDER.split(text)):
            if number % 2:
                yield f"fitted(m{part})" if self.in_cell else f"m{part}"
                self._at_space = False
                continue
            collapsed = re.sub(r"[ \t\r\n\f]+", " ", part)
            if self._at_space:
                collapsed = collapsed.lstrip(" ")
            if collapsed:
                self._at_space = collapsed.endswith(" ")
                yield typst_prose(collapsed, self.longest_token)

    def _element(self, node: LexborNode) -> Iterator[str]:
        self._depth += 1
        try:
            yield from self._element_by_tag(node) if self._depth <= 2 * DEEPEST else [self._flat(node)]
        finally:
            self._depth -= 1

    def _element_by_tag(self, node: LexborNode) -> Iterator[str]:
        tag, attributes = node.tag, node.attributes
        if anchor := self._anchor(node):
            yield anchor.rstrip(";")
        if tag == "br":
            self._at_space = True
            yield "linebreak()"
        elif tag == "wbr":
            yield "brk"
        elif tag == "img":
            self._at_space = False
            yield self._picture(node, inline=True)
        elif tag == "svg":
            yield self._drawing(node, inline=True)
        elif tag in ("code", "tt", "kbd", "samp"):
            if text := re.sub(r"\s", " ", self.formulas.put_back(visible_text(node, " "))):
                self._at_space = False
                yield f"code({{{typst_prose(text, self.longest_token)}}})"
            for picture in node.css("img"):
                yield self._picture(picture, inline=True)
        elif tag == "a":
            yield from self._link_element(node)
        elif tag == "sup" and "footnote-ref" in (attributes.get("class") or ""):
            yield from self._footnote(node)
        elif tag == "math":
            yield from self._mathml(node)
        elif tag == "input":
            value = attributes.get("value") or ""
            box = "☑ " if "checked" in attributes else "☐ "
            yield typst_string(box if attributes.get("type") == "checkbox" else value)
        elif tag in EMBEDDED:
            yield self._embedded(node).removesuffix(";parbreak()")
        else:
            pieces = ";".join(self._inline(node.iter(include_text=True)))
            if tag == "q":
                pieces = f'"“";{pieces};"”"'
            if pieces:
                yield self._styled(node, pieces)

    def _styled(self, node: LexborNode, pieces: str) -> str:
        style = declarations(node)
        functions = [STYLED[node.tag]] if node.tag in STYLED else []
        if style.get("font-weight") in ("bold", "bolder", "600", "700", "800", "900"):
            functions.append("strong")
        if style.get("font-style") == "italic":
            functions.append("emph")
        if "underline" in style.get("text-decoration", ""):
            functions.append("underline")
        if colour := self._colour(node):
            functions.append(f"text.with(fill: {colour})")
        for function in functions:
            pieces = f"{function}({{{pieces}}})"
        return pieces

    def _colour(self, node: LexborNode) -> str:
        return css_colour(node.attributes.get("color") or declarations(node).get("color", ""))

    def _link_element(self, node: LexborNode) -> Iterator[str]:
        address = (node.attributes.get("href") or "").strip()
        pieces = ";".join(self._inline(node.iter(include_text=True)))
        if not pieces:
            return
        if address.startswith("#") and len(address) > 1:
            yield f"reference({typst_string(urllib.parse.unquote(address[1:]))}, {{{pieces}}})"
        elif len(address) > LONGEST_ADDRESS or address.lower().startswith("data:"):
            self.warn(f"a link holds data instead of an address ({shortened(address, 60)}); its text is printed")
            yield pieces
        elif address and address != "#" and not address.lower().startswith("javascript:"):
            yield _link(address, pieces)
        else:
            yield pieces

    def _footnote(self, node: LexborNode) -> Iterator[str]:
        reference = node.css_first("a")
        target = (reference.attributes.get("href") or "").lstrip("#") if reference else ""
        note = self._footnotes.get(target)
        if note is None:
            yield from self._inline(node.iter(include_text=True))
            return
        label = f"label({typst_string(f'{self.formulas.cell} {target}')})"
        if label in self._labels:
            yield f"footnote({label})"
            return
        at_space, body = self._at_space, self.blocks(note)
        self._at_space = at_space
        body = body.removesuffix(";parbreak()")
        if self._held_anchors is None:
            self._labels.add(label)
            yield f"[#footnote({{{body}}})#{label}]"
        else:
            yield f"heading_footnote({{{body}}})"

    def _mathml(self, node: LexborNode) -> Iterator[str]:
        source = node.css_first("annotation[encoding='application/x-tex']")
        if source is not None:
            yield from self._text(self.formulas.take_out(f"${source.text()}$"))
        else:
            yield from self._text(visible_text(node))

    def _picture(self, node: LexborNode, inline: bool) -> str:
        if node.tag == "svg":
            return self._drawing(node, inline)
        attributes = node.attributes
        address = (attributes.get("src") or "").strip()
        name = urllib.parse.unquote(address.rpartition("/")[2]) if not address.startswith("data:") else ""
        described = attributes.get("alt") or attributes.get("title") or name or "picture"
        described = self.formulas.put_back(" ".join(described.split()))
        if not address:
            return typst_prose(described)
        try:
            picture = self.pictures.from_address(self.formulas.put_back(address), self.attachments)
        except ExportError as error:
            if not self.describe_missing:
                raise
            self.warn(str(error))
            return f"missing_picture({typst_string(described)}, none)"
        if picture is None:
            self.warn(
                f"the picture {address} is on the network and is not fetched; its description and address are printed"
            )
            return f"missing_picture({typst_string(described)}, {typst_string(address)})"
        return _picture_call(picture.file, described, _picture_size(node, picture.width), inline)

    def _drawing(self, node: LexborNode, inline: bool) -> str:
        svg = (node.html or "").replace("&nbsp;", "&#160;")
        title = node.css_first("title")
        described = node.attributes.get("aria-label") or (title.text() if title else "") or "drawing"
        if text := foreign_text(svg):
            self.warn(f"a drawing holds HTML, which is not drawn: {text[:200]}")
        described = " ".join(described.split())
        if declarations(node).get("width", node.attributes.get("width") or "").strip() in ("0", "0px"):
            return "none"  # it only defines what other drawings use
        try:
            picture = self.pictures.add(svg.encode(errors="replace"), "a drawing")
        except ExportError as error:
            self.warn(f"{error}; its description is printed")
            return f"missing_picture({typst_string(described)}, none)"
        return _picture_call(picture.file, described, _picture_size(node, None), inline)

    def _anchor(self, node: LexborNode) -> str:
        name = node.attributes.get("id") or (node.attributes.get("name") if node.tag == "a" else "") or ""
        if name not in self.targets or name in self._labels:
            return ""
        self._labels.add(name)
        anchor = f"anchor({typst_string(name)});"
        if self._held_anchors is None:
            return anchor
        self._held_anchors.append(anchor)
        return ""


def _call(function: str, *options: str, body: str) -> str:
    return f"{function}({', '.join([*options, f'{{{body}}}'])})" if body else ""


def _link(address: str, pieces: str) -> str:
    return f"link({typst_string(address)}, {{{pieces}}})"


def _picture_size(node: LexborNode, natural_width: float | None) -> str:
    """The options for the size that the HTML asks for, at most that of the page; else for the natural size."""
    given = str(declarations(node).get("width") or node.attributes.get("width") or "").strip()
    if (match := re.fullmatch(r"(\d{1,6}(?:\.\d*)?)\s*(px|pt|%|em)?", given)) and float(match[1]) > 0:
        unit = {"%": TEXT_WIDTH / 100, "pt": 1, "em": 10.5}.get(match[2] or "px", POINTS_PER_PIXEL)
        return f"width: {min(unit * float(match[1]), TEXT_WIDTH):.5g}pt"
    height = re.fullmatch(r"(\d{1,6}(?:\.\d*)?)\s*(?:px)?", str(node.attributes.get("height") or ""))
    if height and float(height[1]) > 0:
        return f"height: {min(POINTS_PER_PIXEL * float(height[1]), 650):.5g}pt"
    return f"width: {natural_width:.5g}pt" if natural_width else "width: auto"


def _picture_call(file: str, description: str, size: str, inline: bool) -> str:
    function = "inline_picture" if inline else "picture"
    return f"{function}({typst_string(file)}, {typst_string(description)}, {size})"


def _only_picture(node: LexborNode) -> LexborNode | None:
    """The picture that is all there is in `node`."""
    while not node.is_text_node:
        if node.tag in ("img", "svg"):
            return node
        parts = list(not_blank(node.iter(include_text=True)))
        if len(parts) != 1 or node.tag == "a":
            return None
        node = parts[0]
    return None
