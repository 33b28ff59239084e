"""The generated blocks of README.md and docs/, and the README's figures: `python -m pipeline.readme`."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from typing import Any

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
    lenets = [run["part1_mnist"]["scores"] for run in runs]
    held_out = [run["score"]["held_out"] for run in runs]
    durations = " / ".join(f"{runs[1][notebook]['duration_seconds'] / 60:.0f}" for notebook in TRAINING_NOTEBOOKS)
    memory = " / ".join(f"{runs[1][notebook]['peak_memory_gib']:.2f}" for notebook in TRAINING_NOTEBOOKS)
    rows = [
        [
            "LeNet-5, validation accuracy / macro F1 after 20 epochs",
            REFERENCE_LENET,
            *(_pair(scores["validation_last"], "val_accuracy", "val_f1") for scores in lenets),
        ],
        ["LeNet-5, test accuracy", "–", *(_with_interval(scores["test"], "accuracy") for scores in lenets)],
        *(
            [f"{_capitalized(name)}, validation accuracy / macro F1, best epoch", reference]
            + [_iteration(run["part2_fashion_mnist"], name) for run in runs]
            for name, reference in REFERENCE_ITERATIONS.items()
        ),
        ["Best model, held-out accuracy", "–", *(_with_interval(scores, "accuracy") for scores in held_out)],
        ["Best model, held-out macro F1", "–", *(_with_interval(scores, "f1") for scores in held_out)],
        ["Parts 1 / 2, time and peak memory", "–", "–", f"{durations} min, {memory} GiB"],
    ]
    seed = runs[1]["part1_mnist"]["parameters"]["seed"]
    hardware, versions = (runs[1]["part2_fashion_mnist"][key] for key in ("hardware", "versions"))
    return (
        f"{_table(['', 'reference', '`original`', '`full`'], rows)}\n\n"
        f"One run each with seed {seed}, 95 % intervals; `full` ran on {hardware['cores']} cores "
        f"({hardware['processor']}, "
        f"{hardware['system']}) with Python {versions['python']} and TensorFlow {versions['tensorflow']}.\n"
        "More: [several seeds, speed and memory](docs/performance.md), [the claims of part 3](docs/experiments.md)."
    )


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
    if not BENCHMARK_FILE.exists():
        raise UserError("benchmarks/results.json is missing: `make bench` writes it")
    results = json.loads(BENCHMARK_FILE.read_text(encoding="utf-8"))
    full, best, official = (results["recipes"][name] for name in ("iteration3", "best", "best-official"))
    runs = [run for recipe in results["recipes"].values() for run in recipe["runs"]]
    processors = dict.fromkeys(run["hardware"]["processor"] for run in runs)
    rows = []
    for figure in results["comparison"]:
        digits = ",.0f" if figure["unit"] == "s" else ".2f"
        values = [f"{figure[side]:{digits}} {figure['unit']}" for side in ("reference", "ours")]
        rows.append([_capitalized(figure["name"]), *values, f"{figure['reference'] / figure['ours']:.1f}"])
    speed = results["speed"]["models"]
    shares = [f"{name} {100 * model['training_share_of_peak']:.0f} %" for name, model in speed.items()]
    fit = speed["lenet5"]["plain_fit_over_ours"]
    return (
        f"Measured on {' and '.join(processors)}; times and memory are medians of the runs.\n\n"
        f"{_table(['', 'reference', 'ours', 'reference / ours'], rows)}\n\n"
        f"- Held-out accuracy, mean ± standard deviation: profile `full` {_mean_accuracy(full)}, "
        f"profile `best` {_mean_accuracy(best)}.\n"
        f"- Test accuracy of `best` on the official split of Fashion-MNIST: "
        f"{_with_interval(official['runs'][0]['test'], 'accuracy')}, with {official['parameters']:,} parameters.\n"
        f"- Share of the measured matrix-multiply peak that training reaches: {', '.join(shares)}.\n"
        f"- An epoch of LeNet-5 with Keras's plain `fit` takes {fit['median']:.2f} times as long as ours "
        f"({fit['lowest']:.2f} to {fit['highest']:.2f}). Ours is {results['speed']['ours']}."
    )


BLOCKS: dict[str, tuple[str, Callable[[], str]]] = {
    "README.md": ("results", results_block),
    "docs/experiments.md": ("experiments", experiments_block),
    "docs/performance.md": ("benchmark", benchmark_block),
}
"""The name and the content of each page's block."""


def read_run(profile: str) -> dict[str, Any]:
    """The metrics files of a profile's trainings and its score, by name.

    Raises:
        UserError: one is missing, or the score belongs to an older submission.
    """
    run = {name: record.read(profile, name) for name in TRAINING_NOTEBOOKS} | {"score": record.read_score(profile)}
    if missing := [name for name, content in run.items() if content is None]:
        raise UserError(
            f"{profile} has no metrics of {', '.join(missing)}, or a score of another submission: "
            f"run `make report score PROFILE={profile}`"
        )
    return run


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _capitalized(text: str) -> str:
    return text[0].upper() + text[1:]


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
    try:
        return f"{before}{start}\n\n{content()}\n\n{end}{after}"
    except (ValueError, LookupError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"a file that {page} is written from is damaged ({reason}): restore it from git") from error


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
