"""Typeset a Jupyter notebook as an accessible, archivable PDF: notebook -> Typst -> PDF, without LaTeX or a browser.

`export` writes a PDF file. `notebook_pdf.exporter` is the same as an exporter of nbconvert, and `python -m notebook_pdf` as a command.
"""

from notebook_pdf.conversion import export
from notebook_pdf.errors import ExportError
from notebook_pdf.settings import Settings

__all__ = ["ExportError", "Settings", "export"]
