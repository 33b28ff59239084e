"""Typeset an executed notebook: `python -m pipeline.make_pdf reports/part1_mnist.ipynb`."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from pathlib import Path

from pipeline.errors import UserError, run_command
from pipeline.handin_pdf.document import Settings, typeset_file
from pipeline.handin_pdf.errors import ExportError

PROCESSOR_SECONDS, MEMORY = 300, 4 << 30
"""What an export may take: a hand-in's takes a second and 0.3 GiB."""
WITHOUT_LIMITS = "if it is yours, --no-limits lets it take what it needs"


def make_pdf(notebook: Path, pdf: Path, settings: Settings | None = None) -> list[str]:
    """Typeset a notebook, complete or not at all.

    Returns:
        A sentence for each thing that is not shown as it is in the notebook.

    Raises:
        UserError: the file is no notebook, or a cell can't be typeset.
    """
    try:
        content, warnings = typeset_file(notebook, settings)
    except ExportError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"{notebook} can't be read: {error.strerror}") from error
    # As `files.replace_when_complete` does it; importing NumPy and pandas with it would double the time of an export.
    temporary = pdf.with_name(f".{pdf.name}.new")
    temporary.unlink(missing_ok=True)
    try:
        with temporary.open("xb") as file:  # never through a link that somebody has put there
            file.write(content)
        temporary.replace(pdf)
    finally:
        temporary.unlink(missing_ok=True)
    return warnings


def in_process_with_limits(notebook: Path) -> None:
    """Go on in a child, which has so much time and memory and no more, and end as it does: whatever a notebook holds, it can't keep a
    grader's machine busy for ever, fill its memory, or take this command with it if a library crashes.

    Raises:
        UserError: the child went beyond its limits, or a library crashed.
    """
    if not hasattr(os, "fork"):
        return
    child = os.fork()
    if child == 0:
        import resource

        signal.signal(signal.SIGINT, signal.SIG_DFL)  # the parent tells of it
        os.environ.setdefault("RAYON_NUM_THREADS", "4")  # Typst's: a hundred take more addresses than there are
        for limit, most in ((resource.RLIMIT_CPU, PROCESSOR_SECONDS), (resource.RLIMIT_AS, MEMORY)):
            with contextlib.suppress(ValueError, OSError):  # not every system has them
                resource.setrlimit(limit, (most, most))
        return
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        sys.exit(os.WEXITSTATUS(status))
    if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL):
        raise UserError(f"{notebook} can't be typeset within {PROCESSOR_SECONDS} seconds of a core: {WITHOUT_LIMITS}")
    raise UserError(f"{notebook} needs more than {MEMORY >> 30} GiB, or makes a library crash: {WITHOUT_LIMITS}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Typeset a notebook as a PDF, complete or not at all.")
    parser.add_argument("notebook", type=Path)
    parser.add_argument("pdf", type=Path, nargs="?", help="default: beside the notebook")
    parser.add_argument(
        "--describe-missing-pictures",
        action="store_true",
        help="where a picture's file is missing, print its description instead of refusing the notebook",
    )
    parser.add_argument(
        "--max-output-lines", type=int, default=0, metavar="N", help="shorten longer outputs to N lines; 0 prints all"
    )
    parser.add_argument("--no-attachment", action="store_true", help="do not attach the notebook to the PDF")
    parser.add_argument(
        "--no-limits", action="store_true", help="let a very large notebook take all the time and memory it needs"
    )
    arguments = parser.parse_args()
    if arguments.max_output_lines < 0:
        parser.error(f"--max-output-lines is {arguments.max_output_lines}, expected 0 or more")
    if not arguments.no_limits:
        in_process_with_limits(arguments.notebook)
    settings = Settings(
        attach_notebook=not arguments.no_attachment,
        max_output_lines=arguments.max_output_lines,
        missing_pictures="describe" if arguments.describe_missing_pictures else "error",
    )
    pdf = arguments.pdf or arguments.notebook.with_suffix(".pdf")
    for warning in make_pdf(arguments.notebook, pdf, settings):
        print(f"   {arguments.notebook.name}, {warning.encode(errors='replace').decode()}")
    print(f"== {pdf}: {pdf.stat().st_size / 1e6:.1f} MB ==")


if __name__ == "__main__":
    run_command(main)
