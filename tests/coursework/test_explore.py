"""The explorers of a trained model, with controls and a picture as for a reader."""

import keras
import numpy as np
import pytest

from coursework import explore, figures
from coursework.course_split import FASHION_CLASSES
from coursework.session import HEADLESS_VARIABLE
from tests.models import notebook_model

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (24, 28, 28, 1), dtype=np.uint8)
LABELS = np.arange(24) % 10
PROBABILITIES = RANDOM.dirichlet(np.ones(10), 24)
PREDICTIONS = PROBABILITIES.argmax(axis=1)

EXPLORERS = {
    "mistakes": lambda model: explore.mistakes(IMAGES, LABELS, PROBABILITIES, FASHION_CLASSES),
    "feature maps": lambda model: explore.feature_maps(model, IMAGES),
    "class activation": lambda model: explore.class_activation(model, IMAGES, LABELS, FASHION_CLASSES),
    "reliability": lambda model: explore.reliability(LABELS, {"one": PROBABILITIES, "two": PROBABILITIES**2}),
    "embeddings": lambda model: explore.embeddings(model, IMAGES, LABELS, FASHION_CLASSES),
    "perturbation": lambda model: explore.perturbation(model, IMAGES, LABELS, FASHION_CLASSES),
}


@pytest.fixture(autouse=True)
def with_reader(monkeypatch):
    monkeypatch.delenv(HEADLESS_VARIABLE, raising=False)


@pytest.fixture(scope="module")
def lenet5():
    return notebook_model("part1_mnist", "lenet5")


@pytest.mark.parametrize("name", EXPLORERS)
def test_each_control_of_an_explorer_changes_the_picture(name, lenet5):
    panel = EXPLORERS[name](lenet5)
    for control, widget in reversed(panel.widgets.items()):
        before = panel.picture.value
        if hasattr(widget, "options"):
            widget.index = len(widget.options) - 1
        else:
            widget.value = widget.max if widget.value != widget.max else widget.min
        assert "<img" in panel.picture.value, panel.picture.value[:300]
        assert panel.picture.value != before, control


def network(*layers):
    return keras.Sequential([keras.Input((28, 28, 1), dtype="uint8"), keras.layers.Flatten(), *layers])


def other_networks():
    """Without a bias in the last layer, with a separable convolution, and with a softmax as a layer of its own."""
    layers = keras.layers
    yield notebook_model("part2_fashion_mnist", "iteration3")
    image, scale = layers.Reshape((28, 28, 1)), layers.Rescaling(1 / 255)
    last = layers.Dense(10, use_bias=False, activation="softmax")
    yield network(image, scale, layers.SeparableConv2D(3, 3, activation="relu"), layers.Flatten(), last)
    yield network(image, scale, layers.Conv2D(3, 3), layers.Flatten(), layers.Dense(10), layers.Softmax())


@pytest.mark.parametrize("name", ["feature maps", "class activation", "embeddings", "perturbation"])
def test_other_networks_can_be_explored(name):
    for model in other_networks():
        assert "<img" in EXPLORERS[name](model).picture.value


def test_a_network_without_a_convolution_is_reported_in_the_figure():
    model = network(keras.layers.Dense(10, activation="softmax"))
    for show in (EXPLORERS["feature maps"], EXPLORERS["class activation"], figures.plot_filters):
        assert "has no" in show(model).caption


def test_mistakes_are_those_of_the_chosen_classes():
    panel = EXPLORERS["mistakes"](None)
    assert f"The 12 most confident of {(PREDICTIONS != LABELS).sum()} mistakes" in panel.picture.value
    true = LABELS[PREDICTIONS != LABELS][0]
    panel.widgets["true"].value = true
    expected = ((true == LABELS) & (true != PREDICTIONS)).sum()
    assert f"The {expected} most confident of {expected} mistake" in panel.picture.value
    assert f"(true {FASHION_CLASSES[true]})" in panel.picture.value
    panel.widgets["true"].label = panel.widgets["predicted"].label = "Coat"
    assert "No mistakes in these predictions" in panel.picture.value


def test_feature_maps_are_those_after_the_non_linearity(lenet5):
    for model, kind in ((lenet5, keras.layers.Conv2D), (next(other_networks()), keras.layers.Activation)):
        options = explore.feature_maps(model, IMAGES).widgets["layer"].options[1:]
        expected = [layer.name for layer in model.layers if isinstance(layer, kind)]
        assert [label.split()[1].strip(",") for label, _ in options] == expected
