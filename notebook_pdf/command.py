"""The command: `python -m notebook_pdf notebook.ipynb`."""

from __future__ import annotations

import argparse
import errno
import sys
from pathlib import Path

from notebook_pdf.conversion import export
from notebook_pdf.errors import ExportError
from notebook_pdf.limits import continue_with_limits
from notebook_pdf.settings import Settings

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""The disk has no room left, or this user's share of it."""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m notebook_pdf",
        description="Typeset a notebook as a PDF. After an error, the previous PDF is still there.",
    )
    parser.add_argument("notebook", type=Path)
    parser.add_argument("pdf", type=Path, nargs="?", help="default: beside the notebook")
    parser.add_argument(
        "--describe-missing-pictures",
        action="store_true",
        help="if a picture's file is missing, print its description instead of refusing the notebook",
    )
    parser.add_argument(
        "--max-output-lines", type=int, default=0, metavar="N", help="shorten longer outputs to N lines; 0 prints all"
    )
    parser.add_argument("--no-attachment", action="store_true", help="do not attach the notebook to the PDF")
    parser.add_argument(
        "--no-limits", action="store_true", help="do not limit time and memory: for very large notebooks"
    )
    parsed = parser.parse_args(arguments)
    if parsed.max_output_lines < 0:
        parser.error(f"--max-output-lines is {parsed.max_output_lines}, expected 0 or more")
    return parsed


def main(arguments: list[str] | None = None) -> None:
    """Export the notebook that the command line names, and print the warnings.

    Raises:
        ExportError: the notebook can't be typeset.
        OSError: the PDF can't be written.
    """
    parsed = parse_arguments(arguments)
    if not parsed.no_limits:
        continue_with_limits(parsed.notebook)
    settings = Settings(
        attach_notebook=not parsed.no_attachment,
        max_output_lines=parsed.max_output_lines,
        missing_pictures="describe" if parsed.describe_missing_pictures else "error",
    )
    pdf = parsed.pdf or parsed.notebook.with_suffix(".pdf")
    for warning in export(parsed.notebook, pdf, settings):
        print(f"   {parsed.notebook.name}, {warning.encode(errors='replace').decode()}")
    print(f"== {pdf}: {pdf.stat().st_size / 1e6:.1f} MB ==")


def run(arguments: list[str] | None = None) -> None:
    """Run `main`. Errors are printed as sentences and end with exit status 1, Ctrl-C with 130."""
    try:
        main(arguments)
    except (ExportError, OSError) as error:
        advice = (
            "\nThe disk is full: free some space and run it again." if getattr(error, "errno", 0) in DISK_FULL else ""
        )
        print(f"error: {error}{advice}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(130)
