"""How a model is trained: batches, epochs, early stopping, the best weights."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from coursework import checkpoint as checkpoints
from coursework.augmentation import Augmentation
from coursework.backend import keras, tf
from coursework.checks import require_integer
from coursework.progress import TrainingView

STEPS_PER_EXECUTION = 16
"""Batches trained in one call into TensorFlow, which spreads the cost of the call; more gains nothing."""

PREDICTION_BATCH_SIZE = 125
"""Images validated or predicted at a time. A larger batch is hardly faster, and its activations take more memory."""


def train(
    model: keras.Model,
    X_train: np.ndarray,
    y_train: np.ndarray,
    X_val: np.ndarray,
    y_val: np.ndarray,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    patience: int | None = None,
    augmentation: Augmentation | None = None,
    checkpoint: Path | str | None = None,
    title: str | None = None,
) -> pd.DataFrame:
    """Train a compiled model, show its progress, and leave it with the weights of its best epoch.

    The best epoch is the first one with the highest validation F1. `EpochTrainer` describes how batches are drawn. If
    the optimiser averages the weights (`use_ema=True`), the averages are validated and kept.

    In a notebook, the curves grow during training. Interrupt ends the training after the last finished epoch and keeps
    its history and the best weights so far, so that the cells below can be run. Outside of notebooks, each epoch prints
    a line.

    With a checkpoint, an interrupted training resumes after its last finished epoch and ends with the same weights, bit
    for bit, as an undisturbed one. A finished training is not repeated until its files are deleted. See
    `checkpoint.restore`.

    Args:
        model: compiled, with a metric named "f1" (`F1Score`).
        X_train, X_val: (n, height, width, channels) uint8 images.
        y_train, y_val: one-hot (n, classes) or class indices (n,), as the model's loss expects.
        epochs: maximum number of passes over the training images.
        batch_size: images per step; the last batch of an epoch may be smaller.
        seed: seed of the order of the images and of their augmentation.
        patience: stop after this number of epochs without a higher validation F1; None trains all epochs.
        augmentation: applied to the training images; None leaves them unchanged.
        checkpoint: file that is written after every epoch; None writes none.
        title: title of the figure and the table; by default, the model's name.

    Returns:
        One row per epoch, indexed from 1: `loss` and each metric over the epoch's training batches, the same with the
        prefix `val_` over the validation images, `learning_rate` at the end, and `seconds`. Its attribute
        `attrs["restored_seconds"]` is the part of the seconds that came from the checkpoint.

    Raises:
        ValueError: an argument is out of range, the data do not fit together, or the model is not compiled so.
        ArithmeticError: the training diverged.
        KeyboardInterrupt: it was interrupted in a headless kernel, or before the first epoch was finished.
    """
    _check_arguments(model, X_train, y_train, X_val, y_val, epochs, batch_size, seed, patience)
    trainer = EpochTrainer(model, X_train, y_train, batch_size, seed, augmentation)
    view = TrainingView(title or model.name, epochs)
    history: list[dict[str, float]] = []
    best_weights, restored_seconds = None, 0.0
    if checkpoint is not None and (unknown := checkpoints.custom_code(model)):
        view.say(
            f"the code of {', '.join(unknown)} is not part of the model's configuration, so a checkpoint cannot tell whether "
            "it changed: training starts from scratch and writes no checkpoint"
        )
        checkpoint = None
    if checkpoint is not None:
        checkpoint = Path(checkpoint)
        settings = {"epochs": epochs, "batch_size": batch_size, "seed": seed, "patience": patience}
        settings["augmentation"] = augmentation and dataclasses.asdict(augmentation)
        identity = checkpoints.training_identity(model, (X_train, y_train, X_val, y_val), settings)
        history, best_weights = checkpoints.restore(checkpoint, identity, model, view.say)
        restored_seconds = sum(row["seconds"] for row in history)
    for epoch, row in enumerate(history, start=1):
        view.begin(epoch)
        view.end(row, restored=True)
    best = _best_epoch(history), best_weights
    try:
        for epoch in range(len(history) + 1, epochs + 1):
            if patience is not None and epoch - 1 - best[0] >= patience:
                view.say(f"stopped: no higher validation F1 in {patience} epochs")
                break
            view.begin(epoch)
            row, weights = train_epoch(trainer, epoch, X_val, y_val, view.progress)
            if _best_epoch([*history, row]) == epoch:
                # Before the history grows: whenever it is interrupted, the best weights are no older than the history.
                best = epoch, weights
            history.append(row)
            if checkpoint is not None:
                checkpoints.save(checkpoint, identity, model, history, best[1])
            view.end(row)
    except KeyboardInterrupt:
        if not view.live:
            raise
        if best[1] is None:
            raise KeyboardInterrupt("no epoch was finished, so there are no weights to continue with") from None
        if best[0] > len(history):
            history.append(row)
        view.history = history
        kept = f"Interrupted after epoch {len(history)} of {epochs}. The cells below use its history and the best weights so far"
        resume = "; to resume the training, run the cells again from the one that builds the model."
        view.say(f"{kept}{resume if checkpoint is not None else '.'}")
    best_epoch, best_weights = best
    model.set_weights(best_weights)
    view.finish()
    view.say(f"weights of epoch {best_epoch} restored: validation F1 {history[best_epoch - 1]['val_f1']:.4f}")
    table = pd.DataFrame(history, index=pd.RangeIndex(1, len(history) + 1, name="epoch"))
    table.attrs["restored_seconds"] = restored_seconds
    return table


def _best_epoch(history: list[dict[str, float]]) -> int:
    """Number of the first epoch with the highest validation F1; 0 for an empty history."""
    return max(range(1, len(history) + 1), key=lambda epoch: history[epoch - 1]["val_f1"], default=0)


def train_epoch(
    trainer: EpochTrainer, epoch: int, X_val: np.ndarray, y_val: np.ndarray, progress: Callable[[float], None]
) -> tuple[dict[str, float], list[np.ndarray]]:
    """Train and validate one epoch; return its row of the history and the validated weights."""
    began, model = time.perf_counter(), trainer.model
    row = trainer.run(epoch, progress)
    learning_rate = float(model.optimizer.learning_rate)
    with averaged_weights(model):
        validation = model.evaluate(X_val, y_val, PREDICTION_BATCH_SIZE, verbose=0, return_dict=True)
        weights = model.get_weights()
    row |= {f"val_{name}": value for name, value in validation.items()}
    row |= {"learning_rate": learning_rate, "seconds": time.perf_counter() - began}
    if not np.isfinite([row["loss"], row["val_loss"]]).all():
        raise ArithmeticError(f"the loss is not finite after epoch {epoch}: try a smaller learning rate")
    return row, weights


@contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Give the model the moving average of its weights within the block, if its optimiser keeps one."""
    if not model.optimizer.use_ema:
        yield
        return
    kept = [variable.numpy() for variable in model.trainable_variables]
    model.optimizer.finalize_variable_values(model.trainable_variables)
    yield
    for variable, value in zip(model.trainable_variables, kept, strict=True):
        variable.assign(value)


