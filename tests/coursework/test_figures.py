import numpy as np
import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter

from coursework import figures
from coursework.augmentation import Augmentation
from coursework.course_split import FASHION_CLASSES as CLASSES
from coursework.data import DIGITS
from tests.models import notebook_model

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (60, 28, 28, 1), dtype=np.uint8)
LABELS = np.arange(60) % 10
PROBABILITIES = RANDOM.dirichlet(np.ones(10), 60)
COLUMNS = ["loss", "accuracy", "f1", "val_loss", "val_accuracy", "val_f1"]
HISTORY = pd.DataFrame(RANDOM.random((3, 6)), columns=COLUMNS, index=pd.RangeIndex(1, 4, name="epoch"))
CONFUSION = RANDOM.integers(0, 9, (10, 10))

FIGURES = {
    "samples": lambda: figures.plot_samples(IMAGES, LABELS, CLASSES),
    "class distribution": lambda: figures.plot_class_distribution({"training": LABELS, "validation": LABELS}, CLASSES),
    "training history": lambda: figures.plot_training_history(HISTORY, "A model"),
    "confusion matrices": lambda: figures.plot_confusion_matrices({"a": CONFUSION, "b": CONFUSION}, CLASSES),
    "perfect confusion matrix": lambda: figures.plot_confusion_matrices({"a": np.eye(10, dtype=int)}, CLASSES),
    "mistakes": lambda: figures.plot_mistakes(IMAGES, LABELS, PROBABILITIES, CLASSES),
    "no mistakes": lambda: figures.plot_mistakes(IMAGES, LABELS, np.eye(10)[LABELS], CLASSES),
    "activations": figures.plot_activations,
    "gradient norms": lambda: figures.plot_gradient_norms({"relu": pd.Series([1.0, 0.1], index=[1, 2])}),
    "filters": lambda: figures.plot_filters(notebook_model("part1_mnist", "lenet5")),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_shown_as_vectors_with_its_caption_and_description(name):
    figure = FIGURES[name]()
    contents, metadata = DisplayFormatter().format(figure)
    assert DisplayFormatter().format(FIGURES[name]())[0] == contents
    assert contents["image/svg+xml"].startswith("<?xml")
    assert "image/png" not in contents
    assert (metadata["caption"], metadata["alt"]) == (figure.caption, figure.description)
    assert len(figure.caption) > 20 and len(figure.description) >= 25
    assert f"<dc:title>{figure.caption}</dc:title>" in contents["image/svg+xml"]


def test_the_class_distribution_shows_all_ten_classes():
    labels = np.repeat(np.arange(10), np.arange(1, 11))
    figure = figures.plot_class_distribution({"training": labels}, CLASSES)
    (axis,) = figure.axes
    assert [bar.get_height() for bar in axis.patches] == list(range(1, 11))
    assert [text.get_text() for text in axis.get_xticklabels()] == list(CLASSES)


def test_the_history_marks_the_epoch_of_the_highest_validation_f1():
    figure = figures.plot_training_history(HISTORY, "A model")
    assert figure.caption.endswith(f"at epoch {HISTORY['val_f1'].idxmax()}")
    assert f"to {HISTORY['val_loss'].iloc[-1]:.4f} in validation" in figure.description
    assert [axis.get_ylabel() for axis in figure.axes] == ["loss", "accuracy", "macro F1"]


def test_a_confusion_matrix_shows_its_counts_and_the_number_of_errors():
    confusion = np.diag(np.full(10, 50))
    confusion[3, 5] = 7
    figure = figures.plot_confusion_matrices({"test": confusion}, DIGITS)
    assert "test, 7 of 507 wrong, most often confused 3 and 5 (7)" in figure.description
    assert figure.axes[0].get_title() == "test: 7 of 507 wrong"
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert (texts.count("50"), texts.count("7")) == (10, 1)


def test_the_most_confident_mistakes_are_shown_first():
    labels, probabilities = np.array([0, 1, 2, 3]), np.eye(10)[[1, 1, 3, 4]] * [[0.6], [0.9], [0.99], [0.7]]
    figure = figures.plot_mistakes(IMAGES[:4], labels, probabilities, CLASSES, first=1)
    assert figure.caption.startswith("Mistakes 2 to 3 of 3, the most confident first")
    assert "Dress (0.0%) predicted as Coat (70.0%); T-shirt" in figure.description
    assert "Trouser (60.0%)" in [axis.get_title() for axis in figure.axes if axis.get_title()][1]


def test_augmented_images_are_those_of_the_training():
    augmentation = Augmentation(flips=True, shift=2)
    figure = figures.plot_augmentation(augmentation, IMAGES, seed=3, epochs=2)
    rows = np.array([axis.images[0].get_array() for axis in figure.axes]).reshape(3, 10, 28, 28)
    np.testing.assert_array_equal(rows[0], IMAGES[:10, :, :, 0])
    for epoch in (1, 2):
        drawn = augmentation.draw(*IMAGES.shape[:3], seed=3, epoch=epoch)
        np.testing.assert_array_equal(rows[epoch], augmentation.apply(IMAGES, drawn).numpy()[:10, :, :, 0])
