"""An nbconvert exporter: notebook -> Typst -> PDF, without LaTeX or a browser.

`jupyter nbconvert --to handin_pdf notebook.ipynb`. A Jinja template writes the Typst document, pandoc turns Markdown,
mathematics and HTML tables into Typst, and the typst wheel, which carries its own fonts, typesets it.
"""

from __future__ import annotations

import copy
import re
import tempfile
from pathlib import Path

import bs4
import pypandoc
import typst
from nbconvert.exporters.templateexporter import TemplateExporter
from nbconvert.filters import strip_ansi
from nbformat import NotebookNode
from traitlets import default
from traitlets.config import Config

TEMPLATES_FOLDER = Path(__file__).resolve().parent / "templates"
MARKDOWN = "gfm+tex_math_dollars-yaml_metadata_block"
ROWS_KEPT_TOGETHER = 25
"""A table of so many rows or fewer is not broken between pages."""
LONG_TOKEN = re.compile(r"\S{60,}")
NUMBER = re.compile(r"[-+−]?[\d,]*\.?\d+(e[-+]?\d+)?( ?%)?|nan|inf", re.IGNORECASE)


class ExportError(Exception):
    """The notebook can't be typeset. The text says why."""


def typst_string(text: str) -> str:
    """`text` as a Typst string literal: whatever it holds is printed, never interpreted."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("\t", "    ")
    return '"' + escaped.replace("\n", "\\n") + '"'


def terminal_text(text: str) -> str:
    """What a terminal would show at the end: no colour codes, and of a rewritten line its last state."""
    lines = strip_ansi(text).replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines).rstrip("\n")


def breakable(text: str) -> str:
    """Allow a line break after every tenth character of a token too long for a line."""
    return LONG_TOKEN.sub(lambda token: re.sub(r"(.{10})", "\\1\u200b", token[0]), text)


def markdown_to_typst(source: str) -> str:
    """Markdown with TeX mathematics, as Jupyter renders it, as Typst markup."""
    return pypandoc.convert_text(source, "typst", format=MARKDOWN, extra_args=["--wrap=none"])


def has_table(html: str) -> bool:
    return "<table" in html


def html_to_typst(html: str) -> str:
    """An HTML output with tables, such as a DataFrame's, as Typst markup; columns of numbers are set right."""
    soup = bs4.BeautifulSoup(html, "html.parser")
    for unseen in soup(["style", "script"]):
        unseen.decompose()
    for table in soup("table"):
        table.attrs.pop("id", None)  # would become a label, twice the same in a notebook run twice
        rows = [row.find_all(["th", "td"]) for row in table("tr")]
        for column in range(max(map(len, rows), default=0)):
            cells = [row[column] for row in rows if column < len(row)]
            values = [cell.get_text().strip() for cell in cells if cell.name == "td"]
            side = "right" if values and all(NUMBER.fullmatch(value) for value in values) else "left"
            for cell in cells:
                cell["style"] = f"text-align: {side}"
    markup = pypandoc.convert_text(str(soup), "typst", format="html", extra_args=["--wrap=none"])
    small = len(soup("tr")) <= ROWS_KEPT_TOGETHER
    return f"#block(breakable: false, width: 100%)[\n{markup}\n]" if small else markup


def notebook_title(notebook: NotebookNode) -> str:
    """The first heading of the first level, or nothing."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (match := re.search(r"^# (.+)$", cell.source, re.MULTILINE)):
            return match[1].strip()
    return ""


def describe_pictures(notebook: NotebookNode) -> None:
    """Give every output an alternative text for its picture: the section it stands in."""
    section = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (headings := re.findall(r"^#+ (.+)$", cell.source, re.MULTILINE)):
            section = headings[-1].strip()
        for output in cell.get("outputs", []):
            if "data" in output:
                output.metadata["description"] = f"Figure in the section {section}"


class HandinPDFExporter(TemplateExporter):
    """Exports a notebook as the PDF to hand in. See the module's docstring."""

    export_from_notebook = "PDF via Typst"
    output_mimetype = "application/pdf"
    template_extension = ".typ.j2"

    @default("file_extension")
    def _file_extension_default(self) -> str:
        return ".pdf"

    @default("template_name")
    def _template_name_default(self) -> str:
        return "handin_pdf"

    @default("extra_template_basedirs")
    def _extra_template_basedirs_default(self) -> list[str]:
        return [str(TEMPLATES_FOLDER)]

    @property
    def default_config(self) -> Config:
        pictures = ["image/svg+xml", "image/png", "image/jpeg"]
        config = Config(
            {
                "NbConvertBase": {
                    "display_data_priority": [*pictures, "text/markdown", "text/html", "text/latex", "text/plain"]
                },
                "ExtractOutputPreprocessor": {"enabled": True, "extract_output_types": set(pictures)},
            }
        )
        config.merge(super().default_config)
        return config

    def default_filters(self):
        yield from super().default_filters()
        filters = (
            typst_string, terminal_text, breakable, markdown_to_typst, has_table, html_to_typst, notebook_title
        )  # fmt: skip
        yield from ((function.__name__, function) for function in filters)

    def from_notebook_node(self, nb: NotebookNode, resources: dict | None = None, **options) -> tuple[bytes, dict]:
        """The PDF's bytes and nbconvert's resources.

        Raises:
            ExportError: Typst refused the document.
        """
        nb = copy.deepcopy(nb)
        describe_pictures(nb)
        document, resources = super().from_notebook_node(nb, resources=resources, **options)
        with tempfile.TemporaryDirectory() as folder:
            for name, content in resources.pop("outputs", {}).items():
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            source = Path(folder) / "document.typ"
            source.write_text(document, encoding="utf-8")
            try:
                pdf = typst.compile(source, root=folder, ignore_system_fonts=True)
            except typst.TypstError as error:
                raise ExportError(f"Typst can't set {resources['metadata']['name']}: {error}") from error
        resources["output_extension"] = ".pdf"
        return pdf, resources
