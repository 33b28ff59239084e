"""A notebook as the parts of a Typst document: title, title block, and the markup of each cell."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selectolax.lexbor import LexborNode

from notebook_pdf.errors import ExportError, InternalError, PictureRefusedError
from notebook_pdf.html_tree import not_blank, parse_html, visible_text
from notebook_pdf.lexers import cell_lexer, kernel_lexer
from notebook_pdf.listings import typst_code
from notebook_pdf.markdown import markdown_to_html
from notebook_pdf.markup import MarkupWriter
from notebook_pdf.mathematics import Formulas
from notebook_pdf.notebook import Cell
from notebook_pdf.outputs import OutputWriter
from notebook_pdf.pictures import Pictures
from notebook_pdf.settings import Settings
from notebook_pdf.typst_text import shorten, typst_prose, typst_string

CODE_COLUMNS = 101
"""Characters per line of a code cell."""
LINES_KEPT_WITH_OUTPUT = 12
"""Shorter code is kept on the page on which its output begins."""
MIN_HEADINGS_FOR_CONTENTS, MAX_CONTENTS = 4, 30
"""A notebook with fewer headings gets no table of contents; one with more lines shows fewer levels."""
HIDES_INPUT = {"hide-input", "hide_input", "remove-input", "remove_input"}
HIDES_OUTPUT = {"hide-output", "hide_output", "remove-output", "remove_output"}
HIDES_CELL = {"hide-cell", "hide_cell", "remove-cell", "remove_cell"}
_LANGUAGE = re.compile("([A-Za-z]{2,3})(?:[-_].*)?")


class Document:
    """A notebook, translated to Typst cell by cell.

    Args:
        notebook: a notebook as `normalise` returns it.
        file: the name of its file.
        folder: the file's folder.
        settings: the options.
        refused: the pictures that Typst refused before, with the reasons.

    Attributes:
        title: the title as text.
        title_markup: the title as Typst expressions.
        cells: the Typst statements of each cell; empty for a hidden one.
        formulas: the formulas, which the cells refer to by number.
        pictures: the files of pictures, which the cells refer to by name.
        warnings: one sentence for each thing that is not printed as it is in the notebook.

    Raises:
        ExportError: a cell can't be translated.
    """

    def __init__(
        self, notebook: dict[str, Any], file: str, folder: Path, settings: Settings, refused: dict[str, str]
    ) -> None:
        self.notebook, self.file, self.settings = notebook, file, settings
        self.warnings: list[str] = []
        self.pictures, self.formulas = Pictures(folder, refused), Formulas()
        self.title = ""
        self._lexer = kernel_lexer(notebook["kernel_language"])
        self._cell_number = 1
        bodies = dict(self._markdown_bodies())
        targets = {link.attributes["href"][1:] for body in bodies.values() for link in body.css("a[href^='#']")}
        self._writer = MarkupWriter(
            self.formulas,
            self.pictures,
            {*targets, *map(urllib.parse.unquote, targets)} - {""},
            self._warn,
            settings.missing_pictures == "describe",
        )
        self._outputs = OutputWriter(self._writer, self.pictures, self.formulas, self._warn, settings.max_output_lines)
        self.title_markup = self._take_title(bodies)
        self.cells = []
        for number, cell in enumerate(notebook["cells"]):
            with self._errors_name_cell(number):
                self.cells.append(self._cell(cell, bodies.get(number)))

    @property
    def language(self) -> str:
        """The language of the text, as ISO 639."""
        tags = map(_LANGUAGE.fullmatch, (self.notebook["language"], self.settings.language))
        return next((tag[1].lower() for tag in tags if tag), "en")

    @property
    def title_lines(self) -> list[tuple[str, str]]:
        """The names and values below the title, as Typst: from the metadata `title_block`, or else the authors."""
        lines = self.notebook["title_block"]
        if not lines and self.notebook["authors"]:
            lines = {"Authors": ", ".join(self.notebook["authors"])}
        return [(typst_string(name), typst_prose(value)) for name, value in lines.items()]

    @property
    def header(self) -> str:
        """The text at the top of each page."""
        lines = self.notebook["title_block"]
        title = shorten(self.title, 90)
        return f"{title}, {shorten(lines['Group'], 50)}" if "Group" in lines else title

    @property
    def contents_depth(self) -> int:
        """How many levels of headings the table of contents shows; 0 for no table of contents."""
        levels = [level for level, _ in self._writer.headings]
        if len(levels) < MIN_HEADINGS_FOR_CONTENTS:
            return 0
        return next((depth for depth in (3, 2) if sum(level <= depth for level in levels) <= MAX_CONTENTS), 1)

    def _warn(self, text: str) -> None:
        self.warnings.append(f"cell {self._cell_number}: {text}")

    @contextmanager
    def _errors_name_cell(self, index: int) -> Iterator[None]:
        """Let warnings and errors name the cell."""
        self._cell_number, self.formulas.cell = index + 1, index
        place = f"{self.file}, cell {index + 1}"
        try:
            yield
        except ExportError as error:
            raise ExportError(f"{place}: {error}") from error
        except RecursionError as error:
            raise ExportError(f"{place}: it is nested too deeply") from error
        except (PictureRefusedError, MemoryError):
            raise
        except Exception as error:
            raise InternalError(place, error) from error

    def _markdown_bodies(self) -> Iterator[tuple[int, LexborNode]]:
        for index, cell in enumerate(self.notebook["cells"]):
            if cell["cell_type"] == "markdown" and not HIDES_CELL & cell["tags"]:
                with self._errors_name_cell(index):
                    yield index, parse_html(markdown_to_html(self.formulas.extract(cell["source"])))

    def _take_title(self, bodies: dict[int, LexborNode]) -> str:
        """Set the title and return it as Typst.

        It is the notebook's first heading if the notebook begins with it, which then is not printed again. Otherwise it
        is the title in the metadata, or the first heading, or the name of the file.
        """
        headings = ((index, body.css_first("h1")) for index, body in bodies.items())
        first, heading = next(((index, heading) for index, heading in headings if heading is not None), (0, None))
        if heading is not None and (text := " ".join(visible_text(heading).split())):
            self.title = self.formulas.restore(text)
            is_empty_before = not any(cell["source"].strip() for cell in self.notebook["cells"][:first])
            start = next(not_blank(bodies[first].iter(include_text=True)))
            if is_empty_before and start.mem_id == heading.mem_id and heading.css_first("img,a,br") is None:
                with self._errors_name_cell(first):
                    markup = self._writer.line(heading)
                heading.remove()
                return markup
        self.title = self.notebook["title"] or self.title or self.file.removesuffix(".ipynb")
        return typst_prose(self.title)

    def _cell(self, cell: Cell, body: LexborNode | None) -> str:
        tags = cell["tags"]
        if tags & HIDES_CELL:
            return ""
        if cell["cell_type"] == "markdown":
            markup = self._writer.document(body, cell["attachments"])
            if self._writer.headings:
                self._outputs.section = self._writer.headings[-1][1]
            return markup
        if cell["cell_type"] == "raw":
            return f"listing({{{typst_code(cell['source'], None, CODE_COLUMNS)}}})" if cell["source"].strip() else ""
        outputs = [] if tags & HIDES_OUTPUT else cell["outputs"]
        statements = [self._outputs.write(output, cell) for output in outputs]
        if cell["source"].strip() and not tags & HIDES_INPUT:
            statements.insert(0, self._code(cell, bool(outputs)))
        return "\n".join(statements)

    def _code(self, cell: Cell, has_outputs: bool) -> str:
        count = f"[{cell['execution_count']}]" if cell["execution_count"] else ""
        source = typst_code(cell["source"].rstrip(), cell_lexer(cell["source"], self._lexer), CODE_COLUMNS)
        with_output = has_outputs and cell["source"].count("\n") < LINES_KEPT_WITH_OUTPUT
        return f"code_cell({typst_string(count)}, {'true' if with_output else 'false'}, {{{source}}})"
