"""Typeset an executed notebook: `python -m pipeline.make_pdf reports/part1_mnist.ipynb reports/part1_mnist.pdf`."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import utilities
from pipeline.errors import UserError, run_command
from pipeline.handin_pdf import ExportError, HandinPDFExporter


def make_pdf(notebook: Path, pdf: Path, exporter: HandinPDFExporter | None = None) -> list[str]:
    """Typeset a notebook, complete or not at all.

    Returns:
        What could not be shown as it is in the notebook, a sentence each.

    Raises:
        UserError: the file is no notebook, or a cell can't be typeset.
    """
    try:
        content, resources = (exporter or HandinPDFExporter()).from_filename(str(notebook))
    except ExportError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"{notebook} can't be read: {error.strerror}") from error
    with utilities.replace_when_complete(pdf) as temporary:
        temporary.write_bytes(content)
    return resources["warnings"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Typeset a notebook as a PDF, complete or not at all.")
    parser.add_argument("notebook", type=Path)
    parser.add_argument("pdf", type=Path, nargs="?", help="default: beside the notebook")
    parser.add_argument(
        "--describe-missing-pictures", action="store_true", help="print the description of a missing picture, and go on"
    )
    parser.add_argument(
        "--max-output-lines", type=int, default=0, metavar="N", help="shorten longer outputs; 0 prints all"
    )
    arguments = parser.parse_args()
    logging.getLogger("traitlets").setLevel(logging.ERROR)  # the warnings are printed below
    exporter = HandinPDFExporter(
        missing_pictures="describe" if arguments.describe_missing_pictures else "error",
        max_output_lines=arguments.max_output_lines,
    )
    pdf = arguments.pdf or arguments.notebook.with_suffix(".pdf")
    for warning in make_pdf(arguments.notebook, pdf, exporter):
        print(f"   {arguments.notebook.name}, {warning}")
    print(f"== {pdf}: {pdf.stat().st_size / 1e6:.1f} MB ==")


if __name__ == "__main__":
    run_command(main)
