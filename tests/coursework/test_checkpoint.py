import contextlib
import dataclasses
import io
import json
import re
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coursework import checkpoint, optimizers, training
from coursework.augmentation import Augmentation
from coursework.metrics import F1Score
from tests import models
from tests.models import bright_images, small_layers, small_model
from tests.running import FUZZ_CASES

IMAGES = bright_images()
EPOCHS = 3
OPTIONS = {"epochs": EPOCHS, "batch_size": 16, "seed": 1, "augmentation": Augmentation(flips=True, shift=1, erase=0.5)}


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
    return model, models.train(model, **OPTIONS | options, checkpoint=path)


def identity(model, images=IMAGES, patience=None, **changes):
    """The identity that `TrainingMonitor` gives a training."""
    X_train, y_train, X_val, y_val = images
    options = {name: value for name, value in (OPTIONS | changes).items() if name != "epochs"}
    batches = training.training_batches(model, X_train, y_train, **options)
    return training.identity(model, (batches, X_val, y_val), EPOCHS, patience)


@dataclasses.dataclass
class Undisturbed:
    """A finished training and what it left."""

    weights: list
    optimizer: list
    history: pd.DataFrame
    log: list
    checkpoints: list
    """The content of the checkpoint after each epoch."""

    def place(self, path, epochs):
        """Write the checkpoints as they are after this number of epochs."""
        if epochs > 1:
            checkpoint.previous_path(path).write_bytes(self.checkpoints[epochs - 2])
        path.write_bytes(self.checkpoints[epochs - 1])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    path, contents, save = tmp_path_factory.mktemp("undisturbed") / "model.npz", [], checkpoint.save

    def save_and_keep(*arguments):
        save(*arguments)
        contents.append(path.read_bytes())

    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
        patch.setattr(checkpoint, "save", save_and_keep)
        model, history = train(path)
    optimizer = [variable.numpy() for variable in model.optimizer.variables]
    return Undisturbed(model.get_weights(), optimizer, history, said.getvalue().splitlines(), contents)


def assert_equal(arrays, others):
    for one, other in zip(arrays, others, strict=True):
        np.testing.assert_array_equal(one, other)


def without_seconds(lines):
    return [line.rpartition("|")[0] for line in lines]


