"""The nbconvert exporter: notebook -> Typst -> PDF, without LaTeX or a browser."""

from __future__ import annotations

import copy
import datetime
import json
import os
import re
import tempfile
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import manimgx_fonts
import nbformat
import noto_cjk_sans_jp_regular
import typst
from ipython_pygments_lexers import IPython3Lexer
from nbconvert.exporters.templateexporter import TemplateExporter
from nbformat import NotebookNode
from nbformat.v4.rwbase import rejoin_lines
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound
from selectolax.lexbor import LexborNode, SelectolaxError
from traitlets import Bool, Enum, Integer, Unicode, default
from traitlets.config import Application

from pipeline.handin_pdf.errors import ExportError
from pipeline.handin_pdf.markdown import markdown_to_html
from pipeline.handin_pdf.markup import MarkupWriter, css_declarations, parse_html, visible_text
from pipeline.handin_pdf.mathematics import Formulas
from pipeline.handin_pdf.pictures import POINTS_PER_PIXEL, Picture, Pictures, picture_bytes, words_in_svg
from pipeline.handin_pdf.tables import drawn_table, write_table
from pipeline.handin_pdf.typst_text import typst_code, typst_output, typst_prose, typst_string

TEMPLATES_FOLDER = Path(__file__).resolve().parent / "templates"
STANDARDS = ["ua-1", "a-3a"]
CODE_COLUMNS = 101
OUTPUT_COLUMNS = 103
MOST_REPAIRS = 500
WITHOUT_INPUT = {"hide-input", "hide_input", "remove-input", "remove_input"}
WITHOUT_OUTPUT = {"hide-output", "hide_output", "remove-output", "remove_output"}
WITHOUT_BOTH = {"hide-cell", "hide_cell", "remove-cell", "remove_cell"}
PICTURES = ("image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp")
_OPTION = re.compile(r"^#\| *(fig-cap|fig-alt|tbl-cap): *(.+?) *$", re.MULTILINE)
_DRAWN_TITLE = re.compile(r"""(?:title|suptitle|set_title)\(\s*[rfb]?(["'])(.+?)\1""")
_DIAGNOSTIC = re.compile(r"^error: (.+?)(?=^error: |\Z)", re.MULTILINE | re.DOTALL)
_PLACE = re.compile(r"┌─ [^\n]*?:(\d+):\d+$", re.MULTILINE)
_UNDISPLAYED = re.compile(r"the text `\"(.+?)\"` could not be displayed", re.DOTALL)
_OBJECT = re.compile(r"^<.*>$", re.DOTALL)
FIRST_DATE = datetime.datetime(1980, 1, 1, tzinfo=datetime.UTC)
"""The PDF's date where nothing says when the notebook was run: never the present, so that the same notebook gives the
same bytes."""


