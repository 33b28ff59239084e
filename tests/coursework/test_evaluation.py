import keras
import numpy as np
import pandas as pd
import pytest
from tests.models import notebook_model
from sklearn.metrics import f1_score

from coursework import architecture, evaluation, inspection, optimizers


def test_the_accuracy_interval_is_wilsons():
    # computed by hand from (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n), z = 1.959964
    assert evaluation.accuracy_interval(8, 10) == pytest.approx((0.490162, 0.943318), abs=1e-5)
    assert evaluation.accuracy_interval(10, 10)[1] == pytest.approx(1.0)


def test_macro_f1_of_a_confusion_matrix_equals_scikit_learn():
    random = np.random.default_rng(0)
    labels, predictions = random.integers(0, 4, 200), random.integers(0, 5, 200)
    result = evaluation.score(labels, predictions, classes=6)
    assert result["f1"] == pytest.approx(f1_score(labels, predictions, average="macro"))
    assert result["accuracy"] == pytest.approx((labels == predictions).mean())
    assert result["f1_interval"][0] < result["f1"] < result["f1_interval"][1]


def test_the_f1_interval_covers_the_true_score_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    true = np.array([[400, 50, 50], [60, 300, 40], [30, 20, 50]]) / 1000
    covered = 0
    for _ in range(200):
        low, high = evaluation.macro_f1_interval(random.multinomial(500, true.ravel()).reshape(3, 3), draws=500)
        covered += low <= evaluation.macro_f1(true) <= high
    assert 180 <= covered <= 198


def test_confused_pairs_count_both_directions():
    pairs = evaluation.confused_pairs(np.array([[9, 2, 0], [3, 9, 1], [0, 0, 9]]), "abc")
    assert pairs.to_dict() == {"a and b": 5, "b and c": 1, "a and c": 0}
    assert pairs.index[0] == "a and b"


def test_the_correlation_of_confusions_ignores_the_diagonal():
    first = np.array([[900, 1, 2], [3, 10, 4], [5, 6, 1]])
    second = np.array([[1, 10, 20], [30, 800, 40], [50, 60, 1]])
    assert evaluation.confusion_correlation(first, second)[0] == pytest.approx(1)
    assert evaluation.confusion_correlation(first, 100 - second)[0] == pytest.approx(-1)
    assert np.isnan(evaluation.confusion_correlation(first, np.eye(3))[0])


def test_the_paired_test_counts_the_images_that_only_one_model_gets_right():
    labels = np.zeros(10, int)
    first, second = np.array([0] * 8 + [1] * 2), np.array([1] * 6 + [0] * 3 + [1])
    result = evaluation.paired_test(labels, first, second)
    assert (result["only_first"], result["only_second"]) == (6, 1)
    assert result["p_value"] == pytest.approx(2 * (1 + 7) / 2**7)  # P(0 or 1 of 7), both sides
    assert evaluation.paired_test(labels, first, first)["p_value"] == 1


def test_class_scores_name_each_class_even_when_absent():
    table = evaluation.class_scores(np.array([0, 0, 1]), np.array([0, 1, 1]), ["a", "b", "c"])
    assert table.index.tolist() == ["a", "b", "c"]
    assert table["F1"].tolist() == pytest.approx([2 / 3, 2 / 3, 0])
    assert table["images"].tolist() == [2, 1, 0]


def history(val_loss, loss=None):
    loss = np.linspace(1, 0.1, len(val_loss)) if loss is None else loss
    return pd.DataFrame({"loss": loss, "val_loss": val_loss}, index=range(1, len(val_loss) + 1))


def test_overfitting_begins_after_the_minimum_of_the_validation_loss():
    onset = evaluation.overfitting_onset(history([0.9, 0.5, 0.6, 0.7, 0.75]))
    assert (onset["epoch"], onset["minimum_epoch"]) == (3, 2)
    assert onset["val_loss_change"] == pytest.approx(0.5)
    assert onset["loss_change"] < 0


@pytest.mark.parametrize("val_loss", [[0.9, 0.8, 0.7, 0.6], [0.9, 0.5, 0.6, 0.7], [0.5]])
def test_no_overfitting_is_claimed_while_the_minimum_is_young(val_loss):
    assert evaluation.overfitting_onset(history(val_loss))["epoch"] is None


def test_no_overfitting_is_claimed_if_the_training_loss_rises_too():
    diverging = history([0.9, 0.5, 0.6, 0.7, 0.8], loss=[0.9, 0.5, 0.6, 0.7, 0.8])
    assert evaluation.overfitting_onset(diverging)["epoch"] is None


