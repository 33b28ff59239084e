"""Which lexer of Pygments colours a cell's code."""

from __future__ import annotations

import re

from ipython_pygments_lexers import IPython3Lexer
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

PYTHON_NAMES = {"", "ipython3", "ipython", "python", "ipython2", "python3"}
_CELL_MAGIC = re.compile(r"%%(bash|sh|html|javascript|js|latex|R|ruby|perl|sql|cython)\b")


def named_lexer(name: str) -> Lexer | None:
    """The lexer of a language; None if Pygments has none."""
    try:
        return get_lexer_by_name(name.lower(), stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def kernel_lexer(language: str) -> Lexer | None:
    """The lexer of a kernel's language, which is Python if the notebook does not say."""
    if language.lower() in PYTHON_NAMES:
        return IPython3Lexer(stripnl=False, ensurenl=False)
    return named_lexer(language)


def cell_lexer(source: str, kernel: Lexer | None) -> Lexer | None:
    """The lexer of a code cell: of its cell magic such as `%%bash`, or else that of the kernel."""
    magic = _CELL_MAGIC.match(source)
    return named_lexer(magic[1]) if magic else kernel
