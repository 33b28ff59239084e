"""Training speed of two networks in plain PyTorch and on Keras's other backends, in images per second.

`python -m benchmarks.peers` times LeNet-5 and iteration 2 with each peer in turn and writes `benchmarks/runs/peers.json`. Each
measurement is a separate process, which trains one epoch to warm up and measures the second. Only this benchmark needs PyTorch and JAX:
`make bench` installs them in `benchmarks/packages/`, apart from the environment.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.recipes import RUNS_FOLDER
from coursework import files, run_record

RESULT = RUNS_FOLDER / "peers.json"
PACKAGES = Path(__file__).parent / "packages"
BATCH_SIZES = {"lenet5": 64, "iteration2": 128}
IMAGES = {"lenet5": 52_500, "iteration2": 12_800}
Epoch = Callable[[], Any]


def random_data(images: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 28, 28, 1) uint8 and class indices (n,): the duration of a step does not depend on their content."""
    random = np.random.default_rng(0)
    return random.integers(0, 256, (images, 28, 28, 1), np.uint8), random.integers(0, 10, images)


def ours(model: str, images: int) -> Epoch:
    """Our training loop on TensorFlow."""
    import keras

    from benchmarks.speed import build, epochs_of
    from coursework.training import EpochTrainer

    X, y = random_data(images)
    compiled, _ = build(model)
    return epochs_of(EpochTrainer(compiled, X, keras.utils.to_categorical(y, 10), BATCH_SIZES[model], seed=0))


def keras_fit(model: str, images: int) -> Epoch:
    """A plain `fit` on the backend that the environment variable KERAS_BACKEND names, without the F1 score."""
    import keras
    from keras import layers

    X, y = random_data(images)
    if model == "lenet5":
        stack = [
            layers.Conv2D(6, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 5, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(120, activation="relu"),
            layers.Dense(84, activation="relu"),
        ]
    else:
        stack = [
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.3),
            layers.BatchNormalization(),
            layers.Conv2D(128, 3, padding="same", activation="relu"),
            layers.Conv2D(128, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.4),
            layers.Flatten(),
            layers.BatchNormalization(),
            layers.Dense(512, activation="relu"),
            layers.Dropout(0.25),
        ]
    output = layers.Dense(10, activation="softmax")
    network = keras.Sequential([keras.Input((28, 28, 1)), layers.Rescaling(1 / 255), *stack, output])
    network.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return lambda: network.fit(X, y, batch_size=BATCH_SIZES[model], verbose=0)


def pytorch(model: str, images: int) -> Epoch:
    """A plain PyTorch loop: channels last, eager, the data in memory, without a DataLoader."""
    import torch
    from torch import nn

    pixels, classes = random_data(images)
    X = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    y = torch.from_numpy(classes)
    if model == "lenet5":
        network = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding="same"), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip
    else:
        network = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.3), nn.BatchNorm2d(64),
            nn.Conv2d(64, 128, 3, padding="same"), nn.ReLU(), nn.Conv2d(128, 128, 3, padding="same"), nn.ReLU(),
            nn.MaxPool2d(2), nn.Dropout(0.4), nn.Flatten(), nn.BatchNorm1d(1152),
            nn.Linear(1152, 512), nn.ReLU(), nn.Dropout(0.25), nn.Linear(512, 10),
        )  # fmt: skip
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)

    def epoch() -> None:
        order = torch.randperm(images)
        for rows in order.split(BATCH_SIZES[model]):
            optimizer.zero_grad(set_to_none=True)
            loss = nn.functional.cross_entropy(network(X[rows].float() / 255), y[rows])
            loss.backward()
            optimizer.step()

    return epoch


PEERS: dict[str, tuple[Callable[[str, int], Epoch], str]] = {
    "ours": (ours, "tensorflow"),
    "Keras fit, TensorFlow": (keras_fit, "tensorflow"),
    "Keras fit, PyTorch": (keras_fit, "torch"),
    "Keras fit, JAX": (keras_fit, "jax"),
    "plain PyTorch, channels last": (pytorch, "tensorflow"),
}


def measure(peer: str, model: str) -> float:
    """Seconds of the second epoch, in this process."""
    epoch = PEERS[peer][0](model, IMAGES[model])
    epoch()
    began = time.perf_counter()
    epoch()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description="Time two networks in plain PyTorch and on Keras's backends.")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each (default: 3)")
    parser.add_argument("--only", nargs=2, metavar=("PEER", "MODEL"), help="one measurement, in this process")
    arguments = parser.parse_args()
    if arguments.only:
        print(measure(*arguments.only))
        return
    if not PACKAGES.exists():
        sys.exit("error: PyTorch and JAX are not installed: `make bench` does that")
    seconds: dict[str, dict[str, list[float]]] = {model: {peer: [] for peer in PEERS} for model in IMAGES}
    for number in range(1, arguments.rounds + 1):
        for model, measured in seconds.items():
            for peer, (_, backend) in PEERS.items():
                variables = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": str(PACKAGES)}
                command = [sys.executable, "-m", "benchmarks.peers", "--only", peer, model]
                done = subprocess.run(command, env=variables, check=True, capture_output=True, text=True)
                measured[peer].append(float(done.stdout.splitlines()[-1]))
                print(f"round {number}: {model}, {peer}: {measured[peer][-1]:.2f} s", flush=True)
    result = {
        model: {
            "images": IMAGES[model],
            "peers": {
                peer: {"seconds": times, "images_per_second": IMAGES[model] / statistics.median(times)}
                for peer, times in measured.items()
            },
        }
        for model, measured in seconds.items()
    }
    with files.replace_when_complete(RESULT) as temporary:
        temporary.write_text(
            json.dumps({"models": result} | run_record.environment(), indent=2) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
