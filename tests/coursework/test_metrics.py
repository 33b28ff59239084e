import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.running import FUZZ_CASES
from sklearn.metrics import f1_score

from coursework import evaluation, metrics, models

CLASSES = 5


@st.composite
def predictions(draw):
    """Labels, probabilities and weights of 1 to 40 images; classes are often absent."""
    count = draw(st.integers(1, 40))
    present = draw(st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=CLASSES, unique=True))
    labels = draw(st.lists(st.sampled_from(present), min_size=count, max_size=count))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    probabilities = random.random((count, CLASSES)) * random.integers(0, 2, CLASSES)
    weights = random.choice([0.0, 0.5, 1.0, 3.0], count)
    weights[0] = 1.0  # scikit-learn refuses weights that are all zero
    return np.array(labels), probabilities, weights


def score_in_batches(labels, probabilities, batch_size, weights=None):
    metric = metrics.F1Score(num_classes=CLASSES)
    for start in range(0, len(labels), batch_size):
        part = slice(start, start + batch_size)
        metric.update_state(labels[part], probabilities[part], None if weights is None else weights[part])
    return float(metric.result())


@settings(max_examples=max(100, FUZZ_CASES // 10), deadline=None)
@given(predictions(), st.integers(1, 40))
def test_equals_scikit_learn_for_any_batch_size(data, batch_size):
    labels, probabilities, _ = data
    expected = f1_score(labels, probabilities.argmax(axis=1), average="macro", zero_division=0)
    assert score_in_batches(labels, probabilities, batch_size) == pytest.approx(expected, abs=1e-6)


@settings(max_examples=max(100, FUZZ_CASES // 10), deadline=None)
@given(predictions(), st.integers(1, 40))
def test_equals_scikit_learn_with_sample_weights(data, batch_size):
    labels, probabilities, weights = data
    expected = f1_score(labels, probabilities.argmax(axis=1), average="macro", zero_division=0, sample_weight=weights)
    assert score_in_batches(labels, probabilities, batch_size, weights) == pytest.approx(expected, abs=1e-6)


@settings(max_examples=max(30, FUZZ_CASES // 10), deadline=None)
@given(predictions())
def test_one_hot_column_and_index_labels_agree(data):
    labels, probabilities, weights = data
    index = score_in_batches(labels, probabilities, 40, weights)
    one_hot = score_in_batches(np.eye(CLASSES)[labels], probabilities, 40, weights[:, np.newaxis])
    column = score_in_batches(labels[:, np.newaxis], probabilities, 40, weights)
    assert index == one_hot == column


def test_a_hand_computed_case():
    labels = np.array([0, 0, 1, 1, 2])
    probabilities = np.eye(3)[[0, 1, 1, 1, 0]]
    metric = metrics.F1Score(num_classes=3)
    metric.update_state(labels, probabilities)
    # class 0: TP 1, FP 1, FN 1 -> 1/2; class 1: TP 2, FP 1, FN 0 -> 4/5; class 2: TP 0 -> 0
    assert float(metric.result()) == pytest.approx((1 / 2 + 4 / 5 + 0) / 3)


def test_is_zero_before_any_data_and_after_a_reset():
    metric = metrics.F1Score(num_classes=3)
    assert float(metric.result()) == 0
    metric.update_state(np.array([1, 2]), np.eye(3)[[1, 2]])
    assert float(metric.result()) == 1
    metric.reset_state()
    assert float(metric.result()) == 0


def test_predictions_of_another_number_of_classes_are_refused():
    with pytest.raises(ValueError, match="made for 10 classes, but the predictions have 3"):
        metrics.F1Score().update_state(np.array([1]), np.eye(3)[[1]])


def test_is_rebuilt_from_its_configuration():
    metric = metrics.F1Score(num_classes=7, name="macro")
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert type(again) is metrics.F1Score
    assert (again.num_classes, again.name) == (7, "macro")


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
def test_survives_saving_and_agrees_with_scikit_learn_inside_a_model(tmp_path, loss):
    random = np.random.default_rng(1)
    images, labels = random.random((101, 6)), random.integers(0, CLASSES, 101)
    targets = np.eye(CLASSES)[labels] if loss.startswith("categorical") else labels
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(CLASSES, activation="softmax")])
    model.compile("adam", loss, metrics=["accuracy", metrics.F1Score(num_classes=CLASSES)])
    model.fit(images, targets, verbose=0)
    models.save_model(model, tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    expected = f1_score(labels, model.predict(images, verbose=0).argmax(axis=1), average="macro")
    for candidate in (model, loaded):
        for batch_size in (7, 101):
            result = candidate.evaluate(images, targets, batch_size=batch_size, verbose=0, return_dict=True)
            assert result["f1"] == pytest.approx(expected, abs=1e-6)


def test_the_reference_definition_depends_on_the_batch_size_and_misses_unsure_predictions():
    labels = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1, 0.0], [0.4, 0.3, 0.3], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
    # all four: F1 is 2/3 for the classes 0 and 1, one of two found each, and 0 for the absent class 2
    assert evaluation.rounded_batch_f1(labels, probabilities, 4) == pytest.approx(4 / 9, abs=1e-5)
    # one by one: 1/3 where the probability exceeds one half, else 0
    assert evaluation.rounded_batch_f1(labels, probabilities, 1) == pytest.approx(1 / 6, abs=1e-5)
