"""Pictures as files that Typst can read: checked, converted if Typst does not support the format, with their size."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import urllib.parse
import warnings
import xml.parsers.expat
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from notebook_pdf.errors import ExportError

TYPST_FORMATS = {"PNG": "png", "JPEG": "jpg", "GIF": "gif", "WEBP": "webp"}
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "ICO")
"""The formats that Pillow may read. For PostScript it would start another program."""
ORIENTATION = 274
"""The EXIF tag for the orientation of the camera."""
LARGEST_FILE = 100_000_000
POINTS_PER_PIXEL = 0.75
"""A pixel of a web page is 1/96 inch."""


@dataclass
class Picture:
    """A file beside the Typst document. `width` is in points, or None for the size that the file defines."""

    file: str
    width: float | None


@dataclass
class Pictures:
    """The pictures of one notebook.

    Args:
        folder: the notebook's folder, for pictures that it names by a path.
        refused: the files that Typst refused before, with the reasons.
        files: the content of each file added so far.
    """

    folder: Path
    refused: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def add(self, content: bytes, name: str = "the picture") -> Picture:
        """Add a picture to the document.

        Args:
            content: the picture's bytes.
            name: what an error message calls the picture.

        Raises:
            ExportError: the content is not a valid picture, or Typst refused it before.
        """
        content = content.removeprefix(b"\xef\xbb\xbf")
        start = content[:1000].lstrip()
        if start.startswith((b"<?xml", b"<svg", b"<!DOCTYPE svg", b"<!--")) or b"<svg" in start:
            return Picture(self._keep(_complete_svg(content, name), "svg", name), None)
        try:
            with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content), formats=FORMATS) as image:
                image.load()
                width, suffix = image.width * POINTS_PER_PIXEL, TYPST_FORMATS.get(image.format or "")
                if suffix is None or image.mode == "CMYK" or (suffix == "png" and getattr(image, "n_frames", 1) > 1):
                    converted = io.BytesIO()
                    image.convert("RGBA").save(converted, "PNG")
                    content, suffix = converted.getvalue(), "png"
                if image.getexif().get(ORIENTATION, 1) > 4:  # stored on its side, and Typst rotates it
                    width = image.height * POINTS_PER_PIXEL
        except UnidentifiedImageError as error:
            raise ExportError(f"{name} is not in a supported picture format") from error
        except Exception as error:  # the decoder of a damaged file may raise anything
            raise ExportError(f"{name} can't be read as a picture ({error})") from error
        return Picture(self._keep(content, suffix, name), width)

    def _keep(self, content: bytes, suffix: str, name: str) -> str:
        file = f"{hashlib.sha256(content).hexdigest()[:16]}.{suffix}"
        if file in self.refused:
            raise ExportError(f"{name} can't be drawn ({self.refused[file]})")
        self.files[file] = content
        return file

    def from_address(self, address: str, attachments: dict) -> Picture | None:
        """Add the picture at an address: a path relative to the notebook, an attachment, or a data address.

        Args:
            address: the address.
            attachments: the attachments of the cell.

        Returns:
            The picture, or None for one on the network, which is not downloaded.

        Raises:
            ExportError: the file or attachment is missing or not a valid picture.
        """
        if address.startswith("data:"):
            return self.add(_decode_data_address(address), "the picture in a data address")
        if address.startswith("attachment:"):
            name = urllib.parse.unquote(address.removeprefix("attachment:"))
            contents = attachments.get(name) or attachments.get(address.removeprefix("attachment:"))
            if not contents or not isinstance(contents, dict):
                raise ExportError(f"the attachment '{name}' is missing from the cell")
            kind, content = next(iter(contents.items()))
            return self.add(picture_bytes(kind, content), f"the attachment '{name}'")
        if re.match(r"(?:[A-Za-z][A-Za-z0-9+.-]+:)?//|[A-Za-z][A-Za-z0-9+.-]+:", address) and not re.match(
            r"[A-Za-z]:[\\/]", address
        ):
            return None
        path = self.folder / urllib.parse.unquote(re.sub(r"[?#].*", "", address))
        try:
            if path.exists() and (not path.is_file() or path.stat().st_size > LARGEST_FILE):
                raise ExportError(f"the picture '{address}' is not a file of at most {LARGEST_FILE // 10**6} MB")
            content = path.read_bytes()
        except (OSError, ValueError) as error:
            raise ExportError(
                f"the picture '{address}' can't be read ({getattr(error, 'strerror', '') or error})"
            ) from error
        return self.add(content, f"the picture '{address}'")


def picture_bytes(kind: str, content: str | list[str]) -> bytes:
    """Decode a picture of an output or attachment.

    Args:
        kind: its MIME type.
        content: base 64, or the text of an SVG drawing.

    Raises:
        ExportError: the content is neither.
    """
    if not isinstance(content, (str, list)):
        raise ExportError(f"a picture ({kind}) is {content!r} instead of text")
    content = "".join(map(str, content))
    if kind.startswith("image/svg") and "<" in content:
        return content.encode(errors="replace")
    try:
        return base64.b64decode(content)
    except ValueError as error:
        raise ExportError(f"a picture ({kind}) is not in base 64 ({error})") from error


def _decode_data_address(address: str) -> bytes:
    head, _, content = address.removeprefix("data:").partition(",")
    try:
        return base64.b64decode(content) if head.endswith(";base64") else urllib.parse.unquote_to_bytes(content)
    except ValueError as error:
        raise ExportError(f"the picture in a data address is not in base 64 ({error})") from error


def _complete_svg(svg: bytes, name: str) -> bytes:
    """The drawing with the XML namespaces that HTML omits.

    Raises:
        ExportError: the drawing is not valid XML.
    """
    for attribute, address in (
        (b"xmlns", b"http://www.w3.org/2000/svg"),
        (b"xmlns:xlink", b"http://www.w3.org/1999/xlink"),
    ):
        if attribute + b"=" not in svg:
            svg = svg.replace(b"<svg", b"<svg " + attribute + b'="' + address + b'"', 1)
    try:
        xml.parsers.expat.ParserCreate().Parse(svg, True)
    except xml.parsers.expat.ExpatError as error:
        raise ExportError(f"{name} is not a valid SVG ({error})") from error
    return svg


def html_in_svg(svg: str) -> str:
    """The text of the HTML in a drawing (`foreignObject`), which Typst does not draw."""
    inside = re.findall(r"<foreignObject\b.*?</foreignObject>", svg, re.DOTALL | re.IGNORECASE)
    return " ".join(re.sub(r"<[^>]+>", " ", " ".join(inside)).split())


def svg_texts(svg: str) -> list[str]:
    """The texts of a drawing, without numbers.

    They are in text elements, or in matplotlib's comments if it draws letters as outlines.
    """
    texts = re.findall(r"<title>([^<]+)</title>|<text[^>]*>(.*?)</text>|<!-- (.*?) -->", svg, re.DOTALL)
    words = [" ".join(re.sub(r"<[^>]+>", " ", "".join(parts)).split()) for parts in texts]
    return list(dict.fromkeys(word for word in words if re.search(r"[^\W\d_]", word) and "$" not in word))
