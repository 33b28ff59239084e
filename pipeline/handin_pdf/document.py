"""A notebook on its way to a PDF: its cells as Typst, the template around them, the compiler, and what it refuses."""

from __future__ import annotations

import datetime
import json
import os
import re
import tempfile
import unicodedata
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import manimgx_fonts
import noto_cjk_sans_jp_regular
import typst
from ipython_pygments_lexers import IPython3Lexer
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound
from selectolax.lexbor import LexborNode, SelectolaxError

from pipeline.handin_pdf.errors import ExportError, UnforeseenError
from pipeline.handin_pdf.html_tree import css_rules, not_blank, parse_html, visible_text
from pipeline.handin_pdf.markdown import markdown_to_html
from pipeline.handin_pdf.markup import MarkupWriter
from pipeline.handin_pdf.mathematics import Formulas, without_placeholders
from pipeline.handin_pdf.notebook import Cell, Output, read_notebook, text_of
from pipeline.handin_pdf.pictures import POINTS_PER_PIXEL, Picture, Pictures, foreign_text, picture_bytes, words_in_svg
from pipeline.handin_pdf.tables import drawn_table, write_table
from pipeline.handin_pdf.typst_text import TOKEN_LENGTH, shortened, typst_code, typst_output, typst_prose, typst_string

TEMPLATES_FOLDER = Path(__file__).resolve().parent / "templates"
STANDARDS = ["ua-1", "a-3a"]
CODE_COLUMNS = 101
OUTPUT_COLUMNS = 103
LINES_KEPT_WITH_OUTPUT = 12
"""Code shorter than this is kept on the page on which its output begins."""
LANGUAGE = re.compile("([A-Za-z]{2,3})(?:[-_].*)?")
UNBREAKABLE = re.compile(r'mat\(|"[^"]{40,}"')
MOST_REPAIRS = 500
LONGEST_DESCRIPTION = 1500
WITHOUT_INPUT = {"hide-input", "hide_input", "remove-input", "remove_input"}
WITHOUT_OUTPUT = {"hide-output", "hide_output", "remove-output", "remove_output"}
WITHOUT_BOTH = {"hide-cell", "hide_cell", "remove-cell", "remove_cell"}
PICTURES = ("image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp")
_OPTION = re.compile(r"^#\| *(fig-cap|fig-alt|tbl-cap):(.+)$", re.MULTILINE)
_DRAWN_TITLE = re.compile(r"""(?:title|suptitle|set_title)\(\s*[rfb]?(["'])(.+?)\1""")
_DIAGNOSTIC = re.compile(r"^error: (.+?)(?=^error: |\Z)", re.MULTILINE | re.DOTALL)
_PLACE = re.compile(r"┌─ [^\n]*?:(\d+):\d+$", re.MULTILINE)
_SEARCHED = re.compile(r" ?\(searched at [^)]*\)|, searched at [^)]*")
"""The folder the PDF is made in, which is nobody's business."""
_UNDISPLAYED = re.compile(r"(?:the text `|the codepoint `?)\"(.+?)\"", re.DOTALL)
_ALONE = re.compile(r"\$\s*\\displaystyle\b([^$]+)\$", re.DOTALL)
FIRST_DATE = datetime.datetime(1980, 1, 1, tzinfo=datetime.UTC)
"""The PDF's date where nothing says when the notebook was run: never the present, so that the same notebook gives the
same bytes."""


@dataclass(frozen=True)
class Settings:
    """What can be chosen about a PDF."""

    attach_notebook: bool = True
    """Attach the notebook to the PDF."""
    max_output_lines: int = 0
    """Print at most so many lines of a text output, and how many were left out; 0 prints all."""
    missing_pictures: str = "error"
    """A picture file that a Markdown cell names is missing: refuse the notebook ("error"), or print the picture's
    description and warn ("describe")."""
    language: str = "en"
    """The language of the text, as ISO 639-1, where the notebook's metadata has no `lang`."""


