"""Images per second, the share of the matrix-multiply peak, memory, and growth with the data.

`python -m benchmarks.speed` times `fit` with our batches against a plain `fit` of the same model, in turn, one epoch
each, and multiplies matrices in between to measure the machine's peak. It trains on 1/8 to all of the images in
separate processes. It writes `benchmarks/runs/speed.json`.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import recipes
from benchmarks.recipes import PART1, PART2, RUNS_FOLDER, parameter, run_cells
from coursework import architecture, files, run_record, session
from coursework.models import predict_probabilities, with_test_time_augmentation
from pipeline.calibration import in_turn, matrix_multiplication

MODELS = {"lenet5": PART1, "iteration1": PART2, "iteration2": PART2, "iteration3": PART2}
IMAGES = {"lenet5": 52_500}
"""Images of an epoch; 12,800 of the other models."""
SHARES = (1 / 8, 1 / 4, 1 / 2, 1)
MEMORY_ROUNDS = 3
TEST_IMAGES = 10_500
STEPS_PER_EXECUTION = 16
OURS = f"`fit` with the batches of `training_batches`, {STEPS_PER_EXECUTION} steps in one call into TensorFlow"


def build(name: str, **settings: Any) -> tuple[Any, dict[str, Any]]:
    """A model compiled with the metrics of its notebook and these settings, and the names of the notebook's setup."""
    cells = run_cells(MODELS[name], "full", {"setup", f"{name}-layers"})
    import keras

    optimizer = cells["utilities"].Muon(1e-3) if name == "iteration3" else keras.optimizers.Adam(1e-3)
    metrics = ["accuracy", cells["utilities"].F1Score(num_classes=10)]
    cells[name].compile(optimizer, "categorical_crossentropy", metrics=metrics, **settings)
    return cells[name], cells


def training_set(cells: dict[str, Any], images: int) -> tuple[np.ndarray, np.ndarray]:
    """The first training images and their one-hot labels."""
    labels = cells["y_train"][:images]
    return cells["X_train"][:images], labels if labels.ndim == 2 else np.eye(10, dtype="float32")[labels]


def our_epochs(
    name: str, X: np.ndarray, y: np.ndarray, model: Any, cells: dict[str, Any], **settings: Any
) -> Callable[[], Any]:
    """A function that trains the next epoch as the notebooks do."""
    batch_size = parameter(cells, name, "batch_size")
    batches = cells["utilities"].training_batches(model, X, y, batch_size=batch_size, seed=0, **settings)
    return lambda: model.fit(batches, verbose=0, shuffle=False)


def model_speed(name: str, images: int, rounds: int) -> dict[str, Any]:
    """Time training by a plain `fit` and by ours, prediction, and the machine's peak, in turn."""
    (plain, _), (model, cells) = build(name), build(name, steps_per_execution=STEPS_PER_EXECUTION)
    X, y = training_set(cells, images)
    batch_size = parameter(cells, name, "batch_size")
    rates: list[float] = []
    contestants = {
        "plain_fit": lambda: plain.fit(X, y, batch_size=batch_size, verbose=0),
        "ours": our_epochs(name, X, y, model, cells),
        "predict": lambda: predict_probabilities(model, X),
        "peak": lambda: rates.append(matrix_multiplication()),
    }
    seconds = in_turn(contestants, rounds)
    operations, peak = 2 * architecture.multiply_adds(model), statistics.median(rates[1:])
    ratios = [plain / own for plain, own in zip(seconds["plain_fit"], seconds["ours"], strict=True)]
    training, prediction = (len(X) / statistics.median(seconds[part]) for part in ("ours", "predict"))
    return {
        "images": len(X),
        "rounds": rounds,
        "parameters": model.count_params(),
        "multiply_adds": architecture.multiply_adds(model),
        "plain_fit_over_ours": {"median": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)},
        "training_images_per_second": training,
        "prediction_images_per_second": prediction,
        "peak_gflops": peak / 1e9,
        "training_share_of_peak": 3 * operations * training / peak,
        "prediction_share_of_peak": operations * prediction / peak,
    }


