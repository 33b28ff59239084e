"""The disk is full while a notebook or a PDF is written: no incomplete file is left, and it can be repeated."""

import runpy
import sys

import nbformat
import pytest

import notebook_pdf
from coursework import data
from pipeline import run_notebook


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
@pytest.mark.fault("a full disk, while a PDF is written")
def test_a_pdf_is_written_once_there_is_room(small_disk, tmp_path):
    folder, remount = small_disk
    notebook = tmp_path / "one.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# One")]), notebook)
    (folder / "filling").write_bytes(bytes(60 * 1024))
    with pytest.raises(OSError, match="No space left on device"):
        notebook_pdf.export(notebook, folder / "one.pdf")
    assert names(folder) == ["filling"]
    remount("size=1m")
    notebook_pdf.export(notebook, folder / "one.pdf")
    assert (folder / "one.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
@pytest.mark.fault("a full disk, while a notebook is written")
def test_an_executed_notebook_is_written_once_there_is_room(small_disk, tmp_path, monkeypatch):
    folder, remount = small_disk
    monkeypatch.setattr(run_notebook, "NOTEBOOKS_FOLDER", tmp_path)
    source, target = tmp_path / "one.ipynb", folder / "one.ipynb"
    cells = [nbformat.v4.new_code_cell("x = 1", metadata={"tags": ["parameters"]})]
    cells.append(nbformat.v4.new_code_cell("print('x' * 100_000)"))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), source)
    with pytest.raises(OSError, match="No space left on device"):
        run_notebook.execute_notebook(source, target, {}, show=False)
    assert names(folder) == []
    remount("size=1m")
    run_notebook.execute_notebook(source, target, {}, show=False)
    assert names(folder) == ["one.ipynb"]


def test_a_command_says_that_the_disk_is_full_and_what_to_do(monkeypatch, capsys):
    def fail(*arguments, **options):
        raise OSError(28, "No space left on device", "data/mnist")

    monkeypatch.setattr(data, "load_mnist", fail)
    monkeypatch.setattr(sys, "argv", ["pipeline.fetch_data", "mnist"])
    monkeypatch.delitem(sys.modules, "pipeline.fetch_data", raising=False)
    with pytest.raises(SystemExit):
        runpy.run_module("pipeline.fetch_data", run_name="__main__")
    assert capsys.readouterr().err == (
        "error: [Errno 28] No space left on device: 'data/mnist'\n"
        "The disk is full. Finished results are kept: free some space and run it again.\n"
    )
