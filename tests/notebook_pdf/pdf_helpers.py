"""What the tests of `notebook_pdf` share: short ways to build notebooks, to export them, and to read PDFs."""

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import nbformat
import pypdf
import pypdfium2
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from pypdf.generic import NullObject

from notebook_pdf import Settings
from notebook_pdf.conversion import typeset
from notebook_pdf.notebook import normalise

ROOT = Path(__file__).resolve().parents[2]
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="30" height="10"/>{}</svg>'


@dataclass
class Example:
    """A notebook and what its PDF must be like.

    `contains` are passages in order, `lacks` are passages, `alternatives` are alternative texts of figures and
    formulas, `warnings` are parts of the warnings, one of each. `compare` is whether `lossless.lost` can compare the
    PDF with nbconvert's HTML, which lacks footnotes, for example.
    """

    cells: list
    contains: list = field(default_factory=list)
    lacks: list = field(default_factory=list)
    alternatives: list = field(default_factory=list)
    warnings: list = field(default_factory=list)
    compare: bool = True


class Exported(NamedTuple):
    notebook: nbformat.NotebookNode
    pdf: bytes
    warnings: list


def export_cells(cells, metadata=None, **settings):
    """Export a notebook of these cells, without a file."""
    notebook = new_notebook(cells=cells, metadata=metadata or {})
    source = nbformat.writes(notebook).encode()
    pdf, warnings = typeset(normalise(notebook), source, "Notebook.ipynb", Path(), Settings(**settings))
    return Exported(notebook, pdf, warnings)


def write_notebook(path, *cells):
    nbformat.write(new_notebook(cells=list(cells)), path)
    return path


def picture(form, mode="RGB", size=(40, 20)):
    content = io.BytesIO()
    Image.new(mode, size, 120).save(content, form)
    return base64.b64encode(content.getvalue()).decode()


PNG = picture("PNG")
LARGE_PICTURE = f"data:image/png;base64,{picture('PNG', size=(1200, 400))}"


def markdown(source, **attachments):
    """A Markdown cell; `a_png` stands for the attachment a.png."""
    cell = new_markdown_cell(source)
    if attachments:
        cell["attachments"] = {name.replace("_", "."): content for name, content in attachments.items()}
    return cell


def code(source, *outputs, count=1, **metadata):
    return new_code_cell(source, execution_count=count, outputs=list(outputs), metadata=metadata)


def stream(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def result(metadata=None, **data):
    """An output in several forms; `image_svg__xml` stands for image/svg+xml."""
    kinds = {name.replace("__", "+").replace("_", "/", 1).replace("_", "."): content for name, content in data.items()}
    return new_output("display_data", kinds, metadata=metadata or {})


def root_of(pdf):
    return pypdf.PdfReader(io.BytesIO(pdf)).root_object


def attachments_of(pdf):
    return dict(pypdf.PdfReader(io.BytesIO(pdf)).attachments)


def structure(pdf):
    """Every element of the structure tree with its kind and alternative text, in reading order."""

    def walk(node):
        node = node.get_object()
        if isinstance(node, list):
            for child in node:
                yield from walk(child)
        elif isinstance(node, dict) and "/S" in node:
            yield node["/S"].lstrip("/"), str(node.get("/Alt", ""))
            yield from walk(node.get("/K", NullObject()))

    return list(walk(root_of(pdf)["/StructTreeRoot"]["/K"]))


def page_texts(pdf):
    return [page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(pdf)]


def copied_text(pdf):
    """The first page's text as a viewer copies it."""
    return pypdf.PdfReader(io.BytesIO(pdf)).pages[0].extract_text()
