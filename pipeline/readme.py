"""The README's results table and pictures, from what the runs left in `reports/`: `python -m pipeline.readme`."""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
from typing import Any

import nbformat

from coursework import files, study
from pipeline.errors import UserError, run_command
from pipeline.parameters import REPORTED_NOTEBOOKS, TRAINING_NOTEBOOKS

README = files.ROOT / "README.md"
START, END = "<!-- results: written by `make readme`, do not edit -->", "<!-- end of results -->"
BENCHMARK_FILE = files.ROOT / "benchmarks" / "results.json"
PICTURE_TAG = "readme"

REFERENCE_ITERATIONS = {  # the reference solution's figures as the assignment states them
    "iteration 1 (L2)": {"accuracy": "0.8610", "f1": "0.8463", "epoch": "18"},
    "iteration 2 (dropout)": {"accuracy": "0.9369", "f1": "0.9351", "epoch": "20 of 30"},
    "iteration 3 (augmentation)": {"accuracy": "–", "f1": "–", "epoch": "–"},
}


def results_table() -> str:
    """The results of the profiles `original` and `full` beside the reference's, as a Markdown table."""
    runs = [_read_run("original"), _read_run("full")]
    lenets = [run["part1_mnist"]["scores"] for run in runs]
    last_epochs = [scores["validation_last"] for scores in lenets]
    lines = [
        [
            "LeNet-5, validation accuracy after 20 epochs",
            "0.9837",
            *(_figure(last["val_accuracy"]) for last in last_epochs),
        ],
        ["LeNet-5, validation macro F1 after 20 epochs", "0.9804", *(_figure(last["val_f1"]) for last in last_epochs)],
        ["LeNet-5, test accuracy (95 % interval)", "–", *(_with_interval(scores["test"]) for scores in lenets)],
        ["LeNet-5, test macro F1", "–", *(_figure(scores["test"]["f1"]) for scores in lenets)],
    ]
    for name, reference in REFERENCE_ITERATIONS.items():
        short = name[0].upper() + name[1:]
        lines.append([f"{short}, best epoch", reference["epoch"], *(_epochs(run, name) for run in runs)])
        for key, label in (("accuracy", "validation accuracy"), ("f1", "validation macro F1")):
            values = [run["part2_fashion_mnist"]["scores"]["validation"].get(name) for run in runs]
            lines.append([f"{short}, {label}", reference[key], *(_figure(v[key]) if v else "–" for v in values)])
    held_out = [run["score"]["held_out"] for run in runs]
    lines.append(["Best model, held-out test accuracy (95 % interval)", "–", *(_with_interval(r) for r in held_out)])
    lines.append(["Best model, held-out test macro F1", "–", *(_figure(result["f1"]) for result in held_out)])
    for number, notebook in enumerate(TRAINING_NOTEBOOKS, start=1):
        kernel = runs[1][notebook]
        figures = f"{kernel['duration_seconds'] / 60:.0f} min, {kernel['peak_memory_gib']:.2f} GiB"
        lines.append([f"Part {number}, time and peak memory of its kernel", "–", "–", figures])
    header = ["", "reference", "`original`", "`full`"]
    table = "\n".join(f"| {' | '.join(line)} |" for line in [header, ["---", "--:", "--:", "--:"], *lines])
    hardware, versions = runs[1]["part2_fashion_mnist"]["hardware"], runs[1]["part2_fashion_mnist"]["versions"]
    return (
        f"{table}\n\nOne run each, seed {runs[1]['part1_mnist']['parameters']['seed']}, on {hardware['cores']} cores "
        f"({hardware['processor']}, {hardware['system']}), Python {versions['python']}, TensorFlow {versions['tensorflow']}. "
        f"{benchmark_sentences()}\n\n{experiment_sentences()}"
    )