def _check_arguments(model, X_train, y_train, X_val, y_val, epochs, batch_size, seed, patience) -> None:
    require_integer("epochs", epochs, minimum=1)
    require_integer("batch_size", batch_size, minimum=1)
    require_integer("seed", seed, minimum=0)
    if patience is not None:
        require_integer("patience", patience, minimum=1)
    for part, images, labels in (("training", X_train, y_train), ("validation", X_val, y_val)):
        if len(images) != len(labels) or len(images) == 0:
            raise ValueError(
                f"{len(images)} {part} images and {len(labels)} labels: expected equal numbers, at least one of each"
            )
        if images.dtype != np.uint8:
            raise ValueError(f"{part} images are {images.dtype}: expected uint8, the model scales them itself")
    if not getattr(model, "compiled", False):
        raise ValueError("the model is not compiled: call model.compile(optimizer, loss, metrics) first")
    if "f1" not in model.evaluate(X_val[:1], y_val[:1], verbose=0, return_dict=True):
        raise ValueError('the model has no metric named "f1": compile it with metrics=[..., utilities.F1Score()]')


class EpochTrainer:
    """Trains a compiled model one epoch at a time.

    The order of the images in epoch number e, and their augmentation, are functions of (seed, e) alone. The images stay
    in
    memory as they are: `STEPS_PER_EXECUTION` batches at a time are gathered from them and trained in one call into
    TensorFlow.

    Args:
        model: a compiled Keras model.
        images: (n, height, width, channels) uint8.
        labels: (n, ...) as the model's loss expects them.
        batch_size: images per step; the last batch of an epoch may be smaller.
        seed: seed of the order of the images and of their augmentation.
        augmentation: applied to the images of a batch; None leaves them unchanged.
    """

    def __init__(
        self,
        model: keras.Model,
        images: np.ndarray,
        labels: np.ndarray,
        batch_size: int,
        seed: int,
        augmentation: Augmentation | None = None,
    ):
        self.model, self.images, self.labels, self.batch_size, self.seed = model, images, labels, batch_size, seed
        self.augmentation = augmentation
        model.optimizer.build(model.trainable_variables)

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None, *images.shape[1:]], images.dtype),
                tf.TensorSpec([None, None, *labels.shape[1:]], labels.dtype),
                tf.TensorSpec([None, None, None], tf.int32),
            ]
        )
        def train_batches(image_batches, label_batches, drawn):
            for step in tf.range(tf.shape(image_batches)[0]):
                batch = image_batches[step]
                if augmentation is not None:
                    batch = augmentation.apply(batch, drawn[step])
                model.train_step((batch, label_batches[step]))

        self._train_batches = train_batches

    def run(self, epoch: int, progress: Callable[[float], None] = lambda fraction: None) -> dict[str, float]:
        """Train epoch number `epoch` and return its loss and metrics; `progress` is called with the finished fraction."""
        self.model.reset_metrics()
        images, trained = len(self.images), 0
        drawn = np.empty((images, 0), np.int32)
        if self.augmentation is not None:
            drawn = self.augmentation.draw(*self.images.shape[:3], self.seed, epoch)
        for batches in self.shuffled_batches(epoch):
            self._train_batches(self.images[batches], self.labels[batches], drawn[batches])
            trained += batches.size
            progress(trained / images)
        return {name: float(value) for name, value in self.model.get_metrics_result().items()}

    def shuffled_batches(self, epoch: int) -> Iterator[np.ndarray]:
        """Row numbers in shuffled order, (steps, batch_size); the remainder as a last, smaller batch."""
        images = len(self.images)
        order = np.random.default_rng((self.seed, epoch)).permutation(images)
        full = images // self.batch_size * self.batch_size
        batches = order[:full].reshape(-1, self.batch_size)
        for start in range(0, len(batches), STEPS_PER_EXECUTION):
            yield batches[start : start + STEPS_PER_EXECUTION]
        if full < images:
            yield order[np.newaxis, full:]
