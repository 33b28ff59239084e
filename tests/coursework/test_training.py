import signal

import keras
import numpy as np
import pytest

from coursework import evaluation, models, training
from coursework.metrics import F1Score
from tests.models import bright_images, small_layers, small_model, train

IMAGES = bright_images()


@pytest.fixture(scope="module")
def reference_weights():
    model = small_model()
    train(model)
    return model.get_weights()


def are_equal(first, second):
    return all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def test_a_training_can_be_repeated_bit_for_bit_and_leaves_the_data(reference_weights):
    model = small_model()
    train(model, *IMAGES)
    assert are_equal(model.get_weights(), reference_weights)
    assert are_equal(IMAGES, bright_images())


def numbered_batches(model, **options):
    """The numbers of the images in an epoch, batch by batch."""
    numbers = np.arange(90)
    images = numbers.astype(np.uint8).reshape(-1, 1, 1, 1)
    batches = training.training_batches(model, images, numbers, **{"batch_size": 16, "seed": 1} | options)
    return [labels.numpy().tolist() for _, labels in batches]


def test_an_epoch_contains_each_image_once_in_an_order_that_seed_and_epoch_determine():
    model = small_model()
    first = numbered_batches(model)
    assert [len(batch) for batch in first] == [16, 16, 16, 16, 16, 10]
    assert sorted(number for batch in first for number in batch) == list(range(90))
    assert numbered_batches(model, seed=2) != first
    model.optimizer.iterations.assign(6)  # the steps of an epoch
    assert numbered_batches(model) != first
    assert numbered_batches(small_model()) == first


def f1_of_predictions(model):
    predictions = models.predict_probabilities(model, IMAGES[2]).argmax(axis=1)
    return pytest.approx(evaluation.score(IMAGES[3], predictions, classes=3)["f1"], abs=1e-6)


def test_the_model_keeps_the_weights_of_its_best_epoch_and_the_history_has_a_row_for_each():
    """In eight epochs the model learns, and in four a high learning rate destroys it."""
    steps_per_epoch = 6
    model = small_model(keras.optimizers.schedules.PiecewiseConstantDecay([8 * steps_per_epoch], [0.05, 30.0]))
    history = train(model, epochs=12)
    assert history["val_f1"].idxmax() <= 8
    assert history["val_f1"].iloc[-1] < history["val_f1"].max() == f1_of_predictions(model)
    assert history.index.tolist() == list(range(1, 13))
    assert {"loss", "accuracy", "f1", "val_loss", "val_accuracy", "val_f1", "seconds"} <= set(history)
    assert history["learning_rate"].iloc[[0, -1]].tolist() == pytest.approx([0.05, 30.0])


def test_training_stops_after_patience_epochs_without_a_higher_f1(capsys):
    history = train(small_model(learning_rate=1e-12), epochs=50, patience=2)
    assert len(history) == 3
    assert history["val_f1"].idxmax() == 1
    assert "stopped: no higher validation F1 in 2 epochs" in capsys.readouterr().out


def test_a_diverging_training_is_stopped_with_advice():
    model = small_model()
    model.layers[-1].set_weights([np.full((8, 3), np.nan), np.zeros(3)])
    with pytest.raises(ArithmeticError, match="the loss is not finite after epoch 1: try a smaller learning rate"):
        train(model)


@pytest.mark.parametrize(
    ("build", "images", "options", "words"),
    [
        (small_model, IMAGES, {"seed": "one"}, "seed='one'"),
        (small_model, IMAGES, {"patience": 0}, "patience=0"),
        (small_model, (IMAGES[0], IMAGES[1][:-1], *IMAGES[2:]), {}, "90 training images and 89 labels"),
        (small_model, (*IMAGES[:2], IMAGES[2] / 255, IMAGES[3]), {}, "validation images are float64: expected uint8"),
        (lambda: small_model(metrics=["accuracy"]), IMAGES, {}, "there is no validation F1: compile the model with"),
        (small_layers, IMAGES, {}, "not compiled"),
    ],
)
def test_an_invalid_argument_or_model_is_rejected(build, images, options, words):
    with pytest.raises(ValueError, match=words):
        train(build(), *images, **options)


def interrupt(epoch, place="on_train_batch_end"):
    """A callback that interrupts the process in an epoch, or in its validation, as the button in Jupyter does."""
    begun = []

    def interrupt_process(batch, logs):
        if len(begun) == epoch:
            signal.raise_signal(signal.SIGINT)

    count = {"on_epoch_begin": lambda epoch, logs: begun.append(epoch)}
    return keras.callbacks.LambdaCallback(**count, **{place: interrupt_process})


@pytest.fixture
def notebook(monkeypatch):
    """Makes the view that of a notebook with a reader; returns what it prints."""
    said = []

    class LiveView(training.TrainingView):
        def __init__(self, name, epochs):
            super().__init__(name, epochs)
            self.live, self.say = True, lambda text, end="\n": said.append(text)
            self.progress = self.end = lambda *arguments, **options: None

    monkeypatch.setattr(training, "TrainingView", LiveView)
    return said


@pytest.mark.parametrize(("place", "finished"), [("on_train_batch_end", 1), ("on_test_batch_begin", 2)])
def test_an_interrupt_in_a_notebook_keeps_the_history_and_the_best_weights(tmp_path, notebook, place, finished):
    model, handler = small_model(), signal.getsignal(signal.SIGINT)
    history = train(model, epochs=3, checkpoint=tmp_path / "model.npz", callbacks=[interrupt(2, place)])
    assert len(history) == finished
    assert f"Interrupted after epoch {finished} of 3" in notebook[0] and "run the cells again" in notebook[0]
    assert history["val_f1"].max() == f1_of_predictions(model)
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_training_interrupted_in_a_notebook_resumes_in_the_same_kernel(tmp_path, notebook, reference_weights):
    train(small_model(), checkpoint=tmp_path / "model.npz", callbacks=[interrupt(2)])
    notebook.clear()
    model = small_model()  # Keras gives its layers other names than before
    train(model, checkpoint=tmp_path / "model.npz")
    assert notebook[0] == "resuming after epoch 1, from model.npz"
    assert are_equal(model.get_weights(), reference_weights)


def test_an_interrupt_before_the_first_epoch_ended_is_reported(notebook):
    with pytest.raises(KeyboardInterrupt, match="no epoch was finished"):
        train(small_model(), callbacks=[interrupt(1)])


@pytest.mark.parametrize(("momentum", "warned"), [(0.99, True), (0.6, False)])
def test_running_statistics_that_keep_their_initial_values_are_reported(capsys, momentum, warned):
    model = small_layers(keras.Sequential([keras.layers.BatchNormalization(momentum=momentum)]))  # 12 updates
    model.compile("adam", "sparse_categorical_crossentropy", metrics=[F1Score(num_classes=3)])
    train(model)
    said = "momentum 0.99 and 12 updates, will keep 89% of their initial values" in capsys.readouterr().out
    assert said == warned
