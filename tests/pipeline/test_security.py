"""Names from `handin.yaml` are not executed, reports do not identify the machine or its user, the lab is private."""

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile

import nbformat
import psutil
import pypdf
import pytest

import notebook_pdf
from coursework import files
from notebook_pdf import lossless
from pipeline import run_notebook

HOSTILE = [
    '#read("/etc/passwd")',
    "$(shell touch stolen) `touch stolen` ; touch stolen",
    '"; import os; os.system("touch stolen"); "',
    "'''; raise SystemExit; '''",
    "\\\\ \\n \\u0041 \\x41",
    "{{ cell }} {% raw %} #panic() @reference <label> $x$ // *strong* _emphasis_ = heading",
]
FOLDER = re.compile(r"(?<![\w.~])/(?:home|Users|root|tmp|var|private|mnt|opt|usr)/[\w.]+")
"""A file or folder of a machine."""


@pytest.fixture
def report_by_hostile_group(monkeypatch, tmp_path):
    """An executed notebook that prints the names of a hostile group, and its PDF."""
    handin = {"course": HOSTILE[0], "group_number": 1, "group_name": HOSTILE[2], "group_members": HOSTILE}
    notebook = nbformat.read(files.ROOT / "notebooks" / "part1_mnist.ipynb", as_version=4)
    notebook.cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    notebook.cells.append(nbformat.v4.new_code_cell("print(group_name)\nprint(*group_members, sep='\\n')"))
    nbformat.write(notebook, tmp_path / "part1_mnist.ipynb")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_notebook, "NOTEBOOKS_FOLDER", tmp_path)
    monkeypatch.setattr(run_notebook, "read_handin", lambda: handin)
    monkeypatch.setattr(files, "ROOT", tmp_path)
    monkeypatch.setattr(files, "REPORTS_FOLDER", tmp_path / "reports")
    executed = run_notebook.run_notebook("part1_mnist", "smoke")
    pdf = executed.with_suffix(".pdf")
    notebook_pdf.export(executed, pdf)
    return executed, pdf


@pytest.mark.fault("names with code for Typst, the shell, make and Python")
def test_hostile_names_are_printed_as_they_are(report_by_hostile_group, tmp_path):
    executed, pdf = report_by_hostile_group
    printed = nbformat.read(executed, as_version=4).cells[-1].outputs[0].text
    assert printed.splitlines() == [HOSTILE[2], *HOSTILE]
    text = lossless.pdf_text(pdf.read_bytes(), margin=0)
    for name in HOSTILE:
        assert text.count("".join(name.split())) >= 2, name  # in the title and in the output
    assert not list(tmp_path.rglob("stolen"))


def secrets(project):
    """What identifies this machine and its user: the project's folder, the host's name, the values of variables.

    The variables that the Makefile sets are no secret, such as `KERAS_BACKEND=tensorflow`.
    """
    ours = {"LANG", "LC_ALL", *re.findall(r"^export (\w+)", (files.ROOT / "Makefile").read_text(), re.MULTILINE)}
    values = {value for name, value in os.environ.items() if len(value) >= 8 and name not in ours}
    places = (str(files.ROOT), str(project), os.uname().nodename)
    return {value for value in (*places, *values) if len(value) >= 4}


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
    texts = dict(contents(smoke_run.output, "**/*"))
    assert sum(name.endswith(".ipynb") for name in texts) == 6  # as files, and in PDFs
    hidden = secrets(smoke_run.project)
    assert [f"{name}: {secret}" for name, text in texts.items() for secret in hidden if secret in text] == []


def test_the_committed_report_names_no_folder_of_a_machine():
    texts = dict(contents(files.ROOT / "reports", "*"))
    assert {f"part{number}" for number in (1, 2, 3)} <= {name[:5] for name in texts if name.endswith(".pdf")}
    assert [f"{name}: {match[0]}" for name, text in texts.items() for match in FOLDER.finditer(text)] == []


@pytest.fixture
def lab(tmp_path):
    """The process of a JupyterLab, its address and its token."""
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--notebook-dir", str(tmp_path)]
    if os.getuid() == 0:
        command.append("--allow-root")
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        line = next(line for line in server.stderr if "/lab?token=" in line)
        address, _, token = line[line.index("http") :].strip().partition("/lab?token=")
        yield server, address, token
    finally:
        server.kill()
        server.communicate()


def listening(process):
    return [one for one in psutil.Process(process.pid).net_connections() if one.status == "LISTEN"]


@pytest.mark.slow
def test_the_lab_answers_this_machine_alone_and_asks_for_its_token(lab):
    server, address, token = lab
    while not (connections := listening(server)):
        time.sleep(0.1)
    assert {one.laddr.ip for one in connections} <= {"127.0.0.1", "::1"}
    assert len(token) >= 32
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{address}/api/contents", timeout=20)
    assert urllib.request.urlopen(f"{address}/api/contents?token={token}", timeout=20).status == 200
