"""Text as Typst: string literals, and prose with places where a line may be broken."""

from __future__ import annotations

import re

TOKEN_LENGTH = 40
"""A longer token of prose may be broken anywhere."""
TAB = 4
_CONTROL_PICTURES = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"} | {0x7F: "\u2421"}


def shorten(text: str, length: int) -> str:
    """`text` on one line of at most `length` characters."""
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[: length - 3]}..."


def typst_string(text: str) -> str:
    """`text` as a Typst string literal, so that Typst prints it and never interprets it.

    Control characters, which are in no font, become the symbols that Unicode has for them.
    """
    text = text.replace("\r\n", "\n").translate(_CONTROL_PICTURES).expandtabs(TAB)
    text = re.sub("[\ud800-\udfff\ufffe\uffff]", "\ufffd", text)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def typst_prose(text: str, token_length: int = TOKEN_LENGTH) -> str:
    """`text` as Typst expressions, with places to break long tokens, which add no character.

    Args:
        text: the text.
        token_length: the number of characters that fit on a line in any case; longer tokens may be broken.
    """
    parts, step = [], 8 if token_length >= TOKEN_LENGTH else 4
    for number, part in enumerate(re.split(rf"(\S{{{token_length},}})", text)):
        if number % 2:
            parts += [typst_string(part[start : start + step]) for start in range(0, len(part), step)]
        elif part:
            parts.append(typst_string(part))
    return ";brk;".join(parts)
