"""The recorded results of all parts, and the page that shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.robustness.page import page
from coursework import files, run_record
from coursework.text import pluralize

RESULTS = Path(__file__).parent.with_suffix(".json")


def read_results() -> dict[str, Any]:
    """The recorded results by part; empty if nothing was recorded."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def record(part: str, result: dict[str, Any]) -> None:
    """Replace the result of a part, and write the page again."""
    results = read_results()
    hardware = run_record.environment()["hardware"]
    machine = f"{pluralize(hardware['cores'], 'core')} ({hardware['processor']}, {hardware['system']})"
    results |= {part: result, "machine": results.get("machine", {}) | {part: machine}}
    for path, content in (
        (RESULTS, json.dumps(results, indent=2) + "\n"),
        (RESULTS.with_suffix(".md"), page(results)),
    ):
        with files.replace_when_complete(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
