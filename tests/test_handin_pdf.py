import base64
import io
import subprocess
import sys

import nbformat
import pypdf
import pypdfium2
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell

from pipeline.handin_pdf import HandinPDFExporter

PIXEL = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
        "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
    )
).decode()


def pdf_bytes(*cells):
    pdf, resources = HandinPDFExporter().from_notebook_node(new_notebook(cells=list(cells)))
    assert resources["output_extension"] == ".pdf"
    return pdf


def pdf_of(*cells):
    return pypdf.PdfReader(io.BytesIO(pdf_bytes(*cells)))


def text_of(*cells):
    text = "\n".join(page.extract_text() for page in pdf_of(*cells).pages)
    return text.replace("\u200b", "").replace("\u00a0", " ")


def squeezed(text):
    return "".join(text.split())


def code(source, *outputs):
    return new_code_cell(source, execution_count=1, outputs=list(outputs))


def result(**data):
    return new_output("execute_result", {mime.replace("_", "/"): content for mime, content in data.items()})


def test_code_markdown_raw_and_output_are_in_the_pdf_in_order():
    stream = new_output("stream", name="stdout", text="hello output\n")
    text = text_of(
        new_markdown_cell("# The title\n\nSome *prose* with `code`."),
        code("print('hello code')", stream),
        new_raw_cell("raw text"),
        new_markdown_cell("- item one\n- item two\n\n| a | b |\n|---|---|\n| 1 | 2 |"),
    )
    places = [text.index(part) for part in ("The title", "prose", "hello code", "hello output", "raw text", "item two")]
    assert places == sorted(places)


def test_a_long_line_and_a_long_token_stay_within_the_margins():
    line = "call(" + ", ".join(f"argument_{number}={number}" for number in range(40)) + ")"
    token = "x" * 400
    cell = code(f"{line}\n{token}", new_output("stream", name="stdout", text=token + "\n"))
    text = squeezed(text_of(cell))
    assert squeezed(line) in text
    assert text.count(token) == 2
    page = pypdfium2.PdfDocument(pdf_bytes(cell))[0]
    letters = page.get_textpage()
    right_edges = [letters.get_charbox(index)[2] for index in range(letters.count_chars())]
    assert max(right_edges) <= page.get_width() - 20 / 25.4 * 72


@pytest.mark.parametrize(
    "text", ['#read("x")', "$(shell id)", '"; import os', "\\evil{}", "// comment", "*bold* _it_ @ref <label> `raw`"]
)
def test_typst_code_in_code_and_output_is_printed_not_run(text):
    assert squeezed(text) in squeezed(text_of(code(text)))
    assert squeezed(text) in squeezed(text_of(code("1", new_output("stream", name="stdout", text=text))))


def test_typst_code_in_markdown_is_printed_not_run():
    assert '#read("x")' in text_of(new_markdown_cell('Group #read("x")')).replace("”", '"').replace("“", '"')


def test_mathematics_is_set():
    text = text_of(new_markdown_cell("$$\\frac{W - K + 2P}{S} + 1$$ and $\\alpha \\le 0$"))
    assert {"𝑊", "𝐾", "𝑃", "𝑆", "𝛼", "≤"} <= set(text)
    assert "frac" not in text
    assert "alpha" not in text


def test_pictures_are_embedded_with_a_description():
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><rect width="10" height="10"/></svg>'
    reader = pdf_of(
        new_markdown_cell("## A section"),
        code("1", result(image_png=PIXEL)),
        code("2", result(**{"image_svg+xml": svg})),
    )
    assert len(reader.pages[0].images) == 1
    described = [
        node.get_object()["/Alt"]
        for node in reader.root_object.get("/StructTreeRoot").get_object()["/K"][0].get_object()["/K"]
        for node in _descendants(node.get_object())
        if "/Alt" in node
    ]
    assert described == ["Figure in the section A section"] * 2


def _descendants(node):
    yield node
    children = node.get("/K", [])
    for child in children if isinstance(children, list) else [children]:
        child = child.get_object() if hasattr(child, "get_object") else child
        if isinstance(child, dict):
            yield from _descendants(child)


def test_a_data_frame_is_a_table_with_all_its_cells():
    html = (
        "<style scoped>td {color: red}</style><table><thead><tr><th></th><th>name</th><th>score</th></tr></thead>"
        "<tbody><tr><th>0</th><td>T-shirt/top</td><td>0.87</td></tr></tbody></table>"
    )
    text = text_of(code("table", result(text_html=html, text_plain="unused")))
    for part in ("name", "score", "T-shirt/top", "0.87"):
        assert part in text
    assert "unused" not in text
    assert "color" not in text


def test_html_without_a_table_falls_back_to_plain_text():
    text = text_of(code("model.summary()", result(text_html="<pre>┏━┓ rich</pre>", text_plain="┏━┓ plain")))
    assert "┏━┓ plain" in text


def test_colours_and_rewritten_lines_show_as_a_terminal_would_end():
    stream = new_output("stream", name="stderr", text="\x1b[31mred\x1b[0m\n10 %\r50 %\r100 %\n")
    text = text_of(code("1", stream))
    assert "red" in text
    assert "100 %" in text
    assert "50 %" not in text


def test_an_error_output_is_shown():
    error = new_output(
        "error", ename="ValueError", evalue="no", traceback=["Traceback", "\x1b[0;31mValueError\x1b[0m: no"]
    )
    assert "ValueError: no" in text_of(code("1", error))


def test_hidden_input_is_left_out_and_its_output_kept():
    cell = code("secret_code()", result(text_markdown="**Shown** prose", text_plain="<Markdown>"))
    cell.metadata["tags"] = ["hide-input"]
    text = text_of(cell)
    assert "Shown prose" in text
    assert "secret_code" not in text


def test_nbconvert_finds_the_exporter_by_its_name(tmp_path):
    path = tmp_path / "tiny.ipynb"
    nbformat.write(new_notebook(cells=[new_markdown_cell("# Tiny")]), path)
    subprocess.run(
        [sys.executable, "-m", "nbconvert", "--to", "handin_pdf", str(path)], check=True, capture_output=True
    )
    assert "Tiny" in pypdf.PdfReader(tmp_path / "tiny.pdf").pages[0].extract_text()
