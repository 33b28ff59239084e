"""What the explorers compute, and that each is a figure where nobody looks and controls with a picture where somebody does."""

import keras
import nbformat
import numpy as np
import pypdf
import pytest
from matplotlib.figure import Figure
from tests.models import notebook_model
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import explore
from coursework import course_split, session, text
import notebook_pdf

CLASSES = course_split.FASHION_CLASSES
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (40, 28, 28, 1), dtype=np.uint8)
LABELS = np.arange(40) % 10
PROBABILITIES = RANDOM.dirichlet(np.ones(10), 40)


@pytest.fixture(scope="module")
def lenet5():
    return notebook_model("part1_mnist", "lenet5")


@pytest.fixture(scope="module")
def iteration3():
    return notebook_model("part2_fashion_mnist", "iteration3")


EXPLORERS = {
    "mistakes": lambda model: explore.mistakes(IMAGES, LABELS, PROBABILITIES, CLASSES),
    "feature maps": lambda model: explore.feature_maps(model, IMAGES),
    "class activation": lambda model: explore.class_activation(model, IMAGES, LABELS, CLASSES),
    "reliability": lambda model: explore.reliability(LABELS, {"one": PROBABILITIES, "two": PROBABILITIES**2}),
    "embeddings": lambda model: explore.embeddings(model, IMAGES, LABELS, CLASSES),
    "what if": lambda model: explore.what_if(model, IMAGES, LABELS, CLASSES),
}


@pytest.mark.parametrize("name", EXPLORERS)
@pytest.mark.parametrize("network", ["lenet5", "iteration3"])
def test_where_nobody_looks_it_is_a_figure_with_a_caption_and_a_description(name, network, request, monkeypatch):
    monkeypatch.setenv(session.HEADLESS_VARIABLE, "terminal")
    figure = EXPLORERS[name](request.getfixturevalue(network))
    assert isinstance(figure, Figure)
    assert len(figure.caption) > 20 and len(figure.description) > 40
    assert figure.svg() == EXPLORERS[name](request.getfixturevalue(network)).svg(), "the same every time"


@pytest.mark.parametrize("name", EXPLORERS)
def test_in_a_notebook_each_control_draws_a_new_picture_and_a_page_has_the_figure(name, lenet5):
    panel = EXPLORERS[name](lenet5)
    data, about = panel._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "image/svg+xml", "text/plain"} <= set(data)
    assert len(about["caption"]) > 20 and len(about["alt"]) > 40
    first = panel.picture.value
    for control, widget in panel.widgets.items():
        start = widget.value
        if hasattr(widget, "options"):
            widget.value = widget.options[-1]
        else:
            widget.value = widget.max if widget.value != widget.max else widget.min
        picture = panel.picture.value
        assert "<img" in picture and 'alt="' in picture, picture[:300]
        assert picture != first, control
        widget.value = start
        assert panel.picture.value == first


def test_networks_of_other_kinds_are_shown_as_far_as_can_be():
    layers = keras.layers
    convolution = [layers.SeparableConv2D(3, 3, activation="relu"), layers.Flatten()]
    endings = {
        "without bias": [*convolution, layers.Dense(10, use_bias=False, activation="softmax")],
        "softmax apart": [layers.Conv2D(3, 3), layers.Flatten(), layers.Dense(10), layers.Softmax()],
        "no convolution": [layers.Flatten(), layers.Dense(10, activation="softmax")],
    }
    for name, ending in endings.items():
        model = keras.Sequential([keras.Input((28, 28, 1), dtype="uint8"), layers.Rescaling(1 / 255), *ending])
        shown = {key: draw(model) for key, draw in EXPLORERS.items()} | {"filters": explore.plot_filters(model)}
        for key, result in shown.items():
            if name == "no convolution" and key in ("feature maps", "class activation", "filters"):
                assert isinstance(result, Figure) and "has no" in result.caption
            else:
                assert key == "filters" or "<img" in result.picture.value, (name, key, result.picture.value)
    assert "at least four images" in explore.embeddings(model, IMAGES[:3], LABELS[:3], CLASSES).caption


def test_an_image_in_which_nothing_speaks_for_a_class_is_described_so(lenet5, monkeypatch):
    monkeypatch.setattr(explore, "gradient_class_activation", lambda *arguments: np.zeros((6, 10, 10)))
    assert "nothing speaks for it" in explore.class_activation(lenet5, IMAGES, LABELS, CLASSES).picture.value


def test_what_goes_wrong_in_a_picture_is_said_in_its_place():
    def draw(number):
        raise ValueError(f"<{number}> is too much")

    panel = explore.show(draw, still=lambda: None, number=explore.Slider("number", 0, 9))
    assert panel.picture.value == "<pre>ValueError: &lt;0&gt; is too much</pre>"


