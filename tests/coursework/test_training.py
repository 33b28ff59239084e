import json
import re
import sys

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursework import augmentation, checkpoint, evaluation, metrics, models, optimizers, progress, session, text, training


@pytest.fixture
def data():
    """Images whose class is their brightness: 90 to train on, 30 to validate."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 120)
    images = (labels[:, None, None, None] * 80 + random.integers(0, 60, (120, 4, 4, 1))).astype(np.uint8)
    return images[:90], labels[:90], images[90:], labels[90:]


def small_layers(*after_hidden):
    """An uncompiled classifier of three classes, with extra layers after its hidden one."""
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


def small_model(learning_rate=0.01, metrics=None):
    model = small_layers()
    metrics = ["accuracy", metrics.F1Score(num_classes=3)] if metrics is None else metrics
    model.compile(keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy", metrics=metrics)
    return model


def weights_after_training(data, **options):
    model = small_model()
    training.train(model, *data, **{"epochs": 3, "batch_size": 16, "seed": 1} | options)
    return model.get_weights()


def test_the_same_seed_gives_the_same_weights_bit_for_bit(data):
    for first, second in zip(weights_after_training(data), weights_after_training(data), strict=True):
        np.testing.assert_array_equal(first, second)


def test_another_seed_gives_other_weights(data):
    pairs = zip(weights_after_training(data), weights_after_training(data, seed=2), strict=True)
    assert any((first != second).any() for first, second in pairs)


@pytest.fixture(autouse=True)
def several_executions(monkeypatch):
    """Two batches to a call into TensorFlow, so that an epoch of these few images takes several calls."""
    monkeypatch.setattr(training, "STEPS_PER_EXECUTION", 2)


def test_an_epoch_trains_each_image_once_in_an_order_of_its_own(data):
    trainer = training.EpochTrainer(small_model(), data[0], data[1], 16, seed=1)
    epochs = [np.concatenate([batch.ravel() for batch in trainer._shuffled_batches(epoch)]) for epoch in (1, 2, 1)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(90))
    assert epochs[0].tolist() == epochs[2].tolist() != epochs[1].tolist()


def test_trains_as_a_plain_fit_would_on_the_same_batches(data):
    ours, plain = small_model(), small_model()
    trainer = training.EpochTrainer(ours, data[0], data[1], 16, seed=1)
    order = np.concatenate([batch.ravel() for batch in trainer._shuffled_batches(1)])
    logs = trainer.run(1)
    history = plain.fit(data[0][order], data[1][order], batch_size=16, shuffle=False, verbose=0).history
    for name in ("loss", "accuracy", "f1"):
        assert logs[name] == pytest.approx(history[name][0], rel=1e-4)
    for first, second in zip(ours.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-5)


def test_learns_and_keeps_the_weights_of_the_best_epoch(data, capsys):
    steps_an_epoch = 6  # of which the first eight epochs learn, and the last four are thrown off
    model = small_model(keras.optimizers.schedules.PiecewiseConstantDecay([8 * steps_an_epoch], [0.05, 30.0]))
    history = training.train(model, *data, epochs=12, batch_size=16, seed=1)
    best = history["val_f1"].idxmax()
    assert best <= 8
    assert history["val_f1"].iloc[-1] < history["val_f1"].max()
    scores = evaluation.score(data[3], models.predict_probabilities(model, data[2]).argmax(axis=1), classes=3)
    assert scores["f1"] == pytest.approx(history.loc[best, "val_f1"], abs=1e-6)
    assert scores["accuracy"] > 0.8
    assert history.index.tolist() == list(range(1, 13))
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("epoch ")]) == 12
    assert all(line[12:22] == "." * 10 for line in lines[:12])
    assert lines[-1].startswith(f"weights of epoch {best} restored")


def test_stops_after_patience_epochs_without_a_higher_f1(data):
    history = training.train(small_model(learning_rate=1e-12), *data, epochs=50, batch_size=16, seed=1, patience=4)
    assert len(history) == 5
    assert history["val_f1"].idxmax() == 1


def test_the_cosine_schedule_falls_from_its_peak_to_zero(data):
    model = small_model(optimizers.cosine_decay(0.01, images=90, batch_size=16, epochs=4))
    history = training.train(model, *data, epochs=4, batch_size=16, seed=1)
    expected = 0.01 * (1 + np.cos(np.pi * np.arange(1, 5) / 4)) / 2
    np.testing.assert_allclose(history["learning_rate"], expected, atol=1e-8)


def test_a_diverging_training_is_stopped_with_advice(data):
    model = small_model()
    model.layers[-1].set_weights([np.full((8, 3), np.nan), np.zeros(3)])
    with pytest.raises(ArithmeticError, match="no finite number after epoch 1: try a smaller learning rate"):
        training.train(model, *data, epochs=2, batch_size=16, seed=1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "epochs=0: expected an integer at least 1"),
        ({"epochs": -1}, "epochs=-1"),
        ({"epochs": 2.5}, "epochs=2.5"),
        ({"epochs": True}, "epochs=True"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"seed": "one"}, "seed='one'"),
        ({"patience": 0}, "patience=0"),
    ],
)
def test_arguments_out_of_range_are_refused(data, options, words):
    with pytest.raises(ValueError, match=words):
        training.train(small_model(), *data, **{"epochs": 1, "batch_size": 16, "seed": 1} | options)


def test_data_that_do_not_fit_together_are_refused(data):
    images, labels, X_val, y_val = data
    options = {"epochs": 1, "batch_size": 16, "seed": 1}
    with pytest.raises(ValueError, match="90 training images and 89 labels"):
        training.train(small_model(), images, labels[:-1], X_val, y_val, **options)
    with pytest.raises(ValueError, match="validation images are float64: expected uint8"):
        training.train(small_model(), images, labels, X_val / 255, y_val, **options)
    with pytest.raises(ValueError, match='no metric named "f1"'):
        training.train(small_model(metrics=["accuracy"]), *data, **options)
    with pytest.raises(ValueError, match="not compiled"):
        training.train(keras.Sequential([keras.Input((4, 4, 1))]), *data, **options)


AUGMENTATION = augmentation.Augmentation(flips=True, shift=1, erase=0.5)


def full_options_model():
    """A model with all that a checkpoint must bring back: dropout, normalisation, a schedule and averaged weights."""
    keras.utils.clear_session()  # the names of a new kernel
    model = small_layers(keras.layers.BatchNormalization())
    schedule = optimizers.one_cycle(0.02, images=90, batch_size=16, epochs=6)
    optimizer = keras.optimizers.AdamW(schedule, use_ema=True, ema_momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=[metrics.F1Score(num_classes=3)])
    return model


def train_with_checkpoint(data, path, **options):
    model = full_options_model()
    options = {"epochs": 6, "batch_size": 16, "seed": 1, "augmentation": AUGMENTATION} | options
    return model, training.train(model, *data, checkpoint=path, **options)


def interrupt_after(monkeypatch, epochs):
    """Let the training be interrupted in the middle of the epoch that follows."""
    run = training.EpochTrainer.run

    def run_or_stop(trainer, epoch, progress):
        if epoch > epochs:
            trainer.model.set_weights([np.zeros_like(array) for array in trainer.model.get_weights()])
            raise KeyboardInterrupt
        return run(trainer, epoch, progress)

    monkeypatch.setattr(training.EpochTrainer, "run", run_or_stop)


@pytest.mark.fault("a training interrupted in an epoch")
@pytest.mark.parametrize("finished", [1, 3, 6])
def test_an_interrupted_training_goes_on_and_ends_with_the_same_bits(data, tmp_path, monkeypatch, capsys, finished):
    undisturbed, undisturbed_history = train_with_checkpoint(data, tmp_path / "undisturbed.npz")
    undisturbed_log = capsys.readouterr().out
    with monkeypatch.context() as context:
        interrupt_after(context, finished)
        if finished < 6:
            with pytest.raises(KeyboardInterrupt):
                train_with_checkpoint(data, tmp_path / "model.npz")
        else:
            train_with_checkpoint(data, tmp_path / "model.npz")
        capsys.readouterr()
    resumed, history = train_with_checkpoint(data, tmp_path / "model.npz")
    for first, second in zip(undisturbed.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    for first, second in zip(undisturbed.optimizer.variables, resumed.optimizer.variables, strict=True):
        np.testing.assert_array_equal(first.numpy(), second.numpy())
    columns = [column for column in history if column != "seconds"]
    pd.testing.assert_frame_equal(history[columns], undisturbed_history[columns], check_exact=True)
    assert history.attrs["restored_seconds"] == history["seconds"].iloc[:finished].sum()
    notice, *log = capsys.readouterr().out.splitlines()
    assert notice == f"going on after epoch {finished}, from model.npz"
    assert [line.rpartition("|")[0] for line in log] == [
        line.rpartition("|")[0] for line in undisturbed_log.splitlines()
    ]


@pytest.mark.fault("a training interrupted in an epoch")
def test_an_interrupted_training_remembers_its_patience(data, tmp_path, monkeypatch):
    with monkeypatch.context() as context:
        interrupt_after(context, 1)
        with pytest.raises(KeyboardInterrupt):
            train_with_checkpoint(data, tmp_path / "model.npz", patience=1)
    _, resumed = train_with_checkpoint(data, tmp_path / "model.npz", patience=1)
    assert len(resumed) == 2  # the second epoch is no better than the first
    _, again = train_with_checkpoint(data, tmp_path / "model.npz", patience=1)
    pd.testing.assert_frame_equal(again, resumed, check_exact=True)


@pytest.mark.fault("a checkpoint of another training")
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 2}, "settings"),
        ({"batch_size": 8}, "settings"),
        ({"augmentation": augmentation.Augmentation(shift=1)}, "settings"),
        ({"data": "other labels"}, "data"),
        ({"model": "other weights"}, "initial weights"),
    ],
)
def test_a_checkpoint_of_another_training_is_not_used(data, tmp_path, capsys, change, named):
    train_with_checkpoint(data, tmp_path / "model.npz", epochs=2)
    capsys.readouterr()
    model, options = full_options_model(), {"epochs": 2, "batch_size": 16, "seed": 1, "augmentation": AUGMENTATION}
    if "data" in change:
        data = (data[0], (data[1] + 1) % 3, *data[2:])
    elif "model" in change:
        model.set_weights([array + 1 for array in model.get_weights()])
    else:
        options |= change
    training.train(model, *data, checkpoint=tmp_path / "model.npz", **options)
    notice, *log = capsys.readouterr().out.splitlines()
    assert notice == f"model.npz is of a training with other {named}: training starts anew"
    assert len([line for line in log if line.startswith("epoch")]) == 2


@pytest.mark.fault("a checkpoint of another training")
def test_a_checkpoint_of_other_functions_of_the_notebook_is_not_used(data, tmp_path, capsys, monkeypatch):
    """A layer only names its activation; what that does stands in a cell."""
    cells = ["# a remark\ndef steep(x):\n    return factor * x", "%magic", "print(factor)"]
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "In", cells, raising=False)
    monkeypatch.setattr(main, "factor", 2, raising=False)
    train_with_checkpoint(data, tmp_path / "model.npz", epochs=1)
    cells[0] = "def steep(x):  # another remark\n    return factor * x"
    cells[2] = "print(2 * factor)"
    train_with_checkpoint(data, tmp_path / "model.npz", epochs=1)
    assert "training starts anew" not in capsys.readouterr().out
    for change in ("value", "definition", "lambda"):
        if change == "value":
            monkeypatch.setattr(main, "factor", 3, raising=False)
        else:
            cells.append(
                {"definition": "if factor:\n    def steep(x): return 3 * x", "lambda": "layer = lambda x: x"}[change]
            )
        train_with_checkpoint(data, tmp_path / "model.npz", epochs=1)
        said = capsys.readouterr().out
        assert "other functions and classes of the notebook: training starts anew" in said, change


@pytest.mark.fault("a damaged checkpoint")
@pytest.mark.parametrize("damage", ["truncated", "empty", "a flipped byte", "something else"])
def test_a_damaged_checkpoint_is_reported_and_the_one_before_used(data, tmp_path, capsys, damage):
    path = tmp_path / "model.npz"
    first, _ = train_with_checkpoint(data, path, epochs=2)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    damaged = {"truncated": content[:2000], "empty": b"", "a flipped byte": content, "something else": b"PK\3\4 no"}
    path.write_bytes(damaged[damage])
    capsys.readouterr()
    second, _ = train_with_checkpoint(data, path, epochs=2)
    first_line, second_line, *_ = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"model.npz is damaged and not used \(.+\)", first_line)
    assert second_line == "going on after epoch 1, from model.before.npz"
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.fault("a damaged checkpoint")
def test_an_array_whose_header_says_something_else_is_not_used(data, tmp_path, capsys):
    """Of a large member, zipfile then reads less than there is, and never gets to compare its sum."""
    path = tmp_path / "model.npz"
    train_with_checkpoint(data, path, epochs=1)
    history = json.loads(str(np.load(path)["about"]))["history"]
    large = [np.ones((400, 100), np.float32)]
    about = {"identity": {}, "history": history, "content": checkpoint.content_sha256(history, large, [])}
    np.savez(path, about=json.dumps(about), state_0000=large[0])
    path.write_bytes(
        path.read_bytes().replace(
            b"'<f4', 'fortran_order': False, 'shape': (400", b"'<f2', 'fortran_order': False, 'shape': (400"
        )
    )
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    capsys.readouterr()
    assert checkpoint.restore(path, {}, model) == ([], None)
    assert "model.npz is damaged and not used" in capsys.readouterr().out


@pytest.mark.fault("a damaged checkpoint")
def test_with_no_usable_checkpoint_a_training_starts_anew(data, tmp_path, capsys):
    path = tmp_path / "model.npz"
    first, _ = train_with_checkpoint(data, path, epochs=2)
    for one in (path, path.with_name("model.before.npz")):
        one.write_bytes(one.read_bytes()[:-100])
    capsys.readouterr()
    second, _ = train_with_checkpoint(data, path, epochs=2)
    said = capsys.readouterr().out
    assert "model.npz is damaged" in said
    assert "model.before.npz is damaged" in said
    assert "going on" not in said
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.fault("a kill while a checkpoint is put in place")
def test_a_kill_between_the_two_moves_of_a_checkpoint_loses_one_epoch(data, tmp_path, capsys):
    """The newest was moved aside, and the new one is not in place yet."""
    path = tmp_path / "model.npz"
    first, _ = train_with_checkpoint(data, path, epochs=3)
    path.unlink()
    capsys.readouterr()
    second, _ = train_with_checkpoint(data, path, epochs=3)
    assert "going on after epoch 2, from model.before.npz" in capsys.readouterr().out
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_averaged_weights_are_what_is_validated_and_kept(data):
    model = full_options_model()
    history = training.train(model, *data, epochs=1, batch_size=16, seed=1)
    averages = [v for v in model.optimizer.variables if v.name.endswith("_average")]
    for variable, average in zip(model.trainable_variables, averages, strict=True):
        np.testing.assert_array_equal(variable.numpy(), average.numpy())
    evaluated = model.evaluate(data[2], data[3], verbose=0, return_dict=True)
    assert evaluated["loss"] == pytest.approx(history.loc[1, "val_loss"], rel=1e-5)


def test_averaging_does_not_change_what_is_trained(data):
    averaged, plain = full_options_model(), full_options_model()
    plain.optimizer.use_ema = False
    for model in (averaged, plain):
        training.EpochTrainer(model, data[0], data[1], 16, seed=1).run(1)
        with training.averaged_weights(model):
            pass
    for first, second in zip(averaged.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def augmented_by_hand(image, drawn, shift):
    """What one row of `Augmentation.draw` means, pixel by pixel in NumPy."""
    mirrored, down, right, top, left, height, width, grey = drawn
    padded = np.pad(image, ((shift, shift), (shift, shift), (0, 0)))
    moved = padded[down : down + image.shape[0], right : right + image.shape[1]]
    moved = (moved[:, ::-1] if mirrored else moved).copy()
    moved[top : top + height, left : left + width] = grey
    return moved


@given(
    flips=st.booleans(),
    shift=st.integers(0, 3),
    erase=st.sampled_from([0.0, 0.5, 1.0]),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 2)),
    seed=st.integers(0, 2**32 - 1),
)
def test_augmentation_does_what_was_drawn(flips, shift, erase, shape, seed):
    augmentation = augmentation.Augmentation(flips, shift, erase)
    images = np.random.default_rng(seed).integers(0, 256, (5, *shape)).astype(np.uint8)
    drawn = augmentation.draw(5, *shape[:2], seed, epoch=3)
    result = augmentation.apply(images, drawn).numpy()
    for image, row, changed in zip(images, drawn, result, strict=True):
        np.testing.assert_array_equal(changed, augmented_by_hand(image, row, shift))


def test_augmentation_draws_what_it_says():
    draw = augmentation.Augmentation(flips=True, shift=2, erase=0.3, erase_area=0.25).draw
    first, second, again = draw(20_000, 28, 28, 1, 1), draw(20_000, 28, 28, 1, 2), draw(20_000, 28, 28, 1, 1)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[:, 0] + second[:, 0], 1)  # one way in each of two epochs
    assert first[:, 0].mean() == pytest.approx(0.5, abs=0.02)
    for column in (1, 2):
        np.testing.assert_allclose(np.bincount(first[:, column], minlength=5) / 20_000, 0.2, atol=0.02)
    erased = first[first[:, 5] > 0]
    assert len(erased) / 20_000 == pytest.approx(0.3, abs=0.02)
    assert (erased[:, 5] * erased[:, 6]).max() <= 0.25 * 28 * 28
    assert (first[:, 3] + first[:, 5]).max() == (first[:, 4] + first[:, 6]).max() == 28
    assert not augmentation.Augmentation().draw(100, 28, 28, 1, 1).any()


def test_augmentation_changes_only_the_training_images(data):
    plain, augmented = weights_after_training(data), weights_after_training(data, augmentation=AUGMENTATION)
    assert any((first != second).any() for first, second in zip(plain, augmented, strict=True))
    kept = [array.copy() for array in data]
    weights_after_training(data, augmentation=AUGMENTATION)
    for array, before in zip(data, kept, strict=True):
        np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shift": -1}, "shift=-1: expected an integer at least 0"),
        ({"shift": 1.5}, "shift=1.5"),
        ({"erase": 1.1}, "erase=1.1: expected a share from 0 to 1"),
        ({"erase_area": 0}, "erase_area=0: expected a share from 0.02 to 1"),
    ],
)
def test_augmentation_refuses_what_is_out_of_range(options, words):
    with pytest.raises(ValueError, match=words):
        augmentation.Augmentation(**options)


def test_one_cycle_rises_in_a_line_and_falls_along_half_a_cosine():
    rate = optimizers.one_cycle(2.0, images=95, batch_size=10, epochs=10, warmup=0.2)
    rates = [float(rate(step)) for step in range(101)]
    np.testing.assert_allclose(rates[:21], np.linspace(0, 2, 21), atol=1e-6)
    np.testing.assert_allclose(rates[20:], 1 + np.cos(np.pi * np.linspace(0, 1, 81)), atol=1e-5)


def test_averaging_ten_looks_survives_saving(data, tmp_path):
    model = small_model()
    averaged = models.with_test_time_augmentation(model)
    models.save_model(averaged, tmp_path / "averaged.keras")
    images = data[0]
    moved = [np.zeros_like(images) for _ in range(4)]
    moved[0][:, 1:], moved[1][:, :-1] = images[:, :-1], images[:, 1:]
    moved[2][:, :, 1:], moved[3][:, :, :-1] = images[:, :, :-1], images[:, :, 1:]
    looks = [look[:, :, ::step] for look in (images, *moved) for step in (1, -1)]
    expected = np.mean([models.predict_probabilities(model, look) for look in looks], axis=0)
    for candidate in (averaged, models.load_model(tmp_path / "averaged.keras")):
        np.testing.assert_allclose(models.predict_probabilities(candidate, data[0]), expected, atol=1e-6)
    assert averaged.count_params() == model.count_params()


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "1", None])
def test_start_refuses_a_seed_that_is_none(seed):
    with pytest.raises(ValueError, match="expected an integer from 0 to 4294967295"):
        session.start(seed)


class DenseOfPatches(keras.layers.Layer):
    """A convolution written as a dense layer on the patches of the image, with a kernel that is a matrix."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(9 * shape[-1], 8), initializer="zeros", name="kernel")

    def call(self, images):
        return keras.ops.image.extract_patches(images, 3, strides=1, padding="same") @ self.kernel


