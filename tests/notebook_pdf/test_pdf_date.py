import io

import pypdf
import pytest

from notebook_pdf import ExportError
from tests.notebook_pdf.pdf_helpers import export_cells, markdown

CELLS = [markdown("x")]


@pytest.fixture(autouse=True)
def without_epoch(monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)


def creation_date(metadata=None):
    pdf = export_cells(CELLS, metadata).pdf
    return pypdf.PdfReader(io.BytesIO(pdf)).metadata["/CreationDate"]


@pytest.mark.parametrize(
    ("started", "date"),
    [
        ("2024-05-01T10:00:00", "D:20240501"),
        ("2024-05-01T23:30:00-02:00", "D:20240502"),
        ("yesterday", "D:19800101"),
        (None, "D:19800101"),
    ],
)
def test_the_date_is_that_of_the_run_or_a_fixed_one(started, date):
    assert creation_date({"papermill": {"start_time": started}}).startswith(date)


def test_source_date_epoch_sets_the_date(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert creation_date().startswith("D:20231114")


def test_an_invalid_source_date_epoch_is_named(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "today")
    with pytest.raises(ExportError, match="SOURCE_DATE_EPOCH is 'today', expected seconds since 1970"):
        export_cells(CELLS)
