"""All measurements on one page: `python -m benchmarks.summary` writes `results.json`, `results.md` and `results.svg`.

It reads the files that `benchmarks.recipes`, `benchmarks.speed` and `benchmarks.peers` wrote to `benchmarks/runs/`. Only this module
compares predictions for test images with their labels: once for each run, after all training is done.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.recipes import RECIPES, RUNS_FOLDER, run_file
from benchmarks.tables import markdown_table
from coursework import course_split, data, evaluation, files

RESULTS = Path(__file__).parent / "results.json"
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


def read_recipe(recipe: str) -> dict[str, Any] | None:
    """The results of a recipe, run by run, or None if no run exists."""
    paths = [path for seed in RECIPES[recipe][1] if (path := run_file(recipe, seed)).exists()]
    if not paths:
        return None
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    labels = test_labels(recipe)
    for run in runs:
        predicted = np.array(list(run.pop("test_classes")), dtype=int)
        run["test"] = {
            name: evaluation.score(labels, predicted)[name] for name in ("accuracy", "accuracy_interval", "f1")
        }
        run["seconds"] = sum(run["history"]["seconds"])
        run["epochs"] = len(run["history"]["seconds"])
        run["seconds_to_target"] = seconds_to(run["history"], TARGET_F1)
        run["seconds_to_best"] = seconds_to(run["history"], max(run["history"]["val_f1"]))
    first = runs[0]
    return {
        "parameters": first.get("parameters"),
        "multiply_adds": first.get("multiply_adds"),
        "runs": [
            {name: value for name, value in run.items() if name not in ("recipe", "parameters", "multiply_adds")}
            for run in runs
        ],
    }


def seconds_to(history: dict[str, list[float]], f1: float) -> float | None:
    """Seconds of training until the validation F1 first reaches a value, or None if it never does."""
    reached = np.flatnonzero(np.asarray(history["val_f1"]) >= f1)
    return float(np.cumsum(history["seconds"])[reached[0]]) if len(reached) else None


def median(recipe: dict[str, Any], key: str) -> float:
    """The median of the runs; None counts as infinite."""
    return statistics.median(math.inf if run[key] is None else run[key] for run in recipe["runs"])


def spread(values: list[float]) -> str:
    """Mean of the values, and the standard deviation of several."""
    mean = f"{statistics.mean(values):.4f}"
    return f"{mean} ± {statistics.stdev(values):.4f}" if len(values) > 1 else mean


def recipe_table(recipes: dict[str, dict[str, Any]]) -> str:
    rows = []
    for name, recipe in recipes.items():
        runs = recipe["runs"]
        count, lenet5 = recipe["parameters"], name.startswith("lenet5")
        seconds = median(recipe, "seconds_to_target")
        reached = sum(run["seconds_to_target"] is not None for run in runs)
        to_target = f"{f'{seconds:,.0f}' if math.isfinite(seconds) else '–'} ({reached} of {len(runs)})"
        rows.append(
            [
                NAMES[name],
                f"{count:,}" if count else "–",
                f"{recipe['multiply_adds'] / 1e6:.1f} M" if recipe["multiply_adds"] else "–",
                str(len(runs)),
                f"{median(recipe, 'epochs'):.0f}",
                f"{median(recipe, 'seconds'):,.0f}",
                "–" if lenet5 else to_target,
                spread([run["validation"]["f1"] for run in runs]),
                spread([run["test"]["accuracy"] for run in runs]),
            ]
        )
    header = [
        "recipe", "parameters", "multiply-adds", "runs", "epochs", "seconds", f"seconds to validation F1 {TARGET_F1} (runs that reached it)",
        "validation F1", "test accuracy",
    ]  # fmt: skip
    return markdown_table(header, rows)


def comparison(recipes: dict[str, dict[str, Any]], speed: dict[str, Any]) -> list[dict[str, Any]]:
    """Figures of the reference and of ours, with their units; lower is better."""
    figures: list[dict[str, Any]] = []

    def add(name: str, reference: float, ours: float, unit: str) -> None:
        if math.isfinite(reference) and math.isfinite(ours):
            figures.append({"name": name, "reference": reference, "ours": ours, "unit": unit})

    if "iteration2-reference" in recipes:
        reference = median(recipes["iteration2-reference"], "seconds_to_target")
        if not (reached := math.isfinite(reference)):  # the time to its own best score is a lower bound
            reference = median(recipes["iteration2-reference"], "seconds_to_best")
        note = "" if reached else " (the reference: to its own best score, which is lower)"
        for name in ("iteration2", "iteration3", "iteration3-quick"):
            if name in recipes:
                seconds = median(recipes[name], "seconds_to_target")
                add(f"time to validation F1 {TARGET_F1}, {NAMES[name]}{note}", reference, seconds, "s")
    names = ("lenet5", "iteration1", "iteration2")
    theirs = [f"{name}-reference" for name in names]
    if {*theirs, *names, "iteration3"} <= set(recipes):
        reference, ours = (
            sum(median(recipes[name], "seconds") for name in chosen) for chosen in (theirs, (*names, "iteration3"))
        )
        add("whole training, with iteration 3 on our side alone", reference, ours, "s")
    for notebook, peaks in speed["memory"].items():
        add(f"peak memory, {notebook}", peaks["reference"], peaks["ours"], "GiB")
    return figures


def comparison_table(figures: list[dict[str, Any]]) -> str:
    rows = [
        [
            figure["name"],
            *(
                f"{figure[whose]:,.{0 if figure['unit'] == 's' else 2}f} {figure['unit']}"
                for whose in ("reference", "ours")
            ),
            f"{figure['reference'] / figure['ours']:.2f}",
        ]
        for figure in figures
    ]
    return markdown_table(["", "reference", "ours", "reference / ours"], rows)


def speed_table(speed: dict[str, Any]) -> str:
    rows = [
        [
            name,
            f"{model['multiply_adds'] / 1e6:.2f} M",
            f"{model['training_images_per_second']:,.0f}",
            f"{model['prediction_images_per_second']:,.0f}",
            f"{model['training_share_of_peak']:.0%}",
            f"{model['prediction_share_of_peak']:.0%}",
            "{median:.2f} ({lowest:.2f} to {highest:.2f})".format(**model["plain_fit_over_ours"]),
        ]
        for name, model in speed["models"].items()
    ]
    header = [
        "model",
        "multiply-adds",
        "training, images/s",
        "prediction, images/s",
        "share of peak, training",
        "share of peak, prediction",
        "plain `fit` / ours",
    ]
    return markdown_table(header, rows)


def draw(recipes: dict[str, dict[str, Any]], path: Path) -> None:
    """Plot validation accuracy against seconds of training on Fashion-MNIST, a colour for each recipe, a line for each run."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axis = figure.subplots()
    shown = [name for name in recipes if not name.startswith("lenet5") and not name.endswith("official")]
    for number, name in enumerate(shown):
        for run in recipes[name]["runs"]:
            history = run["history"]
            label = NAMES[name].replace("`", "") if run is recipes[name]["runs"][0] else None
            style = {"color": f"C{number}", "marker": ".ov^sDP*"[number % 8], "markersize": 3, "linewidth": 1}
            axis.plot(np.cumsum(history["seconds"]), history["val_accuracy"], label=label, **style)
    axis.set_xscale("log")
    ticks = (30, 100, 300, 1_000, 3_000)
    axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axis.set_ylim(0.80, 0.96)
    axis.set_xlabel("seconds of training")
    axis.set_ylabel("validation accuracy")
    axis.set_title("Fashion-MNIST: validation accuracy against training time, two processor cores")
    axis.grid(alpha=0.3)
    if shown:
        axis.legend(fontsize="small", loc="lower right")
    with files.replace_when_complete(path) as temporary, rc_context({"svg.hashsalt": path.name}):
        figure.savefig(temporary, metadata={"Date": None})


