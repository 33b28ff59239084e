import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from coursework import metrics, models

CLASSES = 5


@settings(deadline=None, max_examples=40)
@given(count=st.integers(1, 40), batch_size=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
def test_the_f1_equals_that_of_scikit_learn_for_any_batch_size_and_weights(count, batch_size, seed):
    random, metric = np.random.default_rng(seed), metrics.F1Score(num_classes=CLASSES)
    labels = random.choice(random.integers(0, CLASSES, 4), count)  # so that classes are often absent
    probabilities = random.random((count, CLASSES)) * random.integers(0, 2, CLASSES)
    for weights in (None, random.choice([0.5, 1.0, 3.0], count)):
        for start in range(0, count, batch_size):
            part = slice(start, start + batch_size)
            metric.update_state(labels[part], probabilities[part], None if weights is None else weights[part])
        predictions = probabilities.argmax(axis=1)
        expected = f1_score(labels, predictions, average="macro", zero_division=0, sample_weight=weights)
        assert float(metric.result()) == pytest.approx(expected, abs=1e-6)
        metric.reset_state()
        assert float(metric.result()) == 0


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
