"""Pictures and drawings in HTML as Typst."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable

from selectolax.lexbor import LexborNode

from notebook_pdf.css import style_of
from notebook_pdf.errors import ExportError
from notebook_pdf.html_tree import not_blank
from notebook_pdf.mathematics import Formulas
from notebook_pdf.pictures import POINTS_PER_PIXEL, Pictures, html_in_svg
from notebook_pdf.typst_text import typst_prose, typst_string

TEXT_WIDTH, MAX_HEIGHT = 481, 650
"""Points between the margins of the page, and the height of a picture that fits."""


class PictureWriter:
    """Writes the elements `img` and `svg` as Typst.

    Args:
        formulas: the formulas whose placeholders are in the texts.
        pictures: collects the pictures' files.
        warn: called with a sentence about each picture that is not printed as it is.
        describe_missing: whether to print the description of a missing picture instead of raising an error.

    Attributes:
        attachments: the attachments of the current cell.
    """

    def __init__(
        self, formulas: Formulas, pictures: Pictures, warn: Callable[[str], None], describe_missing: bool
    ) -> None:
        self.formulas, self.pictures, self.warn, self.describe_missing = formulas, pictures, warn, describe_missing
        self.attachments: dict = {}

    def write(self, node: LexborNode, inline: bool) -> str:
        """Write an `img` or `svg`.

        Args:
            node: the element.
            inline: whether it is in a line of text or a block of its own.

        Raises:
            ExportError: a picture is missing or damaged, unless `describe_missing` is set.
        """
        return self._drawing(node, inline) if node.tag == "svg" else self._picture(node, inline)

    def _picture(self, node: LexborNode, inline: bool) -> str:
        attributes = node.attributes
        address = (attributes.get("src") or "").strip()
        name = urllib.parse.unquote(address.rpartition("/")[2]) if not address.startswith("data:") else ""
        description = attributes.get("alt") or attributes.get("title") or name or "picture"
        description = self.formulas.restore(" ".join(description.split()))
        if not address:
            return typst_prose(description)
        try:
            picture = self.pictures.from_address(self.formulas.restore(address), self.attachments)
        except ExportError as error:
            if not self.describe_missing:
                raise
            self.warn(str(error))
            return _missing(description)
        if picture is None:
            self.warn(
                f"the picture {address} is on the network and is not downloaded; "
                "its description and address are printed"
            )
            return _missing(description, address)
        return _call(picture.file, description, _size(node, picture.width), inline)

    def _drawing(self, node: LexborNode, inline: bool) -> str:
        svg = (node.html or "").replace("&nbsp;", "&#160;")
        title = node.css_first("title")
        description = node.attributes.get("aria-label") or (title.text() if title else "") or "drawing"
        description = " ".join(description.split())
        if text := html_in_svg(svg):
            self.warn(f"a drawing contains HTML, which is not printed: {text[:200]}")
        if style_of(node).get("width", node.attributes.get("width") or "").strip() in ("0", "0px"):
            return "none"  # it only defines symbols for other drawings
        try:
            picture = self.pictures.add(svg.encode(errors="replace"), "a drawing")
        except ExportError as error:
            self.warn(f"{error}; its description is printed")
            return _missing(description)
        return _call(picture.file, description, _size(node, None), inline)


def only_picture(node: LexborNode) -> LexborNode | None:
    """The picture in `node` if there is nothing else; None for a picture in a link."""
    while not node.is_text_node:
        if node.tag in ("img", "svg"):
            return node
        parts = list(not_blank(node.iter(include_text=True)))
        if len(parts) != 1 or node.tag == "a":
            return None
        node = parts[0]
    return None


def _missing(description: str, address: str | None = None) -> str:
    return f"missing_picture({typst_string(description)}, {typst_string(address) if address else 'none'})"


def _call(file: str, description: str, size: str, inline: bool) -> str:
    function = "inline_picture" if inline else "picture"
    return f"{function}({typst_string(file)}, {typst_string(description)}, {size})"


def _size(node: LexborNode, natural_width: float | None) -> str:
    """Typst's option for the size: what the HTML requests, at most the page, or else the picture's natural size."""
    requested = str(style_of(node).get("width") or node.attributes.get("width") or "").strip()
    if (match := re.fullmatch(r"(\d{1,6}(?:\.\d*)?)\s*(px|pt|%|em)?", requested)) and float(match[1]) > 0:
        unit = {"%": TEXT_WIDTH / 100, "pt": 1, "em": 10.5}.get(match[2] or "px", POINTS_PER_PIXEL)
        return f"width: {min(unit * float(match[1]), TEXT_WIDTH):.5g}pt"
    height = re.fullmatch(r"(\d{1,6}(?:\.\d*)?)\s*(?:px)?", str(node.attributes.get("height") or ""))
    if height and float(height[1]) > 0:
        return f"height: {min(POINTS_PER_PIXEL * float(height[1]), MAX_HEIGHT):.5g}pt"
    return f"width: {natural_width:.5g}pt" if natural_width else "width: auto"