class InterruptInEpoch(keras.callbacks.Callback):
    """Interrupts the training in the middle of an epoch, with half-changed weights."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def on_epoch_begin(self, epoch, logs=None):
        if epoch + 1 == self.number:
            self.model.set_weights([np.zeros_like(array) for array in self.model.get_weights()])
            raise KeyboardInterrupt


@pytest.mark.fault("a training interrupted in an epoch")
@pytest.mark.parametrize("finished", [1, 2, 3])
def test_an_interrupted_training_resumes_and_ends_with_the_same_bits(undisturbed, tmp_path, capsys, finished):
    path = tmp_path / "model.npz"
    if finished == 1:
        with pytest.raises(KeyboardInterrupt):
            train(path, callbacks=[InterruptInEpoch(finished + 1)])
    else:
        undisturbed.place(path, finished)
    capsys.readouterr()
    model, history = train(path)
    assert_equal(model.get_weights(), undisturbed.weights)
    assert_equal([variable.numpy() for variable in model.optimizer.variables], undisturbed.optimizer)
    columns = [column for column in history if column != "seconds"]
    pd.testing.assert_frame_equal(history[columns], undisturbed.history[columns], check_exact=True)
    assert history.attrs["restored_seconds"] == history["seconds"].iloc[:finished].sum()
    notice, *log = capsys.readouterr().out.splitlines()
    assert notice == f"resuming after epoch {finished}, from model.npz"
    assert without_seconds(log) == without_seconds(undisturbed.log)


@pytest.mark.fault("a training interrupted in an epoch")
def test_a_resumed_training_counts_the_epochs_without_improvement_before_it(tmp_path):
    def train_without_learning(*callbacks):
        options = {"epochs": 9, "patience": 2, "checkpoint": tmp_path / "model.npz", "callbacks": callbacks}
        return models.train(small_model(learning_rate=1e-12), **options)

    with pytest.raises(KeyboardInterrupt):
        train_without_learning(InterruptInEpoch(3))
    assert len(train_without_learning()) == 3
    assert len(train_without_learning(InterruptInEpoch(4))) == 3  # a finished training is not continued


def test_the_learning_rate_of_a_schedule_is_recorded(undisturbed):
    schedule = optimizers.one_cycle(0.02, images=90, batch_size=16, epochs=EPOCHS)
    expected = [float(schedule(6 * epoch)) for epoch in range(1, EPOCHS + 1)]
    np.testing.assert_allclose(undisturbed.history["learning_rate"], expected, atol=1e-8)


@pytest.mark.fault("a checkpoint of another training")
def test_a_checkpoint_of_another_training_is_reported_and_training_starts_from_scratch(undisturbed, tmp_path, capsys):
    undisturbed.place(tmp_path / "model.npz", 2)
    _, history = train(tmp_path / "model.npz", epochs=1)
    notice, *log = capsys.readouterr().out.splitlines()
    assert notice == "model.npz is of a training with other settings: training starts from scratch"
    assert len([line for line in log if line.startswith("epoch")]) == len(history) == 1


def other_labels():
    return IMAGES[0], (IMAGES[1] + 1) % 3, *IMAGES[2:]


@pytest.mark.fault("a checkpoint of another training")
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 2}, "data"),
        ({"batch_size": 8}, "data"),
        ({"patience": 1}, "settings"),
        ({"augmentation": Augmentation(shift=1)}, "data"),
        ({"images": other_labels()}, "data"),
    ],
)
def test_a_checkpoint_of_a_training_with_other_settings_or_data_is_not_used(undisturbed, tmp_path, change, named):
    undisturbed.place(tmp_path / "model.npz", 2)
    model, said = full_options_model(), []
    assert checkpoint.restore(tmp_path / "model.npz", identity(model, **change), model, said.append) == ([], None)
    assert said == [f"model.npz is of a training with other {named}: training starts from scratch"]


@pytest.mark.fault("a checkpoint of another training")
def test_a_checkpoint_of_a_model_with_other_initial_weights_is_not_used(undisturbed, tmp_path):
    undisturbed.place(tmp_path / "model.npz", 2)
    model, said = full_options_model(), []
    model.set_weights([array + 1 for array in model.get_weights()])
    assert checkpoint.restore(tmp_path / "model.npz", identity(model), model, said.append) == ([], None)
    assert said == ["model.npz is of a training with other initial weights: training starts from scratch"]


@pytest.mark.fault("a checkpoint of another training")
def test_a_checkpoint_of_other_training_code_is_not_used(undisturbed, tmp_path, monkeypatch):
    undisturbed.place(tmp_path / "model.npz", 2)
    monkeypatch.setattr(checkpoint, "CODE_SHA256", "of an edited module")
    model, said = full_options_model(), []
    assert checkpoint.restore(tmp_path / "model.npz", identity(model), model, said.append) == ([], None)
    assert said == ["model.npz is of a training with other training code: training starts from scratch"]


def restore(path):
    """Restore the training of `undisturbed`: the model, history and best weights, and the printed lines."""
    model, said = full_options_model(), []
    model.optimizer.build(model.trainable_variables)
    history, best_weights = checkpoint.restore(path, identity(model), model, said.append)
    return model, history, best_weights, said


@pytest.mark.fault("a damaged checkpoint")
@pytest.mark.parametrize("damage", ["truncated", "empty", "a flipped byte", "something else"])
def test_a_damaged_checkpoint_is_reported_and_the_previous_one_is_used(undisturbed, tmp_path, damage):
    path = tmp_path / "model.npz"
    undisturbed.place(path, 2)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    damaged = {"truncated": content[:2000], "empty": b"", "a flipped byte": content, "something else": b"PK\3\4 no"}
    path.write_bytes(damaged[damage])
    _, history, _, (first, second) = restore(path)
    assert re.fullmatch(r"model.npz is damaged and not used \(.+\)", first)
    assert second == "resuming after epoch 1, from model.before.npz"
    assert [row["val_loss"] for row in history] == [undisturbed.history.loc[1, "val_loss"]]


@pytest.mark.fault("a damaged checkpoint")
def test_without_a_usable_checkpoint_training_starts_from_scratch(undisturbed, tmp_path):
    path = tmp_path / "model.npz"
    undisturbed.place(path, 2)
    for one in (path, checkpoint.previous_path(path)):
        one.write_bytes(one.read_bytes()[:-100])
    model, history, best_weights, said = restore(path)
    assert (history, best_weights) == ([], None)
    assert [line.split(" (")[0] for line in said] == [
        "model.npz is damaged and not used",
        "model.before.npz is damaged and not used",
    ]
    assert_equal(model.get_weights(), full_options_model().get_weights())


@pytest.mark.fault("a kill while a checkpoint is put in place")
def test_a_kill_between_the_two_renames_of_a_checkpoint_loses_one_epoch(undisturbed, tmp_path):
    path = tmp_path / "model.npz"
    undisturbed.place(path, 3)
    path.unlink()  # it was renamed, and the new one is not yet in its place
    _, history, _, said = restore(path)
    assert said == ["resuming after epoch 2, from model.before.npz"]
    assert len(history) == 2


@pytest.fixture(scope="module")
def tiny_checkpoint(tmp_path_factory):
    """A model with one layer, an identity, and the content of their checkpoint."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    path = tmp_path_factory.mktemp("checkpoint") / "model.npz"
    about = {"layers": "one", "data": "two"}
    checkpoint.save(path, about, model, [{"val_f1": 0.5}], model.get_weights())
    return model, about, path.read_bytes()


