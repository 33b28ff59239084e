"""An exporter of nbconvert: `jupyter nbconvert --to notebook_pdf notebook.ipynb`."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path

import nbformat
from nbconvert.exporters.templateexporter import TemplateExporter
from nbconvert.utils.exceptions import ConversionException
from nbformat import NotebookNode
from nbformat.v4.rwbase import rejoin_lines
from nbformat.warnings import MissingIDFieldWarning
from traitlets import Bool, Enum, Integer, Unicode, default
from traitlets.config import Application

from notebook_pdf.compiler import TEMPLATE, TEMPLATES_FOLDER
from notebook_pdf.conversion import typeset
from notebook_pdf.errors import ExportError
from notebook_pdf.notebook import normalise, read_notebook
from notebook_pdf.settings import Settings


class NotebookPDFExporter(TemplateExporter):
    """Exports a notebook as an accessible, archivable PDF (PDF/UA-1 and PDF/A-3a) with the notebook attached.

    Everything in the notebook is printed, except scripts, styles and what a tag hides (`remove-input`, `remove-output`,
    `remove-cell`, or the same with `hide`). What can't be printed is replaced by a description, with a warning.
    """

    export_from_notebook = "PDF via Typst"
    output_mimetype = "application/pdf"
    template_extension = ".typ.j2"

    attach_notebook = Bool(True, help="Attach the notebook to the PDF.").tag(config=True)
    max_output_lines = Integer(
        0, min=0, help="Print at most this many lines of a text output, and the number of lines left out; 0 prints all."
    ).tag(config=True)
    missing_pictures = Enum(
        ["error", "describe"], default_value="error",
        help="If a picture's file is missing, refuse the notebook, or print the picture's description and warn.",
    ).tag(config=True)  # fmt: skip
    language = Unicode("en", help="The language of the text (ISO 639-1) if the notebook's metadata has no `lang`.").tag(
        config=True
    )

    @default("file_extension")
    def _file_extension_default(self) -> str:
        return ".pdf"

    @default("template_name")
    def _template_name_default(self) -> str:
        return TEMPLATE

    @default("extra_template_basedirs")
    def _extra_template_basedirs_default(self) -> list[str]:
        return [str(TEMPLATES_FOLDER)]

    @property
    def settings(self) -> Settings:
        """The options."""
        return Settings(self.attach_notebook, self.max_output_lines, self.missing_pictures, self.language)

    def from_filename(self, filename: str, resources: dict | None = None, **options) -> tuple[bytes, dict]:
        """Like `from_notebook_node`, for a file, which is attached unchanged."""
        try:
            return super().from_filename(filename, resources=resources, **options)
        except ConversionException as error:
            if Application.initialized() and Application.instance().name == "jupyter-nbconvert":
                self.log.error("%s", error)
                raise SystemExit(1) from None  # nbconvert's command would print a stack trace
            raise

    def from_file(self, file_stream, resources: dict | None = None, **options) -> tuple[bytes, dict]:
        """Like `from_notebook_node`, for an open file, which is attached unchanged."""
        resources = self._init_resources(resources)
        try:
            text = file_stream.read().removeprefix("\ufeff")
            read_notebook(text)  # for its error messages
            content = json.loads(text)
            current = content["nbformat"] == 4
            notebook = rejoin_lines(nbformat.from_dict(content)) if current else nbformat.reads(text, as_version=4)
        except UnicodeDecodeError as error:
            raise ConversionException(f"{_file_name(resources)} is not a valid notebook: it is not UTF-8") from error
        except ExportError as error:
            raise ConversionException(f"{_file_name(resources)} {error}") from error
        except (AttributeError, KeyError, TypeError, RecursionError) as error:
            raise ConversionException(f"{_file_name(resources)} is not a valid notebook ({error})") from error
        resources["notebook_source"] = text.encode()
        return self.from_notebook_node(notebook, resources=resources, **options)

    def from_notebook_node(self, nb: NotebookNode, resources: dict | None = None, **options) -> tuple[bytes, dict]:
        """Export a notebook.

        Returns:
            The PDF, and nbconvert's resources. Their "warnings" are one sentence for each thing that is not printed as
            it is in the notebook.

        Raises:
            ConversionException: the notebook can't be typeset.
        """
        resources = self._init_resources(resources)
        file = _file_name(resources)
        source = resources.pop("notebook_source", None) or nbformat.writes(nb).encode(errors="replace")
        try:
            nb, source, resources = self._preprocessed(nb, source, resources, file)
            folder = Path(resources["metadata"]["path"] or ".")
            pdf, sentences = typeset(normalise(nb), source, file, folder, self.settings, self.template)
        except ExportError as error:
            raise ConversionException(str(error) if str(error).startswith(file) else f"{file} {error}") from error
        except RecursionError as error:
            raise ConversionException(f"{file} is nested too deeply") from error
        resources["output_extension"], resources["warnings"] = ".pdf", sentences
        for warning in sentences:
            self.log.warning("%s, %s", file, warning)
        return pdf, resources

    def _preprocessed(
        self, nb: NotebookNode, source: bytes, resources: dict, file: str
    ) -> tuple[NotebookNode, bytes, dict]:
        """The notebook and its file after nbconvert's preprocessors: unchanged if none is enabled."""
        try:
            with warnings.catch_warnings(action="ignore", category=MissingIDFieldWarning):
                preprocessed, resources = self._preprocess(copy.deepcopy(nb), resources)
        except nbformat.ValidationError as error:  # Jupyter opens it nevertheless
            self.log.warning("%s is not a valid notebook (%s): no preprocessor is run", file, error.message)
            return nb, source, resources
        if normalise(preprocessed) == normalise(nb):
            return nb, source, resources
        return preprocessed, nbformat.writes(preprocessed).encode(errors="replace"), resources


def _file_name(resources: dict) -> str:
    return f"{resources['metadata']['name'] or 'notebook'}.ipynb"
