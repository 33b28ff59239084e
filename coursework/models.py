"""Saved models and their predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from coursework.backend import keras
from coursework.files import replace_when_complete
from coursework.metrics import F1Score
from coursework.optimizers import Muon
from coursework.training import PREDICTION_BATCH_SIZE


def save_model(model: keras.Model, path: Path | str) -> None:
    """Save a model in Keras's own format, atomically: an interrupted save leaves the previous file."""
    with replace_when_complete(path) as temporary:
        model.save(temporary)


def load_model(path: Path | str) -> keras.Model:
    """Load a model that `save_model` wrote. Nothing is unpickled, and a `Lambda` layer is refused."""
    return keras.saving.load_model(path, custom_objects={"F1Score": F1Score, "Muon": Muon}, safe_mode=True)


def predict_probabilities(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Class probabilities (n, classes), float32, of uint8 images (n, height, width, channels)."""
    starts = range(0, len(images), PREDICTION_BATCH_SIZE)
    return np.concatenate([model.predict_on_batch(images[start : start + PREDICTION_BATCH_SIZE]) for start in starts])


def with_test_time_augmentation(model: keras.Model) -> keras.Model:
    """A model with test-time augmentation: it averages `model`'s probabilities over ten versions of an image.

    The ten versions are the image, the image moved by one pixel in each of the four directions, and the mirror images
    of these five. The model shares `model`'s weights and takes ten times as long to predict.
    """
    layers_alone = keras.Model(model.inputs[0], model.outputs[0])  # without the optimiser, which would be saved too
    images = keras.Input(model.input_shape[1:], dtype=model.inputs[0].dtype)
    height, width, _ = images.shape[1:]
    padded = keras.ops.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]])
    moved = [
        padded[:, top : top + height, left : left + width] for top, left in ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
    ]
    versions = [*moved, *(keras.ops.flip(version, axis=2) for version in moved)]
    return keras.Model(
        images, keras.layers.Average()([layers_alone(version) for version in versions]), name=f"{model.name}_averaged"
    )
