import io

import pypdf
import pypdfium2
import pytest

from tests.notebook_pdf.pdf_examples_markdown import MARKDOWN
from tests.notebook_pdf.pdf_examples_mathematics import MATHEMATICS
from tests.notebook_pdf.pdf_examples_outputs import OUTPUTS
from tests.notebook_pdf.pdf_helpers import export_cells, markdown, page_texts, root_of, structure

KINDS_OF_CONTENT = {
    "text": MARKDOWN["headings"],
    "links": MARKDOWN["links"],
    "footnotes": MARKDOWN["footnotes"],
    "formulas": MATHEMATICS["inline and display"],
    "tables": OUTPUTS["data frame"],
    "pictures": OUTPUTS["pictures"],
}


@pytest.mark.parametrize("kind", KINDS_OF_CONTENT)
def test_the_pdf_claims_both_standards_and_is_tagged(kind, exported):
    root = root_of(exported(KINDS_OF_CONTENT[kind]).pdf)
    metadata = root["/Metadata"].get_data().decode()
    for claim in ("<pdfuaid:part>1<", "<pdfaid:part>3<", "<pdfaid:conformance>A<", "<dc:title>"):
        assert claim in metadata
    assert root["/Lang"] == "en"
    assert root["/MarkInfo"]["/Marked"]
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]


@pytest.mark.parametrize(
    ("metadata", "language"), [({"lang": "da-DK"}, "da"), ({"lang": "Danish, of course"}, "de"), ({}, "de")]
)
def test_the_language_is_that_of_the_metadata_or_the_settings(metadata, language):
    assert root_of(export_cells([markdown("tekst")], metadata, language="de").pdf)["/Lang"] == language


def test_skipped_levels_of_headings_are_closed_up_and_become_bookmarks():
    sections = "\n\n".join(f"## Part {number}\n\n##### Deep {number}" for number in range(3))
    pdf = export_cells([markdown("# Title\n\n" + sections)]).pdf
    kinds = [kind for kind, _ in structure(pdf)]
    assert kinds.count("H1") == kinds.count("H2") == 3
    assert "TOC" in kinds
    outline = pypdfium2.PdfDocument(pdf).get_toc()
    assert [(item.level, item.get_title()) for item in outline][:2] == [(0, "Part 0"), (1, "Deep 0")]


def test_links_lead_to_their_target():
    pdf = export_cells(
        [markdown("[out](https://example.org) [in](#My-part) [nowhere](#none)\n\n# Other"), markdown("## My part")]
    ).pdf
    links = [link.get_object() for link in pypdf.PdfReader(io.BytesIO(pdf)).pages[0]["/Annots"]]
    assert len(links) == 2
    assert [link["/A"]["/URI"] for link in links if "/URI" in link.get("/A", {})] == ["https://example.org"]


def test_a_figure_and_a_table_are_tagged_with_their_caption():
    pdf = export_cells([*OUTPUTS["pictures"].cells[:1], *OUTPUTS["data frame"].cells]).pdf
    kinds = [kind for kind, _ in structure(pdf)]
    assert kinds.count("Caption") == 2
    assert {"Table", "THead", "TH", "TBody", "TD", "Figure", "Code"} <= set(kinds)


def test_a_table_over_several_pages_repeats_its_header(exported):
    pages = page_texts(exported(OUTPUTS["long data frame"]).pdf)
    assert len(pages) >= 3
    assert all("heading" in page for page in pages)


def test_a_footnote_with_a_heading_may_be_in_a_heading_with_an_anchor():
    source = "[go](#here)\n\n# One[^1] <a id='here'></a>\n\n# Two\n\n# Three\n\n# Four\n\n[^1]: # Note"
    pdf = export_cells([markdown(source)]).pdf
    assert "Note" in page_texts(pdf)[0]
    assert pypdf.PdfReader(io.BytesIO(pdf)).pages[0]["/Annots"][0].get_object()["/Subtype"] == "/Link"
