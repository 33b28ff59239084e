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

    def __init__(self, num_classes: int = 10, name: str = "f1", dtype=None):
        super().__init__(name=name, dtype=dtype)
        require_integer("num_classes", num_classes, minimum=2)
        self.num_classes = num_classes
        # One row each: true positives, labels, predictions.
        self.counts = self.add_weight(shape=(3, num_classes), initializer="zeros", dtype="float64", name="counts")

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if y_pred.shape[-1] != self.num_classes:
            raise ValueError(
                f"F1Score was made for {self.num_classes} classes, but the predictions have {y_pred.shape[-1]}"
            )
        is_one_hot = len(y_true.shape) == 2 and y_true.shape[-1] == self.num_classes
        labels = ops.argmax(y_true, axis=-1) if is_one_hot else ops.cast(ops.reshape(y_true, (-1,)), "int32")
        actual = ops.one_hot(labels, self.num_classes, dtype="float64")
        predicted = ops.one_hot(ops.argmax(y_pred, axis=-1), self.num_classes, dtype="float64")
        counted = ops.stack([actual * predicted, actual, predicted])
        if sample_weight is not None:
            counted = counted * ops.reshape(ops.cast(sample_weight, "float64"), (-1, 1))
        self.counts.assign_add(ops.sum(counted, axis=1))

    def result(self):
        true_positives, actual, predicted = ops.unstack(self.counts, 3)
        occurring = ops.cast(actual + predicted > 0, "float64")
        scores = 2 * true_positives / ops.maximum(actual + predicted, 1e-300)
        return ops.cast(ops.sum(scores) / ops.maximum(ops.sum(occurring), 1.0), self.dtype)

    def get_config(self):
        return super().get_config() | {"num_classes": self.num_classes}
