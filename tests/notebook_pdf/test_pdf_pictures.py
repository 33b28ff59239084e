import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from notebook_pdf import ExportError, lossless
from notebook_pdf.conversion import typeset_file
from notebook_pdf.pictures import ORIENTATION, POINTS_PER_PIXEL, Pictures
from tests.notebook_pdf.pdf_helpers import PNG, export_cells, markdown, structure, write_notebook


def test_a_picture_beside_the_notebook_is_found(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a b.png").write_bytes(base64.b64decode(PNG))
    pdf, _ = typeset_file(write_notebook(tmp_path / "n.ipynb", markdown("![two words](pictures/a%20b.png)")))
    assert ("Figure", "two words") in structure(pdf)


def test_a_missing_picture_can_be_replaced_by_its_description():
    _, pdf, warnings = export_cells([markdown("![a cat](no.png)")], missing_pictures="describe")
    assert "picture:acat" in lossless.pdf_text(pdf)
    assert "the picture 'no.png' can't be read" in warnings[0]


def test_a_picture_stored_on_its_side_has_the_width_of_the_rotated_one():
    content = io.BytesIO()
    image = Image.new("RGB", (200, 50))
    exif = image.getexif()
    exif[ORIENTATION] = 6
    image.save(content, "JPEG", exif=exif)
    assert Pictures(Path()).add(content.getvalue()).width == 50 * POINTS_PER_PIXEL


@pytest.mark.parametrize("name", ["/dev/zero", "a%00b.png", "."])
def test_only_regular_files_are_read_as_pictures(name):
    with pytest.raises(ExportError, match=r"^Notebook\.ipynb, cell 1: the picture"):
        export_cells([markdown(f"![x]({name})")])