class HandinPDFExporter(TemplateExporter):
    """Exports a notebook as an accessible, archivable PDF (PDF/UA-1 and PDF/A-3a) that holds the notebook itself.

    Nothing in the notebook is left out, except what a tag hides (`remove-input`, `remove-output`, `remove-cell`, or the
    same with `hide`), scripts and styles; what can't be shown is replaced by a description and named in a warning.
    """

    export_from_notebook = "PDF via Typst"
    output_mimetype = "application/pdf"
    template_extension = ".typ.j2"

    attach_notebook = Bool(True, help="Attach the notebook to the PDF.").tag(config=True)
    max_output_lines = Integer(
        0, min=0, help="Print at most so many lines of a text output, and how many were left out; 0 prints all."
    ).tag(config=True)
    missing_pictures = Enum(
        ["error", "describe"], default_value="error",
        help="A picture file that a Markdown cell names is missing: refuse the notebook, or print its description and warn.",
    ).tag(config=True)  # fmt: skip
    language = Unicode(
        "en", help="The language of the text, as ISO 639-1, where the notebook's metadata has no `lang`."
    ).tag(config=True)

    @default("file_extension")
    def _file_extension_default(self) -> str:
        return ".pdf"

    @default("template_name")
    def _template_name_default(self) -> str:
        return "handin_pdf"

    @default("extra_template_basedirs")
    def _extra_template_basedirs_default(self) -> list[str]:
        return [str(TEMPLATES_FOLDER)]

    def from_filename(self, filename: str, resources: dict | None = None, **options) -> tuple[bytes, dict]:
        """As `from_notebook_node`, for a file.

        Raises:
            ExportError: the file is no notebook, or one that can't be typeset.
        """
        try:
            return super().from_filename(filename, resources=resources, **options)
        except ExportError as error:
            if Application.initialized() and Application.instance().name == "jupyter-nbconvert":
                self.log.error("%s", error)
                raise SystemExit(1) from None  # nbconvert's command would print a stack trace
            raise

    def from_file(self, file_stream, resources: dict | None = None, **options) -> tuple[bytes, dict]:
        """As `from_notebook_node`, for an open file, which is attached as it is."""
        resources = self._init_resources(resources)
        try:
            text = file_stream.read()
            with warnings.catch_warnings(action="ignore"):
                notebook = _read(text)
        except (ValueError, KeyError, AttributeError, TypeError, nbformat.ValidationError) as error:
            reason = " ".join(str(error).split())
            raise ExportError(
                f"{_file_name(resources)} can't be read as a notebook: {_shortened(reason, 200)}"
            ) from error
        resources["notebook_source"] = text.encode()
        return self.from_notebook_node(notebook, resources=resources, **options)

    def from_notebook_node(self, nb: NotebookNode, resources: dict | None = None, **options) -> tuple[bytes, dict]:
        """The PDF's bytes and nbconvert's resources, with what could not be shown under "warnings".

        Raises:
            ExportError: the notebook holds what can't be typeset.
        """
        resources = self._init_resources(resources)
        attachment = resources.pop("notebook_source", None) or nbformat.writes(nb).encode()
        try:
            notebook, resources = self._preprocess(_completed(copy.deepcopy(nb)), resources)
        except nbformat.ValidationError as error:
            raise ExportError(f"{_file_name(resources)} is not a valid notebook: {error.message}") from error
        document = Document(notebook, _file_name(resources), Path(resources["metadata"]["path"] or "."), self)
        pdf = document.typeset(attachment if self.attach_notebook else b"", self.template)
        resources["output_extension"], resources["warnings"] = ".pdf", document.warnings
        for warning in document.warnings:
            self.log.warning("%s, %s", document.file, warning)
        return pdf, resources


