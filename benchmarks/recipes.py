"""Accuracy against training time: our recipes, the reference's, and a classical baseline.

`python -m benchmarks.recipes` trains every recipe with every seed, in turn, each run in a separate process, and writes
a file for each run to `benchmarks/runs/`. A run whose file exists is not repeated, and an interrupted run of ours
resumes after its last epoch, so you may stop and start the command at any time.

Our recipes run the notebooks' own cells with a profile's parameters. The reference's recipes train its layers, from the
same notebooks, as it describes: images divided by 255 into floating point, a plain `fit`, early stopping on the
validation F1. A run keeps its predictions for the test images but reads no test label: `benchmarks.summary` reads the
labels once, for the final table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np

from coursework import architecture, evaluation, files, run_record, session
from pipeline.parameters import NOTEBOOKS_FOLDER, check_parameters, read_profile

RUNS_FOLDER = Path(__file__).parent / "runs"
PART1, PART2 = "part1_mnist", "part2_fashion_mnist"
Result = dict[str, Any]


def run_cells(
    notebook: str, profile: str, tags: set[str], names: dict[str, Any] | None = None, /, **parameters: Any
) -> dict[str, Any]:
    """Run the cells of a notebook that have one of the tags, with a profile's parameters; `parameters` override them.

    Args:
        names: what cells without a tag would have defined.

    Returns:
        The names that these cells define.
    """
    path = NOTEBOOKS_FOLDER / f"{notebook}.ipynb"
    checked, namespace = check_parameters(path, read_profile(profile, notebook) | parameters), dict(names or {})
    for cell in nbformat.read(path, as_version=4).cells:
        own = set(cell.metadata.get("tags", []))
        if own & {"parameters", *tags}:
            exec(compile(cell.source, f"{notebook}, cell {cell.id}", "exec"), namespace)
        if "parameters" in own:
            namespace |= checked
    return namespace


def parameter(cells: dict[str, Any], name: str, key: str) -> Any:
    """A model's parameter among the names that its notebook defines; part 1 has one model and no prefix."""
    return cells[key if name == "lenet5" else f"{name}_{key}"]


def ours(notebook: str, name: str, profile: str = "full", **parameters: Any) -> Callable[[int], Result]:
    """A training as in the notebook: the cells tagged `setup` and `name`, where `name` is also the model's."""

    def run(seed: int) -> Result:
        from coursework.models import with_test_time_augmentation

        output = "-".join(map(str, ["benchmark/" + name, profile, *parameters.values(), seed]))
        cells = run_cells(notebook, profile, {"setup", name}, **parameters, seed=seed, profile=output)
        model = cells[name]
        history = cells["history"] if notebook == PART1 else next(iter(cells["histories"].values()))
        predictor = with_test_time_augmentation(model) if name == "iteration3" else model
        return describe(model, history.to_dict("list"), predictor, cells["X_val"], cells["y_val"], cells["test_images"])

    return run


def reference(notebook: str, name: str, **parameters: Any) -> Callable[[int], Result]:
    """The reference's training of the same layers, with the hyperparameters of the profile `original`."""

    def run(seed: int) -> Result:
        cells = run_cells(notebook, "original", {"setup", f"{name}-layers"}, **parameters, seed=seed)
        import keras

        layers = [layer for layer in cells[name].layers if not isinstance(layer, keras.layers.Rescaling)]
        model = keras.Sequential([keras.Input((28, 28, 1)), *layers])
        rate, epochs, batch_size = (parameter(cells, name, key) for key in ("learning_rate", "epochs", "batch_size"))
        metrics = ["accuracy", cells["utilities"].F1Score(num_classes=10)]
        model.compile(keras.optimizers.Adam(rate), "categorical_crossentropy", metrics=metrics)
        times: list[float] = []
        clock = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: times.append(-time.perf_counter()),
            on_epoch_end=lambda epoch, logs: times.append(times.pop() + time.perf_counter()),
        )
        callbacks = [clock]
        if patience := cells.get(f"{name}_patience"):
            callbacks += [keras.callbacks.EarlyStopping("val_f1", 0, patience, 0, "max", restore_best_weights=True)]
        images, labels = cells["images"] / 255, cells["labels"]
        one_hot = labels if labels.ndim == 2 else keras.utils.to_categorical(labels, 10)
        share, settings = cells["validation_share"], {"batch_size": batch_size, "epochs": epochs, "verbose": 2}
        history = model.fit(images, one_hot, validation_split=share, callbacks=callbacks, **settings).history
        history["seconds"] = times
        first = len(images) - len(cells["X_val"])
        return describe(model, history, model, images[first:], cells["y_val"], cells["test_images"] / 255)

    return run


