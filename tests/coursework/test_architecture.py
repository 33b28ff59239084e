import keras
import pytest

from coursework import architecture
from tests.models import notebook_model


@pytest.mark.parametrize(
    ("notebook", "name", "total"),
    [
        ("part1_mnist", "lenet5", 61_706),
        ("part2_fashion_mnist", "iteration1", 706_218),
        ("part2_fashion_mnist", "iteration2", 840_586),
    ],
)
def test_keras_and_the_formulas_give_the_parameters_of_the_assignment(notebook, name, total):
    table = architecture.layer_arithmetic(notebook_model(notebook, name))
    assert table["parameters by formula"].sum() == total
    assert (table["parameters by formula"] == table["Keras's parameters"]).all()
    assert (table["output by formula"] == table["Keras's output"]).all()


def test_multiply_adds_are_counted_as_by_hand():
    by_hand = [28 * 28 * 25 * 6, 10 * 10 * 150 * 16, 400 * 120, 120 * 84, 84 * 10]
    assert architecture.multiply_adds(notebook_model("part1_mnist", "lenet5")) == sum(by_hand)


def test_a_layer_without_a_formula_is_rejected():
    with pytest.raises(ValueError, match=r"no formula for the layer .* of kind LSTM"):
        architecture.layer_arithmetic(keras.Sequential([keras.Input((5, 2)), keras.layers.LSTM(3)]))
