"""The template around a document, and Typst's compiler: what it refuses of formulas and characters is replaced."""

from __future__ import annotations

import datetime
import os
import re
import tempfile
import unicodedata
from importlib.resources import files
from pathlib import Path

import jinja2
import manimgx_fonts
import noto_cjk_sans_jp_regular
import typst

from notebook_pdf.document import Document
from notebook_pdf.errors import ExportError, InternalError, PictureRefusedError
from notebook_pdf.typst_text import TOKEN_LENGTH, shorten, typst_prose, typst_string

TEMPLATES_FOLDER = Path(__file__).resolve().parent / "templates"
TEMPLATE = "notebook_pdf"
STANDARDS = ["ua-1", "a-3a"]
MAX_ATTEMPTS = 500
DEFAULT_DATE = datetime.datetime(1980, 1, 1, tzinfo=datetime.UTC)
"""The date of a PDF if nothing says when the notebook was executed: a fixed one, so that the bytes do not change."""
_DIAGNOSTIC = re.compile(r"^error: (.+?)(?=^error: |\Z)", re.MULTILINE | re.DOTALL)
_LINE_NUMBER = re.compile(r"┌─ [^\n]*?:(\d+):\d+$", re.MULTILINE)
_SEARCHED_FOLDER = re.compile(r" ?\(searched at [^)]*\)|, searched at [^)]*")
"""A part of Typst's messages with the path of the temporary folder."""
_MISSING_GLYPHS = re.compile(r"(?:the text `|the codepoint `?)\"(.+?)\"", re.DOTALL)
_UNBREAKABLE = re.compile(r'mat\(|"[^"]{40,}"')
_BREAK_OPPORTUNITY = re.compile("[-+=<>≤≥∈]| in | times | dot")


def own_template() -> jinja2.Template:
    """The package's layout."""
    folder = jinja2.FileSystemLoader(TEMPLATES_FOLDER / TEMPLATE)
    return jinja2.Environment(loader=folder, autoescape=False).get_template("index.typ.j2")