def describe(
    model: Any, history: dict, predictor: Any, X_val: np.ndarray, y_val: np.ndarray, X_test: np.ndarray
) -> Result:
    """The results of a run: size, history, validation scores and the predicted classes of the test images."""
    from coursework.models import predict_probabilities

    classes = y_val.argmax(axis=1) if y_val.ndim == 2 else y_val
    predicted = [predict_probabilities(predictor, images).argmax(axis=1) for images in (X_val, X_test)]
    size = {"parameters": model.count_params(), "multiply_adds": architecture.multiply_adds(model)}
    return size | results(history, classes, *predicted)


def results(history: dict, y_val: np.ndarray, predicted: np.ndarray, test_classes: np.ndarray) -> Result:
    scores = evaluation.score(y_val, predicted)
    validation = {name: scores[name] for name in ("accuracy", "f1")}
    return {"history": history, "validation": validation, "test_classes": "".join(map(str, test_classes))}


def support_vector_machine(seed: int) -> Result:
    """The classical baseline: a support vector machine with a Gaussian kernel on the pixels. C = 10 is the best value
    that is published with Fashion-MNIST; the other settings are scikit-learn's defaults."""
    from sklearn.svm import SVC

    cells = run_cells(PART2, "full", {"setup"}, seed=seed)
    X_train, X_val, X_test = (
        cells[name].reshape(len(cells[name]), -1).astype("float32") / 255
        for name in ("X_train", "X_val", "test_images")
    )
    began = time.perf_counter()
    machine = SVC(C=10, cache_size=2000).fit(X_train, cells["y_train"])
    history = {"seconds": [time.perf_counter() - began]}
    found = results(history, cells["y_val"], machine.predict(X_val), machine.predict(X_test))
    history |= {f"val_{name}": [score] for name, score in found["validation"].items()}
    return {"support_vectors": int(machine.n_support_.sum()), **found}


SEEDS = (1, 2, 3)
RECIPES: dict[str, tuple[Callable[[int], Result], tuple[int, ...]]] = {
    "lenet5-reference": (reference(PART1, "lenet5"), SEEDS),
    "lenet5": (ours(PART1, "lenet5"), SEEDS),
    "iteration1-reference": (reference(PART2, "iteration1"), SEEDS),
    "iteration1": (ours(PART2, "iteration1"), SEEDS),
    "iteration2-reference": (reference(PART2, "iteration2"), SEEDS[:2]),  # three quarters of an hour each
    "iteration2": (ours(PART2, "iteration2"), SEEDS),
    "iteration3": (ours(PART2, "iteration3"), SEEDS),
    "iteration3-quick": (ours(PART2, "iteration3", "quick"), SEEDS),
    "support-vector-machine": (support_vector_machine, SEEDS[:1]),
    "best": (ours(PART2, "iteration3", "best"), SEEDS),
    "best-official": (ours(PART2, "iteration3", "best", split="official"), SEEDS[:1]),
}
"""Each recipe with its seeds, in the order in which they run."""


def run_file(recipe: str, seed: int) -> Path:
    return RUNS_FOLDER / f"{recipe}-{seed}.json"


def run_one(recipe: str, seed: int) -> None:
    """Train one recipe in this process and write its file."""
    session.start(seed)
    result = {"recipe": recipe, "seed": seed, **RECIPES[recipe][0](seed)}
    result |= {"peak_memory_gib": round(run_record.peak_memory(), 3), **run_record.environment()}
    with files.replace_when_complete(run_file(recipe, seed)) as temporary:
        temporary.write_text(json.dumps(result) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train every recipe with every seed, in turn; existing runs are kept.")
    parser.add_argument("recipes", nargs="*", choices=RECIPES, metavar="recipe", help=", ".join(RECIPES))
    parser.add_argument("--seed", type=int, help="one seed only, in this process")
    arguments = parser.parse_args()
    chosen = arguments.recipes or list(RECIPES)
    if arguments.seed is not None:
        for recipe in chosen:
            run_one(recipe, arguments.seed)
        return
    for seed in SEEDS:
        for recipe in chosen:
            if seed in RECIPES[recipe][1] and not run_file(recipe, seed).exists():
                print(f"== {recipe}, seed {seed} ==", flush=True)
                subprocess.run([sys.executable, "-m", "benchmarks.recipes", recipe, "--seed", str(seed)], check=True)


if __name__ == "__main__":
    main()