class Document:
    """One notebook on its way to a PDF.

    Args:
        file: the notebook's name.
        folder: where the notebook lies.
        settings: the exporter, for its options.
    """

    def __init__(self, notebook: NotebookNode, file: str, folder: Path, settings: HandinPDFExporter) -> None:
        self.notebook, self.file, self.settings = notebook, file, settings
        self.warnings: list[str] = []
        self.pictures, self.formulas = Pictures(folder), Formulas()
        self.lexer = _lexer(notebook)
        self.cell_number, self.section = 0, ""
        self.title = ""
        bodies = dict(self._markdown_bodies())
        targets = {
            address[1:]
            for body in bodies.values()
            for link in body.css("a[href^='#']")
            if (address := link.attributes.get("href") or "") and len(address) > 1
        }
        self.writer = MarkupWriter(
            self.formulas,
            self.pictures,
            {*targets, *map(_unquoted, targets)},
            self.warn,
            settings.missing_pictures == "describe",
        )
        title = self._take_title(bodies)
        self.cells = []
        for number, cell in enumerate(notebook.cells):
            with self._in_cell(number):
                self.cells.append(self._cell(cell, bodies.get(number)))
        self.title_markup = title

    def warn(self, text: str) -> None:
        self.warnings.append(f"cell {self.cell_number + 1}: {text}")

    def _in_cell(self, number: int):
        return _CellContext(self, number)

    def _markdown_bodies(self) -> Iterator[tuple[int, LexborNode]]:
        for number, cell in enumerate(self.notebook.cells):
            if cell.cell_type == "markdown" and not WITHOUT_BOTH & _tags(cell):
                with self._in_cell(number):
                    yield number, parse_html(markdown_to_html(self.formulas.take_out(cell.source)))

    def _take_title(self, bodies: dict[int, LexborNode]) -> str:
        """Typst's markup for the title: the notebook's first heading if it begins with one, which then is not printed
        a second time; else what its metadata or its name say."""
        heading, first = None, None
        for number, body in bodies.items():
            heading = body.css_first("h1")
            if heading is not None:
                first = number
                break
        if heading is not None and visible_text(heading).strip():
            self.title = self.formulas.put_back(" ".join(visible_text(heading).split()))
            before = [cell for cell in self.notebook.cells[:first] if cell.source.strip()]
            begins = next(
                (
                    node
                    for node in bodies[first].iter(include_text=True)
                    if not node.is_text_node or (node.text_content or "").strip()
                ),
                None,
            )
            if (
                not before
                and begins is not None
                and begins.mem_id == heading.mem_id
                and heading.css_first("img,a,br") is None
            ):
                markup = self.writer.line(heading)
                heading.remove()
                return markup
        self.title = self.notebook.metadata.get("title") or self.title or self.file.removesuffix(".ipynb")
        return typst_prose(self.title)

    # --- cells ---

    def _cell(self, cell: NotebookNode, body: LexborNode | None) -> str:
        tags = _tags(cell)
        if tags & WITHOUT_BOTH:
            return ""
        if cell.cell_type == "markdown":
            self.writer.attachments = cell.get("attachments", {})
            markup = self.writer.document(body)
            if self.writer.headings:
                self.section = self.writer.headings[-1][1]
            return markup
        if cell.cell_type == "raw":
            return f"listing({{{typst_code(cell.source, None, CODE_COLUMNS)}}})" if cell.source.strip() else ""
        statements = []
        if cell.source.strip() and not tags & WITHOUT_INPUT:
            count = f"[{cell.execution_count}]" if cell.get("execution_count") else ""
            statements.append(
                f"code_cell({typst_string(count)}, {{{typst_code(cell.source.rstrip(), self._lexer_for(cell), CODE_COLUMNS)}}})"
            )
        if not tags & WITHOUT_OUTPUT:
            statements += [self._output(output, cell) for output in _joined(cell.outputs)]
        return "\n".join(statements)

    def _lexer_for(self, cell: NotebookNode) -> Lexer | None:
        magic = re.match(r"%%(bash|sh|html|javascript|js|latex|R|ruby|perl|sql|cython)\b", cell.source)
        return _named_lexer({"R": "r"}.get(magic[1], magic[1])) if magic else self.lexer

    def _output(self, output: NotebookNode, cell: NotebookNode) -> str:
        """An output in the first of its forms, best first, that paper can show."""
        if output.output_type == "stream":
            return self._text(output.text, "error_text" if output.name == "stderr" else "output_text")
        if output.output_type == "error":
            traceback = "\n".join(output.traceback) or f"{output.ename}: {output.evalue}"
            return self._text(traceback, "error_text")
        forms = (self._as_drawing, self._as_table, self._as_markdown, self._as_picture, self._as_html, self._as_text)
        for form in forms:
            if markup := form(output, cell):
                return markup
        if not output.data:
            return ""
        kinds = ", ".join(sorted(output.data))
        self.warn(f"an output has no form that can be printed ({kinds})")
        return self._text(f"[an output that can't be printed: {kinds}]")

    def _text(self, text: str, function: str = "output_text") -> str:
        if not text.strip("\n"):
            return ""
        return f"{function}({{{typst_output(text, OUTPUT_COLUMNS, self.settings.max_output_lines)}}})"

    def _as_drawing(self, output: NotebookNode, cell: NotebookNode) -> str:
        return self._as_picture(output, cell, PICTURES[:1])

    def _as_picture(self, output: NotebookNode, cell: NotebookNode, kinds: tuple[str, ...] = PICTURES[1:]) -> str:
        for kind in kinds:
            if kind in output.data:
                try:
                    content = picture_bytes(kind, output.data[kind])
                    return self._figure(kind, content, self.pictures.add(content, f"a picture ({kind})"), output, cell)
                except ExportError as error:
                    self.warn(f"{error}; another form of the output is printed")
        return ""

    def _as_table(self, output: NotebookNode, cell: NotebookNode) -> str:
        """HTML with a table or a picture in it. The only table of an output gets a number and a caption."""
        body = parse_html(_text_of(output.data.get("text/html", "")))
        if body is None or body.css_first("table,img,svg") is None:
            return ""
        _apply_stylesheets(body)
        self.writer.attachments = {}
        if len(body.css("table")) == 1:
            given = _given(output, cell, "caption", "tbl-cap")
            caption = self._marked_up(given) if given else typst_string(self._origin(cell))
            self.writer.table_caption = (caption, bool(given))
        try:
            return self.writer.document(body)
        finally:
            self.writer.table_caption = None

    def _as_markdown(self, output: NotebookNode, cell: NotebookNode) -> str:
        """Markdown, or LaTeX that is mathematics."""
        source = _text_of(output.data.get("text/markdown") or output.data.get("text/latex") or "")
        if not source.strip():
            return ""
        if "text/markdown" not in output.data and not re.search(r"\$|\\begin|\\\[|\\\(", source):
            return self._text(source)
        return self.writer.document(parse_html(markdown_to_html(self.formulas.take_out(source))))

    def _as_html(self, output: NotebookNode, cell: NotebookNode) -> str:
        """Other HTML, unless a plain text says the same without a browser's help."""
        plain = _text_of(output.data.get("text/plain", "")).strip()
        if plain and not _OBJECT.match(plain):
            return ""
        body = parse_html(_text_of(output.data.get("text/html", "")))
        return self.writer.document(body) if body is not None else ""

    def _as_text(self, output: NotebookNode, cell: NotebookNode) -> str:
        """Plain text, in which a table drawn with box characters becomes one; else JSON or another kind of text."""
        data = output.data
        plain = _text_of(data.get("text/plain", ""))
        for kind in ("application/json", "application/geo+json"):
            if kind in data and (not plain or _OBJECT.match(plain.strip())):
                return self._text(json.dumps(data[kind], indent=2, ensure_ascii=False))
        if not plain.strip():
            others = [kind for kind in data if kind.startswith("text/") and kind not in ("text/html", "text/plain")]
            return self._text(_text_of(data[others[0]])) if others else ""
        others = ", ".join(sorted(set(data) - {"text/plain", *PICTURES}))
        if others and _OBJECT.match(plain.strip()):
            self.warn(f"an output is interactive ({others}); its plain text is printed")
        before, cells, after = drawn_table(plain) if "text/html" in data else (plain, [], "")
        if not cells:
            return self._text(plain)
        caption = before.strip() if before.count("\n") <= 1 else ""
        table = write_table(cells, 1, typst_prose(caption or self._origin(cell)))
        return ";".join(part for part in ("" if caption else self._text(before), table, self._text(after)) if part)

    def _origin(self, cell: NotebookNode) -> str:
        return f"Output of cell [{cell.execution_count or self.cell_number + 1}]"

    def _marked_up(self, markdown: str) -> str:
        """A line of Markdown as Typst expressions."""
        body = parse_html(markdown_to_html(self.formulas.take_out(markdown)))
        return self.writer.line(body.css_first("p") or body)

    def _figure(self, kind: str, content: bytes, picture: Picture, output: NotebookNode, cell: NotebookNode) -> str:
        """A picture with its number, caption and description, from the output, the cell or the picture's own title."""
        caption = _given(output, cell, "caption", "fig-cap")
        description = _given(output, cell, "alt", "fig-alt")
        titles = [match[1] for match in _DRAWN_TITLE.findall(cell.source)]
        words = words_in_svg(content.decode(errors="replace")) if kind == PICTURES[0] else []
        if not description:
            about = caption or "; ".join(titles) or (f"A drawing with the words {', '.join(words)}" if words else "")
            if not about:
                self.warn("a picture has no description: give it a title, or the cell a line '#| fig-alt: ...'")
            section = f", in the section {self.formulas.put_back(self.section)}" if self.section else ""
            description = about or f"{self._origin(cell)}{section}: {_last_line(cell.source)}"
        shown = self._marked_up(caption) if caption else typst_prose(titles[0] if titles else self._origin(cell))
        size = output.get("metadata", {}).get(kind, {})
        given_width = size.get("width") if isinstance(size, dict) else None
        width = (
            given_width * POINTS_PER_PIXEL
            if isinstance(given_width, (int, float)) and given_width > 0
            else picture.width
        )
        width_option = f"{width:.5g}pt" if width else "auto"
        return f"figure_output({typst_string(picture.file)}, {typst_string(_shortened(description))}, {width_option}, {{{shown}}})"

    # --- the whole ---

    def typeset(self, attachment: bytes, template) -> bytes:
        """Fill the template and compile it; what Typst refuses of mathematics and letters is replaced and named."""
        formulas = self.formulas.to_typst()
        for number, formula in enumerate(formulas):
            if formula is None:
                self._warn_of_formula(number, "pandoc does not understand it")
        unknown: dict[str, str] = {}
        with tempfile.TemporaryDirectory() as folder:
            for file, content in self.pictures.files.items():
                (Path(folder) / file).write_bytes(content)
            if attachment:
                (Path(folder) / "attachment").write_bytes(attachment)
            source = Path(folder) / "document.typ"
            date = _date(self.notebook)
            for _ in range(MOST_REPAIRS):
                preamble, body = self._formula_definitions(formulas), self._body()
                text = template.render(
                    title=typst_string(self.title), title_markup=self.title_markup, lines=self._title_lines(),
                    header=typst_string(self._header()), formulas=preamble, body=body, unknown=unknown, date=date,
                    language=typst_string(self.notebook.metadata.get("lang") or self.settings.language),
                    depth=self._contents_depth(), attachment=typst_string(self.file) if attachment else "",
                    typst_string=typst_string,
                )  # fmt: skip
                source.write_text(text, encoding="utf-8")
                try:
                    return typst.compile(
                        source, root=folder, font_paths=_font_folders(), ignore_system_fonts=True, pdf_standards=STANDARDS,
                        timestamp=int(date.timestamp()),
                    )  # fmt: skip
                except typst.TypstError as error:
                    self._repair(error, text, formulas, unknown)
        raise ExportError(f"{self.file}: more than {MOST_REPAIRS} formulas or letters can't be set")

    def _repair(self, error: typst.TypstError, text: str, formulas: list, unknown: dict[str, str]) -> None:
        """Replace what the compiler complains of, or raise an ExportError that names the cell."""
        lines = text.split("\n")
        repaired = False
        problems = [
            (" ".join(problem.partition("┌─")[0].split()), [int(line) for line in _PLACE.findall(problem)])
            for problem in _DIAGNOSTIC.findall(error.diagnostic)
        ] or [(error.message, [])]
        for message, places in problems:
            formula = next(
                (match for place in places if (match := re.match(r"#let m(\d+) = ", lines[place - 1]))), None
            )
            if letters := _UNDISPLAYED.search(message):
                repaired |= self._give_up_letters(letters[1], unknown)
            elif formula and formulas[int(formula[1])]:
                self._warn_of_formula(int(formula[1]), message)
                formulas[int(formula[1])] = None
                repaired = True
        if not repaired:
            message, places = problems[0]
            picture = next((file for file in self.pictures.files if file in error.diagnostic), None)
            last = next(
                (number for number, line in enumerate(lines, 1) if picture and picture in line), max(places, default=0)
            )
            before = reversed(lines[:last])
            cell = next((match[1] for line in before if (match := re.match(r"// cell (\d+)$", line))), None)
            place = f"cell {cell}" if cell else "the document"
            raise ExportError(f"{self.file}, {place}: Typst can't set it: {message}") from error

    def _give_up_letters(self, letters: str, unknown: dict[str, str]) -> bool:
        """Have the letters' numbers printed in their place; whether that is anything new."""
        known = len(unknown)
        for letter in re.sub(r"\\u\{([0-9a-f]+)\}", lambda code: chr(int(code[1], 16)), letters):
            if letter not in unknown and not letter.isspace():
                unknown[letter] = f"U+{ord(letter):04X}"
                name = unicodedata.name(letter, "unnamed")
                self.warnings.append(
                    f"no font has the character {letter!r} ({unknown[letter]} {name}); its number is printed"
                )
        return len(unknown) > known

    def _warn_of_formula(self, number: int, reason: str) -> None:
        source = " ".join(self.formulas.sources[number][0].split())
        self.warnings.append(
            f"cell {self.formulas.cells[number] + 1}: the formula {_shortened(source, 80)} can't be set ({reason}); its source is printed"
        )

    def _formula_definitions(self, formulas: list[str | None]) -> str:
        lines = []
        for number, ((source, display), formula) in enumerate(zip(self.formulas.sources, formulas, strict=True)):
            tex = " ".join(source.split())
            if formula is None:
                markup = f"source_formula({typst_string(tex)})"
            elif not formula:
                markup = "none"
            else:
                body = f"$ {formula} $" if display else f"${formula}$"
                markup = f"formula({typst_string(tex)}, {body}.body, {'true' if display else 'false'})"
            lines.append(f"#let m{number} = {markup}")
        return "\n".join(lines)

    def _body(self) -> str:
        return "\n".join(f"// cell {number}\n{markup}" for number, markup in enumerate(self.cells, 1) if markup)

    def _title_lines(self) -> list[tuple[str, str]]:
        """What the title block tells: the notebook's `handin` metadata, else its authors."""
        metadata = self.notebook.metadata
        lines = metadata.get("handin") or {}
        authors = [author.get("name", "") for author in metadata.get("authors", []) if isinstance(author, dict)]
        if not lines and authors:
            lines = {"Authors": ", ".join(authors)}
        return [(typst_string(str(name)), typst_prose(str(value))) for name, value in lines.items()]

    def _header(self) -> str:
        lines = self.notebook.metadata.get("handin") or {}
        return f"{self.title}, {lines['Group']}" if "Group" in lines else self.title

    def _contents_depth(self) -> int:
        """How many levels of headings the table of contents shows, none for a few headings."""
        levels = [level for level, _ in self.writer.headings]
        if len(levels) < 4:
            return 0
        return next((depth for depth in (3, 2) if sum(level <= depth for level in levels) <= 30), 1)