def test_muon_moves_a_convolution_as_keras_muon_moves_the_same_matrix():
    random = np.random.default_rng(0)
    images, targets = (random.normal(size=(16, 6, 6, channels)).astype("float32") for channels in (4, 8))
    convolution = keras.Sequential([keras.Input((6, 6, 4)), keras.layers.Conv2D(8, 3, padding="same", use_bias=False)])
    dense = keras.Sequential([keras.Input((6, 6, 4)), DenseOfPatches()])
    dense.layers[0].kernel.assign(keras.ops.reshape(convolution.layers[0].kernel, (36, 8)))
    before = dense.layers[0].kernel.numpy()
    convolution.compile(optimizers.Muon(0.1), "mse")
    dense.compile(keras.optimizers.Muon(0.1), "mse")
    for model in (convolution, dense):
        model.fit(images, targets, epochs=1, batch_size=16, verbose=0)
    step = convolution.layers[0].kernel.numpy().reshape(36, 8) - before
    np.testing.assert_allclose(step, dense.layers[0].kernel.numpy() - before, rtol=0.02, atol=1e-4)
    lengths = np.linalg.svd(step, compute_uv=False) / (0.1 * 0.2 * np.sqrt(36))
    assert lengths.min() > 0.6
    assert lengths.max() < 1.4