def benchmark_sentences() -> str:
    """What `make bench` measured, in short, and on which processor."""
    if not BENCHMARK_FILE.exists():
        raise UserError("there is no benchmarks/results.json: run `make bench`")
    results = json.loads(BENCHMARK_FILE.read_text(encoding="utf-8"))
    best, official, third = (results["recipes"][name] for name in ("best", "best-official", "iteration3"))
    runs = [run for recipe in results["recipes"].values() for run in recipe["runs"]]
    processors = dict.fromkeys(run["hardware"]["processor"] for run in runs)
    lines = [
        f"From the benchmark ({' and '.join(processors)}), the times and memory being medians of its runs:\n",
        f"- Profile `full`, {_seeds(third)}. Profile `best`, {_seeds(best)}; on the official split of Fashion-MNIST "
        f"{_with_interval(official['runs'][0]['test'])}, {official['parameters']:,} parameters.",
    ]
    for figure in results["comparison"]:
        quotient, form = figure["reference"] / figure["ours"], ",.0f" if figure["unit"] == "s" else ".2f"
        lines.append(
            f"- {figure['name'][0].upper()}{figure['name'][1:]}: {figure['ours']:{form}} {figure['unit']}, the reference "
            f"{figure['reference']:{form}} {figure['unit']}, {quotient:.1f} times as much."
        )
    fit = results["speed"]["models"]["lenet5"]["plain_fit_over_ours"]
    lines.append(
        f"- An epoch of LeNet-5: a plain `fit` takes {fit['median']:.2f} times as long ({fit['lowest']:.2f} to {fit['highest']:.2f})."
    )
    return "\n".join(lines)


def experiment_sentences() -> str:
    """The claims of part 2's discussion with the verdicts of part 3."""
    runs, _, claims = study.load_experiments()
    finished = runs[runs["status"] == "finished"]
    at_full = int((finished["budget"] == "full").sum())
    sentences = study.claim_sentences(study.claim_effects(runs, claims), claims)
    return (
        f"What single changes do to iteration 2, from {len(finished):,} of {len(runs):,} runs of `make experiments`, all but {at_full:,} at a small "
        "budget (change of the validation macro F1 with its 95 % interval, p after Holm's correction):\n\n"
        + "\n".join(f"{number}. {sentence}" for number, sentence in enumerate(sentences, start=1))
    )


def _seeds(recipe: dict[str, Any]) -> str:
    """Mean and standard deviation of a recipe's held-out accuracies."""
    accuracies = [run["test"]["accuracy"] for run in recipe["runs"]]
    return f"{len(accuracies)} seeds: held-out accuracy {statistics.mean(accuracies):.4f} ± {statistics.stdev(accuracies):.4f}"


def _read_run(profile: str) -> dict[str, Any]:
    folder = files.output_folder(profile) / "metrics"
    names = (*TRAINING_NOTEBOOKS, "score")
    missing = [name for name in names if not (folder / f"{name}.json").exists()]
    if missing:
        raise UserError(f"no metrics of {', '.join(missing)} for {profile}: run `make report score PROFILE={profile}`")
    run = {name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in names}
    submission = folder.parent / "submission.csv"
    if submission.exists() and hashlib.sha256(submission.read_bytes()).hexdigest() != run["score"]["submission_sha256"]:
        raise UserError(f"the score of {profile} is of an older submission: run `make score PROFILE={profile}`")
    return run


def _epochs(run: dict[str, Any], name: str) -> str:
    training = run["part2_fashion_mnist"]["trainings"].get(name)
    return f"{training['best_epoch']} of {training['epochs']}" if training else "–"


def _figure(value: float) -> str:
    return f"{value:.4f}"


def _with_interval(result: dict[str, Any]) -> str:
    return "{:.4f} ({:.4f}–{:.4f})".format(result["accuracy"], *result["accuracy_interval"])


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


def readme_with_results(text: str) -> str:
    """The README's text with a current table between its two marks."""
    if START not in text or END not in text:
        raise UserError(f"{README.name} has lost the marks {START} and {END}, between which the table belongs")
    before, _, rest = text.partition(START)
    try:
        table = results_table()
    except (ValueError, LookupError, TypeError) as error:
        raise UserError(
            f"a file of metrics or of the benchmark is damaged ({type(error).__name__}: {error})"
        ) from error
    return f"{before}{START}\n\n{table}\n\n{END}{rest.partition(END)[2]}"


def main() -> None:
    argparse.ArgumentParser(description="Write the README's results table and pictures from reports/.").parse_args()
    text = readme_with_results(README.read_text(encoding="utf-8"))
    write_pictures()
    with files.replace_when_complete(README) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print("README.md: results are current")


if __name__ == "__main__":
    run_command(main)