class _CellContext:
    """Errors raised inside name the cell."""

    def __init__(self, document: Document, number: int) -> None:
        self.document, self.number = document, number

    def __enter__(self) -> None:
        self.document.cell_number = self.document.formulas.cell = self.number

    def __exit__(self, kind, error, trace) -> None:
        if isinstance(error, ExportError):
            raise ExportError(f"{self.document.file}, cell {self.number + 1}: {error}") from error


def _read(text: str) -> NotebookNode:
    """A notebook of any format as one of format 4, which may lack what has an obvious value."""
    try:
        return nbformat.reads(text, as_version=4, capture_validation_error={})
    except nbformat.ValidationError:
        content = json.loads(text)
        if content.get("nbformat") != 4 or not isinstance(content.get("cells"), list):
            raise
        return rejoin_lines(_completed(nbformat.from_dict(content)))


def _file_name(resources: dict) -> str:
    return f"{resources['metadata']['name'] or 'notebook'}.ipynb"


def _completed(notebook: NotebookNode) -> NotebookNode:
    """A notebook with what the format asks for and Jupyter does without; cells lose their ids, which print nowhere.

    Raises:
        nbformat.ValidationError: a cell has no source.
    """
    notebook.setdefault("metadata", NotebookNode())
    notebook["nbformat"], notebook["nbformat_minor"] = 4, 4
    if "name" not in notebook.metadata.get("kernelspec", {"name": ""}):
        del notebook.metadata["kernelspec"]
    for number, cell in enumerate(notebook.get("cells", []), 1):
        if "source" not in cell or "cell_type" not in cell:
            raise nbformat.ValidationError(f"cell {number} has no {'source' if 'cell_type' in cell else 'type'}")
        cell.pop("id", None)
        cell["source"] = _text_of(cell["source"])
        cell.setdefault("metadata", NotebookNode())
        if cell.cell_type == "code":
            cell.setdefault("outputs", [])
            cell.setdefault("execution_count", None)
    return notebook


