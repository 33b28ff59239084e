import keras
import numpy as np
import pytest

from coursework import architecture
from tests.models import notebook_model


@pytest.mark.parametrize(
    ("notebook", "name", "total", "trainable", "by_layer"),
    [
        ("part1_mnist", "lenet5", 61_706, 61_706, [156, 2_416, 48_120, 10_164, 850]),
        ("part2_fashion_mnist", "iteration1", 706_218, 706_218, [544, 32_832, 131_200, 524_544, 16_448, 650]),
        ("part2_fashion_mnist", "iteration2", 840_586, 838_154, None),
    ],
)
def test_keras_and_the_formulas_give_the_parameters_of_the_assignment(notebook, name, total, trainable, by_layer):
    model = notebook_model(notebook, name)
    table = architecture.layer_arithmetic(model)
    assert model.count_params() == table["parameters by formula"].sum() == total
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == trainable
    assert (table["parameters by formula"] == table["Keras's parameters"]).all()
    assert (table["output by formula"] == table["Keras's output"]).all()
    if by_layer:
        assert [count for count in table["parameters by formula"] if count] == by_layer


def test_multiply_adds_are_counted_as_by_hand():
    by_hand = [28 * 28 * 25 * 6, 10 * 10 * 150 * 16, 400 * 120, 120 * 84, 84 * 10]
    assert architecture.multiply_adds(notebook_model("part1_mnist", "lenet5")) == sum(by_hand)


def test_a_layer_without_a_formula_is_rejected():
    with pytest.raises(ValueError, match=r"no formula for the layer .* of kind LSTM"):
        architecture.layer_arithmetic(keras.Sequential([keras.Input((5, 2)), keras.layers.LSTM(3)]))
