"""Notebooks of all formats and with gaps are read."""

import json

import pytest

from notebook_pdf import lossless
from notebook_pdf.conversion import typeset_file


def test_notebooks_of_format_3_and_without_metadata_are_read(tmp_path):
    output = {"output_type": "stream", "stream": "stdout", "text": ["one\n"]}
    cells = [
        {"cell_type": "heading", "level": 1, "source": ["Old title"]},
        {
            "cell_type": "code",
            "language": "python",
            "collapsed": False,
            "prompt_number": 4,
            "input": ["print(1)"],
            "outputs": [output],
        },
    ]
    old, new = tmp_path / "old.ipynb", tmp_path / "new.ipynb"
    old.write_text(json.dumps({"metadata": {"name": ""}, "nbformat": 3, "worksheets": [{"cells": cells}]}))
    assert lossless.pdf_text(typeset_file(old)[0]).startswith("Oldtitle[4]print(1)one")
    new.write_text('{"nbformat": 4, "nbformat_minor": 5, "cells": [{"cell_type": "code", "source": "x = 1"}]}')
    assert "x=1" in lossless.pdf_text(typeset_file(new)[0])


@pytest.mark.parametrize(
    "metadata",
    [
        {"language_info": None, "kernelspec": None, "authors": None, "papermill": None},
        {"language_info": "python", "authors": [{"name": 5}, "Ann"], "title_block": ["a"], "title": 5, "lang": "en-US"},
        {"authors": "Ann", "title_block": {"Group": None}, "title": ["a"], "lang": 5, "papermill": {"start_time": 5}},
    ],
)
def test_metadata_of_the_wrong_type_is_ignored(metadata, tmp_path):
    outputs = [
        {"output_type": "display_data", "data": {"image/png": None, "text/plain": "d"}, "metadata": None},
        {"output_type": "error", "traceback": "line one"},
        {"output_type": "stream", "text": ["e\ud800"]},
    ]
    cells = [
        {"cell_type": "markdown", "source": ["a\n", "b"], "metadata": {"tags": 5}, "attachments": {"a.png": "x"}},
        {
            "cell_type": "code",
            "source": "c",
            "metadata": {"tags": [["a"]]},
            "execution_count": "x",
            "outputs": outputs,
        },
    ]
    path = tmp_path / "odd.ipynb"
    text = json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": metadata, "cells": cells})
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert lossless.pdf_text(typeset_file(path)[0]).endswith("ab[x]cdlineonee\ufffd")
