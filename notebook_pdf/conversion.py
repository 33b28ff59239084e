"""From a notebook to a PDF: read, typeset, write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from notebook_pdf.compiler import Compiler, own_template
from notebook_pdf.document import Document
from notebook_pdf.errors import ExportError, InternalError, PictureRefusedError
from notebook_pdf.notebook import read_notebook
from notebook_pdf.settings import Settings


def export(notebook: Path, pdf: Path, settings: Settings | None = None) -> list[str]:
    """Typeset a notebook. The PDF is replaced atomically: after an error, the previous one is still there.

    Args:
        notebook: the notebook's file. Pictures are searched for in its folder.
        pdf: the file to write.
        settings: the options; None for the defaults.

    Returns:
        One sentence for each thing that is not printed as it is in the notebook.

    Raises:
        ExportError: the file can't be read or is not a valid notebook, or a cell can't be typeset.
        OSError: the PDF can't be written.
    """
    try:
        content, warnings = typeset_file(notebook, settings)
    except OSError as error:
        raise ExportError(f"{notebook} can't be read: {error.strerror}") from error
    temporary = pdf.with_name(f".{pdf.name}.new")
    temporary.unlink(missing_ok=True)
    try:
        with temporary.open("xb") as file:  # "x" never writes through a link that somebody has put there
            file.write(content)
        temporary.replace(pdf)
    finally:
        temporary.unlink(missing_ok=True)
    return warnings


def typeset_file(path: Path, settings: Settings | None = None) -> tuple[bytes, list[str]]:
    """Typeset a notebook file.

    Returns:
        The PDF, and one sentence for each thing that is not printed as it is in the notebook.

    Raises:
        ExportError: the file is not a valid notebook, or a cell can't be typeset.
        OSError: the file can't be read.
    """
    content = path.read_bytes()
    try:
        notebook = read_notebook(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ExportError(f"{path.name} is not a valid notebook: it is not UTF-8 ({error.reason})") from error
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
    """Typeset a notebook that was read already.

    Args:
        notebook: a notebook as `normalise` returns it.
        source: the content of the notebook's file, to be attached.
        file: the file's name.
        folder: the file's folder.
        settings: the options.
        template: the layout; None for the package's own.

    Returns:
        The PDF, and one sentence for each thing that is not printed as it is in the notebook.

    Raises:
        ExportError: a cell can't be typeset.
    """
    refused: dict[str, str] = {}
    while True:
        try:
            document = Document(notebook, file, folder, settings, refused)
            attachment = source if settings.attach_notebook else b""
            return Compiler(document, attachment, template or own_template()).compile(), document.warnings
        except (
            PictureRefusedError
        ) as error:  # try again with another form of the output, or an error that names the cell
            refused[error.file] = error.reason
        except (ExportError, OSError):
            raise
        except RecursionError as error:
            raise ExportError(f"{file} is nested too deeply") from error
        except MemoryError as error:
            raise ExportError(f"{file} needs more memory than is available") from error
        except Exception as error:
            raise InternalError(file, error) from error
