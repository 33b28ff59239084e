"""The PDF of every example has its content in order, with alternative texts and warnings, within the margins."""

import pypdfium2
import pytest

from notebook_pdf import lossless
from tests.notebook_pdf.pdf_examples_code import CODE
from tests.notebook_pdf.pdf_examples_hostile import HOSTILE
from tests.notebook_pdf.pdf_examples_markdown import MARKDOWN
from tests.notebook_pdf.pdf_examples_mathematics import MATHEMATICS
from tests.notebook_pdf.pdf_examples_outputs import OUTPUTS
from tests.notebook_pdf.pdf_helpers import structure

EXAMPLES = MARKDOWN | MATHEMATICS | CODE | OUTPUTS | HOSTILE
SIDE_MARGIN, EDGE = 56, 18
"""Points. Execution counts are left of the text, up to 18 points from the edge of the paper."""


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_pdf_contains_the_passages_in_order(name, exported):
    example = EXAMPLES[name]
    text, position = lossless.pdf_text(exported(example).pdf), 0
    for passage in map(lossless.squeeze, example.contains):
        found = text.find(passage, position)
        assert found >= 0, f"{passage!r} is not in {text[position : position + 2000]!r}"
        position = found + len(passage)
    for passage in map(lossless.squeeze, example.lacks):
        assert passage not in text


@pytest.mark.parametrize("name", [name for name, example in EXAMPLES.items() if example.compare])
def test_the_pdf_loses_nothing(name, exported):
    notebook, pdf, _ = exported(EXAMPLES[name])
    assert lossless.lost(notebook, pdf) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_figure_and_formula_has_an_alternative_text(name, exported):
    elements = structure(exported(EXAMPLES[name]).pdf)
    alternatives = [alternative for kind, alternative in elements if kind in ("Figure", "Formula")]
    assert all(alternatives)
    assert set(EXAMPLES[name].alternatives) <= set(alternatives)


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_not_printed_as_it_is_gives_a_warning(name, exported):
    warnings = exported(EXAMPLES[name]).warnings
    assert len(warnings) == len(EXAMPLES[name].warnings), warnings
    for expected in EXAMPLES[name].warnings:
        assert any(expected in warning for warning in warnings), warnings


@pytest.mark.parametrize("name", EXAMPLES)
def test_nothing_is_printed_outside_the_margins(name, exported):
    for page in pypdfium2.PdfDocument(exported(EXAMPLES[name]).pdf):
        characters = page.get_textpage()
        printed = [index for index in range(characters.count_chars()) if characters.get_text_range(index, 1).strip()]
        boxes = [characters.get_charbox(index) for index in printed]
        assert max((right for _, _, right, _ in boxes), default=0) <= page.get_width() - SIDE_MARGIN
        assert min((left for left, _, _, _ in boxes), default=EDGE) >= EDGE
        assert min((bottom for _, bottom, _, _ in boxes), default=EDGE) >= EDGE