def _tags(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags") or [])


def _text_of(content: Any) -> str:
    return "".join(content) if isinstance(content, (str, list)) else json.dumps(content)


def _unquoted(address: str) -> str:
    from urllib.parse import unquote

    return unquote(address)


def _joined(outputs: Iterable[NotebookNode]) -> list[NotebookNode]:
    """Outputs with neighbouring pieces of a stream in one; so are the texts that rich prints one by one."""
    joined: list[NotebookNode] = []
    for output in outputs:
        before = joined[-1] if joined else None
        if output.output_type == "stream":
            output.text = _text_of(output.text)
            if before is not None and before.output_type == "stream" and before.name == output.name:
                before.text += output.text
                continue
        elif _is_rich_text(output) and before is not None and _is_rich_text(before):
            texts = [_text_of(part.data["text/plain"]).rstrip("\n") for part in (before, output)]
            before.data["text/plain"] = "\n".join(texts)
            continue
        joined.append(output)
    return joined


def _is_rich_text(output: NotebookNode) -> bool:
    data = output.get("data", {})
    return set(data) == {"text/html", "text/plain"} and _text_of(data["text/html"]).lstrip().startswith("<pre")


def _given(output: NotebookNode, cell: NotebookNode, name: str, option: str) -> str:
    """What the output's metadata, a comment `#| option: ...` in the cell or the cell's metadata says."""
    comments = dict(_OPTION.findall(cell.source))
    given = output.get("metadata", {}).get(name) or comments.get(option) or cell.metadata.get(name) or ""
    return str(given).strip("\"'")


def _last_line(source: str) -> str:
    lines = [line.strip() for line in source.splitlines() if line.strip() and not line.strip().startswith("#")]
    return _shortened(lines[-1], 80) if lines else "no code"


def _shortened(text: str, most: int = 1500) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 3] + "..."


