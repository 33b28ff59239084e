"""Reports do not identify the machine or its user."""

import os
import re
import zipfile

import pypdf

from coursework import files
from notebook_pdf import lossless

FOLDER = re.compile(r"(?<![\w.~])/(?:home|Users|root|tmp|var|private|mnt|opt|usr)/[\w.]+")
"""A file or folder of a machine."""


def secrets(project):
    """What identifies this machine and its user: the project's folder, the host's name, the values of variables.

    The variables that the Makefile sets are no secret, such as `KERAS_BACKEND=tensorflow`.
    """
    ours = {"LANG", "LC_ALL", *re.findall(r"^export (\w+)", (files.ROOT / "Makefile").read_text(), re.MULTILINE)}
    values = {value for name, value in os.environ.items() if len(value) >= 8 and name not in ours}
    return {value for value in (str(files.ROOT), str(project), os.uname().nodename, *values) if len(value) >= 4}


def contents(folder, pattern):
    """The text of each file of a report, with the files inside of PDFs and models."""
    for path in folder.glob(pattern):
        if path.suffix == ".pdf":
            pdf = pypdf.PdfReader(path)
            yield path.name, f"{pdf.metadata}\n{lossless.pdf_text(path.read_bytes(), margin=0)}"
            for name, attached in pdf.attachments.items():
                yield f"{path.name}: {name}", b"\n".join(attached).decode()
        elif path.suffix in (".keras", ".npz"):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    yield f"{path.name}: {name}", archive.read(name).decode(errors="replace")
        elif path.is_file() and path.name != ".lock":
            yield path.name, path.read_text(encoding="utf-8")


def test_a_report_does_not_identify_the_machine_or_its_user(smoke_run):
    texts, hidden = dict(contents(smoke_run.output, "**/*")), secrets(smoke_run.project)
    assert sum(name.endswith(".ipynb") for name in texts) == 6  # as files, and in PDFs
    assert [f"{name}: {secret}" for name, text in texts.items() for secret in hidden if secret in text] == []


def test_the_committed_report_names_no_folder_of_a_machine():
    texts = dict(contents(files.ROOT / "reports", "*"))
    assert {name[:5] for name in texts if name.endswith(".pdf")} >= {"part1", "part2", "part3"}
    assert [f"{name}: {match[0]}" for name, text in texts.items() for match in FOLDER.finditer(text)] == []