def peers_table(peers: dict[str, Any]) -> str:
    models = peers["models"]
    rows = []
    for peer in next(iter(models.values()))["peers"]:
        rates = [models[name]["peers"][peer]["images_per_second"] for name in models]
        ours = [models[name]["peers"]["ours"]["images_per_second"] for name in models]
        rows.append([peer, *(f"{rate:,.0f} ({rate / own:.2f})" for rate, own in zip(rates, ours, strict=True))])
    return markdown_table(["", *(f"{name}, images/s (of ours)" for name in models)], rows)


def growth_table(growth: list[dict[str, Any]]) -> str:
    rows = [
        [
            f"{part['images']:,}",
            f"{part['seconds']:.1f}",
            f"{1000 * part['seconds'] / part['images']:.2f}",
            f"{part['before_gib']:.2f}",
            f"{part['peak_gib']:.2f}",
        ]
        for part in growth
    ]
    header = ["images", "seconds per epoch", "ms per image", "memory before training, GiB", "peak memory, GiB"]
    return markdown_table(header, rows)


def published_table(recipes: dict[str, dict[str, Any]]) -> str:
    scores = dict(PUBLISHED)
    if official := recipes.get("best-official"):
        run = official["runs"][0]
        low, high = run["test"]["accuracy_interval"]
        name = f"**ours, profile `best` ({official['parameters'] / 1000:.0f} k parameters; 95 % interval {low:.4f} to {high:.4f})**"
        scores[name] = run["test"]["accuracy"]
    rows = [
        [name, f"{score:.4f}" if "ours" in name else f"{score:.3f}"]
        for name, score in sorted(scores.items(), key=lambda item: item[1])
    ]
    return markdown_table(["single model", "test accuracy"], rows)


