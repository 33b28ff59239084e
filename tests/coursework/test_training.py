import keras
import numpy as np
import pytest

from coursework import evaluation, models, training
from coursework.augmentation import Augmentation
from coursework.metrics import F1Score
from tests.models import bright_images, small_layers, small_model

IMAGES = bright_images()
OPTIONS = {"epochs": 2, "batch_size": 16, "seed": 1}


@pytest.fixture(autouse=True)
def several_executions(monkeypatch):
    """Two batches to a call into TensorFlow, so that an epoch of these few images takes several calls."""
    monkeypatch.setattr(training, "STEPS_PER_EXECUTION", 2)


def weights_after_training(**options):
    model = small_model()
    training.train(model, *IMAGES, **OPTIONS | options)
    return model.get_weights()


@pytest.fixture(scope="module")
def reference_weights():
    """The weights after a training with `OPTIONS`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "STEPS_PER_EXECUTION", 2)
        return weights_after_training()


def are_equal(first, second):
    return all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def test_the_same_seed_gives_the_same_weights_bit_for_bit(reference_weights):
    assert are_equal(weights_after_training(), reference_weights)


def test_another_seed_gives_other_weights(reference_weights):
    assert not are_equal(weights_after_training(seed=2), reference_weights)


def test_augmentation_changes_the_weights_but_not_the_data(reference_weights):
    kept = [array.copy() for array in IMAGES]
    augmented = weights_after_training(augmentation=Augmentation(flips=True, shift=1, erase=0.5))
    assert not are_equal(augmented, reference_weights)
    assert are_equal(IMAGES, kept)


def test_an_epoch_contains_each_image_once_in_its_own_order():
    trainer = training.EpochTrainer(small_model(), *IMAGES[:2], batch_size=16, seed=1)
    epochs = [np.concatenate([batch.ravel() for batch in trainer.shuffled_batches(epoch)]) for epoch in (1, 2, 1)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(90))
    assert epochs[0].tolist() == epochs[2].tolist() != epochs[1].tolist()


def test_an_epoch_equals_keras_fit_on_the_same_batches():
    ours, reference = small_model(), small_model()
    trainer = training.EpochTrainer(ours, *IMAGES[:2], batch_size=16, seed=1)
    order = np.concatenate([batch.ravel() for batch in trainer.shuffled_batches(1)])
    logs = trainer.run(1)
    images, labels = (array[order] for array in IMAGES[:2])
    history = reference.fit(images, labels, batch_size=16, shuffle=False, verbose=0).history
    for name in ("loss", "accuracy", "f1"):
        assert logs[name] == pytest.approx(history[name][0], rel=1e-4)
    for first, second in zip(ours.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module")
def diverging_training():
    """A model trained for eight epochs in which it learns, and four in which a high learning rate destroys it."""
    steps_per_epoch = 6
    model = small_model(keras.optimizers.schedules.PiecewiseConstantDecay([8 * steps_per_epoch], [0.05, 30.0]))
    return model, training.train(model, *IMAGES, epochs=12, batch_size=16, seed=1)


def test_the_model_keeps_the_weights_of_its_best_epoch(diverging_training):
    model, history = diverging_training
    best = history["val_f1"].idxmax()
    assert best <= 8
    assert history["val_f1"].iloc[-1] < history["val_f1"].max()
    scores = evaluation.score(IMAGES[3], models.predict_probabilities(model, IMAGES[2]).argmax(axis=1), classes=3)
    assert scores["f1"] == pytest.approx(history.loc[best, "val_f1"], abs=1e-6)
    assert scores["accuracy"] > 0.8


def test_the_history_has_a_row_for_each_epoch(diverging_training):
    _, history = diverging_training
    assert history.index.tolist() == list(range(1, 13))
    names = ["loss", "accuracy", "f1"]
    assert set(history) == {*names, *(f"val_{name}" for name in names), "learning_rate", "seconds"}
    assert history["learning_rate"].iloc[[0, -1]].tolist() == pytest.approx([0.05, 30.0])
    assert history.attrs["restored_seconds"] == 0


def test_training_stops_after_patience_epochs_without_a_higher_f1(capsys):
    history = training.train(small_model(learning_rate=1e-12), *IMAGES, epochs=50, batch_size=16, seed=1, patience=2)
    assert len(history) == 3
    assert history["val_f1"].idxmax() == 1
    assert "stopped: no higher validation F1 in 2 epochs" in capsys.readouterr().out


def test_a_diverging_training_is_stopped_with_advice():
    model = small_model()
    model.layers[-1].set_weights([np.full((8, 3), np.nan), np.zeros(3)])
    with pytest.raises(ArithmeticError, match="the loss is not finite after epoch 1: try a smaller learning rate"):
        training.train(model, *IMAGES, **OPTIONS)


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
def test_an_argument_out_of_range_is_rejected(options, words):
    with pytest.raises(ValueError, match=words):
        training.train(small_model(), *IMAGES, **OPTIONS | options)


def test_images_without_labels_are_rejected():
    images, labels, *validation = IMAGES
    with pytest.raises(ValueError, match="90 training images and 89 labels"):
        training.train(small_model(), images, labels[:-1], *validation, **OPTIONS)


def test_scaled_images_are_rejected():
    images, labels, X_val, y_val = IMAGES
    with pytest.raises(ValueError, match="validation images are float64: expected uint8"):
        training.train(small_model(), images, labels, X_val / 255, y_val, **OPTIONS)


def test_a_model_without_the_f1_metric_is_rejected():
    with pytest.raises(ValueError, match='no metric named "f1"'):
        training.train(small_model(metrics=["accuracy"]), *IMAGES, **OPTIONS)


def test_an_uncompiled_model_is_rejected():
    with pytest.raises(ValueError, match="not compiled"):
        training.train(small_layers(), *IMAGES, **OPTIONS)


def model_with_averaged_weights(use_ema=True):
    model = small_layers(keras.layers.BatchNormalization())
    optimizer = keras.optimizers.AdamW(0.02, use_ema=use_ema, ema_momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=[F1Score(num_classes=3)])
    return model


def test_averaged_weights_are_validated_and_kept():
    model = model_with_averaged_weights()
    history = training.train(model, *IMAGES, **OPTIONS | {"epochs": 1})
    averages = [variable for variable in model.optimizer.variables if variable.name.endswith("_average")]
    for variable, average in zip(model.trainable_variables, averages, strict=True):
        np.testing.assert_array_equal(variable.numpy(), average.numpy())
    evaluated = model.evaluate(*IMAGES[2:], verbose=0, return_dict=True)
    assert evaluated["loss"] == pytest.approx(history.loc[1, "val_loss"], rel=1e-5)


def test_averaging_does_not_change_the_trained_weights():
    trained = []
    for use_ema in (True, False):
        model = model_with_averaged_weights(use_ema)
        training.EpochTrainer(model, *IMAGES[:2], batch_size=16, seed=1).run(1)
        with training.averaged_weights(model):
            pass
        trained.append(model.get_weights())
    assert are_equal(*trained)


class LiveView:
    """Stands in for the view of a notebook with a reader; `said` holds what it prints."""

    live = True

    def __init__(self, name, epochs):
        self.said = LiveView.said = []
        self.say = self.said.append

    def begin(self, epoch):
        pass

    def progress(self, fraction):
        pass

    def end(self, row, restored=False):
        pass

    def finish(self):
        pass


def interrupt_call(monkeypatch, owner, name, number):
    """Interrupt the training at the given call of a function."""
    original, calls = getattr(owner, name), []

    def run(*arguments, **options):
        calls.append(1)
        if len(calls) == number:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, run)


@pytest.mark.fault("a training interrupted in an epoch")
@pytest.mark.parametrize(
    ("owner", "name", "finished"), [(training.EpochTrainer, "run", 1), (training.checkpoints, "save", 2)]
)
def test_an_interrupt_in_a_notebook_keeps_the_history_and_the_best_weights(
    tmp_path, monkeypatch, owner, name, finished
):
    model = small_model()
    monkeypatch.setattr(training, "TrainingView", LiveView)
    interrupt_call(monkeypatch, owner, name, 2)
    history = training.train(model, *IMAGES, **OPTIONS | {"epochs": 3}, checkpoint=tmp_path / "model.npz")
    assert len(history) == finished
    (said,) = (line for line in LiveView.said if line.startswith("Interrupted"))
    assert f"Interrupted after epoch {finished} of 3" in said
    assert "run the cells again" in said
    scores = evaluation.score(IMAGES[3], models.predict_probabilities(model, IMAGES[2]).argmax(axis=1), classes=3)
    assert scores["f1"] == pytest.approx(history["val_f1"].max(), abs=1e-6)


@pytest.mark.fault("a training interrupted in an epoch")
def test_a_training_interrupted_in_a_notebook_resumes_in_the_same_kernel(
    tmp_path, monkeypatch, capsys, reference_weights
):
    options = OPTIONS | {"checkpoint": tmp_path / "model.npz"}
    with monkeypatch.context() as patch:
        patch.setattr(training, "TrainingView", LiveView)
        interrupt_call(patch, training.checkpoints, "save", 2)
        training.train(small_model(), *IMAGES, **options)
    model = small_model()  # Keras gives its layers other names than before
    training.train(model, *IMAGES, **options)
    assert capsys.readouterr().out.startswith("resuming after epoch 1, from model.npz\n")
    assert are_equal(model.get_weights(), reference_weights)


def test_an_interrupt_before_the_first_epoch_ended_is_reported(monkeypatch):
    monkeypatch.setattr(training, "TrainingView", LiveView)
    interrupt_call(monkeypatch, training.EpochTrainer, "run", 1)
    with pytest.raises(KeyboardInterrupt, match="no epoch was finished"):
        training.train(small_model(), *IMAGES, **OPTIONS)


def test_an_interrupt_in_a_headless_kernel_ends_the_run(monkeypatch):
    interrupt_call(monkeypatch, training.EpochTrainer, "run", 2)
    with pytest.raises(KeyboardInterrupt):
        training.train(small_model(), *IMAGES, **OPTIONS)
