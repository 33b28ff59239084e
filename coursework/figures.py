"""Figures with a caption and a description in words, and the plots of parts 1 and 2.

`images` are (n, height, width) or (n, height, width, 1), `labels` (n,) class indices, and `probabilities` (n, classes).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import pandas as pd
import seaborn
from IPython.core.pylabtools import print_figure
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from coursework.evaluation import TRAINING_METRICS, confused_pairs
from coursework.text import pluralize

if TYPE_CHECKING:
    import keras

    from coursework.augmentation import Augmentation


PALETTE = "colorblind"
"""Seaborn's palette for colour-blind readers; line styles and hatches keep figures readable in grey."""
IMAGE_DPI = 240
"""Resolution of images in a figure, in dots per inch; everything else in it is vectors."""
WIDTH = 7.0
"""Width of a figure in inches, the text width of a printed page."""


class CaptionedFigure(Figure):
    """A figure that Jupyter shows as vectors, with the same bytes every time. Its caption and its description in words
    are part of the output's metadata."""

    caption = ""
    description = ""

    def svg(self) -> str:
        """The figure as SVG."""
        with matplotlib.rc_context({"svg.hashsalt": "figure"}):  # the ids in the file are random by default
            title = self.caption or None
            return print_figure(self, fmt="svg", dpi=IMAGE_DPI, metadata={"Date": None, "Title": title})

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        return (
            {"image/svg+xml": self.svg(), "text/plain": repr(self)},
            {"caption": self.caption, "alt": self.description},
        )


def figure_with_axes(rows: int, columns: int, height: float, **options):
    """A figure of the page's width outside of pyplot's global state, and its axes as an array (rows, columns)."""
    figure = CaptionedFigure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def with_caption(figure: Figure, caption: str, description: str) -> Figure:
    """Set the caption below a figure and its alternative text, a description for readers who cannot see it."""
    figure.caption, figure.description = caption, description
    return figure


def image_axes(rows: int, columns: int, height: float):
    """As `figure_with_axes`, for images: without ticks and frames."""
    figure, axes = figure_with_axes(rows, columns, height)
    for axis in axes.ravel():
        axis.axis("off")
    return figure, axes


def draw_image(axis, image: np.ndarray, **options):
    """Draw an image (height, width) or (height, width, 1) with dark ink; it may be scaled to its own range."""
    return axis.imshow(np.squeeze(image), **{"cmap": "gray_r", "interpolation": "nearest"} | options)


def _rows_of_images(rows: Mapping[str, np.ndarray], columns: int, row_height: float, **options) -> Figure:
    """Rows of up to `columns` images, each with its name on the left."""
    figure, axes = image_axes(len(rows), columns, height=row_height * len(rows))
    for row, (name, images) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(row, images, strict=False):
            draw_image(axis, image, **options)
        row[0].text(-0.15, 0.5, name, transform=row[0].transAxes, ha="right", va="center")
    return figure


def empty_figure(reason: str) -> Figure:
    """A figure that says why there is nothing to show."""
    figure, axes = image_axes(1, 1, height=0.6)
    axes[0, 0].text(0.5, 0.5, reason, ha="center", va="center")
    return with_caption(figure, reason, f"Nothing to show: {reason}.")


def palette_colours(count: int) -> list:
    """`count` colours of the palette as (red, green, blue) from 0 to 1."""
    return seaborn.color_palette(PALETTE, count)


def plot_samples(
    images: np.ndarray, labels: np.ndarray, class_names: Iterable[str], per_class: int = 10, seed: int = 0
) -> Figure:
    """Random images of each class, one class per row."""
    names = list(class_names)
    random, rows = np.random.default_rng(seed), {}
    for number, name in enumerate(names):
        members = np.flatnonzero(labels == number)
        rows[name] = images[random.choice(members, min(per_class, len(members)), replace=False)]
    return with_caption(
        _rows_of_images(rows, per_class, row_height=0.5),
        "Random images of each class, one class per row",
        f"A grid of small images in {len(names)} rows of up to {per_class}, one row for each class: "
        f"{', '.join(names)}.",
    )


def plot_augmentation(augmentation: Augmentation, images: np.ndarray, seed: int, epochs: int = 4) -> Figure:
    """The first ten of all training images, and below them their versions in the first epochs with this seed."""
    columns = min(10, len(images))
    rows = {"original": images[:columns]}
    for epoch in range(1, epochs + 1):
        drawn = augmentation.draw(*images.shape[:3], seed, epoch)[:columns]
        rows[f"epoch {epoch}"] = augmentation.apply(images[:columns], drawn).numpy()
    return with_caption(
        _rows_of_images(rows, columns, row_height=0.62, vmin=0, vmax=255),
        "Training images and their augmented versions in the first epochs",
        f"A grid of small images: {columns} training images in the first row, and below each of them its mirrored "
        f"and shifted version in epochs 1 to {epochs}.",
    )


