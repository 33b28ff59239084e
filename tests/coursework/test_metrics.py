import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from coursework import metrics, models
from tests.coursework.damage import many

CLASSES = 5


@st.composite
def predictions(draw):
    """Labels, probabilities and weights of 1 to 40 images; classes are often absent."""
    count, random = draw(st.integers(1, 40)), np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = random.choice(random.integers(0, CLASSES, 4), count)
    probabilities = random.random((count, CLASSES)) * random.integers(0, 2, CLASSES)
    return labels, probabilities, random.choice([0.5, 1.0, 3.0], count)


def score_in_batches(labels, probabilities, batch_size, weights=None):
    metric = metrics.F1Score(num_classes=CLASSES)
    metric.update_state(labels, 1 - probabilities)
    metric.reset_state()
    assert float(metric.result()) == 0
    for start in range(0, len(labels), batch_size):
        part = slice(start, start + batch_size)
        metric.update_state(labels[part], probabilities[part], None if weights is None else weights[part])
    return float(metric.result())


@many
@given(predictions(), st.integers(1, 40))
def test_the_f1_equals_that_of_scikit_learn_for_any_batch_size_and_weights(data, batch_size):
    labels, probabilities, weights = data
    for used in (None, weights):
        expected = f1_score(labels, probabilities.argmax(axis=1), average="macro", zero_division=0, sample_weight=used)
        assert score_in_batches(labels, probabilities, batch_size, used) == pytest.approx(expected, abs=1e-6)


def test_predictions_of_another_number_of_classes_are_rejected():
    with pytest.raises(ValueError, match="made for 10 classes, but the predictions have 3"):
        metrics.F1Score().update_state(np.array([1]), np.eye(3)[[1]])


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
def test_a_model_and_its_loaded_copy_report_the_f1_of_scikit_learn_for_either_form_of_labels(tmp_path, loss):
    random = np.random.default_rng(1)
    inputs, labels = random.random((101, 6)), random.integers(0, CLASSES, 101)
    targets = np.eye(CLASSES)[labels] if loss.startswith("categorical") else labels
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(CLASSES, activation="softmax")])
    model.compile("adam", loss, metrics=["accuracy", metrics.F1Score(num_classes=CLASSES)])
    model.train_on_batch(inputs, targets)  # which builds the metrics that are saved
    models.save_model(model, tmp_path / "model.keras")
    expected = f1_score(labels, model.predict(inputs, verbose=0).argmax(axis=1), average="macro")
    for one in (model, models.load_model(tmp_path / "model.keras")):
        result = one.evaluate(inputs, targets, batch_size=7, verbose=0, return_dict=True)
        assert result["f1"] == pytest.approx(expected, abs=1e-6)
