"""Notebooks as plain dictionaries of one structure, whatever the version of the format and the gaps of the file.

Reading needs no Jupyter package unless the file has an old format: importing them takes longer than the whole export.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from typing import Any

from notebook_pdf.errors import ExportError

Cell = dict[str, Any]
Output = dict[str, Any]


def read_notebook(text: str) -> dict[str, Any]:
    """Parse a notebook's file.

    Args:
        text: the file's content.

    Returns:
        The notebook as `normalise` returns it.

    Raises:
        ExportError: the file is not a valid notebook. The message lacks the file's name, which goes before it.
    """
    try:
        content = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise ExportError(f"is not a valid notebook: it is not JSON ({error})") from error
    if not isinstance(content, dict) or not isinstance(content.get("nbformat"), int):
        raise ExportError("is not a valid notebook: it has no `nbformat`")
    if content["nbformat"] < 4:
        content = _converted(text)
    elif content["nbformat"] > 4:
        raise ExportError(f"has the notebook format {content['nbformat']}, but the newest supported one is 4")
    return normalise(content)


def _converted(text: str) -> dict[str, Any]:
    import nbformat

    try:
        with warnings.catch_warnings(action="ignore"):
            return nbformat.reads(text, as_version=4, capture_validation_error={})
    except Exception as error:  # nbformat's converter assumes a valid notebook and may raise anything
        raise ExportError(
            f"has an old notebook format and can't be converted ({' '.join(str(error).split())[:200]})"
        ) from error


def normalise(notebook: dict[str, Any]) -> dict[str, Any]:
    """Bring a parsed notebook to one structure. What is missing or has the wrong type becomes empty.

    Returns:
        `cells`, each with `number` (from 1), `cell_type`, `source` (one string), `metadata`, `tags`, `attachments`,
        `execution_count` and `outputs`; the notebook's `title`, `language` of the text, `kernel_language`, `authors`,
        `title_block` (lines below the title: names and values) and `started` (time at which its execution began).

    Raises:
        ExportError: the notebook has no list of cells, or a cell has no type, no source or no list of outputs.
    """
    cells = notebook.get("cells")
    if not isinstance(cells, list):
        raise ExportError("is not a valid notebook: it has no list of cells")
    return {
        **_notebook_metadata(_mapping(notebook.get("metadata"))),
        "cells": [_normalise_cell(cell, number) for number, cell in enumerate(cells, 1)],
    }


def _notebook_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    authors = metadata.get("authors")
    authors = authors if isinstance(authors, list) else [authors]
    names = [author.get("name") if isinstance(author, dict) else author for author in authors]
    info, kernel = _mapping(metadata.get("language_info")), _mapping(metadata.get("kernelspec"))
    languages = (info.get("pygments_lexer"), info.get("name"), kernel.get("language"))
    return {
        "title": _string(metadata.get("title")),
        "language": _string(metadata.get("lang")),
        "kernel_language": next((language for language in languages if isinstance(language, str) and language), ""),
        "authors": [name for name in names if isinstance(name, str)],
        "title_block": {str(name): str(value) for name, value in _mapping(metadata.get("title_block")).items()},
        "started": _string(_mapping(metadata.get("papermill")).get("start_time")),
    }


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _normalise_cell(cell: Any, number: int) -> Cell:
    if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
        raise ExportError(f"is not a valid notebook: cell {number} has no type")
    if not isinstance(cell.get("source"), (str, list)):
        raise ExportError(f"is not a valid notebook: cell {number} has no source")
    outputs = cell.get("outputs") or []
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        raise ExportError(f"is not a valid notebook: the outputs of cell {number} are not a list")
    return {
        "number": number,
        "cell_type": cell["cell_type"],
        "source": text_of(cell["source"]),
        "metadata": (metadata := _mapping(cell.get("metadata"))),
        "tags": set(map(str, tags)) if isinstance(tags := metadata.get("tags"), list) else set(),
        "attachments": _mapping(cell.get("attachments")),
        "execution_count": cell.get("execution_count"),
        "outputs": _join_texts(map(_normalise_output, outputs)),
    }


def _normalise_output(output: Output) -> Output:
    kind = output.get("output_type")
    if kind == "stream":
        return {"kind": kind, "name": output.get("name", "stdout"), "text": text_of(output.get("text", ""))}
    if kind == "error":
        lines = output.get("traceback") or []
        traceback = "\n".join(map(str, lines)) if isinstance(lines, list) else str(lines)
        return {"kind": kind, "text": traceback or f"{output.get('ename', '')}: {output.get('evalue', '')}"}
    return {"kind": kind, "data": _mapping(output.get("data")), "metadata": _mapping(output.get("metadata"))}


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


def text_of(content: Any) -> str:
    """One string for a text that the file stores as a string or as a list of lines."""
    return "".join(map(str, content)) if isinstance(content, (str, list)) else json.dumps(content)


def _join_texts(outputs: Iterable[Output]) -> list[Output]:
    """Join adjacent pieces of the same stream, and adjacent texts printed by the package rich."""
    joined: list[Output] = []
    for output in outputs:
        before = joined[-1] if joined else {}
        if output["kind"] == before.get("kind") == "stream" and output["name"] == before["name"]:
            before["text"] += output["text"]
        elif _is_rich_text(output) and _is_rich_text(before):
            texts = [text_of(part["data"]["text/plain"]).rstrip("\n") for part in (before, output)]
            before["data"]["text/plain"] = "\n".join(texts)
        else:
            joined.append(output)
    return joined


def _is_rich_text(output: Output) -> bool:
    data = output.get("data", {})
    return set(data) == {"text/html", "text/plain"} and text_of(data["text/html"]).lstrip().startswith("<pre")
