"""The targets of links from one place of the notebook to another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from selectolax.lexbor import LexborNode

from notebook_pdf.typst_text import typst_string


class Anchors:
    """Writes the anchors of a notebook, each name once.

    Args:
        targets: the names that links of the notebook refer to. Nothing else gets an anchor.
    """

    def __init__(self, targets: set[str]) -> None:
        self.targets = targets
        self._written: set[str] = set()
        self._postponed: list[str] | None = None

    @property
    def in_heading(self) -> bool:
        """Whether a heading is being written, which the table of contents repeats."""
        return self._postponed is not None

    def of_element(self, node: LexborNode) -> str:
        """The anchor of an element, followed by a semicolon; empty if it has none, or if it is postponed."""
        name = node.attributes.get("id") or (node.attributes.get("name") if node.tag == "a" else "") or ""
        anchor = self._write(name)
        if self._postponed is None:
            return anchor
        self._postponed.append(anchor)
        return ""

    def of_heading(self, slug: str) -> str:
        """The anchors of a heading, for links that write its name with or without its capitals."""
        return "".join(map(self._write, dict.fromkeys((slug, slug.lower()))))

    @contextmanager
    def postponed(self) -> Iterator[list[str]]:
        """Collect the anchors in a heading, so that they are written before it."""
        before, self._postponed = self._postponed, []
        try:
            yield self._postponed
        finally:
            self._postponed = before

    def _write(self, name: str) -> str:
        if name not in self.targets or name in self._written:
            return ""
        self._written.add(name)
        return f"anchor({typst_string(name)});"
