import itertools

import pypdfium2
import pytest

from notebook_pdf import lossless
from notebook_pdf.lexers import cell_lexer, kernel_lexer
from notebook_pdf.listings import break_positions, typst_code
from tests.notebook_pdf.pdf_examples_code import LONG_LINE
from tests.notebook_pdf.pdf_examples_markdown import MARKDOWN
from tests.notebook_pdf.pdf_examples_outputs import OUTPUTS
from tests.notebook_pdf.pdf_helpers import code, copied_text, export_cells, markdown, page_texts, stream


def test_a_wrapped_line_has_a_mark_that_is_not_text():
    page = pypdfium2.PdfDocument(export_cells([code(LONG_LINE)]).pdf)[0]
    lines = page.get_textpage().get_text_range().split("\r\n")
    code_lines = [line for line in lines if "argument_" in line]
    assert len(code_lines) > 5
    assert "".join("".join(code_lines).split()) == "".join(LONG_LINE.split())
    red_marks = [item for item in page.get_objects() if item.type == pypdfium2.raw.FPDF_PAGEOBJ_PATH]
    assert len(red_marks) >= len(code_lines) - 1


@pytest.mark.parametrize(
    ("line", "columns", "pieces"),
    [
        ("short", 10, ["short"]),
        ("one two three four", 10, ["one two ", "three ", "four"]),
        ("call(first,second)", 12, ["call(first,", "second)"]),
        ("x" * 25, 10, ["x" * 10, "x" * 8, "x" * 7]),
        ("aaaaaaaaa-bbbb", 10, ["a" * 9, "-bbbb"]),  # some viewers drop a hyphen at the end of a line
        ("日本語日本語", 4, ["日本", "語", "日", "本", "語"]),
    ],
)
def test_lines_are_broken_after_spaces_or_punctuation(line, columns, pieces):
    positions = [0, *break_positions(line, columns), len(line)]
    assert [line[start:end] for start, end in itertools.pairwise(positions)] == pieces


def test_tabs_in_code_become_spaces():
    assert "if x:\n    y = 1\n" in copied_text(export_cells([code("if x:\n\ty = 1")]).pdf)


def test_short_lines_are_copied_as_they_are():
    source = "def f(x):\n    if x:\n        return [1,  2]\n    return 'a  b'  # c"
    text = copied_text(export_cells([code(source, stream("  two\n    four"))]).pdf)
    assert f"\n{source}\n  two\n    four\n" in text


def test_code_is_broken_between_pages_at_blank_lines():
    block = "\n".join(f"step_{number} = {number}" for number in range(30))
    for page in page_texts(export_cells([code("\n\n".join([block] * 6))]).pdf):
        assert page.count("step_") % 30 == 0


def test_long_outputs_are_shortened_only_on_request():
    cell = code("1", stream("\n".join(f"line {number}" for number in range(1000))))
    assert "line999" in lossless.pdf_text(export_cells([cell]).pdf)
    text = lossless.pdf_text(export_cells([cell], max_output_lines=10).pdf)
    assert "line9..." in text
    assert "line10" not in text
    assert "990morelinesleftout" in text


def test_cells_that_span_rows_and_columns_are_in_place(exported):
    page = pypdfium2.PdfDocument(exported(MARKDOWN["HTML table with spans"]).pdf)[0].get_textpage()
    left, bottom = {}, {}
    for text in ("wide", "tall", "one", "two"):
        index, _ = page.search(text).get_next()
        left[text], bottom[text], _, _ = page.get_charbox(index)
    assert left["one"] == pytest.approx(left["two"], abs=0.5)
    assert bottom["tall"] == pytest.approx(bottom["one"], abs=3)
    assert left["tall"] < left["wide"] < left["one"]  # centred over both columns


def test_numbers_in_tables_are_aligned_right(exported):
    page = pypdfium2.PdfDocument(exported(OUTPUTS["data frame"]).pdf)[0].get_textpage()
    right_edges = []
    for text in ("score", "0.87"):
        index, count = page.search(text).get_next()
        right_edges.append(page.get_charbox(index + count - 1)[2])
    assert right_edges[0] == pytest.approx(right_edges[1], abs=1.5)


def test_the_title_block_has_the_lines_of_the_metadata():
    lines = {"Course": "Deep learning", "Group": "7, The æs", "Run": "2026-01-02", "Seed": "3"}
    text = lossless.pdf_text(export_cells([markdown("# The title"), markdown("text")], {"title_block": lines}).pdf)
    assert text.startswith("ThetitleCourse:DeeplearningGroup:7,TheæsRun:2026-01-02Seed:3")
    assert text.count("Thetitle") == 1


def test_without_a_title_block_the_authors_are_named():
    metadata = {"title": "Of cats", "authors": [{"name": "Ann"}, "Bo"]}
    assert lossless.pdf_text(export_cells([markdown("text")], metadata).pdf) == "OfcatsAuthors:Ann,Botext"


def test_pages_are_numbered_and_have_the_title_and_group_in_their_header():
    cell = markdown("# The title\n\n" + "word " * 3000)
    pages = page_texts(export_cells([cell], {"title_block": {"Group": "7"}}).pdf)
    assert f"page 2 of {len(pages)}" in pages[1]
    assert "The title, 7" in pages[1]


@pytest.mark.parametrize(
    ("kernel", "source", "style"),
    [
        ("", "def f(): pass", 'tk("def '),
        ("python", "%%bash\necho x", 'tb("echo'),
        ("R", "x <- function() 1", 'tk("function'),
        ("no such language", "def f(): pass", '"def f(): pass"'),
    ],
)
def test_code_has_the_colours_of_its_language(kernel, source, style):
    assert style in typst_code(source, cell_lexer(source, kernel_lexer(kernel)), 80)
