"""The inline content of HTML as Typst: text, emphasis, links, formulas, footnotes, pictures in a line."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable, Iterable, Iterator

from selectolax.lexbor import LexborNode

from notebook_pdf.anchors import Anchors
from notebook_pdf.css import style_of, typst_text_colour
from notebook_pdf.html_pictures import PictureWriter
from notebook_pdf.html_tree import is_visible, visible_text
from notebook_pdf.mathematics import PLACEHOLDER, Formulas
from notebook_pdf.typst_text import TOKEN_LENGTH, shorten, typst_prose, typst_string

MAX_DEPTH = 40
"""Elements nested more deeply are printed as plain text."""
MAX_ADDRESS_LENGTH = 2000
STYLES = {
    "b": "strong", "strong": "strong", "i": "emph", "em": "emph", "cite": "emph", "var": "emph", "dfn": "emph",
    "sub": "sub", "sup": "super", "u": "underline", "ins": "underline", "s": "strike", "del": "strike",
    "strike": "strike", "mark": "highlight", "small": "small", "big": "big",
}  # fmt: skip
EMBEDDED = {"iframe": "src", "video": "src", "audio": "src", "embed": "src", "object": "data"}
"""Elements that show another file, and the attribute with its address."""
PARAGRAPH_END = ";parbreak()"


class InlineWriter:
    """Writes inline content as Typst.

    Args:
        formulas: the formulas whose placeholders are in the texts.
        anchors: writes the targets of links.
        pictures: writes pictures.
        write_blocks: writes the content of an element that may contain blocks, for footnotes.
        warn: called with a sentence about each thing that is not printed as it is.

    Attributes:
        depth: how many elements the current one is in.
        token_length: longer tokens may be broken.
        shrink_formulas: whether formulas are scaled to fit, as in the cells of a table.
        footnotes: the notes of the current cell by their id.
    """

    def __init__(
        self,
        formulas: Formulas,
        anchors: Anchors,
        pictures: PictureWriter,
        write_blocks: Callable[[LexborNode], str],
        warn: Callable[[str], None],
    ) -> None:
        self.formulas, self.anchors, self.pictures = formulas, anchors, pictures
        self.write_blocks, self.warn = write_blocks, warn
        self.depth = 0
        self.token_length, self.shrink_formulas = TOKEN_LENGTH, False
        self.footnotes: dict[str, LexborNode] = {}
        self._printed_notes: set[str] = set()
        self._after_space = True

    def line(self, nodes: Iterable[LexborNode]) -> str:
        """Nodes that begin a line, as Typst expressions."""
        self._after_space = True
        return ";".join(self._inline(nodes))

    def flat(self, node: LexborNode) -> str:
        """The text of an element without its layout."""
        return typst_prose(self.formulas.restore(" ".join(visible_text(node, " ").split())), self.token_length)

    def embedded(self, node: LexborNode) -> str:
        """A paragraph with the address of an embedded file."""
        source = node.attributes.get(EMBEDDED[node.tag]) or next(
            (child.attributes["src"] for child in node.css("source") if child.attributes.get("src")), ""
        )
        if not source or source.startswith("data:"):
            self.warn(f"a {node.tag} can't be printed")
            return f'emph("[{node.tag}]"){PARAGRAPH_END}'
        return f'emph("{node.tag}: ");{_link(source, typst_prose(source))}{PARAGRAPH_END}'

    def _inline(self, nodes: Iterable[LexborNode]) -> Iterator[str]:
        for node in nodes:
            if node.is_text_node:
                yield from self._text(node.text_content or "")
            elif is_visible(node):
                yield from self._element(node)

    def _text(self, text: str) -> Iterator[str]:
        for number, part in enumerate(PLACEHOLDER.split(text)):
            if number % 2:
                yield f"fitted(m{part})" if self.shrink_formulas else f"m{part}"
                self._after_space = False
                continue
            collapsed = re.sub(r"[ \t\r\n\f]+", " ", part)
            if self._after_space:
                collapsed = collapsed.lstrip(" ")
            if collapsed:
                self._after_space = collapsed.endswith(" ")
                yield typst_prose(collapsed, self.token_length)

    def _element(self, node: LexborNode) -> Iterator[str]:
        self.depth += 1
        try:
            yield from self._element_by_tag(node) if self.depth <= MAX_DEPTH else [self.flat(node)]
        finally:
            self.depth -= 1

    def _element_by_tag(self, node: LexborNode) -> Iterator[str]:
        tag, attributes = node.tag, node.attributes
        if anchor := self.anchors.of_element(node):
            yield anchor.rstrip(";")
        if tag == "br":
            self._after_space = True
            yield "linebreak()"
        elif tag == "wbr":
            yield "brk"
        elif tag in ("img", "svg"):
            if tag == "img":
                self._after_space = False
            yield self.pictures.write(node, inline=True)
        elif tag in ("code", "tt", "kbd", "samp"):
            if text := re.sub(r"\s", " ", self.formulas.restore(visible_text(node, " "))):
                self._after_space = False
                yield f"code({{{typst_prose(text, self.token_length)}}})"
            for picture in node.css("img"):
                yield self.pictures.write(picture, inline=True)
        elif tag == "a":
            yield from self._link(node)
        elif tag == "sup" and "footnote-ref" in (attributes.get("class") or ""):
            yield from self._footnote(node)
        elif tag == "math":
            yield from self._mathml(node)
        elif tag == "input":
            box = "☑ " if "checked" in attributes else "☐ "
            yield typst_string(box if attributes.get("type") == "checkbox" else attributes.get("value") or "")
        elif tag in EMBEDDED:
            yield self.embedded(node).removesuffix(PARAGRAPH_END)
        else:
            pieces = ";".join(self._inline(node.iter(include_text=True)))
            if tag == "q":
                pieces = f'"“";{pieces};"”"'
            if pieces:
                yield _styled(node, pieces)

    def _link(self, node: LexborNode) -> Iterator[str]:
        address = (node.attributes.get("href") or "").strip()
        pieces = ";".join(self._inline(node.iter(include_text=True)))
        if not pieces:
            return
        if address.startswith("#") and len(address) > 1:
            yield f"reference({typst_string(urllib.parse.unquote(address[1:]))}, {{{pieces}}})"
        elif len(address) > MAX_ADDRESS_LENGTH or address.lower().startswith("data:"):
            self.warn(f"a link contains data instead of an address ({shorten(address, 60)}); its text is printed")
            yield pieces
        elif address and address != "#" and not address.lower().startswith("javascript:"):
            yield _link(address, pieces)
        else:
            yield pieces

    def _footnote(self, node: LexborNode) -> Iterator[str]:
        reference = node.css_first("a")
        target = (reference.attributes.get("href") or "").lstrip("#") if reference else ""
        note = self.footnotes.get(target)
        if note is None:
            yield from self._inline(node.iter(include_text=True))
            return
        label = f"label({typst_string(f'{self.formulas.cell} {target}')})"
        if label in self._printed_notes:
            yield f"footnote({label})"
            return
        after_space, body = self._after_space, self.write_blocks(note)
        self._after_space = after_space
        body = body.removesuffix(PARAGRAPH_END)
        if self.anchors.in_heading:
            yield f"heading_footnote({{{body}}})"
        else:
            self._printed_notes.add(label)
            yield f"[#footnote({{{body}}})#{label}]"

    def _mathml(self, node: LexborNode) -> Iterator[str]:
        source = node.css_first("annotation[encoding='application/x-tex']")
        if source is not None:
            yield from self._text(self.formulas.extract(f"${source.text()}$"))
        else:
            yield from self._text(visible_text(node))


def text_colour(node: LexborNode) -> str:
    """The element's text colour as Typst's; empty if it has none."""
    return typst_text_colour(node.attributes.get("color") or style_of(node).get("color", ""))


def _styled(node: LexborNode, pieces: str) -> str:
    """Inline content in the style that the element gives it."""
    style = style_of(node)
    functions = [STYLES[node.tag]] if node.tag in STYLES else []
    if style.get("font-weight") in ("bold", "bolder", "600", "700", "800", "900"):
        functions.append("strong")
    if style.get("font-style") == "italic":
        functions.append("emph")
    if "underline" in style.get("text-decoration", ""):
        functions.append("underline")
    if colour := text_colour(node):
        functions.append(f"text.with(fill: {colour})")
    for function in functions:
        pieces = f"{function}({{{pieces}}})"
    return pieces


def _link(address: str, pieces: str) -> str:
    return f"link({typst_string(address)}, {{{pieces}}})"
