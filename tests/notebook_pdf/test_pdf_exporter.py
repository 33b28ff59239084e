"""The exporter of nbconvert."""

import json
import re
import subprocess
import sys

import pytest
from nbconvert.exporters import get_exporter
from nbconvert.utils.exceptions import ConversionException
from nbformat.v4 import new_notebook

from notebook_pdf import lossless
from notebook_pdf.conversion import typeset_file
from notebook_pdf.exporter import NotebookPDFExporter
from tests.notebook_pdf.pdf_examples_code import CODE
from tests.notebook_pdf.pdf_examples_outputs import OUTPUTS
from tests.notebook_pdf.pdf_helpers import ROOT, attachments_of, code, markdown, root_of, stream, write_notebook

NAME = "notebook_pdf.exporter.NotebookPDFExporter"


def run_nbconvert(path):
    command = [sys.executable, "-m", "nbconvert", "--to", NAME, str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_nbconvert_finds_the_exporter_by_the_name_of_its_entry_point():
    assert get_exporter("notebook_pdf") is NotebookPDFExporter


def test_nbconverts_command_writes_the_same_pdf(tmp_path):
    path = write_notebook(tmp_path / "tiny.ipynb", markdown("# Tiny"))
    assert run_nbconvert(path).returncode == 0
    assert (tmp_path / "tiny.pdf").read_bytes() == typeset_file(path)[0]


def test_nbconverts_command_refuses_an_invalid_notebook_with_a_sentence(tmp_path):
    path = tmp_path / "bad.ipynb"
    path.write_text("this is text")
    done = run_nbconvert(path)
    assert done.returncode == 1
    assert "bad.ipynb is not a valid notebook: it is not JSON" in done.stderr
    assert "Traceback" not in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["bad.ipynb"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"nbformat": 4, "cells": [{"cell_type": "markdown"}]}', "cell 1 has no source"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": "", "outputs": 5}]}', "is not a valid notebook"),
        (b"\xff\xfe", "it is not UTF-8"),
    ],
)
def test_an_invalid_notebook_is_a_conversion_error(content, message, tmp_path):
    path = tmp_path / "bad.ipynb"
    path.write_bytes(content)
    with pytest.raises(ConversionException, match=rf"^bad\.ipynb .*{message}"):
        NotebookPDFExporter().from_filename(str(path))


def test_the_notebook_is_attached_unchanged(tmp_path):
    path = tmp_path / "own.ipynb"
    path.write_text(json.dumps(new_notebook(cells=[markdown("æ")]), indent=7, ensure_ascii=False), encoding="utf-8")
    pdf, _ = NotebookPDFExporter().from_filename(str(path))
    assert attachments_of(pdf) == {"own.ipynb": [path.read_bytes()]}
    assert root_of(pdf)["/AF"][0]["/AFRelationship"] == "/Source"
    assert typeset_file(path) == (pdf, [])


def test_the_options_reach_the_export():
    cell = code("1", stream("a\nb\nc"))
    exporter = NotebookPDFExporter(
        attach_notebook=False, max_output_lines=1, missing_pictures="describe", language="da"
    )
    pdf, resources = exporter.from_notebook_node(new_notebook(cells=[markdown("![a cat](no.png)"), cell]))
    assert not attachments_of(pdf)
    assert "2morelinesleftout" in lossless.pdf_text(pdf)
    assert len(resources["warnings"]) == 1
    assert root_of(pdf)["/Lang"] == "da"


def test_the_result_of_a_preprocessor_is_printed_and_attached():
    def execute(notebook, resources):
        notebook.cells[0].outputs = [stream("executed")]
        return notebook, resources

    exporter = NotebookPDFExporter()
    exporter.register_preprocessor(execute, enabled=True)
    pdf, _ = exporter.from_notebook_node(new_notebook(cells=[code("1")]))
    assert lossless.pdf_text(pdf).endswith("[1]1executed")
    assert b"executed" in attachments_of(pdf)["Notebook.ipynb"][0]


def test_the_same_notebook_gives_the_same_bytes():
    notebook = new_notebook(cells=[*OUTPUTS["pictures"].cells, *CODE["Unicode"].cells, *OUTPUTS["data frame"].cells])
    first, second = (NotebookPDFExporter().from_notebook_node(notebook)[0] for _ in range(2))
    assert first == second


def test_the_command_in_the_readme_saves_the_attached_notebook(tmp_path):
    path = write_notebook(tmp_path / "notebook.ipynb", markdown("# Title"))
    content = path.read_bytes()
    (tmp_path / "notebook.pdf").write_bytes(typeset_file(path)[0])
    path.unlink()
    readme = (ROOT / "notebook_pdf" / "README.md").read_text(encoding="utf-8")
    script = re.search(r'python -c "(import pypdf.*)"', readme)[1]
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    assert path.read_bytes() == content