def plot_class_distribution(label_sets: Mapping[str, np.ndarray], class_names: Iterable[str]) -> Figure:
    """Number of images of each class in one or more sets of labels (n,), side by side, each under its name."""
    names = list(class_names)
    figure, axes = figure_with_axes(1, 1, height=3.0)
    axis, bar_width = axes[0, 0], 0.8 / len(label_sets)
    description = "Bars for each class."
    for number, (set_name, labels) in enumerate(label_sets.items()):
        counts = np.bincount(labels, minlength=len(names))
        description += f" {set_name}: {', '.join(f'{name} {n:,}' for name, n in zip(names, counts, strict=True))}."
        positions = np.arange(len(names)) + (number - (len(label_sets) - 1) / 2) * bar_width
        bars = axis.bar(
            positions,
            counts,
            bar_width,
            label=f"{set_name} ({counts.sum():,})",
            hatch=("", "//")[number % 2],
            color=palette_colours(len(label_sets))[number],
            edgecolor="white",
        )
        axis.bar_label(bars, fontsize=6)
    axis.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axis.set_ylabel("images")
    axis.margins(y=0.1)  # room for the numbers on the bars
    figure.legend(loc="outside lower center", ncols=len(label_sets))
    return with_caption(figure, "Number of images of each class", description)


def plot_training_history(history: pd.DataFrame, title: str) -> Figure:
    """Loss, accuracy and F1 by epoch in a `TrainingMonitor`'s history, with the best epoch marked."""
    shown = {name: label for name, label in TRAINING_METRICS.items() if name in history}
    figure, axes = figure_with_axes(1, len(shown), height=2.6)
    best = history["val_f1"].idxmax()
    training_colour, validation_colour = palette_colours(2)
    for axis, (name, label) in zip(axes[0], shown.items(), strict=True):
        axis.plot(history.index, history[name], "--", color=training_colour, marker=".", label="training")
        axis.plot(history.index, history[f"val_{name}"], color=validation_colour, marker=".", label="validation")
        axis.axvline(best, color="0.5", linewidth=0.8, linestyle=":")
        axis.set(xlabel="epoch", ylabel=label)
        axis.set_xlim(0.5, len(history) + 0.5)
        axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes[0, 0].legend()
    first, last = history.iloc[0], history.iloc[-1]
    courses = "; ".join(
        f"{label} goes from {first[name]:.4f} to {last[name]:.4f} in training and from {first[f'val_{name}']:.4f} to "
        f"{last[f'val_{name}']:.4f} in validation"
        for name, label in shown.items()
    )
    return with_caption(
        figure,
        f"{title}: training and validation by epoch; the dotted line marks the highest validation F1, at epoch {best}",
        f"{pluralize(len(shown), 'chart')} of {pluralize(len(history), 'epoch')}: {courses}.",
    )


def plot_confusion_matrices(matrices: Mapping[str, np.ndarray], class_names: Iterable[str]) -> Figure:
    """Confusion matrices (classes, classes) by name; errors are shaded by their fraction of the true class."""
    names = list(class_names)
    diagonal = np.eye(len(names), dtype=bool)
    fractions = {name: matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1) for name, matrix in matrices.items()}
    darkest = max(fraction[~diagonal].max() for fraction in fractions.values()) or 1
    count, descriptions = len(matrices), []
    figure, axes = figure_with_axes(1, count, height=0.35 + WIDTH / (1.25 if count == 1 else count))
    for axis, (name, matrix) in zip(axes[0], matrices.items(), strict=True):
        text = np.where(matrix > 0, matrix.astype(str), "")
        heat = {"cmap": "Oranges", "vmin": 0, "vmax": darkest, "cbar": False, "square": True}
        text_size = {"fontsize": 6.5 if count > 1 else 9}
        seaborn.heatmap(fractions[name], mask=diagonal, annot=text, fmt="", ax=axis, annot_kws=text_size, **heat)
        for index in range(len(names)):
            axis.text(index + 0.5, index + 0.5, text[index, index], ha="center", va="center", color="0.35", **text_size)
        axis.set_xticks(np.arange(len(names)) + 0.5, names, rotation=0 if max(map(len, names)) < 3 else 45, ha="center")
        axis.set_yticks(np.arange(len(names)) + 0.5, names, rotation=0)
        wrong = f"{matrix.sum() - np.trace(matrix):,} of {matrix.sum():,} wrong"
        axis.set(title=f"{name}: {wrong}", xlabel="predicted")
        most = ", ".join(f"{pair} ({number:,})" for pair, number in confused_pairs(matrix, names)[:3].items())
        descriptions.append(f"{name}, {wrong}, most often confused {most}")
    axes[0, 0].set_ylabel("true class")
    return with_caption(
        figure,
        f"Confusion {'matrices' if count > 1 else 'matrix'}: rows are true classes, columns predicted "
        "classes; the darker an error, the larger its fraction of the true class",
        f"Heat maps of {len(names)} by {len(names)} classes: {'; '.join(descriptions)}.",
    )


