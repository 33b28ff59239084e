"""Scores with intervals, confusions, calibration, and the onset of overfitting."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from coursework.text import format_duration, pluralize

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler


TRAINING_METRICS = {"loss": "loss", "accuracy": "accuracy", "f1": "macro F1"}
"""Columns of a history that figures and tables show, with their labels."""


def score(labels: np.ndarray, predictions: np.ndarray, classes: int = 10) -> dict[str, Any]:
    """Accuracy and macro F1 of predicted classes (n,) with their 95 % intervals, and the number of images."""
    from sklearn.metrics import confusion_matrix

    confusion = confusion_matrix(labels, predictions, labels=range(classes))
    correct, total = int(np.trace(confusion)), len(labels)
    return {
        "accuracy": correct / total,
        "accuracy_interval": accuracy_interval(correct, total),
        "f1": float(macro_f1(confusion)),
        "f1_interval": macro_f1_interval(confusion),
        "images": total,
    }


def accuracy_interval(correct: int, total: int) -> tuple[float, float]:
    """95 % interval of an accuracy of `correct` out of `total` images (Wilson, 1927)."""
    from scipy.stats import binomtest

    interval = binomtest(int(correct), int(total)).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def macro_f1(confusion: np.ndarray) -> np.ndarray:
    """Macro F1 of confusion matrices (..., classes, classes), rows the true classes; see `F1Score`."""
    true_positives = np.diagonal(confusion, axis1=-2, axis2=-1)
    denominator = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    occurring = denominator > 0
    scores = 2 * true_positives / np.where(occurring, denominator, 1)
    return scores.sum(axis=-1) / np.maximum(occurring.sum(axis=-1), 1)


def macro_f1_interval(confusion: np.ndarray, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the macro F1 score behind a confusion matrix (classes, classes).

    Drawing the cells from a multinomial is the same as drawing images with replacement (Efron, 1979).
    """
    total = int(confusion.sum())
    drawn = np.random.default_rng(seed).multinomial(total, confusion.ravel() / total, size=draws)
    low, high = np.quantile(macro_f1(drawn.reshape(draws, *confusion.shape)), [0.025, 0.975])
    return float(low), float(high)


