import numpy as np
import pandas as pd
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from coursework import evaluation
from tests.running import FUZZ_CASES


@settings(max_examples=FUZZ_CASES, deadline=None)
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


def test_classes_without_images_do_not_count_for_the_f1():
    random = np.random.default_rng(0)
    labels, predictions = random.integers(0, 4, 200), random.integers(0, 5, 200)
    result = evaluation.score(labels, predictions, classes=6)
    assert result["f1"] == pytest.approx(sklearn.metrics.f1_score(labels, predictions, average="macro"))
    assert result["f1_interval"][0] < result["f1"] < result["f1_interval"][1]


def test_the_f1_interval_has_a_coverage_of_95_percent():
    random = np.random.default_rng(0)
    true = np.array([[400, 50, 50], [60, 300, 40], [30, 20, 50]]) / 1000
    covered = 0
    for _ in range(200):
        low, high = evaluation.macro_f1_interval(random.multinomial(500, true.ravel()).reshape(3, 3), draws=500)
        covered += low <= evaluation.macro_f1(true) <= high
    assert 180 <= covered <= 198


def test_the_score_table_shows_four_decimals_and_intervals():
    result = {"accuracy": 0.91, "accuracy_interval": (0.9, 0.92), "f1": 0.905, "f1_interval": (0.89, 0.915)}
    table = evaluation.score_table({"LeNet-5": result | {"images": 10_500}})
    assert table.loc["LeNet-5"].tolist() == ["10,500", "0.9100", "0.9000 to 0.9200", "0.9050", "0.8900 to 0.9150"]


def test_confused_pairs_count_both_directions():
    pairs = evaluation.confused_pairs(np.array([[9, 2, 0], [3, 9, 1], [0, 0, 9]]), "abc")
    assert pairs.to_dict() == {"a and b": 5, "b and c": 1, "a and c": 0}
    assert pairs.index[0] == "a and b"


def test_the_correlation_of_confusions_ignores_the_diagonal():
    first = np.array([[900, 1, 2], [3, 10, 4], [5, 6, 1]])
    second = np.array([[1, 10, 20], [30, 800, 40], [50, 60, 1]])
    assert evaluation.confusion_correlation(first, second)[0] == pytest.approx(1)
    assert evaluation.confusion_correlation(first, 100 - second)[0] == pytest.approx(-1)


def test_the_correlation_is_spearmans_and_rejects_one_in_twenty_if_only_some_classes_are_predicted_more_often():
    """Each column has an effect of its own, drawn separately for each matrix: 10 independent values, not 90."""
    random, p_values, cellwise = np.random.default_rng(0), [], []
    for _ in range(100):
        first, second = random.normal(size=(2, 1, 10)) + random.normal(scale=0.3, size=(2, 10, 10))
        correlation, p_value = evaluation.confusion_correlation(first, second)
        expected = scipy.stats.spearmanr(first[~np.eye(10, dtype=bool)], second[~np.eye(10, dtype=bool)])
        assert correlation == pytest.approx(expected.statistic)
        p_values.append(p_value)
        cellwise.append(expected.pvalue)
    assert (np.array(cellwise) < 0.05).mean() > 0.4
    assert (np.array(p_values) < 0.05).mean() < 0.12


def test_the_correlation_of_equal_matrices_is_significant():
    matrix = np.random.default_rng(0).random((10, 10))
    assert evaluation.confusion_correlation(matrix, matrix) == pytest.approx((1, 1 / 10_000))


@pytest.mark.parametrize("second", [np.eye(3), np.full((3, 3), np.nan)])
def test_the_correlation_with_constant_or_missing_cells_is_missing(second):
    assert np.isnan(evaluation.confusion_correlation(np.arange(9).reshape(3, 3), second)).all()


def test_the_paired_test_counts_the_images_that_only_one_model_classifies_correctly():
    labels = np.zeros(10, int)
    first, second = np.array([0] * 8 + [1] * 2), np.array([1] * 6 + [0] * 3 + [1])
    result = evaluation.paired_test(labels, first, second)
    assert (result["only_first"], result["only_second"]) == (6, 1)
    assert result["p_value"] == pytest.approx(2 * (1 + 7) / 2**7)  # P(0 or 1 of 7), both sides


def test_the_paired_test_of_a_model_with_itself_is_not_significant():
    labels, predictions = np.zeros(10, int), np.array([0] * 8 + [1] * 2)
    assert evaluation.paired_test(labels, predictions, predictions) == {"only_first": 0, "only_second": 0, "p_value": 1}


def test_class_scores_have_a_row_for_a_class_without_images():
    table = evaluation.class_scores(np.array([0, 0, 1]), np.array([0, 1, 1]), ["a", "b", "c"])
    assert table.index.tolist() == ["a", "b", "c"]
    assert table["F1"].tolist() == pytest.approx([2 / 3, 2 / 3, 0])
    assert table["images"].tolist() == [2, 1, 0]


