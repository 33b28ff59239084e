"""The committed reports and their PDFs belong together."""

import platform

import nbformat
import pypdfium2
import pytest

from notebook_pdf import lossless
from notebook_pdf.conversion import typeset_file
from tests.notebook_pdf.pdf_helpers import ROOT, structure

REPORTS = sorted((ROOT / "reports").glob("part*.ipynb"))
MAX_PAGES = {"part1_mnist": 12, "part2_fashion_mnist": 15, "part3_experiments": 9}


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_a_report_loses_nothing_and_describes_every_figure(path):
    pdf = path.with_suffix(".pdf").read_bytes()
    assert lossless.lost(nbformat.read(path, as_version=4), pdf) == []
    figures = [alternative for kind, alternative in structure(pdf) if kind == "Figure"]
    assert len(figures) >= 3
    assert all(len(alternative) > 80 for alternative in figures)
    assert "Outputofcell" not in lossless.pdf_text(pdf)
    assert len(pypdfium2.PdfDocument(pdf)) <= MAX_PAGES[path.stem]


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_the_pdf_of_a_report_can_be_reproduced(path):
    pdf = path.with_suffix(".pdf").read_bytes()
    again, warnings = typeset_file(path)
    advice = f"the PDF is outdated: run python -m notebook_pdf {path.relative_to(ROOT)}"
    assert warnings == []
    assert lossless.pdf_text(again) == lossless.pdf_text(pdf), advice
    if (platform.system(), platform.machine()) == ("Linux", "x86_64"):  # other processors may round differently
        assert again == pdf, advice
