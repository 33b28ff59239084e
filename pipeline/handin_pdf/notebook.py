"""Notebooks as plain dictionaries of one shape, whatever format and gaps the file has.

Reading needs no Jupyter package unless the file is of an old format: importing them takes longer than the whole export.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from typing import Any

from pipeline.handin_pdf.errors import ExportError

Cell = dict[str, Any]
Output = dict[str, Any]


def read_notebook(text: str) -> dict[str, Any]:
    """A notebook file's text as `normalised` gives it.

    Raises:
        ExportError: it is no notebook; the text says why.
    """
    try:
        content = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise ExportError(f"is not JSON ({error})") from error
    if not isinstance(content, dict) or not isinstance(content.get("nbformat"), int):
        raise ExportError("has no `nbformat`, so it is no notebook")
    if content["nbformat"] < 4:
        content = _converted(text)
    elif content["nbformat"] > 4:
        raise ExportError(f"is of the format {content['nbformat']}, and the newest known is 4")
    return normalised(content)


def _converted(text: str) -> dict[str, Any]:
    import nbformat

    try:
        with warnings.catch_warnings(action="ignore"):
            return nbformat.reads(text, as_version=4, capture_validation_error={})
    except Exception as error:  # nbformat's converter takes a valid notebook for granted and dies of anything else
        raise ExportError(
            f"is an old notebook that can't be converted ({' '.join(str(error).split())[:200]})"
        ) from error


def normalised(notebook: dict[str, Any]) -> dict[str, Any]:
    """A copy in which every cell has its source as one text, its metadata, outputs and count, and the notebook its
    `title`, `language` of text, `kernel_language`, `authors`, `handin` (lines of the title block) and `started` (the
    time its run began), each of them empty where the file says nothing, or something of the wrong kind.

    Raises:
        ExportError: something else than what can be filled in is missing or of the wrong kind.
    """
    cells = notebook.get("cells")
    if not isinstance(cells, list):
        raise ExportError("has no list of cells")
    return {
        **_about(_mapping(notebook.get("metadata"))),
        "cells": [_normalised_cell(cell, number) for number, cell in enumerate(cells, 1)],
    }


def _about(metadata: dict[str, Any]) -> dict[str, Any]:
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
        "handin": {str(name): str(value) for name, value in _mapping(metadata.get("handin")).items()},
        "started": _string(_mapping(metadata.get("papermill")).get("start_time")),
    }


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _normalised_cell(cell: Any, number: int) -> Cell:
    if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
        raise ExportError(f"is no valid notebook: cell {number} has no type")
    if not isinstance(cell.get("source"), (str, list)):
        raise ExportError(f"is no valid notebook: cell {number} has no source")
    outputs = cell.get("outputs") or []
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        raise ExportError(f"is no valid notebook: the outputs of cell {number} are no list")
    return {
        "cell_type": cell["cell_type"],
        "source": text_of(cell["source"]),
        "metadata": (metadata := _mapping(cell.get("metadata"))),
        "tags": set(map(str, tags)) if isinstance(tags := metadata.get("tags"), list) else set(),
        "attachments": _mapping(cell.get("attachments")),
        "execution_count": cell.get("execution_count"),
        "outputs": _joined(map(_normalised_output, outputs)),
    }


def _normalised_output(output: Output) -> Output:
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
    """A text that the file may hold as a list of lines."""
    return "".join(map(str, content)) if isinstance(content, (str, list)) else json.dumps(content)


def _joined(outputs: Iterable[Output]) -> list[Output]:
    """Outputs with neighbouring pieces of a stream in one; so are the texts that rich prints one by one."""
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