def test_mean_probabilities_are_taken_by_true_class():
    labels = np.array([0, 0, 1])
    probabilities = np.array([[0.9, 0.1, 0.0], [0.7, 0.2, 0.1], [0.0, 1.0, 0.0]], dtype=np.float32)
    means = evaluation.mean_probabilities(labels, probabilities)
    np.testing.assert_allclose(means[:2], [[0.8, 0.15, 0.05], [0, 1, 0]], atol=1e-7)
    assert np.isnan(means[2]).all()


def history(val_loss, loss=None):
    loss = np.linspace(1, 0.1, len(val_loss)) if loss is None else loss
    return pd.DataFrame({"loss": loss, "val_loss": val_loss}, index=range(1, len(val_loss) + 1))


def test_overfitting_begins_after_the_minimum_of_the_validation_loss():
    onset = evaluation.overfitting_onset(history([0.9, 0.5, 0.6, 0.7, 0.75]))
    assert (onset["epoch"], onset["minimum_epoch"]) == (3, 2)
    assert onset["val_loss_change"] == pytest.approx(0.5)
    assert onset["loss_change"] < 0


@pytest.mark.parametrize("val_loss", [[0.9, 0.8, 0.7, 0.6], [0.9, 0.5, 0.6, 0.7], [0.5]])
def test_no_overfitting_is_reported_soon_after_the_minimum(val_loss):
    assert evaluation.overfitting_onset(history(val_loss))["epoch"] is None


def test_no_overfitting_is_reported_if_the_training_loss_rises_too():
    diverging = history([0.9, 0.5, 0.6, 0.7, 0.8], loss=[0.9, 0.5, 0.6, 0.7, 0.8])
    assert evaluation.overfitting_onset(diverging)["epoch"] is None


SINE_HISTORY = pd.DataFrame(
    {"loss": 1.0, "val_loss": 2.0, "f1": 0.5, "val_f1": np.sin(np.arange(1, 51)), "seconds": 3.0},
    index=pd.RangeIndex(1, 51, name="epoch"),
)
BEST_EPOCH = 33  # 33 = 10.5 pi + 0.013, the whole number up to 50 that is nearest to a maximum of the sine


def test_the_table_of_a_training_is_short_and_contains_first_best_and_last_epoch():
    epochs = evaluation.training_table(SINE_HISTORY, "A model").data.index.tolist()
    assert {1, BEST_EPOCH, 50} <= set(epochs)
    assert epochs == sorted(epochs)
    assert len(epochs) <= 8


def test_the_table_of_a_training_has_the_metrics_of_the_history():
    table = evaluation.training_table(SINE_HISTORY, "A model")
    assert table.data.columns.tolist() == ["loss", "validation loss", "macro F1", "validation macro F1"]
    assert table.caption.startswith(f"A model, 50 epochs in 2 min 30 s: the weights are those of epoch {BEST_EPOCH}")


BATCH_LABELS = np.array([0, 0, 1, 1])
BATCH_PROBABILITIES = np.array([[0.9, 0.1, 0.0], [0.4, 0.3, 0.3], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])


@pytest.mark.parametrize(
    ("batch_size", "expected"),
    [
        (4, 4 / 9),  # 2/3 for the classes 0 and 1, one of two found each, and 0 for the absent class 2
        (1, 1 / 6),  # 1/3 for an image whose probability exceeds one half, else 0
    ],
)
def test_the_rounded_f1_depends_on_the_batch_size_and_misses_unsure_predictions(batch_size, expected):
    result = evaluation.rounded_batch_f1(BATCH_LABELS, BATCH_PROBABILITIES, batch_size)
    assert result == pytest.approx(expected, abs=1e-5)


def test_calibration_equals_the_one_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.45, 0.55], [0.5, 0.5]])
    table = evaluation.calibration(np.array([0, 1, 1, 0, 0]), probabilities, bins=2)
    assert table["images"].tolist() == [1, 4]  # a confidence of exactly 0.5 belongs to the lower bin
    assert table["confidence"].tolist() == pytest.approx([0.5, (0.9 + 0.8 + 0.7 + 0.55) / 4])
    assert table["accuracy"].tolist() == pytest.approx([1.0, 0.5])
    assert table.attrs["expected_error"] == pytest.approx((0.5 * 1 + (2.95 / 4 - 0.5) * 4) / 5)


@pytest.mark.parametrize("confidence", [0.75, 1.0])
def test_predictions_as_accurate_as_confident_have_no_calibration_error(confidence):
    probabilities = np.tile([confidence, 1 - confidence], (400, 1))
    table = evaluation.calibration((np.arange(400) >= 400 * confidence).astype(int), probabilities)
    assert table.attrs["expected_error"] == pytest.approx(0)
    assert table["images"].max() == 400
