import numpy as np
import pandas as pd
from IPython.core.formatters import DisplayFormatter

from coursework import figures
from coursework.course_split import FASHION_CLASSES as CLASSES
from coursework.data import DIGITS

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (4, 28, 28, 1), dtype=np.uint8)
COLUMNS = ["loss", "accuracy", "f1", "val_loss", "val_accuracy", "val_f1"]
HISTORY = pd.DataFrame(RANDOM.random((3, 6)), columns=COLUMNS, index=pd.RangeIndex(1, 4, name="epoch"))


def test_a_figure_is_shown_as_vectors_with_its_caption_and_description():
    figure = figures.plot_activations()
    contents, metadata = DisplayFormatter().format(figure)
    assert DisplayFormatter().format(figures.plot_activations())[0] == contents
    assert contents["image/svg+xml"].startswith("<?xml")
    assert "image/png" not in contents
    assert (metadata["caption"], metadata["alt"]) == (figure.caption, figure.description)
    assert f"<dc:title>{figure.caption}</dc:title>" in contents["image/svg+xml"]


def test_a_model_without_mistakes_can_be_plotted():
    assert "No mistakes" in figures.plot_mistakes(IMAGES, np.arange(4), np.eye(10)[:4], CLASSES).caption
    figure = figures.plot_confusion_matrices({"a": np.eye(10, dtype=int)}, CLASSES)
    assert figure.axes[0].get_title() == "a: 0 of 10 wrong"


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
    figure = figures.plot_mistakes(IMAGES, labels, probabilities, CLASSES, first=1)
    assert figure.caption.startswith("Mistakes 2 to 3 of 3, the most confident first")
    assert "Dress (0.0%) predicted as Coat (70.0%); T-shirt" in figure.description
    assert "Trouser (60.0%)" in [axis.get_title() for axis in figure.axes if axis.get_title()][1]
