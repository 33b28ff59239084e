"""Models and data for the tests: the notebooks' own models, and a small one that trains in a second."""

from __future__ import annotations

import keras
import nbformat
import numpy as np
import pandas as pd

from coursework import files, training
from coursework.metrics import F1Score


def notebook_model(notebook: str, name: str) -> keras.Model:
    """The model that the notebook's cell with the tag `name`-layers builds, as it is handed in."""
    cells = nbformat.read(files.ROOT / "notebooks" / f"{notebook}.ipynb", as_version=4).cells
    namespace = {"keras": keras, "layers": keras.layers}
    for cell in cells:
        if {"parameters", f"{name}-layers"} & set(cell.metadata.get("tags", [])):
            exec(cell.source.replace(f"{name}.summary()", ""), namespace)
    return namespace[name]


def bright_images() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images whose class is their brightness: 90 to train on with their labels, and 30 to validate with theirs."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 120)
    images = (labels[:, None, None, None] * 80 + random.integers(0, 60, (120, 4, 4, 1))).astype(np.uint8)
    return images[:90], labels[:90], images[90:], labels[90:]


def small_layers(*after_hidden: keras.Layer) -> keras.Sequential:
    """An uncompiled classifier of `bright_images`, with extra layers after its hidden one."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((4, 4, 1), dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(8, activation="relu"),
            *after_hidden,
            keras.layers.Dropout(0.2),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


def small_model(learning_rate=0.01, metrics=None) -> keras.Sequential:
    """`small_layers`, compiled with Adam, two batches per call into TensorFlow, by default accuracy and F1 score."""
    model = small_layers()
    metrics = ["accuracy", F1Score(num_classes=3)] if metrics is None else metrics
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(learning_rate), loss, metrics=metrics, steps_per_execution=2)
    return model


def train(model, *images, epochs=2, batch_size=16, seed=1, augmentation=None, callbacks=(), **options) -> pd.DataFrame:
    """Train a model as the notebooks do, on `images` as from `bright_images`, and return the history."""
    X_train, y_train, X_val, y_val = images or bright_images()
    batches = training.training_batches(
        model, X_train, y_train, batch_size=batch_size, seed=seed, augmentation=augmentation
    )
    monitor = training.TrainingMonitor(data=(batches, X_val, y_val), **options)
    model.fit(batches, epochs=epochs, validation_data=(X_val, y_val), callbacks=[monitor, *callbacks], verbose=0)
    return monitor.history