@pytest.mark.fault("a damaged checkpoint")
def test_an_array_whose_header_claims_a_smaller_size_is_not_used(tiny_checkpoint, tmp_path):
    """zipfile reads such a large member only in part, so it never compares its checksum."""
    model, path, large = tiny_checkpoint[0], tmp_path / "model.npz", np.ones((400, 100), np.float32)
    about = {"identity": {}, "history": [], "content": checkpoint.content_sha256([], [large], [])}
    np.savez(path, about=json.dumps(about), state_0000=large)
    right = b"'<f4', 'fortran_order': False, 'shape': (400"
    assert path.read_bytes().count(right) == 1
    path.write_bytes(path.read_bytes().replace(right, right.replace(b"f4", b"f2")))
    said = []
    assert checkpoint.restore(path, {}, model, said.append) == ([], None)
    assert said[0].startswith("model.npz is damaged and not used")


def test_the_checkpoint_of_the_previous_epoch_is_kept(tiny_checkpoint, tmp_path):
    model, about, _ = tiny_checkpoint
    path = tmp_path / "model.npz"
    for epochs in (1, 2, 3):
        checkpoint.save(path, about, model, [{"val_f1": 0.5}] * epochs, model.get_weights())
    kept = {file.name: len(checkpoint.read(file)[0]["history"]) for file in tmp_path.iterdir()}
    assert kept == {"model.npz": 3, "model.before.npz": 2}


def cut(content, cuts):
    """The content with pieces removed, duplicated or replaced."""
    for place, length, piece in cuts:
        place %= len(content) + 1
        content = content[:place] + piece + content[place + length :]
    return content


