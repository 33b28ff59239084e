"""The generated blocks of README.md and docs/, and the README's figures: `python -m pipeline.readme`."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import nbformat

from coursework import files, study
from pipeline import record
from pipeline.errors import UserError, run_command
from pipeline.parameters import PICTURE_TAG, REPORTED_NOTEBOOKS, TRAINING_NOTEBOOKS

BENCHMARK_FILE = files.ROOT / "benchmarks" / "results.json"

# The reference solution's results as the assignment states them: validation accuracy / macro F1, best epoch.
REFERENCE_LENET = "0.9837 / 0.9804"
REFERENCE_ITERATIONS = {
    "iteration 1 (L2)": "0.8610 / 0.8463, 18",
    "iteration 2 (dropout)": "0.9369 / 0.9351, 20 of 30",
    "iteration 3 (augmentation)": "–",
}


def results_block() -> str:
    """The results of the profiles `original` and `full` beside the reference's."""
    runs = [read_run("original"), read_run("full")]
    references = {"reference_lenet": REFERENCE_LENET, "reference_iterations": REFERENCE_ITERATIONS}
    return _render("results.md.j2", runs=runs, **references)


def experiments_block() -> str:
    """The claims with the verdicts of part 3."""
    runs, _, claims = study.load_experiments()
    finished = runs[runs["status"] == "finished"]
    at_full_budget = int((finished["budget"] == "full").sum())
    sentences = study.claim_sentences(study.claim_effects(runs, claims), claims)
    return (
        f"{len(finished):,} of {len(runs):,} runs are finished, {at_full_budget:,} of them at the full budget. Each "
        "claim is followed by its verdict, the mean change of the score with its 95 % interval, and p after Holm's "
        "correction.\n\n" + "\n".join(f"{number}. {sentence}" for number, sentence in enumerate(sentences, start=1))
    )


def benchmark_block() -> str:
    """What `make bench` measured, in short, and on which processor."""
    return _render("benchmark.md.j2", **json.loads(BENCHMARK_FILE.read_text(encoding="utf-8")))


BLOCKS: dict[str, tuple[str, Callable[[], str]]] = {
    "README.md": ("results", results_block),
    "docs/experiments.md": ("experiments", experiments_block),
    "docs/performance.md": ("benchmark", benchmark_block),
}
"""The name and the content of each page's block."""


def read_run(profile: str) -> dict[str, Any]:
    """The metrics files of a profile's trainings and its score, by name; a UserError says if one is missing."""
    run = {name: record.read(profile, name) for name in TRAINING_NOTEBOOKS} | {"score": record.read_score(profile)}
    if missing := [name for name, content in run.items() if content is None]:
        raise UserError(
            f"{profile} has no metrics of {', '.join(missing)}, or a score of another submission: "
            f"run `make report score PROFILE={profile}`"
        )
    return run


def _render(template: str, **values: Any) -> str:
    """The text of a template in `templates/`."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= {
        "interval": _with_interval,
        "iteration": _iteration,
        "mean_accuracy": _mean_accuracy,
        "pair": _pair,
    }
    return environment.get_template(template).render(values)


def _pair(scores: dict[str, float], first: str, second: str) -> str:
    return f"{scores[first]:.4f} / {scores[second]:.4f}"


def _with_interval(scores: dict[str, Any], name: str) -> str:
    low, high = scores[f"{name}_interval"]
    return f"{scores[name]:.4f} ({low:.4f}–{high:.4f})"


def _iteration(part2: dict[str, Any], name: str) -> str:
    """Validation scores and best epoch of an iteration, if the run has it."""
    if name not in part2["trainings"]:
        return "–"
    training, scores = part2["trainings"][name], part2["scores"]["validation"][name]
    return f"{_pair(scores, 'accuracy', 'f1')}, {training['best_epoch']} of {training['epochs']}"


def _mean_accuracy(recipe: dict[str, Any]) -> str:
    accuracies = [run["test"]["accuracy"] for run in recipe["runs"]]
    return f"{statistics.mean(accuracies):.4f} ± {statistics.stdev(accuracies):.4f} ({len(accuracies)} seeds)"


def with_block(text: str, page: str) -> str:
    """The text of a page with current content between the marks of its block."""
    name, content = BLOCKS[page]
    start, end = f"<!-- {name}: written by `make readme`, do not edit -->", f"<!-- end of {name} -->"
    before, start_found, rest = text.partition(start)
    _, end_found, after = rest.partition(end)
    if not (start_found and end_found):
        raise UserError(f"{page} lacks the marks {start} and {end}: put them back where the block belongs")
    return f"{before}{start}\n\n{content()}\n\n{end}{after}"


def write_pictures() -> None:
    """Write the figures of cells tagged `readme` in the executed notebooks to `reports/figures/`."""
    for notebook in REPORTED_NOTEBOOKS:
        executed = nbformat.read(files.REPORTS_FOLDER / f"{notebook}.ipynb", as_version=4)
        for cell in executed.cells:
            if PICTURE_TAG not in cell.metadata.get("tags", []):
                continue
            (picture,) = (output.data["image/svg+xml"] for output in cell.outputs if "data" in output)
            with files.replace_when_complete(files.REPORTS_FOLDER / "figures" / f"{notebook}.svg") as temporary:
                temporary.write_text(picture, encoding="utf-8")


def main() -> None:
    argparse.ArgumentParser(description="Write the generated blocks of the README and of docs/.").parse_args()
    texts = {page: with_block((files.ROOT / page).read_text(encoding="utf-8"), page) for page in BLOCKS}
    write_pictures()
    for page, text in texts.items():
        with files.replace_when_complete(files.ROOT / page) as temporary:
            temporary.write_text(text, encoding="utf-8")
    print(f"{', '.join(BLOCKS)}: results are current")


if __name__ == "__main__":
    run_command(main)
