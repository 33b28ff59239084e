"""Fixtures of the tests of `notebook_pdf`."""

import pytest

from tests.notebook_pdf.pdf_helpers import export_cells


@pytest.fixture(scope="session")
def exported():
    """Exports an example once in a session: `exported(OUTPUTS["data frame"])`."""
    cache = {}

    def export_example(example):
        if id(example) not in cache:
            cache[id(example)] = export_cells(example.cells)
        return cache[id(example)]

    return export_example
