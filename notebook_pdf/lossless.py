"""What of a notebook's text is missing from a PDF's text layer, told by means other than the exporter's own.

Markdown is rendered by nbconvert's HTML renderer and read with Beautiful Soup; code and plain text are compared letter by
letter, without blanks: where a line was wrapped or a page begins is no loss. Mathematics is left out: it is drawn.
"""

from __future__ import annotations

import re
import unicodedata

import bs4
import nbformat
import pypdfium2
from nbconvert.filters import markdown2html, strip_ansi

BODY_MARGIN = 50
"""Points at a page's top and bottom where the header and the page number stand."""
_ATTACHED = re.compile(r"!\[[^\]]*\]\(attachment:[^)]*\)")
_MATH = re.compile(
    r"\\\\[\[(].*?\\\\[\])]|\$\$.*?\$\$|\\begin\{(\w+\*?)\}.*?\\end\{\1\}|(?<!\\)\$[^$\n]+(?:\n[^$\n]+)*\$",
    re.DOTALL,
)


def pdf_text(pdf: bytes, margin: int = BODY_MARGIN) -> str:
    """The letters of all pages in the order of the text layer, without headers, page numbers and blanks."""
    pages = []
    for page in pypdfium2.PdfDocument(pdf):
        letters = page.get_textpage()
        width, height = page.get_size()
        pages.append(letters.get_text_bounded(0, margin, width, height - margin))
    return squeezed("".join(pages))


def squeezed(text: str) -> str:
    """Only what is seen: no blanks, no invisible characters; ligatures and the like spelled out."""
    text = unicodedata.normalize("NFKC", text)
    return "".join(
        letter
        for letter in text
        if not letter.isspace() and unicodedata.category(letter) not in ("Cc", "Cf", "Mn", "Co")
    )


def shown_by_a_terminal(text: str) -> str:
    lines = strip_ansi(text).replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


def expected_passages(notebook: nbformat.NotebookNode) -> list[tuple[int, str, str]]:
    """What must be in the text layer: the cell's number, what it is of the cell, and the text, cell by cell."""
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
                passages.append((number, "stream", shown_by_a_terminal(output.text)))
            elif output.output_type == "error":
                passages.append((number, "error", shown_by_a_terminal("\n".join(output.traceback))))
            elif set(output.data) == {"text/plain"}:
                passages.append((number, "text", shown_by_a_terminal(output.data["text/plain"])))
            elif "<table" in "".join(output.data.get("text/html", "")) and "image/svg+xml" not in output.data:
                passages.append((number, "table", "".join(output.data["text/html"])))
    return passages


def words_of_html(html: str) -> list[str]:
    soup = bs4.BeautifulSoup(html, "html.parser")
    for unseen in soup(["style", "script", "svg", "math", "iframe", "noscript"]) + soup.select(
        "[hidden], a.footnote-ref, a.anchor-link, [style*='display: none'], [style*='display:none']"
    ):
        unseen.decompose()
    return [squeezed(word) for word in soup.get_text(" ").split()]


def lost(notebook: nbformat.NotebookNode, pdf: bytes, margin: int = BODY_MARGIN) -> list[tuple[int, str, str]]:
    """The passages, or for Markdown and tables the words, that the PDF's text does not hold at all."""
    text = pdf_text(pdf, margin)
    without_hyphens = text.replace("-", "")  # PDFium takes a hyphen at a line's end for one of hyphenation
    missing, place = [], 0
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
        elif letters := squeezed(passage).replace("-", ""):
            found = without_hyphens.find(letters, place)
            if found >= 0:
                place = found + len(letters)
            elif letters in without_hyphens:
                missing.append((number, kind, f"stands before what precedes it in the notebook: {letters[:40]}"))
            else:
                missing.append((number, kind, _first_difference(letters, without_hyphens)))
    return missing


def _first_difference(letters: str, text: str) -> str:
    """The longest beginning that is there, up to where it goes on differently."""
    low, high = 0, len(letters)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if letters[:middle] in text else (low, middle - 1)
    return f"{letters[max(low - 20, 0) : low]}>>>{letters[low : low + 40]}"
