"""An epoch of LeNet-5 with `utilities.train`'s way of feeding batches, against a plain `fit` of the same model.

`make bench` runs both in turn in one process, on the 52,500 training images of part 1, with the same layers, loss,
optimiser, metrics and batch size, and writes the seconds and their ratios to `benchmarks/lenet5_speed.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path

import numpy as np

import utilities

BATCH_SIZE = 64
RESULT = Path(__file__).with_suffix(".json")


def lenet5():
    """LeNet-5 as in part 1, compiled."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(6, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 5, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(120, activation="relu"),
            layers.Dense(84, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(1e-4), "categorical_crossentropy", metrics=["accuracy", utilities.F1Score()])
    return model


class PlainFit:
    """One epoch by `model.fit`, Keras's defaults, silent."""

    def __init__(self, images: np.ndarray, labels: np.ndarray):
        self.model, self.images, self.labels = lenet5(), images, labels

    def epoch(self) -> float:
        return self.model.fit(self.images, self.labels, batch_size=BATCH_SIZE, verbose=0).history["loss"][0]


class Ours:
    """One epoch by `utilities.EpochTrainer`, which `utilities.train` uses."""

    def __init__(self, images: np.ndarray, labels: np.ndarray):
        self.trainer = utilities.EpochTrainer(lenet5(), images, labels, BATCH_SIZE, seed=0)
        self.number = 0

    def epoch(self) -> float:
        self.number += 1
        return self.trainer.run(self.number)["loss"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Time LeNet-5's epochs against a plain fit, in turn, in one process.")
    parser.add_argument("--rounds", type=int, default=7, help="epochs of each after one to warm up (default: 7)")
    rounds = parser.parse_args().rounds
    utilities.start(seed=0)
    import keras

    data = utilities.load_mnist()
    digits = np.concatenate([data["y_train"], data["y_val"]])[:52_500]
    images = np.concatenate([data["X_train"], data["X_val"]])[:52_500, ..., np.newaxis]
    labels = keras.utils.to_categorical(digits, 10)
    contestants = {"plain_fit": PlainFit(images, labels), "ours": Ours(images, labels)}
    timings = []
    for number in range(rounds + 1):
        seconds = {}
        for name, contestant in contestants.items():
            began = time.perf_counter()
            contestant.epoch()
            seconds[name] = round(time.perf_counter() - began, 3)
        if number:  # the first epoch of each also traces its graph
            timings.append(seconds)
            print(f"round {number}: plain fit {seconds['plain_fit']:.2f} s, ours {seconds['ours']:.2f} s", flush=True)
    ratios = [seconds["plain_fit"] / seconds["ours"] for seconds in timings]
    result = {
        "ratio_median": round(statistics.median(ratios), 3),
        "ratio_lowest": round(min(ratios), 3),
        "ratio_highest": round(max(ratios), 3),
        "images": len(images),
        "batch_size": BATCH_SIZE,
        "cores": os.cpu_count(),
        "rounds": timings,
    }
    with utilities.replace_when_complete(RESULT) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"plain fit takes {result['ratio_median']:.2f} times as long (median of {rounds}; {RESULT.name})")


if __name__ == "__main__":
    main()
