"""Training speed of two networks in plain PyTorch and on Keras's other backends, in images per second.

`python -m benchmarks.peers` times LeNet-5 and iteration 2 with each peer in turn and writes
`benchmarks/runs/peers.json`; with `--quick` it takes fewer peers and images, and prints a table. Each measurement is a
separate process, which trains one epoch to warm up and measures the second. Only this benchmark needs PyTorch and JAX:
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
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.recipes import PART1, PART2, RUNS_FOLDER, parameter, run_cells
from coursework import files, run_record

PACKAGES = Path(__file__).parent / "packages"
NOTEBOOKS = {"lenet5": PART1, "iteration2": PART2}
IMAGES = {"lenet5": 52_500, "iteration2": 12_800}
"""Images of an epoch; a quick measurement takes a quarter."""


def random_data(model: str, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 28, 28, 1) uint8 and class indices (n,): the duration of a step does not depend on their content."""
    random, images = np.random.default_rng(0), int(share * IMAGES[model])
    return random.integers(0, 256, (images, 28, 28, 1), np.uint8), random.integers(0, 10, images)


def ours(model: str, share: float) -> Callable[[], Any]:
    """`fit` as in the notebooks."""
    from benchmarks import speed

    X, y = random_data(model, share)
    network, cells = speed.build(model, steps_per_execution=speed.STEPS_PER_EXECUTION)
    return speed.our_epochs(model, X, np.eye(10, dtype="float32")[y], network, cells)


def keras_fit(model: str, share: float) -> Callable[[], Any]:
    """A plain `fit` on the backend that the environment variable KERAS_BACKEND names, without the F1 score."""
    import keras

    X, y = random_data(model, share)
    layers = {"keras": keras, "layers": keras.layers}
    cells = run_cells(NOTEBOOKS[model], "full", {f"{model}-layers"}, layers)
    network, size = cells[model], parameter(cells, model, "batch_size")
    network.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return lambda: network.fit(X, y, batch_size=size, verbose=0)


def pytorch(model: str, share: float) -> Callable[[], Any]:
    """A plain PyTorch loop: channels last, eager, the data in memory, without a DataLoader."""
    import torch
    from torch import nn

    pixels, classes = random_data(model, share)
    size = parameter(run_cells(NOTEBOOKS[model], "full", set()), model, "batch_size")
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
        for rows in torch.randperm(len(y)).split(size):
            optimizer.zero_grad(set_to_none=True)
            loss = nn.functional.cross_entropy(network(X[rows].float() / 255), y[rows])
            loss.backward()
            optimizer.step()

    return epoch


PEERS: dict[str, tuple[Callable[[str, float], Callable[[], Any]], str]] = {
    "ours": (ours, "tensorflow"),
    "Keras fit, TensorFlow": (keras_fit, "tensorflow"),
    "Keras fit, PyTorch": (keras_fit, "torch"),
    "Keras fit, JAX": (keras_fit, "jax"),
    "plain PyTorch, channels last": (pytorch, "tensorflow"),
}
"""Each peer with its backend of Keras."""
QUICK = ("ours", "Keras fit, TensorFlow", "plain PyTorch, channels last")


def measure(peer: str, model: str, share: float) -> float:
    """Seconds of the second epoch, in this process."""
    epoch = PEERS[peer][0](model, share)
    epoch()
    began = time.perf_counter()
    epoch()
    return time.perf_counter() - began


def measure_in_turn(names: Iterable[str], rounds: int, share: float) -> dict[str, dict[str, Any]]:
    """The seconds of each peer's epochs, and the images that it trains on in a second, of each model."""
    models = {model: {peer: {"seconds": []} for peer in names} for model in IMAGES}
    for number in range(1, rounds + 1):
        for model, peers in models.items():
            for peer, measured in peers.items():
                variables = os.environ | {"KERAS_BACKEND": PEERS[peer][1], "PYTHONPATH": str(PACKAGES)}
                command = [sys.executable, "-m", "benchmarks.peers", "--only", peer, model, str(share)]
                done = subprocess.run(command, env=variables, capture_output=True, text=True)
                if done.returncode:
                    sys.exit(f"error: {peer} failed:\n{done.stderr}")
                measured["seconds"].append(float(done.stdout.splitlines()[-1]))
                measured["images_per_second"] = share * IMAGES[model] / statistics.median(measured["seconds"])
                print(f"round {number}: {model}, {peer}: {measured['seconds'][-1]:.2f} s", flush=True)
    return models


def table(models: dict[str, dict[str, Any]]) -> str:
    """Images per second of each model and peer, and their ratio to ours."""
    lines = [f"{'images per second (of ours)':<30}" + "".join(f"{model:>20}" for model in models)]
    for peer in next(iter(models.values())):
        cells = [
            f"{peers[peer]['images_per_second']:,.0f} "
            f"({peers[peer]['images_per_second'] / peers['ours']['images_per_second']:.2f})"
            for peers in models.values()
        ]
        lines.append(f"{peer:<30}" + "".join(f"{cell:>20}" for cell in cells))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time two networks in plain PyTorch and on Keras's backends.")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each (default: 3)")
    parser.add_argument("--quick", action="store_true", help="a table of the most important ones, in a few minutes")
    parser.add_argument("--only", nargs=3, metavar=("PEER", "MODEL", "SHARE"), help="one measurement, in this process")
    arguments = parser.parse_args()
    if arguments.only:
        peer, model, share = arguments.only
        print(measure(peer, model, float(share)))
        return
    if not PACKAGES.exists():
        sys.exit("error: PyTorch and JAX are not installed: run `make bench`, which installs them")
    if arguments.quick:
        print(table(measure_in_turn(QUICK, arguments.rounds, share=0.25)))
        return
    models = measure_in_turn(PEERS, arguments.rounds, share=1)
    result = {"models": {model: {"images": IMAGES[model], "peers": peers} for model, peers in models.items()}}
    with files.replace_when_complete(RUNS_FOLDER / "peers.json") as temporary:
        temporary.write_text(json.dumps(result | run_record.environment(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