def _lexer(notebook: NotebookNode) -> Lexer | None:
    language = notebook.metadata.get("language_info", {})
    name = (
        language.get("pygments_lexer")
        or language.get("name")
        or notebook.metadata.get("kernelspec", {}).get("language")
        or "python"
    )
    if isinstance(name, dict) or str(name).lower() in ("ipython3", "ipython", "python", "ipython2", "python3"):
        return IPython3Lexer(stripnl=False, ensurenl=False)
    return _named_lexer(str(name))


def _named_lexer(name: str) -> Lexer | None:
    try:
        return get_lexer_by_name(name.lower(), stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def _apply_stylesheets(body: LexborNode) -> None:
    """Write the colours and weights of an output's style sheet, such as pandas' Styler makes, into the elements."""
    wanted = {"color", "background-color", "font-weight", "font-style"}
    for sheet in body.css("style"):
        for selectors, rules in re.findall(r"([^{}]+)\{([^{}]*)\}", sheet.text()):
            kept = {name: value for name, value in css_declarations(rules).items() if name in wanted}
            if not kept or ":" in selectors or "@" in selectors:
                continue
            style = ";".join(f"{name}:{value}" for name, value in kept.items())
            try:
                for node in body.css(selectors.strip()):
                    node.attrs["style"] = f"{node.attributes.get('style') or ''};{style}"
            except SelectolaxError:
                continue


def _date(notebook: NotebookNode) -> datetime.datetime:
    if "SOURCE_DATE_EPOCH" in os.environ:
        return datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.UTC)
    started = notebook.metadata.get("papermill", {}).get("start_time") or ""
    try:
        return datetime.datetime.fromisoformat(started).astimezone(datetime.UTC)
    except ValueError:
        return FIRST_DATE


def _font_folders() -> list[str]:
    return [str(files(package)) for package in (manimgx_fonts, noto_cjk_sans_jp_regular)]
