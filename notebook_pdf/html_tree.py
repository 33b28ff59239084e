"""The HTML of cells and outputs as a tree of elements."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from notebook_pdf.errors import ExportError

INVISIBLE_TAGS = {
    "script", "style", "template", "head", "meta", "link", "title", "noscript", "param", "source", "track", "colgroup",
    "datalist", "-comment", "-doctype",
}  # fmt: skip
TAGS_CLOSED_IMPLICITLY = {
    "br", "hr", "img", "input", "meta", "link", "col", "wbr", "source", "area", "base", "embed", "track", "param", "p",
    "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "colgroup", "option", "optgroup", "rt", "rp",
    "html", "head", "body",
}  # fmt: skip
"""Elements that need no closing tag."""
MAX_DEPTH = 5000
FOOTNOTE_CLASSES = {"footnotes", "footnotes-sep", "footnote-backref"}
"""The parts of Markdown's footnotes that are not printed, because Typst sets the notes at the foot of the page."""


def parse_html(html: str) -> LexborNode:
    """The body of an HTML fragment, repaired as a browser does.

    Raises:
        ExportError: the elements are nested so deeply that parsing would take minutes.
    """
    if html.count("<") > MAX_DEPTH and _depth(html) > MAX_DEPTH:
        raise ExportError("its HTML is nested too deeply")
    closed = re.sub(r"<a\b([^<>]*)/>", r"<a\1></a>", html)  # an anchor closed as in XML, which HTML does not allow
    return LexborHTMLParser(f"<body>{closed}").body


def _depth(html: str) -> int:
    """An estimate of the depth of nesting from the tags alone, without the elements that need no closing tag."""
    depth = deepest = 0
    for closing, name, closed in re.findall(r"<(/?)([A-Za-z][^\s/<>]*)[^<>]*?(/?)>", html):
        if not closed and name.lower() not in TAGS_CLOSED_IMPLICITLY:
            depth = max(0, depth - 1) if closing else depth + 1
            deepest = max(deepest, depth)
    return deepest


def is_visible(node: LexborNode) -> bool:
    """Whether a reader sees the element."""
    attributes = node.attributes
    return (
        node.tag not in INVISIBLE_TAGS
        and "hidden" not in attributes
        and not FOOTNOTE_CLASSES & set((attributes.get("class") or "").split())
        and not re.search(r"display\s*:\s*none|visibility\s*:\s*hidden", attributes.get("style") or "")
        and not (node.tag == "input" and attributes.get("type") not in ("checkbox", "button", "submit"))
    )


def not_blank(nodes: Iterable[LexborNode]) -> Iterator[LexborNode]:
    """The nodes without text nodes that are only white space."""
    return (node for node in nodes if not node.is_text_node or (node.text_content or "").strip())


def visible_text(node: LexborNode, line_break: str = "") -> str:
    """The text that a reader sees in the element, with `line_break` for each `<br>`."""
    texts, waiting = [], [node]
    while waiting:
        node = waiting.pop()
        if node.is_text_node:
            texts.append(node.text_content or "")
        elif node.tag == "br":
            texts.append(line_break)
        elif is_visible(node):
            waiting += reversed(list(node.iter(include_text=True)))
    return "".join(texts)
