"""Notebook -> Typst -> PDF: an nbconvert exporter. `jupyter nbconvert --to handin_pdf notebook.ipynb`."""

from pipeline.handin_pdf.errors import ExportError
from pipeline.handin_pdf.exporter import HandinPDFExporter

__all__ = ["ExportError", "HandinPDFExporter"]