def report(recipes: dict[str, dict[str, Any]], speed: dict[str, Any], peers: dict[str, Any]) -> str:
    """The page `results.md`."""
    hardware, versions = speed["hardware"], speed["versions"]
    reads = sum(len(recipe["runs"]) for name, recipe in recipes.items() if not name.startswith("lenet5"))
    waiting = speed["waiting_for_data"]
    peak = statistics.median(model["peak_gflops"] for model in speed["models"].values())
    rounds = len(next(iter(peers["models"].values()))["peers"]["ours"]["seconds"])
    return f"""# Accuracy and speed

Written by `make bench`; `results.json` has the figures, `runs/` the single runs. Measured on {hardware["cores"]} cores
({hardware["processor"]}, {hardware["system"]}), Python {versions["python"]}, TensorFlow {versions["tensorflow"]}.

![Validation accuracy against seconds of training](results.svg)

The curves show each network after each epoch. For profile `best` that is the moving average of its weights, which needs some epochs to leave the
initial weights behind. The table scores iteration 3 with test-time augmentation, which raises its scores further.

## Recipes

Medians of the runs for seconds and epochs; mean and standard deviation for scores. Each run is a separate process with its own seed. Test
accuracy is measured on MNIST's test set for LeNet-5, on the official test set where the recipe says so, and otherwise on the held-out
images of the course split. Recipes and epochs were chosen on validation images only. The labels of Fashion-MNIST's test images are used
here, to score the {reads} runs after all recipes were fixed, and by `make score`, for the submission of a hand-in.

{recipe_table(recipes)}

## The reference and ours

{comparison_table(comparison(recipes, speed))}

## Published models, official split

The scores are those that the authors report. Ours holds out an eighth of the 60,000 training images for validation.

{published_table(recipes)}

## Images per second

Ours is `EpochTrainer` in `coursework/training.py`; it takes turns with a plain `fit` of the same model. The peak is that of a product of two
2048 x 2048 matrices, {peak:.0f} GFLOP/s, measured between the epochs. Training counts as three times the multiply-adds of a prediction.

{speed_table(speed)}

Drawing, gathering and augmenting the batch takes {waiting["share"]:.1%} of a training step of iteration 3: the median of {waiting["rounds"]} rounds, compared with
the same step on a batch in memory ({min(waiting["shares"]):.0%} to {max(waiting["shares"]):.0%}; a negative share is measurement noise).

## Peers

The same networks. Each measurement is the second of two epochs in a separate process; medians of {rounds} rounds.

{peers_table(peers)}

## Growth with the data

Iteration 3, one epoch.

{growth_table(speed["growth"])}
"""


def main() -> None:
    recipes = {name: recipe for name in NAMES if (recipe := read_recipe(name))}
    speed, peers = (
        json.loads((RUNS_FOLDER / f"{name}.json").read_text(encoding="utf-8")) for name in ("speed", "peers")
    )
    draw(recipes, RESULTS.with_suffix(".svg"))
    with files.replace_when_complete(RESULTS.with_suffix(".md")) as temporary:
        temporary.write_text(report(recipes, speed, peers), encoding="utf-8")
    for recipe in recipes.values():
        for run in recipe["runs"]:
            del run["history"]  # it is in the run's own file
    content = {
        "comparison": comparison(recipes, speed),
        "recipes": recipes,
        "speed": speed,
        "peers": peers,
        "published": PUBLISHED,
    }
    with files.replace_when_complete(RESULTS) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"{len(recipes)} recipes, {sum(len(recipe['runs']) for recipe in recipes.values())} runs: {RESULTS.name}")


if __name__ == "__main__":
    main()
