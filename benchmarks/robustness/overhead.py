"""What reproducibility adds to a training: checkpoints, and drawing order and augmentation from the seed."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import speed
from coursework import checkpoint, files, training
from coursework.augmentation import Augmentation

EPOCH_IMAGES = {"lenet5": 52_500, "iteration2": 12_800, "iteration3": 12_800}


def measure_overhead(rounds: int) -> dict[str, Any]:
    """Time an epoch, its checkpoint, the drawing of order and augmentation, and a plain `fit`, in turn, for each network."""
    return {name: overhead_of(name, images, rounds) for name, images in EPOCH_IMAGES.items()}


def overhead_of(name: str, images: int, rounds: int) -> dict[str, Any]:
    model, cells = speed.build(name)
    X, y = speed.training_set(cells, images)
    augmentation = Augmentation(flips=True, shift=2, erase=0.25) if name == "iteration3" else None
    trainer = training.EpochTrainer(model, X, y, speed.BATCH_SIZES[name], seed=0, augmentation=augmentation)
    numbers, validation = iter(range(1, 10_000)), (X[: images // 7], y[: images // 7])
    share = images / len(cells["X_train"])
    with tempfile.TemporaryDirectory(dir=files.REPORTS_FOLDER, prefix=".overhead.") as folder:
        path = Path(folder) / "checkpoint.npz"
        contestants = {
            "epoch": lambda: training.train_epoch(trainer, next(numbers), *validation, lambda share: None),
            "checkpoint": lambda: checkpoint.save(path, {}, model, [], model.get_weights()),
            "drawing": lambda: draw(trainer),
        }
        if augmentation is None:
            plain, _ = speed.build(name)
            settings = {"batch_size": trainer.batch_size, "verbose": 0, "validation_data": validation}
            settings["validation_batch_size"] = training.PREDICTION_BATCH_SIZE
            contestants["plain"] = lambda: plain.fit(X, y, **settings)
        seconds = speed.in_turn(contestants, rounds)
        size = path.stat().st_size
    epoch, saving, drawing = (statistics.median(seconds[part]) for part in ("epoch", "checkpoint", "drawing"))
    over_plain_fit = None
    if "plain" in seconds:
        rounds_of_both = zip(seconds["epoch"], seconds["plain"], strict=True)
        over_plain_fit = statistics.median((own + saving * share) / fit for own, fit in rounds_of_both)
    return {
        "images": images,
        "rounds": rounds,
        "epoch_seconds": epoch / share,
        "checkpoint_seconds": saving,
        "checkpoint_bytes": size,
        "checkpoint_share": saving / (epoch / share),
        "drawing_share": drawing / epoch,
        "over_plain_fit": over_plain_fit,
    }


def draw(trainer: training.EpochTrainer) -> None:
    """Draw an epoch's order and augmentation from the seed and the number of the epoch."""
    for _ in trainer.shuffled_batches(1):
        pass
    if trainer.augmentation is not None:
        trainer.augmentation.draw(*trainer.images.shape[:3], trainer.seed, 1)
