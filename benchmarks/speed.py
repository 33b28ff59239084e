"""Images per second, the share of the matrix-multiply peak, waiting for data, and growth with the data.

`python -m benchmarks.speed` times our training loop against a plain `fit` of the same model, in turn, one epoch each, and multiplies
matrices in between to measure the machine's peak. It trains on 1/8 to all of the images in separate processes. It writes
`benchmarks/runs/speed.json`.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import recipes
from benchmarks.recipes import PART1, PART2, RUNS_FOLDER, run_cells
from coursework import architecture, files, run_record, session
from coursework.augmentation import Augmentation
from coursework.metrics import F1Score
from coursework.models import predict_probabilities
from coursework.optimizers import Muon
from coursework.training import EpochTrainer

RESULT = RUNS_FOLDER / "speed.json"
MODELS = {"lenet5": PART1, "iteration1": PART2, "iteration2": PART2, "iteration3": PART2}
BATCH_SIZES = {"lenet5": 64, "iteration1": 150, "iteration2": 128, "iteration3": 128}
SHARES = (1 / 8, 1 / 4, 1 / 2, 1)
MEMORY_ROUNDS = 3
Contestant = Callable[[], Any]


def build(name: str) -> tuple[Any, dict[str, Any]]:
    """A model compiled as in its notebook, and the names of the notebook's setup."""
    cells = run_cells(MODELS[name], "full", {"setup", f"{name}-layers"})
    import keras

    optimizer = Muon(1e-3) if name == "iteration3" else keras.optimizers.Adam(1e-3)
    cells[name].compile(optimizer, "categorical_crossentropy", metrics=["accuracy", F1Score()])
    return cells[name], cells


def training_set(cells: dict[str, Any], images: int) -> tuple[np.ndarray, np.ndarray]:
    """The first training images and their one-hot labels."""
    import keras

    labels = cells["y_train"][:images]
    return cells["X_train"][:images], labels if labels.ndim == 2 else keras.utils.to_categorical(labels, 10)


def epochs_on_one_batch(model: Any, images: np.ndarray, labels: np.ndarray, batch_size: int) -> Contestant:
    """A contestant that trains the steps of an epoch on one batch in memory: an epoch without the cost of the data."""
    import tensorflow as tf

    batch = tf.constant(images[:batch_size]), tf.constant(labels[:batch_size])
    model.optimizer.build(model.trainable_variables)

    @tf.function
    def train():
        for _ in tf.range(math.ceil(len(images) / batch_size)):
            model.train_step(batch)

    return train


def matrix_multiplication() -> float:
    """Floating-point operations per second of a product of two 2048 x 2048 float32 matrices."""
    import tensorflow as tf

    matrix = tf.random.normal((2048, 2048))
    began = time.perf_counter()
    for _ in range(10):
        product = matrix @ matrix
    product.numpy()
    return 10 * 2 * 2048**3 / (time.perf_counter() - began)


def in_turn(contestants: dict[str, Contestant], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contestant in each round, after a round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, contestant in contestants.items():
            began = time.perf_counter()
            contestant()
            if number:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def epochs_of(trainer: EpochTrainer) -> Contestant:
    """A contestant that trains the next epoch on each call."""
    numbers = iter(range(1, 10_000))
    return lambda: trainer.run(next(numbers))


def model_speed(name: str, images: int, rounds: int) -> dict[str, Any]:
    """Time training by a plain `fit` and by our loop, prediction, and the machine's peak, in turn."""
    (plain, cells), (model, _) = build(name), build(name)
    X, y = training_set(cells, images)
    batch_size, rates = BATCH_SIZES[name], []
    contestants = {
        "plain_fit": lambda: plain.fit(X, y, batch_size=batch_size, verbose=0),
        "ours": epochs_of(EpochTrainer(model, X, y, batch_size, seed=0)),
        "predict": lambda: predict_probabilities(model, X),
        "peak": lambda: rates.append(matrix_multiplication()),
    }
    seconds = in_turn(contestants, rounds)
    operations, peak = 2 * architecture.multiply_adds(model), statistics.median(rates[1:])
    ratios = [plain / ours for plain, ours in zip(seconds["plain_fit"], seconds["ours"], strict=True)]
    ours, predict = statistics.median(seconds["ours"]), statistics.median(seconds["predict"])
    return {
        "images": len(X),
        "rounds": rounds,
        "parameters": model.count_params(),
        "multiply_adds": architecture.multiply_adds(model),
        "plain_fit_over_ours": {"median": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)},
        "training_images_per_second": len(X) / ours,
        "prediction_images_per_second": len(X) / predict,
        "peak_gflops": peak / 1e9,
        "training_share_of_peak": 3 * operations * len(X) / ours / peak,
        "prediction_share_of_peak": operations * len(X) / predict / peak,
    }