def paired_test(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """McNemar's exact test (1947) of whether two models, by their predicted classes (n,), have the same accuracy.

    Returns:
        `only_first` and `only_second`, the numbers of images that one model alone classifies correctly, and the
        two-sided `p_value`.
    """
    from scipy.stats import binomtest

    only_first = int(((first == labels) & (second != labels)).sum())
    only_second = int(((first != labels) & (second == labels)).sum())
    differing = only_first + only_second
    p_value = float(binomtest(only_first, differing).pvalue) if differing else 1.0
    return {"only_first": only_first, "only_second": only_second, "p_value": p_value}


def training_table(history: pd.DataFrame, title: str, rows: int = 6) -> Styler:
    """About `rows` epochs of a `TrainingMonitor`'s history: the first, the best, the last, and some between them."""
    best, last = int(history["val_f1"].idxmax()), int(history.index[-1])
    epochs = sorted({1, best, last, *np.linspace(1, last, min(rows, last)).round().astype(int)})
    columns = {}
    for name, label in TRAINING_METRICS.items():
        if name in history:
            columns |= {name: label, f"val_{name}": f"validation {label}"}
    table = history.loc[epochs, list(columns)].rename(columns=columns)
    in_all = f"{pluralize(last, 'epoch')} in {format_duration(history['seconds'].sum())}"
    caption = f"{title}, {in_all}: the weights are those of epoch {best}, which has the highest validation F1"
    return table.style.format(precision=4).set_caption(caption)


def score_table(scores: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """The results of `score` as a formatted table, one row for each name."""
    return pd.DataFrame(
        {
            name: {
                "images": f"{result['images']:,}",
                "accuracy": f"{result['accuracy']:.4f}",
                "95 % interval": "{:.4f} to {:.4f}".format(*result["accuracy_interval"]),
                "macro F1": f"{result['f1']:.4f}",
                "95 % interval of F1": "{:.4f} to {:.4f}".format(*result["f1_interval"]),
            }
            for name, result in scores.items()
        }
    ).T


def class_scores(labels: np.ndarray, predictions: np.ndarray, class_names: Iterable[str]) -> pd.DataFrame:
    """Precision, recall, F1 and number of images of each class, from (n,) class indices; one row per class."""
    from sklearn.metrics import precision_recall_fscore_support

    names = list(class_names)
    columns = precision_recall_fscore_support(labels, predictions, labels=range(len(names)), zero_division=0)
    table = pd.DataFrame(dict(zip(("precision", "recall", "F1", "images"), columns, strict=True)), index=names)
    return table.rename_axis("class")


def confused_pairs(confusion: np.ndarray, class_names: Iterable[str]) -> pd.Series:
    """Number of confusions of each pair of classes, indexed by "a and b", the most confused pair first.

    They are counted in both directions, from a confusion matrix (classes, classes).
    """
    names = list(class_names)
    both_ways = confusion + confusion.T
    pairs = itertools.combinations(range(len(names)), 2)
    counts = {f"{names[first]} and {names[second]}": int(both_ways[first, second]) for first, second in pairs}
    return pd.Series(counts, name="confusions").sort_values(ascending=False, kind="stable")


def mean_probabilities(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Mean predicted probabilities by true class: a soft confusion matrix, of probabilities (n, classes).

    Unlike counts, it also shows which classes a network finds similar where its predictions are correct.

    Returns:
        (classes, classes), rows the true classes; the row of a class without images is NaN.
    """
    one_hot = np.eye(probabilities.shape[1])[labels]
    with np.errstate(invalid="ignore"):
        return one_hot.T @ probabilities.astype(np.float64) / one_hot.sum(axis=0)[:, np.newaxis]


def confusion_correlation(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Spearman's rank correlation of two confusion matrices, or matrices of mean probabilities, off the diagonal.

    The cells of a row or a column depend on each other, so the p-value is that of Mantel's test (1967): the fraction of
    random permutations of the second matrix's classes that give a correlation at least as large in absolute value.

    Returns:
        The correlation and its two-sided p-value; both are NaN if the cells of one matrix are constant or contain NaN.
    """
    from scipy.stats import rankdata

    off_diagonal = ~np.eye(len(first), dtype=bool)
    ranks = np.zeros((2, *first.shape))
    for matrix, standardised in zip((first, second), ranks, strict=True):
        cells = matrix[off_diagonal]
        if np.isnan(cells).any() or np.ptp(cells) == 0:
            return float("nan"), float("nan")
        centred = rankdata(cells) - (len(cells) + 1) / 2
        standardised[off_diagonal] = centred / np.linalg.norm(centred)
    correlation = float((ranks[0] * ranks[1]).sum())
    order = np.random.default_rng(0).permuted(np.tile(np.arange(len(first)), (9999, 1)), axis=1)
    permuted = np.einsum("ij,pij->p", ranks[0], ranks[1][order[:, :, np.newaxis], order[:, np.newaxis]])
    hits = int((np.abs(permuted) >= abs(correlation) - 1e-12).sum())
    return correlation, (1 + hits) / (1 + len(order))


def overfitting_onset(history: pd.DataFrame, patience: int = 3) -> dict[str, Any]:
    """The onset of overfitting: the validation loss has passed its minimum while the training loss keeps falling.

    At least `patience` epochs must follow the minimum, because a later minimum may be chance.

    Returns:
        `epoch`, the first epoch after the minimum of the validation loss, or None if too few epochs follow or the
        training loss did not fall further; `minimum_epoch`; and the relative changes from the minimum to the last
        epoch, `loss_change` and `val_loss_change` (-0.2 is a decrease by 20 %).
    """
    minimum_epoch, last = int(history["val_loss"].idxmin()), int(history.index[-1])
    change = history.loc[last, ["loss", "val_loss"]] / history.loc[minimum_epoch, ["loss", "val_loss"]] - 1
    overfits = last - minimum_epoch >= patience and change["loss"] < 0
    return {
        "epoch": minimum_epoch + 1 if overfits else None,
        "minimum_epoch": minimum_epoch,
        "loss_change": float(change["loss"]),
        "val_loss_change": float(change["val_loss"]),
    }


def rounded_batch_f1(labels: np.ndarray, probabilities: np.ndarray, batch_size: int) -> float:
    """The F1 score as it was often written for old Keras versions: a biased estimate, kept for comparison only.

    A class counts as predicted where its probability rounds to 1; precision, recall and F1 of each class are taken
    batch by batch, with 0 for a class that is absent from the batch; and the means of the batches are averaged.
    """
    one_hot, epsilon = np.eye(probabilities.shape[1])[labels], 1e-7
    scores = []
    for start in range(0, len(labels), batch_size):
        true, predicted = one_hot[start : start + batch_size], np.round(probabilities[start : start + batch_size])
        true_positives = (true * predicted).sum(axis=0)
        precision = true_positives / (predicted.sum(axis=0) + epsilon)
        recall = true_positives / (true.sum(axis=0) + epsilon)
        scores.append(np.mean(2 * precision * recall / (precision + recall + epsilon)))
    return float(np.mean(scores))


def calibration(labels: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> pd.DataFrame:
    """Accuracy and confidence, the largest of the `probabilities` (n, classes), in bins of equal width of the latter.

    Returns:
        One row per bin, from the least confident: its ends `low` and `high`, the upper one inclusive; `images`; and the
        means `confidence` and `accuracy`, NaN for an empty bin. The attribute `attrs["expected_error"]` is the expected
        calibration error: the mean over the images of the distance between the two means of their bin.

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    table = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "images": counts})
    with np.errstate(invalid="ignore"):
        table["confidence"] = np.bincount(place, confidence, minlength=bins) / counts
        table["accuracy"] = np.bincount(place, correct, minlength=bins) / counts
    distances = (table["confidence"] - table["accuracy"]).abs()
    table.attrs["expected_error"] = float((distances * table["images"]).sum() / len(labels))
    return table
