"""Text outputs as Typst: what a terminal shows at the end, with the colours that they have in Jupyter."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable

from notebook_pdf.colours import readable_colour
from notebook_pdf.listings import Span, merge_spans, typst_lines

LINES_PER_GROUP = 30
"""A long output becomes several blocks of this many lines."""
_ESCAPE = re.compile(r"\x1b(?:\[([0-9;:]*)m|\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_PALETTE = ("000000", "b3261e", "1b6e2d", "7a5a00", "0b4f8a", "8b2a8b", "00696b", "5c5c5c")


def without_escapes(text: str) -> str:
    """`text` without escape sequences."""
    return _ESCAPE.sub("", text)


def typst_output(text: str, columns: int, max_lines: int = 0) -> str:
    """A text output as the template's groups of lines.

    Args:
        text: the output, with escape sequences and carriage returns.
        columns: characters per line.
        max_lines: print at most this many lines, and the number of lines left out; 0 prints all.
    """
    lines = terminal_lines(text)
    left_out = len(lines) - max_lines if max_lines and len(lines) > max_lines else 0
    if left_out:
        lines = [
            *lines[:max_lines],
            [("note", f"... {left_out:,} more lines left out (max_output_lines = {max_lines})")],
        ]
    printed = [piece for line in lines for piece in typst_lines(line, columns)]
    groups = [printed[start : start + LINES_PER_GROUP] for start in range(0, len(printed), LINES_PER_GROUP)]
    return ";".join(f"group({{{';br;'.join(group)}}})" for group in groups)


def terminal_lines(text: str) -> list[list[Span]]:
    """The lines that a terminal shows after printing `text`, with colours; overwritten lines in their last state."""
    text = text.replace("\r\n", "\n").rstrip("\n")
    if "\x1b" not in text and "\r" not in text and "\b" not in text:
        return [[("", line.expandtabs(8))] if line else [] for line in text.split("\n")]
    style, lines = TextStyle(), []
    for line in text.split("\n"):
        written: list[
            tuple[str, TextStyle]
        ] = []  # the parts between carriage returns, and the style in which each begins
        for part in line.split("\r"):
            written.append((part, copy.copy(style)))
            for code in _ESCAPE.finditer(part) if "\x1b" in part else ():
                style.update(code[1])
        cells: list[Span] = []
        for part, style_before in reversed(written):  # an overwritten part is visible where it is longer
            if len(part) > len(cells):
                cells += _cells(part, style_before)[len(cells) :]
        while cells and cells[-1][1] == " ":
            cells.pop()
        lines.append(_expanded(merge_spans(cells)))
    return lines


def _cells(text: str, style: TextStyle) -> list[Span]:
    """The styled characters of a text without carriage returns; a character after a backspace overwrites the last."""
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


class TextStyle:
    """The colour and weight set by the escape sequences so far."""

    def __init__(self) -> None:
        self.colour, self.bold = "", False

    @property
    def function(self) -> str:
        if not self.colour and not self.bold:
            return ""
        colour = f'"{self.colour}"' if self.colour else "none"
        return f"ansi.with({colour}, {'true' if self.bold else 'false'})"

    def update(self, codes: str | None) -> None:
        """Apply the codes of an escape sequence; None for a sequence that sets no style."""
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
    """Remove the operands of `38` or `48` from `numbers`, and return their colour (of a palette, or RGB)."""
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
