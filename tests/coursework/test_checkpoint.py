import contextlib
import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursework import checkpoint, optimizers, training
from coursework.augmentation import Augmentation
from coursework.metrics import F1Score
from tests import models
from tests.coursework.damage import cut, cuts, many
from tests.models import bright_images, small_layers, small_model

X_train, y_train, X_val, y_val = bright_images()
EPOCHS = 3
OPTIONS = {"batch_size": 16, "seed": 1, "augmentation": Augmentation(flips=True, shift=1, erase=0.5)}


def full_options_model():
    """A model with all that a checkpoint must restore: dropout, normalisation, a schedule and averaged weights."""
    keras.utils.clear_session()  # the layers have the same names as in a new kernel
    model = small_layers(keras.layers.BatchNormalization(momentum=0.4))
    schedule = optimizers.one_cycle(0.02, images=90, batch_size=16, epochs=EPOCHS)
    optimizer = keras.optimizers.AdamW(schedule, use_ema=True, ema_momentum=0.9)
    metrics = [F1Score(num_classes=3)]
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=metrics, steps_per_execution=2)
    return model


def train(path, **options):
    model = full_options_model()
    return model, models.train(model, epochs=EPOCHS, checkpoint=path, **OPTIONS, **options)


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


def interrupt_in_epoch(number):
    """A callback that interrupts the training in an epoch."""

    def on_epoch_begin(epoch, logs):
        if epoch + 1 == number:
            raise KeyboardInterrupt

    return keras.callbacks.LambdaCallback(on_epoch_begin=on_epoch_begin)


@pytest.mark.parametrize("finished", [1, 2, 3])
def test_an_interrupted_training_resumes_and_ends_with_the_same_bits(undisturbed, place, tmp_path, capsys, finished):
    if finished == 1:
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "model.npz", callbacks=[interrupt_in_epoch(2)])
    else:
        place(finished)
    capsys.readouterr()
    model, history = train(tmp_path / "model.npz")
    assert_equal(model.get_weights(), undisturbed.model.get_weights())
    assert_equal(model.optimizer.variables, undisturbed.model.optimizer.variables)
    histories = (one.drop(columns="seconds") for one in (history, undisturbed.history))
    pd.testing.assert_frame_equal(*histories, check_exact=True)
    assert history.attrs["restored_seconds"] == history["seconds"].iloc[:finished].sum()
    notice, *log = capsys.readouterr().out.splitlines()
    assert notice == f"resuming after epoch {finished}, from model.npz"
    assert [line.rpartition("|")[0] for line in log] == [line.rpartition("|")[0] for line in undisturbed.log]


def test_a_resumed_training_counts_the_epochs_without_improvement_before_it(tmp_path):
    def train_without_learning(*callbacks):
        options = {"epochs": 9, "patience": 2, "checkpoint": tmp_path / "model.npz", "callbacks": callbacks}
        return models.train(small_model(learning_rate=1e-12), **options)

    with pytest.raises(KeyboardInterrupt):
        train_without_learning(interrupt_in_epoch(3))
    assert len(train_without_learning()) == 3
    assert len(train_without_learning(interrupt_in_epoch(4))) == 3  # a finished training is not continued


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
    assert restore(place(2), **changes) == (
        [],
        [f"model.npz is of a training with other {named}: training starts from scratch"],
    )


@pytest.mark.parametrize("damage", ["truncated", "a flipped byte"])
def test_a_damaged_checkpoint_is_reported_and_the_previous_one_is_used(undisturbed, place, damage):
    path = place(2)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content if damage == "a flipped byte" else content[:2000])
    history, (first, second) = restore(path)
    assert re.fullmatch(r"model.npz is damaged and not used \(.+\)", first)
    assert second == "resuming after epoch 1, from model.before.npz"
    assert [row["val_loss"] for row in history] == [undisturbed.history.loc[1, "val_loss"]]


def test_a_kill_between_the_two_renames_of_a_checkpoint_loses_one_epoch(place):
    path = place(3)
    path.unlink()  # it was renamed, and the new one is not yet in its place
    history, said = restore(path)
    assert (len(history), said) == (2, ["resuming after epoch 2, from model.before.npz"])


@pytest.fixture(scope="module")
def tiny_model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def test_an_array_whose_header_claims_a_smaller_size_is_not_used(tiny_model, tmp_path):
    """zipfile reads such a large member only in part, so it never compares its checksum."""
    path, large, said = tmp_path / "model.npz", np.ones((400, 100), np.float32), []
    about = {"identity": {}, "history": [], "content": checkpoint.content_sha256([], [large], [])}
    np.savez(path, about=json.dumps(about), state_0000=large)
    path.write_bytes(path.read_bytes().replace(b"'<f4', 'fortran", b"'<f2', 'fortran"))
    assert checkpoint.restore(path, {}, tiny_model, said.append) == ([], None)
    assert said[0].startswith("model.npz is damaged and not used")


@many
@given(flipped=st.tuples(st.integers(0, 10**6), st.integers(1, 255)), cuts=cuts())
def test_a_changed_checkpoint_is_restored_completely_or_reported(tmp_path, tiny_model, flipped, cuts):
    path, (place, mask) = tmp_path / "model.npz", flipped
    weights = tiny_model.get_weights()
    checkpoint.save(path, {"data": "one"}, tiny_model, [{"val_f1": 0.5}], weights)
    right = path.read_bytes()
    turned = bytearray(right)
    turned[place % len(right)] ^= mask
    checkpoint.previous_path(path).unlink(missing_ok=True)
    for content in (bytes(turned), cut(right, cuts)):
        path.write_bytes(content)
        said = []
        history, best_weights = checkpoint.restore(path, {"data": "one"}, tiny_model, said.append)
        if history:
            assert history == [{"val_f1": 0.5}]
            assert_equal(best_weights, weights)
        else:
            assert re.fullmatch(r"model.npz is damaged and not used \(.+\)", "".join(said))


def identity_of_layers(output, inputs):
    model = keras.Model(inputs, output)
    model.compile(optimizers.Muon(0.1), "mse", metrics=[F1Score(num_classes=3)])
    return checkpoint.training_identity(model, [], {}) | {"initial weights": None}


def test_the_identity_covers_connections_and_chosen_names_but_not_the_numbers_in_default_names():
    inputs = keras.Input((4, 4, 1))

    def build(**options):
        first, second = (keras.layers.Conv2D(1, 1) for _ in range(2))
        nested = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(5, activation=keras.layers.LeakyReLU())])
        between = first(inputs)
        for skipped in (inputs, between):
            output = keras.layers.Dense(3, **options)(nested(keras.layers.add([second(between), skipped])))
            yield identity_of_layers(output, inputs)

    (plain, connected), (again, _), (named, _) = build(), build(), build(name="chosen")
    assert plain == again
    assert connected != plain != named


def test_an_edit_of_a_module_changes_the_hash_if_it_computes_the_training(tmp_path, monkeypatch):
    for path in Path(checkpoint.__file__).parent.glob("*.py"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(checkpoint, "__file__", str(tmp_path / "checkpoint.py"))
    hashes = [checkpoint.CODE_SHA256]
    for name in ("progress", "training", "augmentation", "optimizers", "metrics"):
        (tmp_path / f"{name}.py").write_text("# edited")
        hashes.append(checkpoint.training_code_sha256())
    assert hashes[0] == hashes[1] and len(set(hashes)) == 5
