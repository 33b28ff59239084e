"""The F1 score as a Keras metric."""

from __future__ import annotations

from coursework.backend import keras
from coursework.checks import require_integer

ops = keras.ops


@keras.saving.register_keras_serializable(package="coursework")
class F1Score(keras.metrics.Metric):
    """Macro F1 score over an epoch: the mean over the classes of 2 TP / (2 TP + FP + FN).

    The counts of each class are accumulated over all batches and the score is computed from the totals, so
    it does not depend on the batch size. The predicted class is the one of highest probability. As in
    scikit-learn's `f1_score(average="macro")`, the mean goes over the classes that occur among the labels
    or the predictions, and a class without a true positive scores 0. Before any data the score is 0.

    Args:
        num_classes: number of classes, the length of the model's output.
        name: the name in logs and histories.
        dtype: dtype of the result; the counts are kept in float64.

    `update_state` takes labels as class indices, (batch,) or (batch, 1), or one-hot, (batch, num_classes);
    predictions (batch, num_classes); and optionally sample weights (batch,) or (batch, 1).

    Source: van Rijsbergen, Information Retrieval, 1979; macro average as in scikit-learn.
    """

    def __init__(self, num_classes: int = 10, name: str = "f1", dtype=None, **options):
        super().__init__(name=name, dtype=dtype, **options)
        require_integer("num_classes", num_classes, minimum=2)
        self.num_classes = num_classes

        def count(name: str):
            return self.add_weight(shape=(num_classes,), initializer="zeros", dtype="float64", name=name)

        self.true_positives = count("true_positives")
        self.actual = count("actual")
        self.predicted = count("predicted")
        self.occurrences = count("occurrences")

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        classes = self.num_classes
        if y_pred.shape[-1] != classes:
            raise ValueError(f"F1Score was made for {classes} classes, but the predictions have {y_pred.shape[-1]}")
        one_hot = len(y_true.shape) == 2 and y_true.shape[-1] == classes
        y_true = ops.argmax(y_true, axis=-1) if one_hot else ops.reshape(y_true, (-1,))
        actual = ops.one_hot(ops.cast(y_true, "int32"), classes, dtype="float64")
        predicted = ops.one_hot(ops.argmax(y_pred, axis=-1), classes, dtype="float64")
        self.occurrences.assign_add(ops.sum(actual + predicted, axis=0))
        if sample_weight is not None:
            weight = ops.reshape(ops.cast(sample_weight, "float64"), (-1, 1))
            actual, weighted_predicted = actual * weight, predicted * weight
        else:
            weighted_predicted = predicted
        self.true_positives.assign_add(ops.sum(actual * predicted, axis=0))
        self.actual.assign_add(ops.sum(actual, axis=0))
        self.predicted.assign_add(ops.sum(weighted_predicted, axis=0))

    def result(self):
        denominator = self.actual + self.predicted  # 2 TP + FP + FN
        scores = ops.where(denominator > 0, 2 * self.true_positives / ops.maximum(denominator, 1e-300), 0.0)
        occurring = ops.cast(self.occurrences > 0, "float64")
        return ops.cast(ops.sum(scores * occurring) / ops.maximum(ops.sum(occurring), 1.0), self.dtype)

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}
