"""Typeset an executed notebook: `python -m pipeline.make_pdf reports/part1_mnist.ipynb reports/part1_mnist.pdf`."""

from __future__ import annotations

import argparse
from pathlib import Path

import utilities
from pipeline.errors import UserError, run_command
from pipeline.handin_pdf import ExportError, HandinPDFExporter


def main() -> None:
    parser = argparse.ArgumentParser(description="Typeset an executed notebook as a PDF, complete or not at all.")
    parser.add_argument("notebook", type=Path)
    parser.add_argument("pdf", type=Path)
    arguments = parser.parse_args()
    try:
        pdf, _ = HandinPDFExporter().from_filename(str(arguments.notebook))
    except ExportError as error:
        raise UserError(str(error)) from error
    with utilities.replace_when_complete(arguments.pdf) as temporary:
        temporary.write_bytes(pdf)
    print(f"== {arguments.pdf}: {len(pdf) / 1e6:.1f} MB ==")


if __name__ == "__main__":
    run_command(main)
