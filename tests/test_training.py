import keras
import numpy as np
import pytest

import utilities


@pytest.fixture
def data():
    """Images whose class is their brightness: 90 to train on, 30 to validate."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 120)
    images = (labels[:, None, None, None] * 80 + random.integers(0, 60, (120, 4, 4, 1))).astype(np.uint8)
    return images[:90], labels[:90], images[90:], labels[90:]


def small_model(learning_rate=0.01, metrics=None):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1), dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    metrics = ["accuracy", utilities.F1Score(num_classes=3)] if metrics is None else metrics
    model.compile(keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy", metrics=metrics)
    return model


def weights_after_training(data, **options):
    model = small_model()
    utilities.train(model, *data, **{"epochs": 3, "batch_size": 16, "seed": 1} | options)
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
    monkeypatch.setattr(utilities, "STEPS_PER_EXECUTION", 2)


def test_an_epoch_trains_each_image_once_in_an_order_of_its_own(data):
    trainer = utilities.EpochTrainer(small_model(), data[0], data[1], 16, seed=1)
    epochs = [np.concatenate([batch.ravel() for batch in trainer._shuffled_batches(epoch)]) for epoch in (1, 2, 1)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(90))
    assert epochs[0].tolist() == epochs[2].tolist() != epochs[1].tolist()


def test_trains_as_a_plain_fit_would_on_the_same_batches(data):
    ours, plain = small_model(), small_model()
    trainer = utilities.EpochTrainer(ours, data[0], data[1], 16, seed=1)
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
    history = utilities.train(model, *data, epochs=12, batch_size=16, seed=1)
    best = history["val_f1"].idxmax()
    assert best <= 8
    assert history["val_f1"].iloc[-1] < history["val_f1"].max()
    scores = utilities.score(data[3], utilities.predict_probabilities(model, data[2]).argmax(axis=1), classes=3)
    assert scores["f1"] == pytest.approx(history.loc[best, "val_f1"], abs=1e-6)
    assert scores["accuracy"] > 0.8
    assert history.index.tolist() == list(range(1, 13))
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("epoch ")]) == 12
    assert all(line[12:22] == "." * 10 for line in lines[:12])
    assert lines[-1].startswith(f"weights of epoch {best} restored")


def test_stops_after_patience_epochs_without_a_higher_f1(data):
    history = utilities.train(small_model(learning_rate=1e-12), *data, epochs=50, batch_size=16, seed=1, patience=4)
    assert len(history) == 5
    assert history["val_f1"].idxmax() == 1


def test_the_cosine_schedule_falls_from_its_peak_to_zero(data):
    model = small_model(utilities.cosine_decay(0.01, images=90, batch_size=16, epochs=4))
    history = utilities.train(model, *data, epochs=4, batch_size=16, seed=1)
    expected = 0.01 * (1 + np.cos(np.pi * np.arange(1, 5) / 4)) / 2
    np.testing.assert_allclose(history["learning_rate"], expected, atol=1e-8)


def test_a_diverging_training_is_stopped_with_advice(data):
    model = small_model()
    model.layers[-1].set_weights([np.full((8, 3), np.nan), np.zeros(3)])
    with pytest.raises(ArithmeticError, match="no finite number after epoch 1: try a smaller learning rate"):
        utilities.train(model, *data, epochs=2, batch_size=16, seed=1)


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
        utilities.train(small_model(), *data, **{"epochs": 1, "batch_size": 16, "seed": 1} | options)


def test_data_that_do_not_fit_together_are_refused(data):
    images, labels, X_val, y_val = data
    options = {"epochs": 1, "batch_size": 16, "seed": 1}
    with pytest.raises(ValueError, match="90 training images and 89 labels"):
        utilities.train(small_model(), images, labels[:-1], X_val, y_val, **options)
    with pytest.raises(ValueError, match="validation images are float64: expected uint8"):
        utilities.train(small_model(), images, labels, X_val / 255, y_val, **options)
    with pytest.raises(ValueError, match='no metric named "f1"'):
        utilities.train(small_model(metrics=["accuracy"]), *data, **options)
    with pytest.raises(ValueError, match="not compiled"):
        utilities.train(keras.Sequential([keras.Input((4, 4, 1))]), *data, **options)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "1", None])
def test_start_refuses_a_seed_that_is_none(seed):
    with pytest.raises(ValueError, match="expected an integer from 0 to 4294967295"):
        utilities.start(seed)
