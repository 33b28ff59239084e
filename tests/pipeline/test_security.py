"""Names from `handin.yaml` are not executed, reports do not identify the machine or its user, the lab is private."""

import os
import re
import subprocess
import sys
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
from tests.running import wait_for

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


def test_hostile_names_are_printed_as_they_are(monkeypatch, tmp_path):
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
    printed = nbformat.read(executed, as_version=4).cells[-1].outputs[0].text
    assert printed.splitlines() == [HOSTILE[2], *HOSTILE]
    notebook_pdf.export(executed, executed.with_suffix(".pdf"))
    text = lossless.pdf_text(executed.with_suffix(".pdf").read_bytes(), margin=0)
    for name in HOSTILE:
        assert text.count("".join(name.split())) >= 2, name  # in the title and in the output
    assert not list(tmp_path.rglob("stolen"))


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


@pytest.mark.slow
def test_the_lab_answers_this_machine_alone_and_asks_for_its_token(tmp_path):
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--notebook-dir", str(tmp_path)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def listening():
        return [one.laddr.ip for one in psutil.Process(server.pid).net_connections() if one.status == "LISTEN"]

    try:
        line = next(line for line in server.stderr if "/lab?token=" in line)
        address, _, token = line[line.index("http") :].strip().partition("/lab?token=")
        assert set(wait_for("open port", listening, limit=30)) <= {"127.0.0.1", "::1"}
        assert len(token) >= 32
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"{address}/api/contents", timeout=20)
        assert urllib.request.urlopen(f"{address}/api/contents?token={token}", timeout=20).status == 200
    finally:
        server.kill()
        server.communicate()
