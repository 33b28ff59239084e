"""CSS: the properties of elements, style sheets of outputs, colours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache

import tinycss2
import tinycss2.color3
from selectolax.lexbor import LexborNode, SelectolaxError

from notebook_pdf.colours import readable_colour

INLINED_PROPERTIES = {"color", "background-color", "font-weight", "font-style"}


def style_of(node: LexborNode) -> Mapping[str, str]:
    """The properties in an element's style attribute."""
    return _declarations(node.attributes.get("style") or "")


@lru_cache(maxsize=1024)
def _declarations(style: str) -> Mapping[str, str]:
    parts = tinycss2.parse_blocks_contents(style, skip_comments=True, skip_whitespace=True)
    return {part.lower_name: tinycss2.serialize(part.value).strip() for part in parts if part.type == "declaration"}


def inline_style_sheets(body: LexborNode) -> None:
    """Copy the colours and weights of style sheets, such as pandas' Styler writes, to the style attributes."""
    for sheet in body.css("style"):
        for selectors, properties in _rules(sheet.text()):
            style = ";".join(f"{name}:{value}" for name, value in properties.items() if name in INLINED_PROPERTIES)
            if not style or ":" in selectors:
                continue
            try:
                for node in body.css(selectors):
                    node.attrs["style"] = f"{node.attributes.get('style') or ''};{style}"
            except SelectolaxError:
                continue


def _rules(sheet: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The selectors and properties of a style sheet's rules, without at-rules such as those for certain media."""
    for rule in tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True):
        if rule.type == "qualified-rule":
            yield tinycss2.serialize(rule.prelude).strip(), _declarations(tinycss2.serialize(rule.content))


def typst_text_colour(value: str) -> str:
    """A CSS colour as a Typst colour, dark enough to be read on white; empty if it is not a valid colour."""
    colour = _parse_colour(value)
    return f'rgb("{readable_colour(*colour[:3])}")' if colour else ""


def typst_background(value: str) -> str:
    """A CSS background as a Typst colour, lightened for dark text; empty if it is transparent or invalid."""
    colour = _parse_colour(value)
    if colour is None or colour[3] == 0:
        return ""
    parts = [1 - (1 - part) * min(colour[3], 0.45) for part in colour[:3]]
    return 'rgb("' + "".join(f"{round(255 * part):02x}" for part in parts) + '")'


def _parse_colour(value: str) -> tuple[float, ...] | None:
    """Red, green, blue and opacity, each from 0 to 1; None if `value` is not a valid colour."""
    try:
        colour = tinycss2.color3.parse_color(value) if value else None
        if colour is None or isinstance(colour, str):
            return None
        parts = [float(part) for part in (colour.red, colour.green, colour.blue, colour.alpha)]
    except (ValueError, OverflowError, RecursionError):
        return None
    return tuple(min(max(part, 0.0), 1.0) for part in parts) if all(map(math.isfinite, parts)) else None
