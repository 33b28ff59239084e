"""Code and terminal output as Typst: every character, in lines that fit, with the colours they have in Jupyter."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator
from functools import cache

from pygments.lexer import Lexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String, Text
from wcwidth import wcwidth

TOKEN_LENGTH = 40
"""A token of prose longer than this may be broken anywhere."""
LINES_KEPT_TOGETHER = 40
"""A passage of code without a blank line is not broken between pages up to this many lines."""
OUTPUT_GROUP = 30
TAB = 4

Span = tuple[str, str]
"""A style (the name of a Typst function of the template, or nothing) and a text."""

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
_CONTROL_PICTURES = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"} | {0x7F: "\u2421"}
_ESCAPE = re.compile(r"\x1b(?:\[([0-9;:]*)m|\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_PALETTE = ("000000", "b3261e", "1b6e2d", "7a5a00", "0b4f8a", "8b2a8b", "00696b", "5c5c5c")


def without_escapes(text: str) -> str:
    """`text` without a terminal's escape sequences."""
    return _ESCAPE.sub("", text)


def shortened(text: str, most: int) -> str:
    """`text` on one line of at most so many letters."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


def typst_string(text: str) -> str:
    """`text` as a Typst string literal: whatever it holds is printed, never interpreted. Control characters, which no
    font has, become the pictures Unicode has for them."""
    text = text.replace("\r\n", "\n").translate(_CONTROL_PICTURES).expandtabs(TAB)
    text = re.sub("[\ud800-\udfff\ufffe\uffff]", "\ufffd", text)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def typst_prose(text: str, longest: int = TOKEN_LENGTH) -> str:
    """`text` as Typst expressions, with places to break in tokens too long for a line, which add no character.

    Args:
        longest: letters of a token that fit in any case.
    """
    parts, step = [], 8 if longest >= TOKEN_LENGTH else 4
    for number, part in enumerate(re.split(rf"(\S{{{longest},}})", text)):
        if number % 2:
            parts += [typst_string(part[start : start + step]) for start in range(0, len(part), step)]
        elif part:
            parts.append(typst_string(part))
    return ";brk;".join(parts)


@cache
def _columns(character: str) -> int:
    return max(wcwidth(character), 0)


def line_pieces(line: str, columns: int) -> list[int]:
    """Where to cut a line so that each piece fits: after a blank if there is one late enough, else after a sign, else
    wherever the line is full."""
    cuts: list[int] = []
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
            return cuts
        end = max(end, start + 1)
        middle = start + (end - start) // 2
        for opportunity in (r".*\s", r".*[,;(\[{=+*/|&.:]"):
            if match := re.compile(opportunity, re.DOTALL).match(line, middle, end):
                end = match.end()
                break
        if line[end - 1] == "-" and end - start > 1:
            end -= 1  # some viewers drop a hyphen at the end of a line when text is copied
        cuts.append(end)
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


def _typst_line(line: list[Span], columns: int) -> list[str]:
    """The printed lines of one line, each as Typst expressions; the later ones begin with the continuation mark."""
    text = "".join(part for _, part in line)
    cuts = line_pieces(text, columns)
    printed, pieces, position = [], [], 0
    for style, part in line:
        while cuts and position + len(part) >= cuts[0]:
            head, part = part[: cuts[0] - position], part[cuts[0] - position :]
            if head:
                pieces.append(_styled(style, head))
            printed.append(";".join(pieces))
            pieces, position = ["cont"], cuts.pop(0)
        if part:
            pieces.append(_styled(style, part))
            position += len(part)
    return [*printed, ";".join(pieces) or '""']


def _styled(style: str, text: str) -> str:
    return f"{style}({typst_string(text)})" if style else typst_string(text)


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    """Neighbours of the same style joined; blanks take the style of what precedes them."""
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
    """Code as the template's chunks: passages between blank lines, which are kept on one page if they fit.

    Args:
        columns: letters to a line.
    """
    source = source.expandtabs(TAB)
    spans = [("", source)] if lexer is None else _merged(map(_token_style, _tokens(source, lexer)))
    chunks: list[list[str]] = [[]]
    after_blank = False
    for line in _lines(spans):
        if not any(text.strip() for _, text in line):
            after_blank = True
            continue
        if after_blank and chunks[-1]:
            chunks.append([])
        after_blank = False
        chunks[-1] += _typst_line(line, columns)
    return ";".join(
        f"chunk({'false' if number else 'true'}, {'true' if len(lines) > LINES_KEPT_TOGETHER else 'false'}, {{{';br;'.join(lines)}}})"
        for number, lines in enumerate(chunks)
    )


def _tokens(source: str, lexer: Lexer) -> list[tuple]:
    """The lexer's tokens, or one without a kind if it would leave anything out, as those for sessions of a terminal do."""
    tokens = [(kind, text) for _, kind, text in lexer.get_tokens_unprocessed(source)]
    return tokens if "".join(text for _, text in tokens) == source else [(Text, source)]


def _token_style(token) -> Span:
    kind, text = token
    return next((style for parent, style in _STYLES if kind in parent), ""), text


