import contextlib
import io
import os
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest

from coursework import checkpoint, optimizers, training
from coursework.augmentation import Augmentation
from coursework.metrics import F1Score
from tests import models
from tests.models import bright_images, small_layers, small_model

X_train, y_train, X_val, y_val = bright_images()
EPOCHS = 3
OPTIONS = {"batch_size": 16, "seed": 1, "augmentation": Augmentation(flips=True, shift=1, erase=0.5)}


def full_options_model():
    """A model with all that a checkpoint must restore: dropout, normalisation, a schedule, an optimiser with state."""
    keras.utils.clear_session()  # the layers have the same names as in a new kernel
    model = small_layers(keras.layers.BatchNormalization(momentum=0.4))
    schedule = optimizers.one_cycle(0.02, images=90, batch_size=16, epochs=EPOCHS)
    optimizer = keras.optimizers.AdamW(schedule)
    metrics = [F1Score(num_classes=3)]
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=metrics, steps_per_execution=2)
    return model


def train(path):
    model = full_options_model()
    return model, models.train(model, epochs=EPOCHS, checkpoint=path, **OPTIONS)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A finished training: its model, history, printed lines, and the content of the checkpoint after each epoch."""
    path, contents, save = tmp_path_factory.mktemp("undisturbed") / "model.npz", [], checkpoint.save

    def save_and_keep(*arguments):
        save(*arguments)
        contents.append(path.read_bytes())

    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
        patch.setattr(checkpoint, "save", save_and_keep)
        model, history = train(path)
    assert checkpoint.previous_path(path).read_bytes() == contents[-2]
    return SimpleNamespace(model=model, history=history, log=said.getvalue().splitlines(), checkpoints=contents)


@pytest.fixture
def place(undisturbed, tmp_path):
    """Writes the checkpoints of `undisturbed` as they are after a number of epochs, and returns the path."""

    def place_after(epochs):
        path = tmp_path / "model.npz"
        if epochs > 1:
            checkpoint.previous_path(path).write_bytes(undisturbed.checkpoints[epochs - 2])
        path.write_bytes(undisturbed.checkpoints[epochs - 1])
        return path

    return place_after


def assert_equal(arrays, others):
    for one, other in zip(arrays, others, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("finished", [1, 2, 3])
def test_an_interrupted_training_resumes_and_ends_with_the_same_bits(undisturbed, place, capsys, finished):
    model, history = train(place(finished))
    assert_equal(model.get_weights(), undisturbed.model.get_weights())
    assert_equal(model.optimizer.variables, undisturbed.model.optimizer.variables)
    histories = (one.drop(columns="seconds") for one in (history, undisturbed.history))
    pd.testing.assert_frame_equal(*histories, check_exact=True)
    assert history.attrs["restored_seconds"] == history["seconds"].iloc[:finished].sum()
    notice, *log = capsys.readouterr().out.splitlines()
    assert notice == f"resuming after epoch {finished}, from model.npz"
    assert [line.rpartition("|")[0] for line in log] == [line.rpartition("|")[0] for line in undisturbed.log]


def test_a_resumed_training_counts_the_epochs_without_improvement_before_it(tmp_path):
    def interrupt(epoch, logs):
        if epoch == 2:
            raise KeyboardInterrupt

    options = {"epochs": 9, "patience": 2, "checkpoint": tmp_path / "model.npz"}
    callbacks = [keras.callbacks.LambdaCallback(on_epoch_begin=interrupt)]
    with pytest.raises(KeyboardInterrupt):
        models.train(small_model(learning_rate=1e-12), callbacks=callbacks, **options)
    for _ in range(2):  # a finished training is not continued
        assert len(models.train(small_model(learning_rate=1e-12), **options)) == 3


def restore(path, labels=y_train, epochs=EPOCHS, patience=np.inf, change_of_weights=0, **changes):
    """Restore the training of `undisturbed`, or one that differs from it: the history and the printed lines."""
    model, said = full_options_model(), []
    model.optimizer.build(model.trainable_variables)
    model.set_weights([array + change_of_weights for array in model.get_weights()])
    batches = training.training_batches(model, X_train, labels, **OPTIONS | changes)
    identity = training.identity(model, (batches, X_val, y_val), epochs, patience)
    history, _ = checkpoint.restore(path, identity, model, said.append)
    return history, said


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 2}, "data"),
        ({"augmentation": Augmentation(shift=1)}, "data"),
        ({"labels": (y_train + 1) % 3}, "data"),
        ({"epochs": 4}, "settings"),
        ({"patience": 1}, "settings"),
        ({"change_of_weights": 1}, "initial weights"),
        ({}, "training code"),
    ],
)
def test_a_checkpoint_of_another_training_is_reported_and_not_used(place, monkeypatch, changes, named):
    if named == "training code":
        monkeypatch.setattr(checkpoint, "CODE_SHA256", "of an edited module")
    said = f"model.npz is of a training with other {named}: training starts from scratch"
    assert restore(place(2), **changes) == ([], [said])


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def change_an_array(path):
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **arrays | {"best_0000": arrays["best_0000"] + 1})


@pytest.mark.parametrize("damage", [lambda path: os.truncate(path, 2000), flip_a_byte, change_an_array, Path.unlink])
def test_a_damaged_checkpoint_is_reported_and_the_previous_one_is_used(undisturbed, place, damage):
    """It is missing if the process was killed between the two renames of a checkpoint."""
    path = place(2)
    damage(path)
    history, said = restore(path)
    assert said.pop() == "resuming after epoch 1, from model.before.npz"
    assert len(said) == path.exists() and all("model.npz is damaged and not used (" in line for line in said)
    assert [row["val_loss"] for row in history] == [undisturbed.history.loc[1, "val_loss"]]


def test_the_identity_covers_connections_but_not_the_numbers_in_default_names():
    inputs = keras.Input((4, 4, 1))

    def identity_of_layers(skips_both):
        between = keras.layers.Conv2D(1, 1)(inputs)
        output = keras.layers.Conv2D(1, 1)(between)
        model = keras.Model(inputs, keras.layers.add([output, inputs if skips_both else between]))
        model.compile("sgd", "mse")
        return checkpoint.training_identity(model, [], {})["layers"]

    assert identity_of_layers(True) == identity_of_layers(True) != identity_of_layers(False)