@settings(max_examples=FUZZ_CASES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    flipped=st.tuples(st.integers(0, 10**6), st.integers(1, 255)),
    cuts=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 60), st.binary(max_size=9)), min_size=1, max_size=4),
)
def test_a_changed_checkpoint_is_restored_completely_or_reported(tmp_path, tiny_checkpoint, flipped, cuts):
    model, about, right = tiny_checkpoint
    place, mask = flipped
    turned = bytearray(right)
    turned[place % len(right)] ^= mask
    for content in (bytes(turned), cut(right, cuts)):
        (tmp_path / "model.npz").write_bytes(content)
        said = []
        history, best_weights = checkpoint.restore(tmp_path / "model.npz", about, model, said.append)
        if history:
            assert history == [{"val_f1": 0.5}]
            assert_equal(best_weights, model.get_weights())
        else:
            assert re.fullmatch(r"model.npz is damaged and not used \(.+\)", "".join(said))


def test_a_failed_write_keeps_the_checkpoints(tiny_checkpoint, tmp_path, monkeypatch):
    model, about, content = tiny_checkpoint
    path = tmp_path / "model.npz"
    path.write_bytes(content)
    monkeypatch.setattr(np, "savez", lambda file, **arrays: (_ for _ in ()).throw(OSError("No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(path, about, model, [{"val_f1": 0.9}], model.get_weights())
    assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["model.npz"]


# --- Identity -------------------------------------------------------------------------------------


def nested_model():
    layers = keras.layers
    block = keras.Sequential([layers.Dense(5, activation=layers.LeakyReLU()), layers.Softmax()])
    model = keras.Sequential([keras.Input((4,)), block, layers.Dense(3, activation="softmax")])
    model.compile(optimizers.Muon(0.1), "mse", metrics=[F1Score(num_classes=3)])
    return model


@pytest.mark.parametrize("build", [small_model, nested_model])
def test_the_numbers_in_default_names_do_not_change_the_identity(build):
    first, second = build(), build()
    assert [layer.name for layer in first.layers] != [layer.name for layer in second.layers]
    identities = [checkpoint.training_identity(model, [], {}) for model in (first, second)]
    for part in ("layers", "optimiser, loss and metrics"):
        assert identities[0][part] == identities[1][part], part


def layers_hash(model):
    model.compile("adam", "mse")
    return checkpoint.training_identity(model, [], {})["layers"]


def test_other_connections_between_the_same_layers_change_the_identity():
    inputs = keras.Input((4, 4, 1), dtype="uint8")
    first, second = (keras.layers.Conv2D(1, 1, padding="same") for _ in range(2))
    between = first(inputs)
    sums = [keras.layers.add([second(between), skipped]) for skipped in (inputs, between)]
    models = [keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(output))) for output in sums]
    assert layers_hash(models[0]) != layers_hash(models[1])


def test_another_name_chosen_for_a_layer_changes_the_identity():
    models = [keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name=name)]) for name in ("a", "b")]
    assert layers_hash(models[0]) != layers_hash(models[1])


# --- Training code ---------------------------------------------------------------------------------


@pytest.fixture
def copied_modules(tmp_path, monkeypatch):
    """A copy of the modules of this package, of which the hashes are then taken."""
    for path in Path(checkpoint.__file__).parent.glob("*.py"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(checkpoint, "__file__", str(tmp_path / "checkpoint.py"))
    return tmp_path


def test_the_training_code_is_that_of_the_imported_modules(copied_modules):
    assert checkpoint.training_code_sha256() == checkpoint.CODE_SHA256


@pytest.mark.parametrize("name", ["training", "augmentation", "optimizers", "metrics"])
def test_an_edit_of_a_module_that_computes_the_training_changes_its_hash(copied_modules, name):
    with (copied_modules / f"{name}.py").open("a") as file:
        file.write("# edited\n")
    assert checkpoint.training_code_sha256() != checkpoint.CODE_SHA256


@pytest.mark.parametrize("name", ["figures", "data", "progress", "evaluation", "text"])
def test_an_edit_of_another_module_leaves_the_hash(copied_modules, name):
    path = copied_modules / f"{name}.py"
    path.write_text(path.read_text().replace('"""', '"""Edited. ', 1))
    assert "Edited" in path.read_text()
    assert checkpoint.training_code_sha256() == checkpoint.CODE_SHA256
