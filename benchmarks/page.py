"""The recorded results and their pages: `python -m benchmarks.page` writes `benchmarks/*.md` again from `*.json`."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2

from coursework import files

FOLDER = Path(__file__).parent
PAGES = ("results", "robustness", "pdf_export")


def median(values: Iterable[float | None]) -> float:
    """The median; None, a time at which nothing was reached, counts as infinite."""
    return statistics.median(math.inf if value is None else value for value in values)


def number(value: float | None, form: str = ",") -> str:
    """A formatted number, or a dash if there is none."""
    return "–" if value is None or value == math.inf else format(value, form)


def spread(values: Iterable[float]) -> str:
    """The mean of scores, and the standard deviation of several."""
    values = list(values)
    mean = f"{statistics.mean(values):.4f}"
    return f"{mean} ± {statistics.stdev(values):.4f}" if len(values) > 1 else mean


def differences(scores: dict[str, float], others: dict[str, float]) -> list[float]:
    """The absolute differences of scores with the same names."""
    return [abs(score - others[name]) for name, score in scores.items()]


def read(name: str) -> dict[str, Any]:
    """The recorded results of a page."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def render(name: str, results: dict[str, Any]) -> str:
    """A page as Markdown, from the template of that name."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"differences": differences, "median": median, "number": number, "spread": spread}
    return environment.get_template(f"{name}.md.j2").render(results)


def write(name: str, results: dict[str, Any]) -> None:
    """Record results, and write their page."""
    for suffix, text in ((".json", json.dumps(results, indent=1) + "\n"), (".md", render(name, results))):
        with files.replace_when_complete(FOLDER / f"{name}{suffix}") as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for page in PAGES:
        (FOLDER / f"{page}.md").write_text(render(page, read(page)), encoding="utf-8")
