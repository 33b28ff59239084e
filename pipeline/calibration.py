"""What `make report` will take on this machine: `python -m pipeline.calibration make full`.

A few seconds of the operations that trainings consist of are timed and kept in the environment. Each run writes them
into its metrics file, so their ratio carries the duration of a recorded run over to this machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from coursework import files, run_record
from coursework.text import format_duration
from pipeline import record, state
from pipeline.errors import run_command
from pipeline.parameters import TRAINING_NOTEBOOKS

ROUNDS = 20


def measure() -> dict[str, float]:
    """Time a product of two 2048 x 2048 matrices and a training step of two convolutions, in float32, in turn.

    Returns:
        Operations per second of the product in 10**9, and milliseconds of a step with 128 images; medians.
    """
    from coursework.backend import keras, tf

    images, layers, rates = tf.random.normal((128, 14, 14, 32)), keras.layers, []
    model = keras.Sequential([layers.Conv2D(64, 3), layers.Conv2D(96, 3), layers.GlobalAveragePooling2D()])
    model.compile("sgd", "mse")
    contestants = {
        "product": lambda: rates.append(matrix_multiplication(products=1)),
        "step": lambda: model.train_on_batch(images, tf.zeros((128, 96))),
    }
    seconds = statistics.median(in_turn(contestants, ROUNDS)["step"])
    gflops = statistics.median(rates[1:]) / 1e9
    return {"matrix_product_gflops": round(gflops, 1), "training_step_ms": round(1e3 * seconds, 2)}


def in_turn(contestants: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contestant in each round, after a round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, contestant in contestants.items():
            began = time.perf_counter()
            contestant()
            if number:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def matrix_multiplication(products: int = 10) -> float:
    """Floating-point operations per second of a product of two 2048 x 2048 float32 matrices."""
    import tensorflow as tf

    matrix = tf.random.normal((2048, 2048))
    matrix.numpy()
    began = time.perf_counter()
    for _ in range(products):
        product = matrix @ matrix
    product.numpy()
    return products * 2 * 2048**3 / (time.perf_counter() - began)


def estimate(profile: str, notebooks: list[str], calibration: dict[str, float]) -> str:
    """A sentence on the duration of notebooks, from the record of the last run of each, here or elsewhere."""
    runs = [run for name in notebooks if (run := record.read(profile, name))]
    if len(runs) < len(notebooks):
        return "no run of this profile is recorded, so its duration is unknown"
    ratios = [
        calibration["training_step_ms"] / recorded["training_step_ms"]
        for run in runs
        if (recorded := run["hardware"].get("calibration"))
    ]
    there = sum(run["duration_seconds"] for run in runs)
    if len(ratios) < len(runs):
        return f"{format_duration(there)} where they were run last; this machine may be slower or faster"
    here = sum(ratio * run["duration_seconds"] for ratio, run in zip(ratios, runs, strict=True))
    speed = f"measured: {calibration['matrix_product_gflops']:.0f} GFLOP/s"
    return (
        f"about {format_duration(here)} on this machine, less after an interruption "
        f"({speed}; {format_duration(there)} where they were run last)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Print what the notebooks that are out of date will take.")
    parser.add_argument("make", help="the make that asks")
    parser.add_argument("profile")
    arguments = parser.parse_args()
    folder = files.display_path(files.output_folder(arguments.profile))
    outdated = [
        name
        for name in TRAINING_NOTEBOOKS
        if not state.is_current(arguments.make, arguments.profile, f"{folder}/{name}.ipynb")
    ]
    if not outdated:
        return
    calibration = measure()
    with files.replace_when_complete(run_record.CALIBRATION_FILE) as temporary:
        temporary.write_text(json.dumps(calibration) + "\n", encoding="utf-8")
    parts = " and ".join(state.PARTS[name] for name in outdated)
    print(f"Training of {parts}: {estimate(arguments.profile, outdated, calibration)}", flush=True)


if __name__ == "__main__":
    run_command(main)
