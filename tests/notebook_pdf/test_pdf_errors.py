"""A notebook that can't be typeset gives a sentence, and the previous PDF is still there."""

from pathlib import Path

import pytest

from notebook_pdf import ExportError, export
from tests.notebook_pdf.pdf_helpers import code, markdown, result, stream, write_notebook

CELLS_WITH_ERRORS = {
    "missing picture": (
        [markdown("# T"), markdown("![x](no/such.png)")],
        r"cell 2: the picture 'no/such\.png' can't be read",
    ),
    "missing attachment": (
        [markdown("![x](attachment:a.png)")],
        "cell 1: the attachment 'a.png' is missing",
    ),
    "not a picture": (
        [markdown("![x](data:image/png;base64,AAAA)")],
        "cell 1: the picture in a data address is not in a supported picture format",
    ),
    "picture not in base 64": (
        [markdown("![x](attachment:a.png)", a_png={"image/png": "A"})],
        "cell 1: a picture .* is not in base 64",
    ),
    "heading nested too deeply": (
        [markdown(f"# <span style='color: {'(' * 3000}'>x</span>")],
        "cell 1: it is nested too deeply",
    ),
    "HTML nested too deeply": (
        [markdown("<span>" * 6000)],
        "cell 1: its HTML is nested too deeply",
    ),
    "table with too many columns": (
        [code("1", result(text_html=f"<table><tr>{'<td>x</td>' * 3000}</tr></table>"))],
        "cell 1: a table has more than",
    ),
    "table with too many cells": (
        [
            code(
                "1",
                result(
                    text_html=f"<table><tr>{'<td rowspan=0 colspan=1000>x</td>' * 2}</tr>{'<tr></tr>' * 3000}</table>"
                ),
            )
        ],
        "cell 1: a table has more than",
    ),
}


@pytest.mark.parametrize("name", CELLS_WITH_ERRORS)
def test_an_error_names_the_file_and_the_cell_and_keeps_the_previous_pdf(name, tmp_path):
    cells, message = CELLS_WITH_ERRORS[name]
    path, pdf = write_notebook(tmp_path / "bad.ipynb", *cells), tmp_path / "bad.pdf"
    pdf.write_bytes(b"the previous PDF")
    with pytest.raises(ExportError, match=rf"^bad\.ipynb, {message}"):
        export(path, pdf)
    assert pdf.read_bytes() == b"the previous PDF"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bad.ipynb", "bad.pdf"]


def test_a_bug_in_the_exporter_is_reported_in_a_sentence(tmp_path, monkeypatch):
    path = write_notebook(tmp_path / "n.ipynb", markdown("# T"), code("1", stream("x")))
    monkeypatch.setattr("notebook_pdf.outputs.typst_output", lambda *_: 1 / 0)
    sentence = r"^n\.ipynb, cell 2 can't be typeset because of a bug in the exporter \(ZeroDivisionError: .*\)$"
    with pytest.raises(ExportError, match=sentence):
        export(path, tmp_path / "n.pdf")


INVALID_NOTEBOOKS = {
    "not JSON": ("this is text", "is not a valid notebook: it is not JSON"),
    "not a notebook": ('{"a": 1}', "is not a valid notebook: it has no `nbformat`"),
    "an unknown format": ('{"nbformat": 99, "cells": []}', "has the notebook format 99"),
    "no cells": ('{"nbformat": 4}', "is not a valid notebook: it has no list of cells"),
    "a cell without source": ('{"nbformat": 4, "cells": [{"cell_type": "markdown"}]}', "cell 1 has no source"),
    "a cell without type": ('{"nbformat": 4, "cells": [{"source": ""}]}', "cell 1 has no type"),
    "outputs that are not a list": (
        '{"nbformat": 4, "cells": [{"cell_type": "code", "source": "", "outputs": {"a": 1}}]}',
        "the outputs of cell 1 are not a list",
    ),
    "an old notebook that can't be converted": ('{"nbformat": 3, "worksheets": 5}', "can't be converted"),
    "empty": ("", "it is not JSON"),
    "not UTF-8": ("\udcff\udcfe", "it is not UTF-8"),
}


@pytest.mark.parametrize("name", INVALID_NOTEBOOKS)
def test_a_file_that_is_not_a_valid_notebook_is_refused(name, tmp_path):
    content, message = INVALID_NOTEBOOKS[name]
    path = tmp_path / "bad.ipynb"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ExportError, match=rf"^bad\.ipynb .*{message}"):
        export(path, tmp_path / "bad.pdf")
    assert [file.name for file in tmp_path.iterdir()] == ["bad.ipynb"]


def test_a_missing_notebook_is_named(tmp_path):
    with pytest.raises(ExportError, match=r"none\.ipynb can't be read: No such file"):
        export(tmp_path / "none.ipynb", tmp_path / "none.pdf")


def test_a_pdf_is_never_written_through_a_link(tmp_path):
    path = write_notebook(tmp_path / "n.ipynb", markdown("# T"))
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".n.pdf.new").symlink_to(tmp_path / "precious")
    assert export(path, tmp_path / "n.pdf") == []
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "n.pdf").is_symlink()


def test_a_temporary_file_is_removed_if_the_pdf_cannot_be_written(tmp_path, monkeypatch):
    path = write_notebook(tmp_path / "n.ipynb", markdown("# T"))

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space left on device"):
        export(path, tmp_path / "n.pdf")
    assert [file.name for file in tmp_path.iterdir()] == ["n.ipynb"]
