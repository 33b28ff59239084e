"""The HTML of cells and outputs as a tree, and what its styles say."""

from __future__ import annotations

import re

import tinycss2.color3
from selectolax.lexbor import LexborHTMLParser, LexborNode

from pipeline.handin_pdf.typst_text import readable_colour

UNSEEN = {"script", "style", "template", "head", "meta", "link", "title", "noscript", "param", "source", "track", "colgroup", "datalist", "-comment", "-doctype"}  # fmt: skip
FOOTNOTE_APPARATUS = {"footnotes", "footnotes-sep", "footnote-backref"}
"""What Markdown's footnotes leave in HTML besides references; Typst sets the notes at the foot of the page."""


def parse_html(html: str) -> LexborNode:
    """The body of an HTML fragment, repaired as a browser would."""
    closed = re.sub(r"<a\b([^<>]*)/>", r"<a\1></a>", html)  # an anchor that its author thought closed, as in XML
    return LexborHTMLParser(f"<body>{closed}").body


def is_shown(node: LexborNode) -> bool:
    attributes = node.attributes
    return (
        node.tag not in UNSEEN
        and "hidden" not in attributes
        and not FOOTNOTE_APPARATUS & set((attributes.get("class") or "").split())
        and not re.search(r"display\s*:\s*none|visibility\s*:\s*hidden", attributes.get("style") or "")
        and not (node.tag == "input" and attributes.get("type") not in ("checkbox", "button", "submit"))
    )


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


def declarations(node: LexborNode) -> dict[str, str]:
    """The properties of an element's style attribute."""
    style = node.attributes.get("style")
    if not style:
        return {}
    return css_declarations(style)


def css_declarations(style: str) -> dict[str, str]:
    """The properties of a style attribute or of a rule's body."""
    pairs = (declaration.partition(":") for declaration in style.split(";"))
    return {name.strip().lower(): value.replace("!important", "").strip() for name, _, value in pairs if value}


def css_colour(value: str) -> str:
    """A CSS colour as Typst's, dark enough to be read on white; nothing for none."""
    colour = tinycss2.color3.parse_color(value) if value else None
    if colour is None or isinstance(colour, str):
        return ""
    return f'rgb("{readable_colour(colour.red, colour.green, colour.blue)}")'


def css_colour_light(value: str) -> str:
    """A background as Typst's colour, lightened enough for dark text on it."""
    colour = tinycss2.color3.parse_color(value) if value else None
    if colour is None or isinstance(colour, str) or colour.alpha == 0:
        return ""
    parts = [1 - (1 - part) * min(colour.alpha, 0.45) for part in (colour.red, colour.green, colour.blue)]
    return 'rgb("' + "".join(f"{round(255 * part):02x}" for part in parts) + '")'
