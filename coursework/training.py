"""How a model is trained: the batches of `fit`, and the callback that keeps the best weights and resumes."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from coursework import checkpoint as checkpoints
from coursework.augmentation import Augmentation
from coursework.backend import keras, tf
from coursework.checks import require_integer
from coursework.progress import TrainingView
from coursework.text import pluralize

PREDICTION_BATCH_SIZE = 125
"""Images predicted at a time. A larger batch is hardly faster, and its activations take more memory."""


def training_batches(
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    batch_size: int,
    seed: int,
    augmentation: Augmentation | None = None,
) -> tf.data.Dataset:
    """The training images in shuffled batches, for `fit`; each pass over them is one epoch.

    The order of the images in an epoch, and their augmentation, are functions of the seed and the number of the epoch
    alone. That number follows from the steps that the model's optimiser has taken, so a resumed training continues with
    the order that an undisturbed one has.

    Args:
        model: compiled; the batches count the steps of its optimiser.
        images: (n, height, width, channels) uint8.
        labels: (n, ...) as the model's loss expects them.
        batch_size: images per step; the last batch of an epoch may be smaller.
        seed: seed of the order of the images and of their augmentation.
        augmentation: applied to the images of a batch; None leaves them unchanged.

    Raises:
        ValueError: an argument is out of range, or images and labels do not fit together.
    """
    require_integer("batch_size", batch_size, minimum=1)
    require_integer("seed", seed, minimum=0)
    require_images("training", images, labels)
    if not getattr(model, "compiled", False):
        raise ValueError("the model is not compiled: call model.compile(optimizer, loss, metrics) first")
    steps = -(-len(images) // batch_size)
    iterations, all_images, all_labels = model.optimizer.iterations, tf.constant(images), tf.constant(labels)

    def draw(finished_steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        epoch = int(finished_steps) // steps + 1
        order = np.random.default_rng((seed, epoch)).permutation(len(images))
        if augmentation is None:
            return order, np.empty((len(images), 0), np.int32)
        return order, augmentation.draw(*images.shape[:3], seed, epoch)[order]

    def epoch_of_batches(_):
        order, drawn = tf.numpy_function(draw, [iterations.value], [tf.int64, tf.int32])

        def batch(step):
            rows = slice(step * batch_size, (step + 1) * batch_size)
            batch_images = tf.ensure_shape(tf.gather(all_images, order[rows]), [None, *images.shape[1:]])
            if augmentation is not None:
                batch_images = augmentation.apply(batch_images, drawn[rows])
            return batch_images, tf.ensure_shape(tf.gather(all_labels, order[rows]), [None, *labels.shape[1:]])

        return tf.data.Dataset.range(steps).map(batch)

    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1  # of two cores, the training needs both
    batches = tf.data.Dataset.from_tensors(0).flat_map(epoch_of_batches).prefetch(4)
    return batches.apply(tf.data.experimental.assert_cardinality(steps)).with_options(options)


def require_images(part: str, images: np.ndarray, labels: np.ndarray) -> None:
    """Raise a ValueError unless these are uint8 images with as many labels."""
    if len(images) != len(labels) or len(images) == 0:
        raise ValueError(f"{len(images)} {part} images and {len(labels)} labels: expected as many, at least one")
    if images.dtype != np.uint8:
        raise ValueError(f"{part} images are {images.dtype}: expected uint8, the model scales them itself")


class TrainingMonitor(keras.callbacks.EarlyStopping):
    """The callback of a training: it shows the curves, keeps the best weights, and resumes from a checkpoint.

    It is Keras's `EarlyStopping` on the validation F1 of `F1Score`: at the end, the model has the weights of its best
    epoch, the first one with the highest validation F1.

    In a notebook, the curves grow during training. Interrupt ends the training after the last finished epoch and keeps
    its history and the best weights so far, so that the cells below can be run. Outside of notebooks, each epoch prints
    a line.

    With a checkpoint, an interrupted training resumes after its last finished epoch and ends with the same weights, bit
    for bit, as an undisturbed one. A finished training is not repeated until its files are deleted. See
    `checkpoint.restore`.

    Args:
        title: title of the figure and the table; by default, the model's name.
        patience: stop after this number of epochs without a higher validation F1; None trains all epochs.
        checkpoint: file that is written after every epoch; None writes none.
        data: the batches, the validation images and their labels, by which a checkpoint recognises its training.

    Raises, within `fit`:
        ValueError: the data do not fit together, or there is no validation F1.
        ArithmeticError: the training diverged.
        KeyboardInterrupt: it was interrupted in a headless kernel, or before the first epoch was finished.
    """

    def __init__(
        self,
        title: str | None = None,
        *,
        data: tuple[tf.data.Dataset, np.ndarray, np.ndarray],
        patience: int | None = None,
        checkpoint: Path | str | None = None,
    ):
        if patience is not None:
            require_integer("patience", patience, minimum=1)
        require_images("validation", *data[1:])
        super().__init__("val_f1", mode="max", patience=patience or math.inf, restore_best_weights=True)
        self.title, self.data, self.checkpoint = title, data, None if checkpoint is None else Path(checkpoint)

    @property
    def history(self) -> pd.DataFrame:
        """One row per epoch, indexed from 1: `loss` and each metric over the epoch's training batches, the same with
        the prefix `val_` over the validation images, `learning_rate` at the end, and `seconds`. Its attribute
        `attrs["restored_seconds"]` is the part of the seconds that came from the checkpoint."""
        table = pd.DataFrame(self.rows, index=pd.RangeIndex(1, len(self.rows) + 1, name="epoch"))
        table.attrs["restored_seconds"] = self.restored_seconds
        return table

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        super().on_train_begin(logs)
        self.rows: list[dict[str, float]] = []
        self.restored_seconds, self.interrupted = 0.0, False
        self.view = TrainingView(self.title or self.model.name, self.params["epochs"])
        self._warn_of_slow_statistics()
        self._restore()
        # Where `fit` begins, as Keras's own BackupAndRestore tells it.
        self.model._initial_epoch = self.params["epochs"] if self.wait >= self.patience else len(self.rows)
        if self.view.live:
            self.other_handler = signal.signal(signal.SIGINT, self._interrupt)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.began = time.perf_counter()
        self.view.begin(epoch + 1)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.view.progress(min(1.0, (batch + 1) / self.params["steps"]))

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        self.is_whole = not self.interrupted
        self.model.stop_evaluating = self.interrupted

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if "val_f1" not in logs:
            raise ValueError(
                "there is no validation F1: compile the model with metrics=[..., utilities.F1Score()] and pass "
                "validation_data to fit"
            )
        if self.is_whole:
            learning_rate = float(self.model.optimizer.learning_rate)
            self.rows.append(logs | {"learning_rate": learning_rate, "seconds": time.perf_counter() - self.began})
            if not np.isfinite([logs["loss"], logs["val_loss"]]).all():
                raise ArithmeticError(f"the loss is not finite after epoch {epoch + 1}: try a smaller learning rate")
            super().on_epoch_end(epoch, logs)
            if self.checkpoint is not None:
                checkpoints.save(self.checkpoint, self.identity, self.model, self.rows, self.best_weights)
            self.view.end(self.rows[-1])

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.model._initial_epoch = 0
        if self.view.live:
            signal.signal(signal.SIGINT, self.other_handler)
        if not self.rows:
            raise KeyboardInterrupt("no epoch was finished, so there are no weights to continue with")
        super().on_train_end(logs)
        epochs, finished = self.params["epochs"], len(self.rows)
        if self.interrupted and finished < epochs:
            resume = "; to resume the training, run the cells again from the one that builds the model"
            self.view.say(
                f"Interrupted after epoch {finished} of {epochs}. The cells below use its history and the best weights "
                f"so far{'' if self.checkpoint is None else resume}."
            )
        elif finished < epochs:
            self.view.say(f"stopped: no higher validation F1 in {pluralize(self.patience, 'epoch')}")
        self.view.finish()
        scores = [row["val_f1"] for row in self.rows]
        self.view.say(f"weights of epoch {int(np.argmax(scores)) + 1} restored: validation F1 {max(scores):.4f}")

    def _restore(self) -> None:
        """Continue from the checkpoint of this training, if there is one."""
        if self.checkpoint is None:
            return
        if unknown := checkpoints.custom_code(self.model):
            self.view.say(
                f"the code of {', '.join(unknown)} is not part of the model's configuration, so a checkpoint cannot "
                "tell whether it changed: training starts from scratch and writes no checkpoint"
            )
            self.checkpoint = None
            return
        self.model.optimizer.build(self.model.trainable_variables)
        self.identity = identity(self.model, self.data, self.params["epochs"], self.patience)
        self.rows, best_weights = checkpoints.restore(self.checkpoint, self.identity, self.model, self.view.say)
        for epoch, row in enumerate(self.rows, start=1):
            self.view.begin(epoch)
            self.view.end(row, restored=True)
        if self.rows:
            self.restored_seconds = sum(row["seconds"] for row in self.rows)
            scores = [row["val_f1"] for row in self.rows]
            self.best, self.best_epoch, self.best_weights = max(scores), int(np.argmax(scores)), best_weights
            self.wait = len(scores) - 1 - self.best_epoch

    def _warn_of_slow_statistics(self) -> None:
        """Warn if batch normalisations will end with running statistics that are partly their initial values."""
        updates = self.params["epochs"] * self.params["steps"]
        momenta = [layer.momentum for layer in all_layers(self.model) if hasattr(layer, "moving_variance")]
        if momenta and (kept := max(momenta) ** updates) > 0.01:
            self.view.say(
                f"the running statistics of batch normalisation, with momentum {max(momenta)} and {updates:,} "
                f"updates, will keep {kept:.0%} of their initial values, which makes validation scores worse: train "
                "for more epochs, or build the layers with a momentum of at most "
                f"{math.floor(100 * 0.01 ** (1 / updates)) / 100:.2f}"
            )

    def _interrupt(self, *signal_and_frame: Any) -> None:
        """End the training after the batch; a second interrupt ends it at once."""
        self.interrupted = self.model.stop_training = True
        signal.signal(signal.SIGINT, self.other_handler)


def identity(model: keras.Model, data: tuple, epochs: int, patience: float) -> dict[str, str]:
    """Hashes of all that determines the result of a training; the first epoch's batches stand for all epochs'."""
    batches, *validation = data
    arrays = [*(part.numpy() for batch in batches for part in batch), *validation]
    return checkpoints.training_identity(model, arrays, {"epochs": epochs, "patience": patience})


def all_layers(model: keras.Layer) -> Iterator[keras.Layer]:
    """The layers of a model and of the models within it."""
    for layer in getattr(model, "layers", []):
        yield layer
        yield from all_layers(layer)
