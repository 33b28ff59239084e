"""Markdown as Jupyter renders it: CommonMark with tables, task lists, strike-through, footnotes and raw HTML."""

from __future__ import annotations

from functools import lru_cache

from markdown_it import MarkdownIt
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.tasklists import tasklists_plugin


@lru_cache(maxsize=2)
def _parser(max_nesting: int) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True, "linkify": True, "maxNesting": max_nesting})
    parser.enable(["table", "strikethrough", "linkify"])
    parser.validateLink = lambda address: not address.lower().startswith(("javascript:", "vbscript:"))
    return parser.use(footnote_plugin).use(tasklists_plugin)


def markdown_to_html(markdown: str) -> str:
    """The HTML of one cell. Its formulas must have been extracted before."""
    try:
        return _parser(10_000).render(markdown)
    except RecursionError:  # from hundreds of nested brackets: parse only the outermost ones
        return _parser(100).render(markdown)