def typst_output(text: str, columns: int, most_lines: int = 0) -> str:
    """What a terminal would show at the end, as the template's groups of lines.

    Args:
        most_lines: print no more than these, and how many were left out; 0 prints all.
    """
    lines = terminal_lines(text)
    left_out = len(lines) - most_lines if most_lines and len(lines) > most_lines else 0
    if left_out:
        lines = [
            *lines[:most_lines],
            [("note", f"... {left_out:,} more lines left out (max_output_lines = {most_lines})")],
        ]
    printed = [piece for line in lines for piece in _typst_line(line, columns)]
    groups = [printed[start : start + OUTPUT_GROUP] for start in range(0, len(printed), OUTPUT_GROUP)]
    return ";".join(f"group({{{';br;'.join(group)}}})" for group in groups)


def terminal_lines(text: str) -> list[list[Span]]:
    """The lines of a terminal after `text` was written to it: colours kept, rewritten lines in their last state."""
    text = text.replace("\r\n", "\n").rstrip("\n")
    if "\x1b" not in text and "\r" not in text and "\b" not in text:
        return [[("", line.expandtabs(8))] if line else [] for line in text.split("\n")]
    style, lines = _Style(), []
    for line in text.split("\n"):
        written: list[tuple[str, _Style]] = []  # what stands between carriage returns, and the style it begins with
        for part in line.split("\r"):
            written.append((part, copy.copy(style)))
            for code in _ESCAPE.finditer(part) if "\x1b" in part else ():
                style.update(code[1])
        cells: list[Span] = []
        for part, style_before in reversed(written):  # of what was written over, only what is longer is still seen
            if len(part) > len(cells):
                cells += _cells(part, style_before)[len(cells) :]
        while cells and cells[-1][1] == " ":
            cells.pop()
        lines.append(_expanded(_merged(cells)))
    return lines


def _cells(text: str, style: _Style) -> list[Span]:
    """A text without carriage returns, a character to a cell; a backspace has the next one written over the last."""
    cells: list[Span] = []
    cursor, position = 0, 0
    for match in re.finditer(rf"{_ESCAPE.pattern}|\x08|$", text):
        for character in text[position : match.start()]:
            cells[cursor : cursor + 1] = [(style.function, character)]
            cursor += 1
        position = match.end()
        if match[0] == "\b":
            cursor = max(cursor - 1, 0)
        elif match[0]:
            style.update(match[1])
    return cells


def _expanded(spans: Iterable[Span]) -> list[Span]:
    column, expanded = 0, []
    for style, text in spans:
        text = (" " * (column % 8) + text).expandtabs(8)[column % 8 :] if "\t" in text else text
        expanded.append((style, text))
        column += len(text)
    return expanded


class _Style:
    """The colour and weight that the escape sequences seen so far ask for."""

    def __init__(self) -> None:
        self.colour, self.bold = "", False

    @property
    def function(self) -> str:
        if not self.colour and not self.bold:
            return ""
        colour = f'"{self.colour}"' if self.colour else "none"
        return f"ansi.with({colour}, {'true' if self.bold else 'false'})"

    def update(self, codes: str | None) -> None:
        """Follow an escape sequence's codes, none for one that asks for something else."""
        if codes is None:
            return
        numbers = [int(number) if 0 < len(number) < 4 else 0 for number in re.split("[;:]", codes)]
        while numbers:
            number = numbers.pop(0)
            if number == 0:
                self.colour, self.bold = "", False
            elif number == 1:
                self.bold = True
            elif number == 22:
                self.bold = False
            elif 30 <= number <= 37 or 90 <= number <= 97:
                self.colour = _PALETTE[number % 10]
            elif number == 39:
                self.colour = ""
            elif number in (38, 48):
                colour = _extended_colour(numbers)
                self.colour = colour if number == 38 else self.colour


def _extended_colour(numbers: list[int]) -> str:
    """Take the operands of `38` or `48` off `numbers`: one of 256 colours, or red, green and blue."""
    kind = numbers.pop(0) if numbers else 0
    if kind == 2 and len(numbers) >= 3:
        red, green, blue = (numbers.pop(0) for _ in range(3))
    elif kind == 5 and numbers:
        number = numbers.pop(0)
        if number < 16:
            return _PALETTE[number % 8]
        red, green, blue = (
            (
                55 + 40 * level if level else 0
                for level in ((number - 16) // 36, (number - 16) // 6 % 6, (number - 16) % 6)
            )
            if number < 232
            else [8 + 10 * (number - 232)] * 3
        )
    else:
        return ""
    return readable_colour(*(min(part, 255) / 255 for part in (red, green, blue)))


def readable_colour(red: float, green: float, blue: float) -> str:
    """The colour as six hexadecimal digits, darkened until text in it has a contrast of 4.5 on white (WCAG 2.1)."""
    while _luminance(red, green, blue) > 0.175:
        red, green, blue = (0.9 * part for part in (red, green, blue))
    return "".join(f"{min(round(255 * part), 255):02x}" for part in (red, green, blue))


def _luminance(*parts: float) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