def waiting_for_data(images: int, rounds: int) -> dict[str, Any]:
    """The share of a training step of iteration 3 that draws, gathers and augments its batch."""
    models = [build("iteration3") for _ in range(2)]
    X, y = training_set(models[0][1], images)
    augmentation = Augmentation(flips=True, shift=2, erase=0.25)
    contestants = {
        "augmented": epochs_of(EpochTrainer(models[0][0], X, y, 128, 0, augmentation)),
        "one_batch": epochs_on_one_batch(models[1][0], X, y, 128),
    }
    seconds = in_turn(contestants, rounds)
    shares = [1 - one / full for one, full in zip(seconds["one_batch"], seconds["augmented"], strict=True)]
    return {"images": images, "rounds": rounds, "share": statistics.median(shares), "shares": shares}


def share_of_the_data(share: float) -> dict[str, Any]:
    """Seconds of an epoch of iteration 3 on a share of the images, and the memory of its process before and after."""
    import psutil

    model, cells = build("iteration3")
    X, y = training_set(cells, int(share * len(cells["X_train"])))
    trainer = EpochTrainer(model, X, y, 128, seed=0, augmentation=Augmentation(flips=True, shift=2))
    before = psutil.Process().memory_info().rss / 2**30
    trainer.run(1)
    began = time.perf_counter()
    trainer.run(2)
    seconds = time.perf_counter() - began
    return {"images": len(X), "seconds": seconds, "before_gib": before, "peak_gib": run_record.peak_memory()}


def whole_notebook(notebook: str, ours: bool) -> dict[str, Any]:
    """Peak memory of a process that trains all models of a notebook for one epoch each; more epochs need no more memory."""
    names = [name for name in MODELS if MODELS[name] == notebook]
    once = {"epochs": 1} if notebook == PART1 else {f"{name}_epochs": 1 for name in names}
    for name in names if ours else names[:2]:
        train = recipes.ours(notebook, name, **once) if ours else recipes.reference(notebook, name, **once)
        train(1)
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
        "--rounds",
        type=int,
        default=9,
        help="epochs of each contestant after the first (default: 9, of LeNet-5 three times as many)",
    )
    parser.add_argument("--share", type=float, help="measure one share of the data, in this process")
    parser.add_argument(
        "--memory",
        nargs=2,
        metavar=("NOTEBOOK", "WHOSE"),
        help="measure the memory of `ours` or `reference`, in this process",
    )
    arguments = parser.parse_args()
    session.start(seed=0)
    if arguments.share:
        print(json.dumps(share_of_the_data(arguments.share)))
        return
    if arguments.memory:
        notebook, whose = arguments.memory
        print(json.dumps(whole_notebook(notebook, whose == "ours")))
        return
    result: dict[str, Any] = {"models": {}}
    for name in MODELS:
        short = name == "lenet5"  # its epochs are short, so it takes more rounds to average the machine's noise
        rounds = arguments.rounds * (3 if short else 1)
        result["models"][name] = model_speed(name, 52_500 if short else 12_800, rounds)
        print(name, result["models"][name], flush=True)
    result["waiting_for_data"] = waiting_for_data(12_800, arguments.rounds)
    print(result["waiting_for_data"], flush=True)
    result["growth"] = [run_self("--share", str(share)) for share in SHARES]
    print(result["growth"], flush=True)
    result["memory"] = {notebook: memory_in_turn(notebook) for notebook in (PART1, PART2)}
    print(result["memory"], flush=True)
    with files.replace_when_complete(RESULT) as temporary:
        temporary.write_text(json.dumps(result | run_record.environment(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
