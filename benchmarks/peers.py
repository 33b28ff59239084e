"""Training speed of two networks in plain PyTorch and on Keras's other backends, in images per second.

`python -m benchmarks.peers` times LeNet-5 and iteration 2 with each peer in turn and writes
`benchmarks/runs/peers.json`. Each measurement is a separate process, which trains one epoch to warm up and measures the
second. Only this benchmark needs PyTorch and JAX: `make bench` installs them in `benchmarks/packages/`, apart from the
environment.
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

from benchmarks.recipes import PART1, PART2, RUNS_FOLDER, run_cells
from coursework import files, run_record

PACKAGES = Path(__file__).parent / "packages"
NOTEBOOKS = {"lenet5": PART1, "iteration2": PART2}
BATCH_SIZES = {"lenet5": 64, "iteration2": 128}
IMAGES = {"lenet5": 52_500, "iteration2": 12_800}


def random_data(images: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 28, 28, 1) uint8 and class indices (n,): the duration of a step does not depend on their content."""
    random = np.random.default_rng(0)
    return random.integers(0, 256, (images, 28, 28, 1), np.uint8), random.integers(0, 10, images)


def ours(model: str) -> Callable[[], Any]:
    """`fit` as in the notebooks."""
    from benchmarks import speed

    X, y = random_data(IMAGES[model])
    network, cells = speed.build(model, steps_per_execution=speed.STEPS_PER_EXECUTION)
    return speed.our_epochs(model, X, np.eye(10, dtype="float32")[y], network, cells["utilities"])


def keras_fit(model: str) -> Callable[[], Any]:
    """A plain `fit` on the backend that the environment variable KERAS_BACKEND names, without the F1 score."""
    import keras

    X, y = random_data(IMAGES[model])
    layers = {"keras": keras, "layers": keras.layers}
    network = run_cells(NOTEBOOKS[model], "full", {f"{model}-layers"}, layers)[model]
    network.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return lambda: network.fit(X, y, batch_size=BATCH_SIZES[model], verbose=0)


def pytorch(model: str) -> Callable[[], Any]:
    """A plain PyTorch loop: channels last, eager, the data in memory, without a DataLoader."""
    import torch
    from torch import nn

    pixels, classes = random_data(IMAGES[model])
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
        for rows in torch.randperm(len(y)).split(BATCH_SIZES[model]):
            optimizer.zero_grad(set_to_none=True)
            loss = nn.functional.cross_entropy(network(X[rows].float() / 255), y[rows])
            loss.backward()
            optimizer.step()

    return epoch


PEERS: dict[str, tuple[Callable[[str], Callable[[], Any]], str]] = {
    "ours": (ours, "tensorflow"),
    "Keras fit, TensorFlow": (keras_fit, "tensorflow"),
    "Keras fit, PyTorch": (keras_fit, "torch"),
    "Keras fit, JAX": (keras_fit, "jax"),
    "plain PyTorch, channels last": (pytorch, "tensorflow"),
}
"""Each peer with its backend of Keras."""


def measure(peer: str, model: str) -> float:
    """Seconds of the second epoch, in this process."""
    epoch = PEERS[peer][0](model)
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
        sys.exit("error: PyTorch and JAX are not installed: run `make bench`, which installs them")
    models = {model: {peer: {"seconds": []} for peer in PEERS} for model in IMAGES}
    for number in range(1, arguments.rounds + 1):
        for model, peers in models.items():
            for peer, (_, backend) in PEERS.items():
                variables = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": str(PACKAGES)}
                command = [sys.executable, "-m", "benchmarks.peers", "--only", peer, model]
                done = subprocess.run(command, env=variables, check=True, stdout=subprocess.PIPE, text=True)
                seconds = peers[peer]["seconds"]
                seconds.append(float(done.stdout.splitlines()[-1]))
                peers[peer]["images_per_second"] = IMAGES[model] / statistics.median(seconds)
                print(f"round {number}: {model}, {peer}: {seconds[-1]:.2f} s", flush=True)
    result = {"models": {model: {"images": IMAGES[model], "peers": peers} for model, peers in models.items()}}
    with files.replace_when_complete(RUNS_FOLDER / "peers.json") as temporary:
        temporary.write_text(json.dumps(result | run_record.environment(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
