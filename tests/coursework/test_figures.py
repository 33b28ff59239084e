import base64
import io
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib.figure import Figure
from PIL import Image

import utilities
from coursework import course_split, data, figures

CLASSES = course_split.FASHION_CLASSES
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (60, 28, 28, 1), dtype=np.uint8)
LABELS = np.arange(60) % 10
PROBABILITIES = RANDOM.dirichlet(np.ones(10), 60)
HISTORY = pd.DataFrame(
    RANDOM.random((3, 6)),
    columns=["loss", "accuracy", "f1", "val_loss", "val_accuracy", "val_f1"],
    index=pd.RangeIndex(1, 4, name="epoch"),
)
CONFUSION = RANDOM.integers(0, 9, (10, 10))

FIGURES = {
    "samples": lambda: figures.plot_samples(IMAGES, LABELS, CLASSES),
    "class distribution": lambda: figures.plot_class_distribution(
        {"training": LABELS, "validation": LABELS}, CLASSES
    ),
    "training history": lambda: figures.plot_training_history(HISTORY, "A model"),
    "confusion matrices": lambda: figures.plot_confusion_matrices({"a": CONFUSION, "b": CONFUSION}, CLASSES),
    "perfect confusion matrix": lambda: figures.plot_confusion_matrices({"a": np.eye(10, dtype=int)}, CLASSES),
    "mistakes": lambda: figures.plot_mistakes(IMAGES, LABELS, PROBABILITIES, CLASSES),
    "no mistakes": lambda: figures.plot_mistakes(IMAGES, LABELS, np.eye(10)[LABELS], CLASSES),
    "activations": figures.plot_activations,
    "gradient norms": lambda: figures.plot_gradient_norms({"relu": pd.Series([1.0, 0.1], index=[1, 2])}),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_shown_as_vectors_with_its_caption_and_description(name):
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    data, metadata = DisplayFormatter().format(figure)
    assert data["image/svg+xml"].startswith("<?xml")
    assert "image/png" not in data
    assert metadata["caption"] == figure.caption
    assert metadata["alt"] == figure.description
    assert len(figure.caption) > 20
    assert len(figure.description) >= 25
    assert f"<dc:title>{figure.caption}</dc:title>" in data["image/svg+xml"]


def test_a_figure_is_drawn_with_the_same_bytes_every_time():
    drawings = {DisplayFormatter().format(figures.plot_activations())[0]["image/svg+xml"] for _ in range(2)}
    assert len(drawings) == 1


def test_images_in_a_figure_have_at_least_200_dots_an_inch():
    svg = DisplayFormatter().format(figures.plot_samples(IMAGES, LABELS, CLASSES, per_class=2))[0]["image/svg+xml"]
    images = images_in_svg(svg)
    assert len(images) == 20
    assert all(pixels / (points / 72) >= 200 for pixels, points in images)


def images_in_svg(svg):
    """The width of each image in a drawing, in pixels and in points."""
    images = re.findall(r'xlink:href="data:image/png;base64,([^"]+)"[^>]* width="([\d.]+)"', svg)
    return [(Image.open(io.BytesIO(base64.b64decode(content))).width, float(points)) for content, points in images]


def test_descriptions_tell_the_figures_of_the_data():
    distribution = figures.plot_class_distribution({"training": np.repeat([0, 1], [3, 5])}, CLASSES)
    assert "training: T-shirt/top 3, Trouser 5, Pullover 0" in distribution.description
    history = figures.plot_training_history(HISTORY, "A model")
    assert f"to {HISTORY['val_loss'].iloc[-1]:.4f} in validation" in history.description
    matrix = np.diag(np.full(10, 50))
    matrix[3, 5] = 7
    confusion = figures.plot_confusion_matrices({"test": matrix}, data.DIGITS)
    assert "test, 7 of 507 wrong, most often confused 3 and 5 (7)" in confusion.description
    norms = figures.plot_gradient_norms({"relu": pd.Series([1.0, 0.1], index=[1, 2])})
    assert "relu 1 in layer 1 and 0.1 in layer 2" in norms.description


def test_plotting_leaves_no_state_behind():
    code = (
        "import numpy as np, matplotlib, sys, utilities\n"
        "before = dict(matplotlib.rcParams)\n"
        "figures.plot_class_distribution({'a': np.arange(10)}, data.DIGITS)\n"
        "figures.plot_confusion_matrices({'a': np.eye(10, dtype=int)}, data.DIGITS)\n"
        "assert dict(matplotlib.rcParams) == before\n"
        "import matplotlib.pyplot\n"
        "assert matplotlib.pyplot.get_fignums() == []\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_class_distribution_shows_all_ten_classes():
    labels = np.repeat(np.arange(10), np.arange(1, 11))
    axis = figures.plot_class_distribution({"training": labels}, CLASSES).axes[0]
    assert [bar.get_height() for bar in axis.patches] == list(range(1, 11))
    assert [text.get_text() for text in axis.get_xticklabels()] == list(CLASSES)


def test_the_history_marks_the_epoch_of_the_highest_validation_f1():
    figure = figures.plot_training_history(HISTORY, "A model")
    assert figure.caption.endswith(f"at epoch {HISTORY['val_f1'].idxmax()}")
    assert [axis.get_ylabel() for axis in figure.axes] == ["loss", "accuracy", "macro F1"]


def test_a_confusion_matrix_prints_its_counts_and_its_errors():
    matrix = np.diag(np.full(10, 50))
    matrix[3, 5] = 7
    axis = figures.plot_confusion_matrices({"test": matrix}, data.DIGITS).axes[0]
    assert axis.get_title() == "test: 7 of 507 wrong"
    texts = [text.get_text() for text in axis.texts]
    assert texts.count("50") == 10
    assert texts.count("7") == 1


def test_mistakes_are_shown_most_confident_first():
    labels, probabilities = np.array([0, 1, 2, 3]), np.eye(10)[[1, 1, 3, 4]] * [[0.6], [0.9], [0.99], [0.7]]
    figure = figures.plot_mistakes(IMAGES[:4], labels, probabilities, CLASSES)
    captions = [axis.get_title() for axis in figure.axes if axis.get_title()]
    true = ["true: Pullover (0.0%)", "true: Dress (0.0%)", "true: T-shirt/top (0.0%)"]
    assert [caption.splitlines()[0] for caption in captions] == true
    assert captions[0].splitlines()[1:] == ["read as:", "Dress (99.0%)"]
    assert figure.caption == "The 3 most confident of 3 mistakes; in brackets, the probability of the class"
    second = figures.plot_mistakes(IMAGES[:4], labels, probabilities, CLASSES, first=1)
    assert [axis.get_title() for axis in second.axes if axis.get_title()] == captions[1:]
    assert second.caption.startswith("Mistakes 2 to 3 of 3, the most confident first")
    assert figure.description.startswith(
        "Images with their true class and prediction: Pullover (0.0%) read as Dress (99.0%); "
    )