def plot_mistakes(
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Iterable[str],
    count: int = 12,
    first: int = 0,
) -> Figure:
    """The `count` most confident misclassified images after the `first` ones, the most confident first."""
    names = list(class_names)
    predictions = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predictions != labels)
    chosen = wrong[np.argsort(-probabilities[wrong, predictions[wrong]], kind="stable")][first : first + count]
    columns = 6
    rows = max(1, -(-len(chosen) // columns))
    figure, axes = image_axes(rows, columns, height=0.3 + 1.65 * rows)
    descriptions = []
    for axis, index in zip(axes.ravel(), chosen, strict=False):
        draw_image(axis, images[index])
        true, predicted = (
            f"{names[one]} ({probabilities[index, one]:.1%})" for one in (labels[index], predictions[index])
        )
        axis.set_title(f"true: {true}\npredicted:\n{predicted}", fontsize=6.5)
        descriptions.append(f"{true} predicted as {predicted}")
    if not len(chosen):
        return with_caption(figure, "No mistakes in these predictions", "No mistakes, so no images.")
    if first:
        caption = f"Mistakes {first + 1} to {first + len(chosen)} of {len(wrong):,}, the most confident first"
    else:
        caption = f"The {len(chosen)} most confident of {pluralize(len(wrong), 'mistake')}"
    return with_caption(
        figure,
        f"{caption}; the probability of the class in brackets",
        f"Images with their true class and prediction: {'; '.join(descriptions)}.",
    )


def plot_activations(negative_slope: float = 0.1) -> Figure:
    """Sigmoid, ReLU and leaky ReLU on the left, their derivatives on the right."""
    x = np.linspace(-4, 4, 801)
    sigmoid = 1 / (1 + np.exp(-x))
    curves = {
        "sigmoid": (sigmoid, sigmoid * (1 - sigmoid)),
        "ReLU": (np.maximum(x, 0), (x > 0).astype(float)),
        f"leaky ReLU, slope {negative_slope:g}": (
            np.where(x > 0, x, negative_slope * x),
            np.where(x > 0, 1, negative_slope),
        ),
    }
    figure, axes = figure_with_axes(1, 2, height=2.6)
    for (name, parts), style, colour in zip(curves.items(), (":", "-", "--"), palette_colours(3), strict=True):
        for axis, values in zip(axes[0], parts, strict=True):
            axis.plot(x, values, style, color=colour, label=name)
    axes[0, 0].set(xlabel="x", ylabel="activation", title="Activation functions")
    axes[0, 1].set(xlabel="x", ylabel="derivative", title="Their derivatives")
    axes[0, 0].legend()
    return with_caption(
        figure,
        "Activation functions and their derivatives",
        "Two charts from -4 to 4. The sigmoid rises from 0 to 1, its derivative is at most 0.25. ReLU is 0 below 0 "
        f"and x above, its derivative jumps from 0 to 1. Leaky ReLU has the slope {negative_slope:g} below 0 and 1 "
        "above.",
    )


def plot_gradient_norms(norms: Mapping[str, pd.Series]) -> Figure:
    """Gradient norms by layer, from `gradient_norms`, on a logarithmic scale: one line for each network's name."""
    figure, axes = figure_with_axes(1, 1, height=2.8)
    axis = axes[0, 0]
    styles, colours = itertools.cycle(("o:", "s-", "^--", "D-.")), palette_colours(len(norms))
    for (name, series), style, colour in zip(norms.items(), styles, colours, strict=False):
        axis.plot(series.index, series, style, color=colour, label=name)
    axis.set_yscale("log")
    axis.set_xticks(next(iter(norms.values())).index)
    axis.set(xlabel="layer (1 is next to the image)", ylabel="norm of the gradient")
    axis.legend()
    ends = "; ".join(
        f"{name} {series.iloc[0]:.2g} in layer {series.index[0]} and {series.iloc[-1]:.2g} in layer {series.index[-1]}"
        for name, series in norms.items()
    )
    return with_caption(
        figure,
        "Norm of the gradient of the loss with respect to each layer's weights",
        f"Lines on a logarithmic scale, by layer: {ends}.",
    )


def plot_filters(model: keras.Model) -> Figure:
    """The kernels of the first convolution, first input channel, on one scale around zero."""
    layer = next((layer for layer in model.layers if type(layer).__name__ == "Conv2D"), None)
    if layer is None:
        return empty_figure(f"{model.name} has no layer Conv2D, so there are no filters to show")
    kernels = np.asarray(layer.kernel)[:, :, 0]
    height, width, filters = kernels.shape
    columns = min(filters, 12)
    rows = math.ceil(filters / columns)
    figure, axes = image_axes(rows, columns, height=0.4 + 0.62 * rows)
    largest = np.abs(kernels).max()
    for number, axis in zip(range(filters), axes.ravel(), strict=False):
        drawn = draw_image(axis, kernels[..., number], cmap="PuOr", vmin=-largest, vmax=largest)
        axis.set_title(str(number + 1), fontsize=7)
    figure.colorbar(drawn, ax=axes, shrink=0.9, aspect=10)
    return with_caption(
        figure,
        f"The {pluralize(filters, 'filter')} of {height} x {width} pixels of {model.name}'s first convolution",
        "Small squares, one for each filter, orange where a weight is negative and purple where it is positive; the "
        f"largest absolute value is {largest:.2f}.",
    )
