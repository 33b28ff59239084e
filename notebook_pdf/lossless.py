"""Which text of a notebook its PDF lost. This shares no code with the exporter, so it can test that one, or any other.

Markdown is rendered by nbconvert and read with Beautiful Soup. Code and plain text are compared character by character,
without white space, so that line breaks and page breaks do not count. Formulas are not compared.
"""

from __future__ import annotations

import re
import unicodedata

import bs4
import nbformat
import pypdfium2
from nbconvert.filters import markdown2html, strip_ansi

BODY_MARGIN = 50
"""Points at the top and bottom of a page with the header and the page number."""
_ATTACHED = re.compile(r"!\[[^\]]*\]\(attachment:[^)]*\)")
_MATH = re.compile(
    r"\\\\[\[(].*?\\\\[\])]|\$\$.*?\$\$|\\begin\{(\w+\*?)\}.*?\\end\{\1\}|(?<!\\)\$[^$\n]+(?:\n[^$\n]+)*\$",
    re.DOTALL,
)


def pdf_text(pdf: bytes, margin: int = BODY_MARGIN) -> str:
    """The characters of all pages in the order of the text layer, without headers, page numbers and white space.

    Args:
        pdf: the PDF's bytes.
        margin: points to ignore at the top and bottom of each page.
    """
    pages = []
    for page in pypdfium2.PdfDocument(pdf):
        characters = page.get_textpage()
        width, height = page.get_size()
        pages.append(characters.get_text_bounded(0, margin, width, height - margin))
    return squeeze("".join(pages))


def squeeze(text: str) -> str:
    """`text` without white space and invisible characters, and with ligatures spelled out (NFKC)."""
    text = unicodedata.normalize("NFKC", text)
    return "".join(
        character
        for character in text
        if not character.isspace() and unicodedata.category(character) not in ("Cc", "Cf", "Mn", "Co")
    )


def terminal_text(text: str) -> str:
    """The text that a terminal shows after printing `text`: without escape sequences and overwritten parts."""
    lines = strip_ansi(text).replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


def expected_passages(notebook: nbformat.NotebookNode) -> list[tuple[int, str, str]]:
    """The passages that must be in the text layer: the cell's number, the kind of passage, and its text."""
    passages = []
    for number, cell in enumerate(notebook.cells, 1):
        tags = set(cell.metadata.get("tags", []))
        if tags & {"remove-cell", "hide-cell", "remove_cell", "hide_cell"}:
            continue
        if cell.cell_type == "markdown":
            passages.append((number, "markdown", cell.source))
            continue
        if not tags & {"hide-input", "remove-input", "hide_input", "remove_input"}:
            passages.append((number, cell.cell_type, cell.source))
        hidden = tags & {"hide-output", "remove-output", "hide_output", "remove_output"}
        for output in [] if hidden else cell.get("outputs", []):
            if output.output_type == "stream":
                passages.append((number, "stream", terminal_text(output.text)))
            elif output.output_type == "error":
                passages.append((number, "error", terminal_text("\n".join(output.traceback))))
            elif set(output.data) == {"text/plain"}:
                passages.append((number, "text", terminal_text(output.data["text/plain"])))
            elif "<table" in "".join(output.data.get("text/html", "")) and "image/svg+xml" not in output.data:
                passages.append((number, "table", "".join(output.data["text/html"])))
    return passages


def words_of_html(html: str) -> list[str]:
    """The words that a browser shows."""
    soup = bs4.BeautifulSoup(html, "html.parser")
    for invisible in soup(["style", "script", "svg", "math", "iframe", "noscript"]) + soup.select(
        "[hidden], a.footnote-ref, a.anchor-link, [style*='display: none'], [style*='display:none']"
    ):
        invisible.decompose()
    return [squeeze(word) for word in soup.get_text(" ").split()]


def lost(notebook: nbformat.NotebookNode, pdf: bytes, margin: int = BODY_MARGIN) -> list[tuple[int, str, str]]:
    """What of a notebook its PDF lost: passages of code and text, and words of Markdown and tables.

    Args:
        notebook: the notebook.
        pdf: the PDF's bytes, from whatever exporter.
        margin: points to ignore at the top and bottom of each page.

    Returns:
        The cell's number, the kind of passage and what is missing, for each loss; empty if nothing is lost.
    """
    text = pdf_text(pdf, margin)
    without_hyphens = text.replace("-", "")  # PDFium removes a hyphen at the end of a line
    missing, position = [], 0
    for number, kind, passage in expected_passages(notebook):
        if kind in ("markdown", "table"):
            html = (
                markdown2html(_MATH.sub(" ", _ATTACHED.sub(" ", passage))).replace("¶", "")
                if kind == "markdown"
                else passage
            )
            words = [
                word
                for word in words_of_html(html)
                if word not in text and word.replace("-", "") not in without_hyphens
            ]
            missing += [(number, kind, word) for word in dict.fromkeys(words)]
        elif characters := squeeze(passage).replace("-", ""):
            found = without_hyphens.find(characters, position)
            if found >= 0:
                position = found + len(characters)
            elif characters in without_hyphens:
                missing.append((number, kind, f"printed too early, out of order: {characters[:40]}"))
            else:
                missing.append((number, kind, _first_difference(characters, without_hyphens)))
    return missing


def _first_difference(characters: str, text: str) -> str:
    """Where `text` first differs, marked by >>>: after the longest beginning of `characters` that it contains."""
    low, high = 0, len(characters)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if characters[:middle] in text else (low, middle - 1)
    return f"{characters[max(low - 20, 0) : low]}>>>{characters[low : low + 40]}"