@pytest.mark.parametrize(
    ("notebook", "name", "total", "trainable", "by_layer"),
    [
        ("part1_mnist", "lenet5", 61_706, 61_706, [156, 2_416, 48_120, 10_164, 850]),
        ("part2_fashion_mnist", "iteration1", 706_218, 706_218, [544, 32_832, 131_200, 524_544, 16_448, 650]),
        ("part2_fashion_mnist", "iteration2", 840_586, 838_154, None),
    ],
)
def test_the_models_have_the_assignments_parameters_by_keras_and_by_formula(notebook, name, total, trainable, by_layer):
    model = notebook_model(notebook, name)
    table = architecture.layer_arithmetic(model)
    assert model.count_params() == table["parameters by formula"].sum() == total
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == trainable
    assert (table["parameters by formula"] == table["Keras's parameters"]).all()
    assert (table["output by formula"] == table["Keras's output"]).all()
    if by_layer:
        assert [count for count in table["parameters by formula"] if count] == by_layer


@pytest.mark.parametrize(
    ("notebook", "name", "by_hand"),
    [
        ("part1_mnist", "lenet5", [28 * 28 * 25 * 6, 10 * 10 * 150 * 16, 400 * 120, 120 * 84, 84 * 10]),
        ("part2_fashion_mnist", "iteration1", [784 * 512, 196 * 16_384 * 2, 49 * 131_072, 2048 * 256, 256 * 64, 640]),
        (
            "part2_fashion_mnist",
            "iteration3",
            [784 * 288, 196 * 18_432, 196 * 55_296, 49 * 82_944, 49 * 110_592, 9 * 147_456, 1280],
        ),
    ],
)
def test_multiply_adds_are_those_counted_by_hand(notebook, name, by_hand):
    assert architecture.multiply_adds(notebook_model(notebook, name)) == sum(by_hand)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_output_shapes_by_formula_hold_for_any_kernel_and_stride(size, stride, padding):
    model = keras.Sequential(
        [
            keras.Input((28, 25, 2)),
            keras.layers.Conv2D(3, size, strides=stride, padding=padding),
            keras.layers.MaxPooling2D(size, strides=stride, padding=padding),
        ]
    )
    table = architecture.layer_arithmetic(model)
    assert table["output by formula"].tolist() == table["Keras's output"].tolist()


def test_a_layer_without_a_formula_is_refused():
    with pytest.raises(ValueError, match=r"no formula for the layer .* of kind LSTM"):
        architecture.layer_arithmetic(keras.Sequential([keras.Input((5, 2)), keras.layers.LSTM(3)]))


def test_gradients_vanish_through_deep_sigmoid_layers_only():
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (50, 4, 4, 1), dtype=np.uint8), random.integers(0, 3, 50)
    ratios = {}
    for activation in ("sigmoid", "relu"):
        keras.utils.set_random_seed(0)
        hidden = [keras.layers.Dense(32, activation=activation) for _ in range(8)]
        scale, flatten = keras.layers.Rescaling(1 / 255), keras.layers.Flatten()
        output = keras.layers.Dense(3, activation="softmax")
        model = keras.Sequential([keras.Input((4, 4, 1), dtype="uint8"), scale, flatten, *hidden, output])
        norms = inspection.gradient_norms(model, images, labels)
        assert norms.index.tolist() == list(range(1, 10))
        ratios[activation] = norms.iloc[0] / norms.iloc[-1]
    assert ratios["sigmoid"] < 1e-3
    assert ratios["relu"] > 1e-2


def test_the_gradient_norm_of_a_softmax_layer_is_the_one_computed_by_hand():
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(2, activation="softmax", kernel_initializer="zeros")]
    )
    # gradient of the mean cross-entropy: x^T (p - y) / n with p = 1/2
    x, labels = np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([0, 1])
    gradient = x.T @ (np.full((2, 2), 0.5) - np.eye(2)[labels]) / 2
    assert inspection.gradient_norms(model, x, labels).iloc[0] == pytest.approx(np.linalg.norm(gradient))


def test_silent_units_are_those_that_no_image_activates():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(3, activation="relu"), keras.layers.Dense(2)])
    model.layers[0].set_weights([np.array([[1.0, -1.0, 0.0]]), np.array([0.0, 0.0, -1.0])])
    table = inspection.dead_units(model, np.array([[1.0], [2.0]]))
    assert table["units"].tolist() == [3]
    assert table["never active"].tolist() == [2]
    assert inspection.dead_units(model, np.array([[1.0], [-2.0]]))["never active"].tolist() == [1]


def test_mean_probabilities_show_what_a_network_hesitates_between():
    labels = np.array([0, 0, 1])
    probabilities = np.array([[0.9, 0.1, 0.0], [0.7, 0.2, 0.1], [0.0, 1.0, 0.0]], dtype=np.float32)
    means = evaluation.mean_probabilities(labels, probabilities)
    np.testing.assert_allclose(means[:2], [[0.8, 0.15, 0.05], [0, 1, 0]], atol=1e-7)
    assert np.isnan(means[2]).all()
    assert np.isnan(evaluation.confusion_correlation(means, means)[0])


def test_the_output_of_iteration3_is_left_to_adam():
    model = notebook_model("part2_fashion_mnist", "iteration3")
    optimizer = optimizers.Muon(0.01)
    kernels = [layer.kernel for layer in model.layers if hasattr(layer, "kernel")]
    assert [optimizer._should_use_adamw(kernel) for kernel in kernels] == [True, *[False] * 5, True]
    assert model.count_params() == 418_474
