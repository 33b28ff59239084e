"""Markdown as Jupyter reads it: CommonMark with GitHub's tables, task lists and strike-through, footnotes, raw HTML."""

from __future__ import annotations

from functools import lru_cache

from markdown_it import MarkdownIt
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.tasklists import tasklists_plugin


@lru_cache(maxsize=2)
def _parser(deepest: int) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True, "linkify": True, "maxNesting": deepest})
    parser.enable(["table", "strikethrough", "linkify"])
    parser.validateLink = lambda address: not address.lower().startswith(("javascript:", "vbscript:"))
    return parser.use(footnote_plugin).use(tasklists_plugin)


def markdown_to_html(markdown: str) -> str:
    """The HTML of one cell; mathematics must have been taken out."""
    try:
        return _parser(10_000).render(markdown)
    except RecursionError:  # brackets without end, of which no more than these are looked at
        return _parser(100).render(markdown)
