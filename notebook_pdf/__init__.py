"""Typeset a Jupyter notebook as an accessible, archivable PDF: notebook -> Typst -> PDF, without LaTeX or a browser.

`export` writes a PDF file; `python -m notebook_pdf` is the same as a command, `notebook_pdf.exporter` as an exporter of
nbconvert.
"""

from notebook_pdf.conversion import export
from notebook_pdf.errors import ExportError
from notebook_pdf.settings import Settings

__all__ = ["ExportError", "Settings", "export"]