def test_mistakes_can_be_chosen_by_their_classes():
    panel = explore.mistakes(IMAGES, LABELS, PROBABILITIES, CLASSES)
    predictions = PROBABILITIES.argmax(axis=1)
    true = LABELS[predictions != LABELS][0]
    panel.widgets["true"].value = CLASSES[true]
    expected = ((true == LABELS) & (predictions != true)).sum()
    assert f"The {expected} most confident of {text.pluralize(expected, 'mistake')}" in panel.picture.value
    assert f"(true {CLASSES[true]})" in panel.picture.value
    panel.widgets["predicted"].value = CLASSES[true]
    assert f"No mistakes in these predictions (true {CLASSES[true]}, read as {CLASSES[true]})" in panel.picture.value
    panel.widgets["true"].value = panel.widgets["predicted"].value = "any"
    last = panel.widgets["page"].max
    panel.widgets["page"].value = last
    assert f"of {(predictions != LABELS).sum()}, the most confident first" in panel.picture.value


def test_calibration_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.45, 0.55], [0.5, 0.5]])
    table = explore.calibration(np.array([0, 1, 1, 0, 0]), probabilities, bins=2)
    assert table["images"].tolist() == [1, 4]  # a confidence of exactly 0.5 belongs to the lower bin
    assert table["confidence"].tolist() == pytest.approx([0.5, (0.9 + 0.8 + 0.7 + 0.55) / 4])
    assert table["accuracy"].tolist() == pytest.approx([1.0, 0.5])
    assert table.attrs["expected_error"] == pytest.approx((0.5 * 1 + (2.95 / 4 - 0.5) * 4) / 5)


def test_predictions_as_sure_as_they_are_right_have_no_calibration_error():
    probabilities = np.tile([0.75, 0.25], (400, 1))
    table = explore.calibration((np.arange(400) % 4 == 0).astype(int), probabilities)
    assert table.attrs["expected_error"] == pytest.approx(0)
    certain = explore.calibration(np.zeros(10, int), np.tile([1.0, 0.0], (10, 1)))
    assert certain["images"].iloc[-1] == 10 and certain.attrs["expected_error"] == 0


def test_grad_cam_of_global_average_pooling_is_the_weighted_sum_of_the_maps():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    maps = layers.Conv2D(5, 3, activation="relu")
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1), dtype="uint8"),
            layers.Rescaling(1 / 255),
            maps,
            layers.GlobalAveragePooling2D(),
            layers.Dense(4, activation="softmax"),
        ]
    )
    classes = np.array([2, 3, 0])
    found = explore.gradient_class_activation(model, IMAGES[:3], classes, maps)
    outputs = keras.Model(model.inputs[0], maps.output).predict(IMAGES[:3], verbose=0)
    weights = (
        model.layers[-1].get_weights()[0][:, classes].T
    )  # (images, maps); the pooling's 1 / size is one factor for all
    expected = np.maximum((outputs * weights[:, None, None, :]).sum(axis=-1), 0)
    largest = expected.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found, expected / np.where(largest > 0, largest, 1), atol=1e-5)


def test_feature_maps_are_taken_after_the_non_linearity(lenet5, iteration3):
    assert [layer.name for layer in explore._feature_layers(lenet5).values()] == [
        layer.name for layer in lenet5.layers if isinstance(layer, keras.layers.Conv2D)
    ]
    assert {type(layer) for layer in explore._feature_layers(iteration3).values()} == {keras.layers.ReLU}


def test_an_image_is_changed_as_asked():
    image = IMAGES[0]
    np.testing.assert_array_equal(explore.changed(image), image)
    moved = explore.changed(image, right=3, down=-2)
    np.testing.assert_array_equal(moved[:-2, 3:], image[2:, :-3])
    assert not moved[-2:].any() and not moved[:, :3].any()
    np.testing.assert_array_equal(explore.changed(image, angle=90), np.rot90(image))
    noisy = explore.changed(image, noise=0.1)
    assert noisy.dtype == np.uint8 and (noisy != image).any()
    np.testing.assert_array_equal(noisy, explore.changed(image, noise=0.1))


@pytest.mark.parametrize("projection", ["PCA", "t-SNE"])
def test_a_plane_keeps_groups_apart_and_is_the_same_every_time(projection):
    groups = np.repeat(np.eye(3) * 50, 20, axis=0) + RANDOM.normal(size=(60, 3))
    points = explore.on_a_plane(groups, projection)
    np.testing.assert_array_equal(points, explore.on_a_plane(groups, projection))
    centres = points.reshape(3, 20, 2).mean(axis=1)
    spread = np.linalg.norm(points.reshape(3, 20, 2) - centres[:, None], axis=2).max()
    apart = [np.linalg.norm(centres[a] - centres[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert min(apart) > 2 * spread
    assert explore.on_a_plane(groups[:5], projection).shape == (5, 2)


def test_a_notebook_that_was_run_by_hand_prints_the_figure_in_place_of_the_controls(tmp_path):
    data, about = EXPLORERS["mistakes"](None)._repr_mimebundle_()
    output = new_output("execute_result", execution_count=1, data=data, metadata=about)
    cells = [new_markdown_cell("# By hand"), new_code_cell("explore.mistakes()", execution_count=1, outputs=[output])]
    nbformat.write(new_notebook(cells=cells), tmp_path / "by_hand.ipynb")
    assert make_pdf(tmp_path / "by_hand.ipynb", tmp_path / "by_hand.pdf") == []
    (page,) = pypdf.PdfReader(tmp_path / "by_hand.pdf").pages
    assert "Figure 1: The 12 most confident of" in page.extract_text().replace("\xa0", " ")
    assert len(page.images) == 12
