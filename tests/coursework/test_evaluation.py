import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from coursework import evaluation


@settings(deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=60))
def test_scores_equal_those_of_scikit_learn(pairs):
    labels, predictions = np.array(pairs).T
    result = evaluation.score(labels, predictions)
    macro = sklearn.metrics.f1_score(labels, predictions, average="macro", zero_division=0)
    assert result["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(labels, predictions))
    assert result["f1"] == pytest.approx(macro)
    assert result["images"] == len(pairs)
    low, high = result["accuracy_interval"]
    assert low - 1e-9 <= result["accuracy"] <= high + 1e-9  # also if all predictions are correct, or none


def test_the_score_table_has_the_scores_with_their_intervals():
    labels = np.tile([0, 0, 1, 2], 250)
    result = evaluation.score(labels, np.tile([0, 1, 1, 2], 250), classes=3)
    low, high = result["f1_interval"]
    assert 0.7 < low < result["f1"] < high < 0.85
    row = evaluation.score_table({"LeNet-5": result}).loc["LeNet-5"].tolist()
    assert row[:2] + row[3:] == ["1,000", "0.7500", f"{result['f1']:.4f}", f"{low:.4f} to {high:.4f}"]


def test_confused_pairs_count_both_directions():
    pairs = evaluation.confused_pairs(np.array([[9, 2, 0], [3, 9, 1], [0, 0, 9]]), "abc")
    assert pairs.to_dict() == {"a and b": 5, "b and c": 1, "a and c": 0}
    assert pairs.index[0] == "a and b"


def test_the_correlation_of_confusions_ignores_the_diagonal():
    first = np.array([[900, 1, 2], [3, 10, 4], [5, 6, 1]])
    second = np.array([[1, 10, 20], [30, 800, 40], [50, 60, 1]])
    assert evaluation.confusion_correlation(first, second)[0] == pytest.approx(1)
    assert evaluation.confusion_correlation(first, 100 - second)[0] == pytest.approx(-1)
    for constant_or_missing in (np.eye(3), np.full((3, 3), np.nan)):
        assert np.isnan(evaluation.confusion_correlation(first, constant_or_missing)).all()


def test_the_p_value_of_the_correlation_allows_for_classes_that_are_predicted_more_often():
    """Each column has an effect of its own, drawn separately for each matrix: 10 independent values, not 90."""
    random, p_values = np.random.default_rng(0), []
    for _ in range(60):
        first, second = random.normal(size=(2, 1, 10)) + random.normal(scale=0.3, size=(2, 10, 10))
        p_values.append(evaluation.confusion_correlation(first, second)[1])
    assert (np.array(p_values) < 0.05).mean() < 0.15
    assert evaluation.confusion_correlation(first, first) == pytest.approx((1, 1 / 10_000))


def test_the_paired_test_counts_the_images_that_only_one_model_classifies_correctly():
    labels = np.zeros(10, int)
    first, second = np.array([0] * 8 + [1] * 2), np.array([1] * 6 + [0] * 3 + [1])
    result = evaluation.paired_test(labels, first, second)
    assert (result["only_first"], result["only_second"]) == (6, 1)
    assert result["p_value"] == pytest.approx(2 * (1 + 7) / 2**7)  # P(0 or 1 of 7), both sides
    assert evaluation.paired_test(labels, first, first) == {"only_first": 0, "only_second": 0, "p_value": 1}


def test_class_scores_have_a_row_for_a_class_without_images():
    table = evaluation.class_scores(np.array([0, 0, 1]), np.array([0, 1, 1]), ["a", "b", "c"])
    assert table["F1"].to_dict() == pytest.approx({"a": 2 / 3, "b": 2 / 3, "c": 0})


def test_mean_probabilities_are_taken_by_true_class():
    labels = np.array([0, 0, 1])
    probabilities = np.array([[0.9, 0.1, 0.0], [0.7, 0.2, 0.1], [0.0, 1.0, 0.0]], dtype=np.float32)
    means = evaluation.mean_probabilities(labels, probabilities)
    np.testing.assert_allclose(means[:2], [[0.8, 0.15, 0.05], [0, 1, 0]], atol=1e-7)
    assert np.isnan(means[2]).all()


@pytest.mark.parametrize(
    ("val_loss", "loss", "epoch"),
    [
        ([0.9, 0.5, 0.6, 0.7, 0.75], [1.0, 0.8, 0.6, 0.4, 0.2], 3),
        ([0.9, 0.5, 0.6, 0.7, 0.75], [0.9, 0.5, 0.6, 0.7, 0.8], None),  # the training loss rises too
        ([0.9, 0.5, 0.6, 0.7], [1.0, 0.8, 0.6, 0.4], None),  # too soon after the minimum
    ],
)
def test_overfitting_begins_after_the_minimum_of_the_validation_loss(val_loss, loss, epoch):
    history = pd.DataFrame({"loss": loss, "val_loss": val_loss}, index=range(1, len(loss) + 1))
    onset = evaluation.overfitting_onset(history)
    assert (onset["epoch"], onset["minimum_epoch"]) == (epoch, 2)
    assert onset["val_loss_change"] == pytest.approx(val_loss[-1] / 0.5 - 1)


def test_the_table_of_a_training_is_short_and_contains_first_best_and_last_epoch():
    values = {"loss": 1.0, "val_loss": 2.0, "f1": 0.5, "val_f1": np.sin(np.arange(1, 51)), "seconds": 3.0}
    table = evaluation.training_table(pd.DataFrame(values, index=range(1, 51)), "A model")
    assert {1, 33, 50} <= set(table.data.index)  # 33 is nearest to a maximum of the sine, 10.5 pi
    assert len(table.data) <= 8
    assert table.data.columns.tolist() == ["loss", "validation loss", "macro F1", "validation macro F1"]
    assert table.caption.startswith("A model, 50 epochs in 2 min 30 s: the weights are those of epoch 33")


def test_the_rounded_f1_depends_on_the_batch_size_and_misses_unsure_predictions():
    labels = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1, 0.0], [0.4, 0.3, 0.3], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
    # 2/3 for the classes 0 and 1, one of two found each, and 0 for the absent class 2.
    assert evaluation.rounded_batch_f1(labels, probabilities, 4) == pytest.approx(4 / 9, abs=1e-5)
    # 1/3 for an image whose probability exceeds one half, else 0.
    assert evaluation.rounded_batch_f1(labels, probabilities, 1) == pytest.approx(1 / 6, abs=1e-5)


def test_calibration_equals_the_one_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.45, 0.55], [0.5, 0.5]])
    table = evaluation.calibration(np.array([0, 1, 1, 0, 0]), probabilities, bins=2)
    assert table["images"].tolist() == [1, 4]  # a confidence of exactly 0.5 belongs to the lower bin
    assert table["confidence"].tolist() == pytest.approx([0.5, (0.9 + 0.8 + 0.7 + 0.55) / 4])
    assert table["accuracy"].tolist() == pytest.approx([1.0, 0.5])
    assert table.attrs["expected_error"] == pytest.approx((0.5 * 1 + (2.95 / 4 - 0.5) * 4) / 5)
