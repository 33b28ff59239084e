"""Scores of all runs: `python -m benchmarks.summary` writes `results.json`, `results.md` and `results.svg`.

It reads the files that `benchmarks.recipes`, `benchmarks.speed` and `benchmarks.peers` wrote to `benchmarks/runs/`.
Only this module compares predictions for test images with their labels: once a run, after all training is done.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import page
from benchmarks.recipes import RECIPES, RUNS_FOLDER, run_file
from coursework import course_split, data, evaluation, files

TARGET_F1 = 0.9351  # the reference's best validation F1
NAMES = {
    "lenet5-reference": "LeNet-5, reference",
    "lenet5": "LeNet-5, ours",
    "iteration1-reference": "iteration 1, reference",
    "iteration1": "iteration 1, ours",
    "iteration2-reference": "iteration 2, reference",
    "iteration2": "iteration 2, ours",
    "iteration3": "iteration 3",
    "iteration3-quick": "iteration 3, profile `quick`",
    "best": "iteration 3, profile `best`",
    "best-official": "iteration 3, profile `best`, official split",
    "support-vector-machine": "support vector machine on pixels",
}
PUBLISHED = {  # on the official split, as their authors report them
    "2 convolutions with batch normalisation": 0.934,
    "VGG16 (26 M parameters)": 0.935,
    "small CNN with random erasing (296 k parameters)": 0.947,
    "ResNet-18": 0.949,
    "MobileNet": 0.950,
    "DENSER": 0.953,
    "DenseNet-BC (768 k parameters)": 0.954,
    "WRN-28-10 with random erasing": 0.963,
}


def test_labels(recipe: str) -> np.ndarray:
    """The labels of the test images that a recipe predicts."""
    if recipe.startswith("lenet5"):
        return data.load_mnist()["y_test"]
    if recipe.endswith("official"):
        return course_split.load_fashion_mnist("official")["y_test"]
    labels = course_split.load_fashion_mnist_test_labels()
    if labels is None:
        sys.exit("error: data/Fashion_MNIST.h5 is the course's own file, whose test labels are not published")
    return labels


def read_recipe(recipe: str) -> dict[str, Any]:
    """The results of a recipe, run by run, scored against the test labels."""
    runs = [json.loads(run_file(recipe, seed).read_text(encoding="utf-8")) for seed in RECIPES[recipe][1]]
    labels = test_labels(recipe)
    about = {key: runs[0].get(key) for key in ("parameters", "multiply_adds")}
    for run in runs:
        scores = evaluation.score(labels, np.array(list(run.pop("test_classes")), dtype=int))
        run["test"] = {name: scores[name] for name in ("accuracy", "accuracy_interval", "f1")}
        run["seconds"] = sum(run["history"]["seconds"])
        run["epochs"] = len(run["history"]["seconds"])
        run["seconds_to_target"] = seconds_to(run["history"], TARGET_F1)
    kept = [{key: value for key, value in run.items() if key not in ("recipe", *about)} for run in runs]
    return {"name": NAMES[recipe], **about, "runs": kept}


def seconds_to(history: dict[str, list[float]], f1: float) -> float | None:
    """Seconds of training until the validation F1 first reaches a value, or None if it never does."""
    reached = np.flatnonzero(np.asarray(history["val_f1"]) >= f1)
    return float(np.cumsum(history["seconds"])[reached[0]]) if len(reached) else None


def comparison(recipes: dict[str, dict[str, Any]], memory: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Figures of the reference and of ours, with their units, as docs/performance.md shows them; lower is better."""

    def median(recipe: str, key: str) -> float:
        return page.median(run[key] for run in recipes[recipe]["runs"])

    reference = median("iteration2-reference", "seconds_to_target")
    figures = [
        (f"time to validation F1 {TARGET_F1}, {NAMES[name]}", reference, median(name, "seconds_to_target"), "s")
        for name in ("iteration2", "iteration3", "iteration3-quick")
    ]
    names = ("lenet5", "iteration1", "iteration2")
    theirs, ours = (
        sum(median(name, "seconds") for name in chosen)
        for chosen in ([f"{name}-reference" for name in names], (*names, "iteration3"))
    )
    figures += [("whole training, with iteration 3 on our side alone", theirs, ours, "s")]
    figures += [(f"peak memory, {name}", peaks["reference"], peaks["ours"], "GiB") for name, peaks in memory.items()]
    return [
        dict(zip(("name", "reference", "ours", "unit"), figure, strict=True))
        for figure in figures
        if math.isfinite(figure[1]) and math.isfinite(figure[2])
    ]


def draw(recipes: dict[str, dict[str, Any]], path: Path) -> None:
    """Plot validation accuracy against seconds of training on Fashion-MNIST: a colour a recipe, a line a run."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axis = figure.subplots()
    shown = [recipe for name, recipe in recipes.items() if not name.startswith("lenet5") and name != "best-official"]
    for number, recipe in enumerate(shown):
        for run in recipe["runs"]:
            history = run["history"]
            label = recipe["name"].replace("`", "") if run is recipe["runs"][0] else None
            style = {"color": f"C{number}", "marker": ".ov^sDP*"[number % 8], "markersize": 3, "linewidth": 1}
            axis.plot(np.cumsum(history["seconds"]), history["val_accuracy"], label=label, **style)
    ticks = (30, 100, 300, 1_000, 3_000)
    axis.set_xscale("log")
    axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axis.set_ylim(0.80, 0.96)
    axis.set_xlabel("seconds of training")
    axis.set_ylabel("validation accuracy")
    axis.set_title("Fashion-MNIST: validation accuracy against training time, two processor cores")
    axis.grid(alpha=0.3)
    axis.legend(fontsize="small", loc="lower right")
    with files.replace_when_complete(path) as temporary, rc_context({"svg.hashsalt": path.name}):
        figure.savefig(temporary, metadata={"Date": None})


def main() -> None:
    try:
        recipes = {name: read_recipe(name) for name in NAMES}
        speed, peers = (
            json.loads((RUNS_FOLDER / f"{name}.json").read_text(encoding="utf-8")) for name in ("speed", "peers")
        )
    except FileNotFoundError as error:
        sys.exit(f"error: {files.display_path(error.filename)} is missing: `make bench` measures it")
    draw(recipes, page.FOLDER / "results.svg")
    for recipe in recipes.values():
        for run in recipe["runs"]:
            del run["history"]  # it is in the run's own file
    page.write(
        "results",
        {
            "target_f1": TARGET_F1,
            "comparison": comparison(recipes, speed["memory"]),
            "recipes": recipes,
            "speed": speed,
            "peers": peers,
            "published": PUBLISHED,
        },
    )


if __name__ == "__main__":
    main()