def share_of_the_data(share: float) -> dict[str, Any]:
    """Seconds of an epoch of iteration 3 on a share of the images, and the memory of its process before and after."""
    import psutil

    model, cells = build("iteration3", steps_per_execution=STEPS_PER_EXECUTION)
    X, y = training_set(cells, int(share * len(cells["X_train"])))
    augmentation = cells["utilities"].Augmentation(flips=True, shift=cells["iteration3_shift"])
    train = our_epochs("iteration3", X, y, model, cells, augmentation=augmentation)
    before = psutil.Process().memory_info().rss / 2**30
    (seconds,) = in_turn({"ours": train}, rounds=1)["ours"]
    return {"images": len(X), "seconds": seconds, "before_gib": before, "peak_gib": run_record.peak_memory()}


def prediction() -> dict[str, Any]:
    """Seconds and peak memory of predicting as many images as the test set has, with test-time augmentation."""
    model, _ = build("iteration3")
    images = np.random.default_rng(0).integers(0, 256, (TEST_IMAGES, 28, 28, 1), np.uint8)
    predictor = with_test_time_augmentation(model)
    (seconds,) = in_turn({"predict": lambda: predict_probabilities(predictor, images)}, rounds=1)["predict"]
    return {"images": TEST_IMAGES, "seconds": seconds, "peak_gib": run_record.peak_memory()}


def whole_notebook(notebook: str, whose: str) -> dict[str, Any]:
    """Peak memory of a process that trains a notebook's models for an epoch each; more epochs need no more memory."""
    names = [name for name in MODELS if MODELS[name] == notebook]
    once = {"epochs": 1} if notebook == PART1 else {f"{name}_epochs": 1 for name in names}
    for name in names if whose == "ours" else names[:2]:
        getattr(recipes, whose)(notebook, name, **once)(1)
        gc.collect()
    return {"peak_gib": run_record.peak_memory()}


def memory_in_turn(notebook: str) -> dict[str, float]:
    """Peak memory in GiB of the reference's training and of ours: the medians of processes in turn."""
    peaks: dict[str, list[float]] = {"reference": [], "ours": []}
    for _ in range(MEMORY_ROUNDS):
        for whose, found in peaks.items():
            found.append(run_self("--memory", notebook, whose)["peak_gib"])
    return {whose: statistics.median(found) for whose, found in peaks.items()}


def run_self(*arguments: str) -> dict[str, Any]:
    """The result of this module in a separate process."""
    command = [sys.executable, "-m", "benchmarks.speed", *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description="Time training and prediction, and how they grow with the data.")
    parser.add_argument(
        "--rounds", type=int, default=9, help="epochs of each contestant; three times as many of LeNet-5"
    )
    parser.add_argument("--share", type=float, help="measure one share of the data, in this process")
    parser.add_argument("--prediction", action="store_true", help="measure prediction, in this process")
    parser.add_argument(
        "--memory", nargs=2, metavar=("NOTEBOOK", "WHOSE"), help="of `ours` or `reference`, in this process"
    )
    arguments = parser.parse_args()
    session.start(seed=0)
    if arguments.share:
        print(json.dumps(share_of_the_data(arguments.share)))
        return
    if arguments.prediction:
        print(json.dumps(prediction()))
        return
    if arguments.memory:
        print(json.dumps(whole_notebook(*arguments.memory)))
        return
    result: dict[str, Any] = {"ours": OURS, "models": {}}
    for name in MODELS:
        # An epoch of LeNet-5 is short, so it takes more rounds to average the machine's noise.
        rounds = arguments.rounds * (3 if name == "lenet5" else 1)
        result["models"][name] = model_speed(name, IMAGES.get(name, 12_800), rounds)
        print(name, result["models"][name], flush=True)
    result["growth"] = [run_self("--share", str(share)) for share in SHARES]
    result["prediction"] = [run_self("--prediction") for _ in range(MEMORY_ROUNDS)]
    result["memory"] = {notebook: memory_in_turn(notebook) for notebook in (PART1, PART2)}
    with files.replace_when_complete(RUNS_FOLDER / "speed.json") as temporary:
        temporary.write_text(json.dumps(result | run_record.environment(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
