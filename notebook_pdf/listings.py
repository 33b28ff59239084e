"""Code as Typst: every character, in lines that fit, with syntax colours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from pygments.lexer import Lexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String, Text
from wcwidth import wcwidth

from notebook_pdf.typst_text import TAB, typst_string

LINES_KEPT_TOGETHER = 40
"""A block of code without blank lines is kept on one page up to this many lines."""

Span = tuple[str, str]
"""A style, which is the name of a Typst function in the template or empty, and a text."""

_STYLES = (
    (Comment, "tc"),
    (String, "ts"),
    (Number, "tn"),
    (Keyword, "tk"),
    (Operator.Word, "tk"),
    (Name.Function, "tf"),
    (Name.Class, "tf"),
    (Name.Builtin, "tb"),
    (Name.Decorator, "tb"),
    (Name.Exception, "tb"),
)


@cache
def _columns(character: str) -> int:
    return max(wcwidth(character), 0)


def break_positions(line: str, columns: int) -> list[int]:
    """Where to break a line so that each piece fits.

    A piece ends after a space in its second half, or else after punctuation there, or else where the line is full.

    Args:
        line: the line.
        columns: the width of the first piece, in characters of a fixed-width font. The others are two narrower.
    """
    positions: list[int] = []
    start, room, plain = 0, columns, line.isascii()
    while True:
        if plain:
            end = min(start + room, len(line))
        else:
            end, width = start, 0
            while end < len(line) and width + _columns(line[end]) <= room:
                width += _columns(line[end])
                end += 1
        if end == len(line):
            return positions
        end = max(end, start + 1)
        middle = start + (end - start) // 2
        for opportunity in (r".*\s", r".*[,;(\[{=+*/|&.:]"):
            if match := re.compile(opportunity, re.DOTALL).match(line, middle, end):
                end = match.end()
                break
        if line[end - 1] == "-" and end - start > 1:
            end -= 1  # some viewers drop a hyphen at the end of a line when text is copied
        positions.append(end)
        start, room = end, columns - 2


def _lines(spans: Iterable[Span]) -> Iterator[list[Span]]:
    line: list[Span] = []
    for style, text in spans:
        first, *rest = text.split("\n")
        if first:
            line.append((style, first))
        for piece in rest:
            yield line
            line = [(style, piece)] if piece else []
    yield line


def typst_lines(line: list[Span], columns: int) -> list[str]:
    """A line, wrapped to `columns`: Typst expressions for each printed line.

    All but the first begin with the template's continuation mark.
    """
    text = "".join(part for _, part in line)
    breaks = break_positions(text, columns)
    printed, pieces, position = [], [], 0
    for style, part in line:
        while breaks and position + len(part) >= breaks[0]:
            head, part = part[: breaks[0] - position], part[breaks[0] - position :]
            if head:
                pieces.append(_styled(style, head))
            printed.append(";".join(pieces))
            pieces, position = ["cont"], breaks.pop(0)
        if part:
            pieces.append(_styled(style, part))
            position += len(part)
    return [*printed, ";".join(pieces) or '""']


def _styled(style: str, text: str) -> str:
    return f"{style}({typst_string(text)})" if style else typst_string(text)


def merge_spans(spans: Iterable[Span]) -> Iterator[Span]:
    """Join adjacent spans of the same style. White space takes the style of the preceding span."""
    style, text = "", ""
    for next_style, next_text in spans:
        if next_style == style or (text and next_text.isspace()):
            text += next_text
        else:
            if text:
                yield style, text
            style, text = next_style, next_text
    if text:
        yield style, text


def typst_code(source: str, lexer: Lexer | None, columns: int) -> str:
    """Code as the template's chunks: blocks between blank lines, each of which is kept on one page if it fits.

    Args:
        source: the code.
        lexer: finds the syntax to colour; None for no colours.
        columns: characters per line.
    """
    source = source.expandtabs(TAB)
    spans = [("", source)] if lexer is None else merge_spans(map(_token_style, _tokens(source, lexer)))
    chunks: list[list[str]] = [[]]
    after_blank = False
    for line in _lines(spans):
        if not any(text.strip() for _, text in line):
            after_blank = True
            continue
        if after_blank and chunks[-1]:
            chunks.append([])
        after_blank = False
        chunks[-1] += typst_lines(line, columns)
    statements = []
    for number, lines in enumerate(chunks):
        is_first, is_breakable = number == 0, len(lines) > LINES_KEPT_TOGETHER
        flags = f"{'true' if is_first else 'false'}, {'true' if is_breakable else 'false'}"
        statements.append(f"chunk({flags}, {{{';br;'.join(lines)}}})")
    return ";".join(statements)


def _tokens(source: str, lexer: Lexer) -> list[tuple]:
    """The lexer's tokens, or one token for all of the source if the lexer drops text (as for terminal sessions)."""
    tokens = [(kind, text) for _, kind, text in lexer.get_tokens_unprocessed(source)]
    return tokens if "".join(text for _, text in tokens) == source else [(Text, source)]


def _token_style(token) -> Span:
    kind, text = token
    return next((style for parent, style in _STYLES if kind in parent), ""), text
