"""The HTML of cells and outputs as a tree, and what its styles say."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

import tinycss2
import tinycss2.color3
from selectolax.lexbor import LexborHTMLParser, LexborNode

from pipeline.handin_pdf.errors import ExportError
from pipeline.handin_pdf.typst_text import readable_colour

UNSEEN = {"script", "style", "template", "head", "meta", "link", "title", "noscript", "param", "source", "track", "colgroup", "datalist", "-comment", "-doctype"}  # fmt: skip
NEVER_DEEP = {"br", "hr", "img", "input", "meta", "link", "col", "wbr", "source", "area", "base", "embed", "track", "param", "p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "colgroup", "option", "optgroup", "rt", "rp", "html", "head", "body"}  # fmt: skip
"""Elements that end without a closing tag."""
DEEPEST = 5000
FOOTNOTE_APPARATUS = {"footnotes", "footnotes-sep", "footnote-backref"}
"""What Markdown's footnotes leave in HTML besides references; Typst sets the notes at the foot of the page."""


def parse_html(html: str) -> LexborNode:
    """The body of an HTML fragment, repaired as a browser would.

    Raises:
        ExportError: it is nested so deeply that parsing it would take minutes.
    """
    if html.count("<") > DEEPEST and _depth(html) > DEEPEST:
        raise ExportError("its HTML is nested too deeply")
    closed = re.sub(r"<a\b([^<>]*)/>", r"<a\1></a>", html)  # an anchor that its author thought closed, as in XML
    return LexborHTMLParser(f"<body>{closed}").body


def _depth(html: str) -> int:
    """How many elements lie in each other at most, by tags alone, those left out that need no closing one."""
    depth = deepest = 0
    for closing, name, closed in re.findall(r"<(/?)([A-Za-z][^\s/<>]*)[^<>]*?(/?)>", html):
        if not closed and name.lower() not in NEVER_DEEP:
            depth = max(0, depth - 1) if closing else depth + 1
            deepest = max(deepest, depth)
    return deepest


def is_shown(node: LexborNode) -> bool:
    attributes = node.attributes
    return (
        node.tag not in UNSEEN
        and "hidden" not in attributes
        and not FOOTNOTE_APPARATUS & set((attributes.get("class") or "").split())
        and not re.search(r"display\s*:\s*none|visibility\s*:\s*hidden", attributes.get("style") or "")
        and not (node.tag == "input" and attributes.get("type") not in ("checkbox", "button", "submit"))
    )


def not_blank(nodes: Iterable[LexborNode]) -> Iterator[LexborNode]:
    """The nodes but for texts of blanks only."""
    return (node for node in nodes if not node.is_text_node or (node.text_content or "").strip())


def visible_text(node: LexborNode, line_break: str = "") -> str:
    """The text a reader would see."""
    texts, waiting = [], [node]
    while waiting:
        node = waiting.pop()
        if node.is_text_node:
            texts.append(node.text_content or "")
        elif node.tag == "br":
            texts.append(line_break)
        elif is_shown(node):
            waiting += reversed(list(node.iter(include_text=True)))
    return "".join(texts)


def declarations(node: LexborNode) -> Mapping[str, str]:
    """The properties of an element's style attribute."""
    return _css_declarations(node.attributes.get("style") or "")


@lru_cache(maxsize=1024)
def _css_declarations(style: str) -> Mapping[str, str]:
    parts = tinycss2.parse_blocks_contents(style, skip_comments=True, skip_whitespace=True)
    return {part.lower_name: tinycss2.serialize(part.value).strip() for part in parts if part.type == "declaration"}


def css_rules(sheet: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The selectors and properties of a style sheet's rules, without those for some media only."""
    for rule in tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True):
        if rule.type == "qualified-rule":
            yield tinycss2.serialize(rule.prelude).strip(), _css_declarations(tinycss2.serialize(rule.content))


def _parsed_colour(value: str) -> tuple[float, ...] | None:
    """Red, green, blue and opacity, each from 0 to 1; None for no colour, or one that no screen has."""
    try:
        colour = tinycss2.color3.parse_color(value) if value else None
        if colour is None or isinstance(colour, str):
            return None
        parts = [float(part) for part in (colour.red, colour.green, colour.blue, colour.alpha)]
    except (ValueError, OverflowError, RecursionError):
        return None
    return tuple(min(max(part, 0.0), 1.0) for part in parts) if all(map(math.isfinite, parts)) else None


def css_colour(value: str) -> str:
    """A CSS colour as Typst's, dark enough to be read on white; nothing for none."""
    colour = _parsed_colour(value)
    return f'rgb("{readable_colour(*colour[:3])}")' if colour else ""


def css_colour_light(value: str) -> str:
    """A background as Typst's colour, lightened enough for dark text on it."""
    colour = _parsed_colour(value)
    if colour is None or colour[3] == 0:
        return ""
    parts = [1 - (1 - part) * min(colour[3], 0.45) for part in colour[:3]]
    return 'rgb("' + "".join(f"{round(255 * part):02x}" for part in parts) + '")'
