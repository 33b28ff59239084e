"""The comparison of a notebook with its PDF notices what is missing."""

import pytest
from nbformat.v4 import new_notebook

from notebook_pdf import lossless
from tests.notebook_pdf.pdf_helpers import code, export_cells, markdown, result, stream

CELLS = [
    markdown("# Title\n\nSome *words* with $x^2$."),
    code("first = 1", stream("printed")),
    code("second = 2", result(text_html="<table><tr><td>12.5</td></tr></table>")),
]


@pytest.fixture(scope="module")
def pdf():
    return export_cells(CELLS).pdf


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (markdown("some other *words*"), [(1, "markdown", "some"), (1, "markdown", "other")]),
        (code("second = 3"), [(1, "code", "second=>>>3")]),
        (code("first = 1", stream("forgotten")), [(1, "stream", "f>>>orgotten")]),
        (code("1", result(text_html="<table><tr><td>12.6</td></tr></table>")), [(1, "table", "12.6")]),
    ],
)
def test_missing_text_is_reported(cell, expected, pdf):
    assert lossless.lost(new_notebook(cells=[cell]), pdf) == expected


def test_a_changed_order_is_reported(pdf):
    lost = lossless.lost(new_notebook(cells=[CELLS[2], CELLS[1]]), pdf)
    assert [(number, kind) for number, kind, _ in lost] == [(2, "code"), (2, "stream")]


def test_cells_hidden_by_a_tag_are_not_missed(pdf):
    hidden = code("secret = 1", tags=["remove-cell"])
    assert lossless.lost(new_notebook(cells=[hidden]), pdf) == []
