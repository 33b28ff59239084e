"""Pictures as files that Typst reads: checked, converted where Typst knows the format not, with their size in print."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from pipeline.handin_pdf.errors import ExportError

TYPST_FORMATS = {"PNG": "png", "JPEG": "jpg", "GIF": "gif", "WEBP": "webp"}
POINTS_PER_PIXEL = 0.75
"""A pixel of a web page is 1/96 inch."""


@dataclass
class Picture:
    """A file beside the document; `width` in points, none if the file says it itself."""

    file: str
    width: float | None


@dataclass
class Pictures:
    """The pictures of one notebook.

    Args:
        folder: where the notebook lies, for pictures it names by a path.
    """

    folder: Path
    files: dict[str, bytes] = field(default_factory=dict)

    def add(self, content: bytes, name: str = "the picture") -> Picture:
        """Keep a picture.

        Raises:
            ExportError: it is no picture, or a broken one.
        """
        start = content[:1000].lstrip()
        if start.startswith((b"<?xml", b"<svg", b"<!DOCTYPE svg", b"<!--")) or b"<svg" in start:
            return Picture(self._keep(_with_namespace(content), "svg"), None)
        try:
            with Image.open(io.BytesIO(content)) as image:
                image.load()
                width, suffix = image.width * POINTS_PER_PIXEL, TYPST_FORMATS.get(image.format or "")
                if suffix is None or image.mode == "CMYK" or (suffix == "png" and getattr(image, "n_frames", 1) > 1):
                    converted = io.BytesIO()
                    image.convert("RGBA").save(converted, "PNG")
                    content, suffix = converted.getvalue(), "png"
        except UnidentifiedImageError as error:
            raise ExportError(f"{name} is in no known picture format") from error
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise ExportError(f"{name} can't be read as a picture ({error})") from error
        return Picture(self._keep(content, suffix), width)

    def _keep(self, content: bytes, suffix: str) -> str:
        file = f"{hashlib.sha256(content).hexdigest()[:16]}.{suffix}"
        self.files[file] = content
        return file

    def from_address(self, address: str, attachments: dict) -> Picture | None:
        """The picture at a path beside the notebook, in a cell's attachments or in the address itself; None for one on
        the network, which is not fetched.

        Raises:
            ExportError: the file or attachment is missing or no picture.
        """
        if address.startswith("data:"):
            return self.add(_decoded_address(address), "the picture in a data address")
        if address.startswith("attachment:"):
            name = urllib.parse.unquote(address.removeprefix("attachment:"))
            contents = attachments.get(name) or attachments.get(address.removeprefix("attachment:"))
            if not contents:
                raise ExportError(f"the attachment '{name}' is missing from the cell")
            kind, content = next(iter(contents.items()))
            return self.add(picture_bytes(kind, content), f"the attachment '{name}'")
        if re.match(r"(?:[A-Za-z][A-Za-z0-9+.-]+:)?//|[A-Za-z][A-Za-z0-9+.-]+:", address) and not re.match(
            r"[A-Za-z]:[\\/]", address
        ):
            return None
        path = self.folder / urllib.parse.unquote(re.sub(r"[?#].*", "", address))
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ExportError(f"the picture '{address}' can't be read ({error.strerror})") from error
        return self.add(content, f"the picture '{address}'")


def picture_bytes(kind: str, content: str | list[str]) -> bytes:
    """An output's or attachment's picture, stored in base 64; an output's SVG is stored as text."""
    content = "".join(content)
    if kind.startswith("image/svg") and "<" in content:
        return content.encode()
    try:
        return base64.b64decode(content)
    except binascii.Error as error:
        raise ExportError(f"a picture ({kind}) is not in base 64 ({error})") from error


def _decoded_address(address: str) -> bytes:
    head, _, content = address.removeprefix("data:").partition(",")
    try:
        return base64.b64decode(content) if head.endswith(";base64") else urllib.parse.unquote_to_bytes(content)
    except binascii.Error as error:
        raise ExportError(f"the picture in a data address is not in base 64 ({error})") from error


def _with_namespace(svg: bytes) -> bytes:
    if b"http://www.w3.org/2000/svg" not in svg:
        svg = svg.replace(b"<svg", b'<svg xmlns="http://www.w3.org/2000/svg"', 1)
    return svg


def words_in_svg(svg: str) -> list[str]:
    """The texts of a drawing, without numbers: of its text elements, or of matplotlib's comments where it draws letters
    as outlines."""
    texts = re.findall(r"<title>([^<]+)</title>|<text[^>]*>(.*?)</text>|<!-- (.*?) -->", svg, re.DOTALL)
    words = [" ".join(re.sub(r"<[^>]+>", " ", "".join(parts)).split()) for parts in texts]
    return list(dict.fromkeys(word for word in words if re.search(r"[^\W\d_]", word) and "$" not in word))