def typeset_file(path: Path, settings: Settings | None = None) -> tuple[bytes, list[str]]:
    """A notebook file as a PDF.

    Returns:
        The PDF, and a sentence for each thing that is not shown as it is in the notebook.

    Raises:
        ExportError: the file is no notebook, or a cell can't be typeset; nothing was written.
        OSError: the file can't be read.
    """
    content = path.read_bytes()
    try:
        notebook = read_notebook(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ExportError(f"{path.name} is not UTF-8, so it is no notebook ({error.reason})") from error
    except ExportError as error:
        raise ExportError(f"{path.name} {error}") from error
    return typeset(notebook, content, path.name, path.parent, settings or Settings())


def typeset(
    notebook: dict[str, Any],
    source: bytes,
    file: str,
    folder: Path,
    settings: Settings,
    template: jinja2.Template | None = None,
) -> tuple[bytes, list[str]]:
    """A notebook as a PDF, with a sentence for each thing that is not shown as it is in the notebook.

    Args:
        notebook: as `normalised` gives it.
        source: the notebook's file, to be attached.
        file: its name.
        folder: where it lies.
        template: the layout, if not our own.

    Raises:
        ExportError: a cell can't be typeset.
    """
    refused: dict[str, str] = {}
    while True:
        try:
            document = Document(notebook, file, folder, settings, refused)
            return document.typeset(source, template or _own_template()), document.warnings
        except PictureRefusedError as error:  # another form of the output, or an error that names the cell
            refused[error.file] = error.reason
        except (ExportError, OSError):
            raise
        except RecursionError as error:
            raise ExportError(f"{file} is nested too deeply") from error
        except MemoryError as error:
            raise ExportError(f"{file} needs more memory than it may take") from error
        except Exception as error:
            raise UnforeseenError(file, error) from error


def _own_template() -> jinja2.Template:
    folder = jinja2.FileSystemLoader(TEMPLATES_FOLDER / "handin_pdf")
    return jinja2.Environment(loader=folder, autoescape=False).get_template("index.typ.j2")


class PictureRefusedError(Exception):
    """Typst can't draw a picture."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(reason)
        self.file, self.reason = file, reason


class Document:
    """One notebook on its way to a PDF.

    Args:
        file: the notebook's name.
        folder: where the notebook lies.
        settings: what was chosen.
        refused: the pictures that Typst has refused, with its reason.
    """

    def __init__(
        self, notebook: dict[str, Any], file: str, folder: Path, settings: Settings, refused: dict[str, str]
    ) -> None:
        self.notebook, self.file, self.settings = notebook, file, settings
        self.warnings: list[str] = []
        self.pictures, self.formulas = Pictures(folder, refused), Formulas()
        self.lexer = _lexer(notebook)
        self.cell_number, self.section = 0, ""
        self.title = ""
        bodies = dict(self._markdown_bodies())
        targets = {link.attributes["href"][1:] for body in bodies.values() for link in body.css("a[href^='#']")}
        self.writer = MarkupWriter(
            self.formulas,
            self.pictures,
            {*targets, *map(urllib.parse.unquote, targets)} - {""},
            self.warn,
            settings.missing_pictures == "describe",
        )
        self.title_markup = self._take_title(bodies)
        self.cells = []
        for number, cell in enumerate(notebook["cells"]):
            with self._in_cell(number):
                self.cells.append(self._cell(cell, bodies.get(number)))

    def warn(self, text: str) -> None:
        self.warnings.append(f"cell {self.cell_number + 1}: {text}")

    @contextmanager
    def _in_cell(self, number: int) -> Iterator[None]:
        """Warnings and errors name the cell."""
        self.cell_number = self.formulas.cell = number
        try:
            yield
        except ExportError as error:
            raise ExportError(f"{self.file}, cell {number + 1}: {error}") from error
        except RecursionError as error:
            raise ExportError(f"{self.file}, cell {number + 1}: it is nested too deeply") from error
        except (PictureRefusedError, MemoryError):
            raise
        except Exception as error:
            raise UnforeseenError(f"{self.file}, cell {number + 1}", error) from error

    def _markdown_bodies(self) -> Iterator[tuple[int, LexborNode]]:
        for number, cell in enumerate(self.notebook["cells"]):
            if cell["cell_type"] == "markdown" and not WITHOUT_BOTH & cell["tags"]:
                with self._in_cell(number):
                    yield number, parse_html(markdown_to_html(self.formulas.take_out(cell["source"])))

    def _take_title(self, bodies: dict[int, LexborNode]) -> str:
        """Typst's markup for the title: the notebook's first heading if it begins with one, which then is not printed
        a second time; else what its metadata or its name say."""
        headings = ((number, body.css_first("h1")) for number, body in bodies.items())
        first, heading = next(((number, heading) for number, heading in headings if heading is not None), (0, None))
        if heading is not None and (text := " ".join(visible_text(heading).split())):
            self.title = self.formulas.put_back(text)
            empty_before = not any(cell["source"].strip() for cell in self.notebook["cells"][:first])
            begins = next(not_blank(bodies[first].iter(include_text=True)))
            if empty_before and begins.mem_id == heading.mem_id and heading.css_first("img,a,br") is None:
                with self._in_cell(first):
                    markup = self.writer.line(heading)
                heading.remove()
                return markup
        self.title = self.notebook["title"] or self.title or self.file.removesuffix(".ipynb")
        return typst_prose(self.title)

    # --- cells ---

    def _cell(self, cell: Cell, body: LexborNode | None) -> str:
        tags = cell["tags"]
        if tags & WITHOUT_BOTH:
            return ""
        if cell["cell_type"] == "markdown":
            self.writer.attachments = cell["attachments"]
            markup = self.writer.document(body)
            if self.writer.headings:
                self.section = self.writer.headings[-1][1]
            return markup
        if cell["cell_type"] == "raw":
            return f"listing({{{typst_code(cell['source'], None, CODE_COLUMNS)}}})" if cell["source"].strip() else ""
        outputs = [] if tags & WITHOUT_OUTPUT else cell["outputs"]
        statements = [self._output(output, cell) for output in outputs]
        if cell["source"].strip() and not tags & WITHOUT_INPUT:
            count = f"[{cell['execution_count']}]" if cell["execution_count"] else ""
            source = typst_code(cell["source"].rstrip(), self._lexer_for(cell), CODE_COLUMNS)
            with_output = "true" if outputs and cell["source"].count("\n") < LINES_KEPT_WITH_OUTPUT else "false"
            statements.insert(0, f"code_cell({typst_string(count)}, {with_output}, {{{source}}})")
        return "\n".join(statements)

    def _lexer_for(self, cell: Cell) -> Lexer | None:
        magic = re.match(r"%%(bash|sh|html|javascript|js|latex|R|ruby|perl|sql|cython)\b", cell["source"])
        return _named_lexer({"R": "r"}.get(magic[1], magic[1])) if magic else self.lexer

    def _output(self, output: Output, cell: Cell) -> str:
        """An output in the first of its forms, best first, that paper can show."""
        if output["kind"] == "stream":
            return self._text(output["text"], "error_text" if output["name"] == "stderr" else "output_text")
        if output["kind"] == "error":
            return self._text(output["text"], "error_text")
        forms = (self._as_drawing, self._as_table, self._as_markdown, self._as_picture, self._as_html, self._as_text)
        for form in forms:
            if markup := form(output, cell):
                return markup
        if not output["data"]:
            return ""
        kinds = ", ".join(sorted(output["data"]))
        self.warn(f"an output has no form that can be printed ({kinds})")
        return self._text(f"[an output that can't be printed: {kinds}]")

    def _text(self, text: str, function: str = "output_text") -> str:
        if not text.strip("\n"):
            return ""
        return f"{function}({{{typst_output(text, OUTPUT_COLUMNS, self.settings.max_output_lines)}}})"

    def _as_drawing(self, output: Output, cell: Cell) -> str:
        return self._as_picture(output, cell, PICTURES[:1])

    def _as_picture(self, output: Output, cell: Cell, kinds: tuple[str, ...] = PICTURES[1:]) -> str:
        for kind in kinds:
            if kind in output["data"]:
                try:
                    content = picture_bytes(kind, output["data"][kind])
                    return self._figure(kind, content, self.pictures.add(content, f"a picture ({kind})"), output, cell)
                except ExportError as error:
                    self.warn(f"{error}; another form of the output is printed")
        return ""

    def _as_table(self, output: Output, cell: Cell) -> str:
        """HTML with a table or a picture in it. The only table of an output gets a number and a caption."""
        body = self._parsed_html(output)
        wanted = "table,img,svg" if _tells_nothing(text_of(output["data"].get("text/plain", ""))) else "table,img"
        if body is None or body.css_first(wanted) is None:
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

    @staticmethod
    def _parsed_html(output: Output) -> LexborNode | None:
        return parse_html(without_placeholders(text_of(output["data"].get("text/html", ""))))

    def _as_markdown(self, output: Output, cell: Cell) -> str:
        """Markdown, or LaTeX that is mathematics."""
        source = text_of(output["data"].get("text/markdown") or output["data"].get("text/latex") or "")
        if not source.strip():
            return ""
        if "text/markdown" not in output["data"] and not re.search(r"\$|\\begin|\\\[|\\\(", source):
            return self._text(source)
        if "text/markdown" not in output["data"] and (alone := _ALONE.fullmatch(source.strip())):
            source = f"$${alone[1]}$$"  # SymPy asks for a formula in a line, and means one of its own
        return self.writer.document(parse_html(markdown_to_html(self.formulas.take_out(source))))

    def _as_html(self, output: Output, cell: Cell) -> str:
        """Other HTML, unless a plain text says the same without a browser's help."""
        if not _tells_nothing(text_of(output["data"].get("text/plain", ""))):
            return ""
        body = self._parsed_html(output)
        return self.writer.document(body) if body is not None else ""

    def _as_text(self, output: Output, cell: Cell) -> str:
        """Plain text, in which a table drawn with box characters becomes one; else JSON or another kind of text."""
        data = output["data"]
        plain = text_of(data.get("text/plain", ""))
        for kind in ("application/json", "application/geo+json"):
            if kind in data and _tells_nothing(plain):
                return self._text(json.dumps(data[kind], indent=2, ensure_ascii=False))
        if not plain.strip():
            others = [kind for kind in data if kind.startswith("text/") and kind not in ("text/html", "text/plain")]
            return self._text(text_of(data[others[0]])) if others else ""
        others = ", ".join(sorted(set(data) - {"text/plain", *PICTURES}))
        if others and _tells_nothing(plain):
            self.warn(f"an output is interactive ({others}); its plain text is printed")
        before, cells, after = drawn_table(plain) if "text/html" in data else (plain, [], "")
        if not cells:
            return self._text(plain)
        caption = before.strip() if before.count("\n") <= 1 else ""
        table = write_table(cells, 1, typst_prose(caption or self._origin(cell)))
        return ";".join(part for part in ("" if caption else self._text(before), table, self._text(after)) if part)

    def _origin(self, cell: Cell) -> str:
        return f"Output of cell [{cell['execution_count'] or self.cell_number + 1}]"

    def _marked_up(self, markdown: str) -> str:
        """A line of Markdown as Typst expressions."""
        body = parse_html(markdown_to_html(self.formulas.take_out(markdown)))
        return self.writer.line(body.css_first("p") or body)

    def _figure(self, kind: str, content: bytes, picture: Picture, output: Output, cell: Cell) -> str:
        """A picture with its number, caption and description, from the output, the cell or the picture's own title."""
        caption = _given(output, cell, "caption", "fig-cap")
        description = _given(output, cell, "alt", "fig-alt")
        titles = [match[1] for match in _DRAWN_TITLE.findall(cell["source"])]
        drawing = content.decode(errors="replace") if kind == PICTURES[0] else ""
        words = words_in_svg(drawing)
        if text := foreign_text(drawing):
            self.warn(f"a drawing holds HTML, which is not drawn: {text[:200]}")
        if not description:
            about = caption or "; ".join(titles) or (f"A drawing with the words {', '.join(words)}" if words else "")
            if not about:
                self.warn("a picture has no description: give it a title, or the cell a line '#| fig-alt: ...'")
            section = f", in the section {self.formulas.put_back(self.section)}" if self.section else ""
            description = about or f"{self._origin(cell)}{section}: {_last_line(cell['source'])}"
        shown = self._marked_up(caption) if caption else typst_prose(titles[0] if titles else self._origin(cell))
        size = output["metadata"].get(kind, {})
        given_width = size.get("width") if isinstance(size, dict) else None
        width = (
            given_width * POINTS_PER_PIXEL
            if isinstance(given_width, (int, float)) and 0 < given_width < 100_000
            else picture.width
        )
        width_option = f"{width:.5g}pt" if width else "auto"
        return f"figure_output({typst_string(picture.file)}, {typst_string(shortened(description, LONGEST_DESCRIPTION))}, {width_option}, {{{shown}}})"

    # --- the whole ---

    def typeset(self, source: bytes, template: jinja2.Template) -> bytes:
        """Fill the template and compile it; what Typst refuses of mathematics and letters is replaced and named.

        Raises:
            PictureRefusedError: a picture can't be drawn.
            ExportError: something else can't be typeset.
        """
        attachment = source if self.settings.attach_notebook else b""
        formulas = self.formulas.to_typst()
        for number, formula in enumerate(formulas):
            if formula is None:
                self._warn_of_formula(number, "pandoc does not understand it")
        unknown: set[str] = set()
        with tempfile.TemporaryDirectory() as folder:
            for file, content in self.pictures.files.items():
                (Path(folder) / file).write_bytes(content)
            if attachment:
                (Path(folder) / "attachment").write_bytes(attachment)
            main = Path(folder) / "document.typ"
            date = _date(self.notebook)
            for _ in range(MOST_REPAIRS):
                preamble, body = self._formula_definitions(formulas), self._body()
                text = template.render(
                    title=typst_string(self.title), title_markup=self.title_markup, lines=self._title_lines(),
                    header=typst_string(self._header()), formulas=preamble, body=body, date=date,
                    unknown=typst_string(f"[{''.join(map(_regex_letter, sorted(unknown)))}]+") if unknown else "",
                    language=typst_string(self._language()),
                    depth=self._contents_depth(), attachment=typst_string(self.file) if attachment else "",
                    typst_string=typst_string,
                )  # fmt: skip
                main.write_text(text, encoding="utf-8")
                try:
                    return typst.compile(
                        main, root=folder, font_paths=_font_folders(), ignore_system_fonts=True, pdf_standards=STANDARDS,
                        timestamp=int(date.timestamp()),
                    )  # fmt: skip
                except typst.TypstError as error:
                    self._repair(error, text, formulas, unknown)
                except BaseException as error:  # what a panic of Typst is to Python is no Exception
                    if type(error).__name__ == "PanicException":
                        raise UnforeseenError(self.file, error) from error
                    raise
        raise ExportError(f"{self.file}: more than {MOST_REPAIRS} formulas or letters can't be set")

    def _repair(self, error: typst.TypstError, text: str, formulas: list, unknown: set[str]) -> None:
        """Replace what the compiler complains of, or raise an ExportError that names the cell."""
        lines = text.split("\n")
        repaired = False
        problems = [
            (
                _SEARCHED.sub("", " ".join(problem.partition("┌─")[0].split())),
                [int(line) for line in _PLACE.findall(problem)],
            )
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
            if picture := self._picture_with(error, unknown):
                raise PictureRefusedError(picture, message) from error
            before = reversed(lines[: max(places, default=0)])
            cell = next((match[1] for line in before if (match := re.match(r"// cell (\d+)$", line))), None)
            place = f"cell {cell}" if cell else "the document"
            raise ExportError(f"{self.file}, {place}: Typst can't set it: {message}") from error

    def _picture_with(self, error: typst.TypstError, unknown: set[str]) -> str | None:
        """The picture that an error is about: the one it names, or a drawing with letters that no font has."""
        for file, content in self.pictures.files.items():
            letters = content.decode(errors="replace") if file.endswith(".svg") else ""
            if file in error.diagnostic or any(letter in letters for letter in unknown):
                return file
        return None

    def _give_up_letters(self, letters: str, unknown: set[str]) -> bool:
        """Have the letters' numbers printed in their place; whether that is anything new."""
        known = len(unknown)
        for letter in re.sub(r"\\u\{([0-9a-f]+)\}", lambda code: chr(int(code[1], 16)), letters):
            if letter not in unknown and not letter.isspace():
                unknown.add(letter)
                name = unicodedata.name(letter, "unnamed")
                self.warnings.append(
                    f"no font has the character {letter!r} (U+{ord(letter):04X} {name}); its number is printed"
                )
        return len(unknown) > known

    def _warn_of_formula(self, number: int, reason: str) -> None:
        source = " ".join(self.formulas.sources[number][0].split())
        self.warnings.append(
            f"cell {self.formulas.cells[number] + 1}: the formula {shortened(source, 80)} can't be set ({reason}); its source is printed"
        )

    def _formula_definitions(self, formulas: list[str | None]) -> str:
        lines = []
        for number, ((source, display), formula) in enumerate(zip(self.formulas.sources, formulas, strict=True)):
            tex = " ".join(source.split())
            if formula is None:
                markup = f"source_formula({{{typst_prose(tex, TOKEN_LENGTH // 2)}}})"
            elif not formula:
                markup = "none"
            else:
                body = f"$ {formula} $" if display else f"${formula}$"
                flags = f"{'true' if display else 'false'}, {'true' if _is_rigid(formula) else 'false'}"
                markup = f"formula({typst_string(tex)}, {body}.body, {flags})"
            lines.append(f"#let m{number} = {markup}")
        return "\n".join(lines)

    def _body(self) -> str:
        return "\n".join(f"// cell {number}\n{markup}" for number, markup in enumerate(self.cells, 1) if markup)

    def _language(self) -> str:
        tags = map(LANGUAGE.fullmatch, (self.notebook["language"], self.settings.language))
        return next((tag[1].lower() for tag in tags if tag), "en")

    def _title_lines(self) -> list[tuple[str, str]]:
        """What the title block tells: the notebook's `handin` metadata, else its authors."""
        lines = self.notebook["handin"]
        if not lines and self.notebook["authors"]:
            lines = {"Authors": ", ".join(self.notebook["authors"])}
        return [(typst_string(name), typst_prose(value)) for name, value in lines.items()]

    def _header(self) -> str:
        lines = self.notebook["handin"]
        title = shortened(self.title, 90)
        return f"{title}, {shortened(lines['Group'], 50)}" if "Group" in lines else title

    def _contents_depth(self) -> int:
        """How many levels of headings the table of contents shows, none for a few headings."""
        levels = [level for level, _ in self.writer.headings]
        if len(levels) < 4:
            return 0
        return next((depth for depth in (3, 2) if sum(level <= depth for level in levels) <= 30), 1)


def _given(output: Output, cell: Cell, name: str, option: str) -> str:
    """What the output's metadata, a comment `#| option: ...` in the cell or the cell's metadata says."""
    comments = {key: text.strip() for key, text in _OPTION.findall(cell["source"])}
    given = output["metadata"].get(name) or comments.get(option) or cell["metadata"].get(name) or ""
    return str(given).strip("\"'")


def _tells_nothing(plain: str) -> bool:
    """Whether an output's plain text is missing, or only the name of an object."""
    return not plain.strip() or bool(re.fullmatch(r"<.*>", plain.strip(), re.DOTALL))


def _last_line(source: str) -> str:
    lines = [line.strip() for line in source.splitlines() if line.strip() and not line.strip().startswith("#")]
    return shortened(lines[-1], 80) if lines else "no code"


def _lexer(notebook: dict[str, Any]) -> Lexer | None:
    name = notebook["kernel_language"].lower()
    if name in ("", "ipython3", "ipython", "python", "ipython2", "python3"):
        return IPython3Lexer(stripnl=False, ensurenl=False)
    return _named_lexer(name)


def _is_rigid(formula: str) -> bool:
    """Whether the formula can't be broken into lines: a matrix or a long text, or nothing to break at."""
    return bool(UNBREAKABLE.search(formula)) or not re.search("[-+=<>≤≥∈]| in | times | dot", formula)


def _regex_letter(letter: str) -> str:
    return rf"\x{{{ord(letter):x}}}"


def _named_lexer(name: str) -> Lexer | None:
    try:
        return get_lexer_by_name(name.lower(), stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def _apply_stylesheets(body: LexborNode) -> None:
    """Write the colours and weights of an output's style sheet, such as pandas' Styler makes, into the elements."""
    wanted = {"color", "background-color", "font-weight", "font-style"}
    for sheet in body.css("style"):
        for selectors, properties in css_rules(sheet.text()):
            style = ";".join(f"{name}:{value}" for name, value in properties.items() if name in wanted)
            if not style or ":" in selectors:
                continue
            try:
                for node in body.css(selectors):
                    node.attrs["style"] = f"{node.attributes.get('style') or ''};{style}"
            except SelectolaxError:
                continue


def _date(notebook: dict[str, Any]) -> datetime.datetime:
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        try:
            return datetime.datetime.fromtimestamp(int(epoch), datetime.UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise ExportError(f"SOURCE_DATE_EPOCH is {epoch!r}, expected seconds since 1970") from error
    try:
        started = datetime.datetime.fromisoformat(notebook["started"])
        return started.astimezone(datetime.UTC) if started.tzinfo else started.replace(tzinfo=datetime.UTC)
    except (ValueError, OverflowError):
        return FIRST_DATE


def _font_folders() -> list[str]:
    return [str(files(package)) for package in (manimgx_fonts, noto_cjk_sans_jp_regular)]