class Compiler:
    """Compiles one document to a PDF.

    Args:
        document: the document. Warnings are added to its own.
        attachment: the file to attach; empty for none.
        template: the layout.
    """

    def __init__(self, document: Document, attachment: bytes, template: jinja2.Template) -> None:
        self.document, self.attachment, self.template = document, attachment, template
        self.formulas: list[str | None] = []
        """Typst's mathematics for each formula; None if its source is printed."""
        self.missing_glyphs: set[str] = set()
        """Characters that no font has."""

    def compile(self) -> bytes:
        """The PDF.

        Formulas that Typst refuses and characters that no font has are replaced, with a warning.

        Raises:
            PictureRefusedError: a picture can't be drawn.
            ExportError: something else can't be typeset.
        """
        self.formulas = self.document.formulas.to_typst()
        for number, formula in enumerate(self.formulas):
            if formula is None:
                self._warn_of_formula(number, "pandoc does not understand it")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for file, content in self.document.pictures.files.items():
                (folder / file).write_bytes(content)
            if self.attachment:
                (folder / "attachment").write_bytes(self.attachment)
            for _ in range(MAX_ATTEMPTS):
                text = self._fill_template()
                try:
                    return self._compile_once(folder, text)
                except typst.TypstError as error:
                    self._repair(error, text)
        raise ExportError(f"{self.document.file}: more than {MAX_ATTEMPTS} formulas or characters can't be typeset")

    def _fill_template(self) -> str:
        document = self.document
        unknown = f"[{''.join(map(_regex_character, sorted(self.missing_glyphs)))}]+" if self.missing_glyphs else ""
        return self.template.render(
            title=typst_string(document.title),
            title_markup=document.title_markup,
            lines=document.title_lines,
            header=typst_string(document.header),
            language=typst_string(document.language),
            date=self._date(),
            depth=document.contents_depth,
            formulas=self._formula_definitions(),
            body="\n".join(f"// cell {number}\n{markup}" for number, markup in enumerate(document.cells, 1) if markup),
            unknown=typst_string(unknown) if unknown else "",
            attachment=typst_string(document.file) if self.attachment else "",
            typst_string=typst_string,
        )

    def _compile_once(self, folder: Path, text: str) -> bytes:
        main = folder / "document.typ"
        main.write_text(text, encoding="utf-8")
        try:
            return typst.compile(
                main,
                root=folder,
                font_paths=[str(files(package)) for package in (manimgx_fonts, noto_cjk_sans_jp_regular)],
                ignore_system_fonts=True,
                pdf_standards=STANDARDS,
                timestamp=int(self._date().timestamp()),
            )
        except BaseException as error:  # a panic of Typst is not an Exception in Python
            if type(error).__name__ == "PanicException":
                raise InternalError(self.document.file, error) from error
            raise

    def _date(self) -> datetime.datetime:
        if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
            try:
                return datetime.datetime.fromtimestamp(int(epoch), datetime.UTC)
            except (ValueError, OverflowError, OSError) as error:
                raise ExportError(f"SOURCE_DATE_EPOCH is {epoch!r}, expected seconds since 1970") from error
        try:
            started = datetime.datetime.fromisoformat(self.document.notebook["started"])
            return started.astimezone(datetime.UTC) if started.tzinfo else started.replace(tzinfo=datetime.UTC)
        except (ValueError, OverflowError):
            return DEFAULT_DATE

    def _formula_definitions(self) -> str:
        lines = []
        for number, formula in enumerate(self.formulas):
            source, display = self.document.formulas.sources[number]
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

    def _repair(self, error: typst.TypstError, text: str) -> None:
        """Replace the formulas and characters that the compiler's error is about.

        Raises:
            PictureRefusedError: the error is about a picture.
            ExportError: the error is about something else.
        """
        lines = text.split("\n")
        problems = _problems(error)
        repaired = False
        for message, numbers in problems:
            formula = next(
                (match for number in numbers if (match := re.match(r"#let m(\d+) = ", lines[number - 1]))), None
            )
            if characters := _MISSING_GLYPHS.search(message):
                repaired |= self._replace_characters(characters[1])
            elif formula and self.formulas[int(formula[1])]:
                self._warn_of_formula(int(formula[1]), message)
                self.formulas[int(formula[1])] = None
                repaired = True
        if repaired:
            return
        message, numbers = problems[0]
        if picture := self._picture_in(error):
            raise PictureRefusedError(picture, message) from error
        before = reversed(lines[: max(numbers, default=0)])
        cell = next((match[1] for line in before if (match := re.match(r"// cell (\d+)$", line))), None)
        place = f"cell {cell}" if cell else "the document"
        raise ExportError(f"{self.document.file}, {place}: Typst can't typeset it: {message}") from error

    def _picture_in(self, error: typst.TypstError) -> str | None:
        """The picture that an error is about: the one it names, or a drawing with characters that no font has."""
        for file, content in self.document.pictures.files.items():
            text = content.decode(errors="replace") if file.endswith(".svg") else ""
            if file in error.diagnostic or any(character in text for character in self.missing_glyphs):
                return file
        return None

    def _replace_characters(self, characters: str) -> bool:
        """Have the characters' numbers printed instead. Returns whether any of them is new."""
        known = len(self.missing_glyphs)
        for character in re.sub(r"\\u\{([0-9a-f]+)\}", lambda code: chr(int(code[1], 16)), characters):
            if character not in self.missing_glyphs and not character.isspace():
                self.missing_glyphs.add(character)
                name = unicodedata.name(character, "unnamed")
                self.document.warnings.append(
                    f"no font has the character {character!r} (U+{ord(character):04X} {name}); its number is printed"
                )
        return len(self.missing_glyphs) > known

    def _warn_of_formula(self, number: int, reason: str) -> None:
        formulas = self.document.formulas
        source = shorten(" ".join(formulas.sources[number][0].split()), 80)
        cell = formulas.cells[number] + 1
        self.document.warnings.append(
            f"cell {cell}: the formula {source} can't be typeset ({reason}); its source is printed"
        )


def _problems(error: typst.TypstError) -> list[tuple[str, list[int]]]:
    """The compiler's messages, each with the numbers of the lines it is about."""
    problems = [
        (
            _SEARCHED_FOLDER.sub("", " ".join(problem.partition("┌─")[0].split())),
            [int(number) for number in _LINE_NUMBER.findall(problem)],
        )
        for problem in _DIAGNOSTIC.findall(error.diagnostic)
    ]
    return problems or [(error.message, [])]


def _is_rigid(formula: str) -> bool:
    """Whether the formula can't be broken into lines: a matrix or a long text, or no operator to break at."""
    return bool(_UNBREAKABLE.search(formula)) or not _BREAK_OPPORTUNITY.search(formula)


def _regex_character(character: str) -> str:
    return rf"\x{{{ord(character):x}}}"