def test_muon_leaves_biases_normalisation_the_output_and_small_kernels_to_adam(tmp_path):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, name="first"),
            layers.BatchNormalization(name="normalisation"),
            layers.Conv2D(8, 3, name="second"),
            layers.Flatten(),
            layers.Dense(16, name="hidden"),
            layers.Dense(3, activation="softmax", name="output"),
        ]
    )
    model.compile(optimizers.Muon(0.01, adam_lr_ratio=0.3), "sparse_categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    by_muon = {v.path for v in model.trainable_variables if not model.optimizer._should_use_adamw(v)}
    assert {path.rpartition("/")[0].rpartition("/")[2] for path in by_muon} == {"second", "hidden"}
    assert {path.rpartition("/")[2] for path in by_muon} == {"kernel"}
    models.save_model(model, tmp_path / "model.keras")
    again = models.load_model(tmp_path / "model.keras")
    assert type(again.optimizer) is optimizers.Muon
    assert again.optimizer.get_config() == model.optimizer.get_config()


class LiveView:
    """What `train` asks of its view where a person looks at the notebook."""

    live = True

    def __init__(self, name, epochs):
        self.said = LiveView.said = []
        self.say = self.said.append

    def begin(self, epoch):
        pass

    def progress(self, share):
        pass

    def end(self, row, restored=False):
        pass

    def finish(self):
        pass


def interrupted_in_epoch(monkeypatch, number, at="run"):
    """Interrupt the training once, in the epoch with this number: while it trains, or while its checkpoint is written."""
    original, calls = (training.EpochTrainer.run, checkpoint.save)[at != "run"], []

    def run(*arguments, **options):
        calls.append(1)
        if len(calls) == number:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    if at == "run":
        monkeypatch.setattr(training.EpochTrainer, "run", run)
    else:
        monkeypatch.setattr(checkpoint, "save", run)


@pytest.mark.parametrize("at", ["run", "checkpoint"])
def test_interrupt_in_a_notebook_keeps_history_and_best_weights_and_can_be_gone_on_from(
    data, tmp_path, monkeypatch, capsys, at
):
    checkpoint, expected = tmp_path / "model.npz", weights_after_training(data, epochs=5)
    model = small_model()
    with monkeypatch.context() as patch:
        patch.setattr(progress, "TrainingView", LiveView)
        interrupted_in_epoch(patch, 3, at)
        history = training.train(model, *data, epochs=5, batch_size=16, seed=1, checkpoint=checkpoint)
    assert len(history) == (2 if at == "run" else 3)
    assert f"Interrupted after epoch {len(history)} of 5" in LiveView.said[0]
    scores = evaluation.score(data[3], models.predict_probabilities(model, data[2]).argmax(axis=1), classes=3)
    assert scores["f1"] == pytest.approx(history["val_f1"].max(), abs=1e-6)
    model = small_model()  # in the same process, where Keras gives its layers other names
    capsys.readouterr()
    training.train(model, *data, epochs=5, batch_size=16, seed=1, checkpoint=checkpoint)
    assert capsys.readouterr().out.startswith("going on after epoch 2, from ")
    for first, second in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(first, second)


def test_interrupt_before_the_first_epoch_ended_says_that_nothing_is_there(data, monkeypatch):
    monkeypatch.setattr(progress, "TrainingView", LiveView)
    interrupted_in_epoch(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt, match="no epoch was finished"):
        training.train(small_model(), *data, epochs=5, batch_size=16, seed=1)


def test_interrupt_where_nobody_looks_ends_the_run(data, monkeypatch):
    interrupted_in_epoch(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        training.train(small_model(), *data, epochs=5, batch_size=16, seed=1)


def nested_model():
    layers = keras.layers
    block = keras.Sequential([layers.Dense(5, activation=layers.LeakyReLU()), layers.Softmax()])
    model = keras.Sequential([keras.Input((4,)), block, layers.Dense(3, activation="softmax")])
    model.compile(optimizers.Muon(0.1), "mse", metrics=[metrics.F1Score(num_classes=3)])
    return model


@pytest.mark.parametrize("build", [small_model, nested_model])
def test_names_that_keras_counts_on_in_a_kernel_make_no_other_training(build):
    first, second = build(), build()
    assert [layer.name for layer in first.layers] != [layer.name for layer in second.layers]
    for part in ("layers", "optimiser, loss and metrics"):
        identities = {checkpoint.training_identity(model, [], {})[part] for model in (first, second)}
        assert len(identities) == 1, part


def test_layers_that_are_connected_or_called_otherwise_make_another_training():
    def identity(model):
        return checkpoint.training_identity(model, [], {})["layers"]

    inputs = keras.Input((4, 4, 1), dtype="uint8")
    first, second = (keras.layers.Conv2D(1, 1, padding="same") for _ in range(2))
    between = first(inputs)
    wirings = [keras.layers.add([second(between), skipped]) for skipped in (inputs, between)]
    models = [keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(output))) for output in wirings]
    for model in models:
        model.compile("adam", "mse")
    assert identity(models[0]) != identity(models[1])
    called = [
        keras.Sequential([inputs, keras.layers.Flatten(), keras.layers.Dense(3, name=name)]) for name in ("a", "b")
    ]
    for model in called:
        model.compile("adam", "mse")
    assert identity(called[0]) != identity(called[1])


def test_durations_are_as_exact_as_it_matters():
    seconds = (0.4, 59.4, 59.6, 61, 3599, 3600, 5000)
    words = ("0 s", "59 s", "1 min", "1 min 1 s", "59 min 59 s", "1 h 0 min", "1 h 23 min")
    assert tuple(map(text.format_duration, seconds)) == words


def test_the_table_of_a_training_is_short_and_has_the_best_epoch():
    history = pd.DataFrame(
        {"loss": 1.0, "val_loss": 2.0, "f1": 0.5, "val_f1": np.sin(np.arange(1, 51)), "seconds": 3.0},
        index=pd.RangeIndex(1, 51, name="epoch"),
    )
    table = evaluation.training_table(history, "A model")
    epochs = table.data.index.tolist()
    assert epochs[0] == 1 and epochs[-1] == 50 and int(history["val_f1"].idxmax()) in epochs and len(epochs) <= 8
    assert table.data.columns.tolist() == ["loss", "validation loss", "macro F1", "validation macro F1"]
    assert table.caption.startswith("A model, 50 epochs in 2 min 30 s: the weights are those of epoch 33")
