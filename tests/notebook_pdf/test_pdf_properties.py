"""Any notebook, also a damaged one, gives a PDF or an ExportError; never another error."""

import json

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notebook_pdf import ExportError, export
from notebook_pdf.errors import InternalError

many = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
plain = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=20))
nested = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
fragments = st.sampled_from(
    [
        "# Title",
        "$x^2$",
        "$$\\frac{a}{b}$$",
        "![](x.png)",
        "<b>bold",
        "</td>",
        "| a | b |\n|--|--|\n| 1 | 2 |",
        "```",
        "* one",
        "[a](#b)",
        "#read(1)",
        "\\begin{align}",
        "&amp;",
        "\x1b[31m",
        "<svg/>",
        "[^1]",
        "> quote",
        "$\\phantom{\\text{#panic(1)}}$",
        "```console\n$ ls\n```",
        '<p style="color: rgb(1e400%, 0%, 0%)">x',
        "&#xfdd0;9&#xfdd1;",
        "<td rowspan=0 colspan=1000>",
        "<div>",
        "\u202e",
        "\ud83d\ude00",
        "a" * 300,
    ]
)
sources = st.lists(fragments | st.text(max_size=30), max_size=5).map("\n".join)
outputs = st.one_of(
    st.builds(lambda text: {"output_type": "stream", "name": "stdout", "text": text}, sources),
    st.builds(
        lambda kind, text: {"output_type": "display_data", "metadata": {}, "data": {kind: text}},
        st.sampled_from(
            ["text/html", "text/plain", "text/markdown", "text/latex", "image/svg+xml", "image/png", "x/y"]
        ),
        sources,
    ),
    nested,
)
cells = st.one_of(
    st.builds(lambda source: {"cell_type": "markdown", "metadata": {}, "source": source}, sources),
    st.builds(
        lambda source, given: {
            "cell_type": "code",
            "metadata": {},
            "source": source,
            "outputs": given,
            "execution_count": 1,
        },
        sources,
        st.lists(outputs, max_size=3),
    ),
    nested,
)


def is_sentence(text):
    return len(text) > 10 and "Traceback" not in text


def assert_exported_or_reported(path, content):
    path.write_bytes(content)
    pdf = path.with_suffix(".pdf")
    pdf.unlink(missing_ok=True)
    try:
        warnings = export(path, pdf)
    except ExportError as error:
        assert not isinstance(error, InternalError)
        assert str(error).startswith(path.name)
        assert is_sentence(str(error))
        assert str(path.parent) not in str(error)
        assert not pdf.exists()
    else:
        assert pdf.read_bytes().startswith(b"%PDF")
        assert all(map(is_sentence, warnings))


@many
@given(content=st.lists(cells, max_size=4), metadata=nested)
def test_a_notebook_of_any_content_is_exported_or_reported(tmp_path, content, metadata):
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": content}
    assert_exported_or_reported(tmp_path / "any.ipynb", json.dumps(notebook).encode())


@many
@given(
    cuts=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 60), st.binary(max_size=8)), min_size=1, max_size=4),
    minor=st.integers(-1, 6),
    major=st.integers(-1, 6),
)
def test_a_damaged_notebook_is_exported_or_reported(tmp_path, cuts, minor, major):
    contents = [nbformat.v4.new_markdown_cell("# One"), nbformat.v4.new_code_cell("1 + 1")]
    notebook = dict(nbformat.v4.new_notebook(cells=contents), nbformat=major, nbformat_minor=minor)
    content = json.dumps(notebook).encode()
    assert_exported_or_reported(tmp_path / "damaged.ipynb", content)
    for place, length, piece in cuts:
        place %= len(content) + 1
        content = content[:place] + piece + content[place + length :]
    assert_exported_or_reported(tmp_path / "damaged.ipynb", content)


@pytest.mark.parametrize("depth", [100, 100_000])
def test_a_notebook_with_deeply_nested_json_is_exported_or_reported(tmp_path, depth):
    deep = "[" * depth + "]" * depth
    content = f'{{"nbformat": 4, "metadata": {{}}, "cells": {deep}}}'
    assert_exported_or_reported(tmp_path / "deep.ipynb", content.encode())


@pytest.mark.parametrize("depth", [100, 100_000])
def test_a_notebook_with_deeply_nested_html_is_exported_or_reported(tmp_path, depth):
    html = json.dumps("<div>" * depth + "x" + "</div>" * depth)
    output = f'{{"output_type": "display_data", "metadata": {{}}, "data": {{"text/html": {html}}}}}'
    cell = f'{{"cell_type": "code", "metadata": {{}}, "source": "", "outputs": [{output}], "execution_count": 1}}'
    content = f'{{"nbformat": 4, "metadata": {{}}, "cells": [{cell}]}}'
    assert_exported_or_reported(tmp_path / "deep.ipynb", content.encode())
