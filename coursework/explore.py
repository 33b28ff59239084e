"""Explore a trained model: widgets in a notebook, and a static figure in a PDF or a headless kernel.

`mistakes`, `feature_maps`, `class_activation`, `reliability`, `embeddings` and `perturbation` return a `panel.Panel`,
or its static figure in a headless kernel. None of them changes the model. `images` are (n, height, width, channels)
uint8 to choose from, `labels` (n,) class indices, and `probabilities` (n, classes).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from coursework import evaluation, figures
from coursework.backend import keras
from coursework.figures import draw_image, empty_figure, figure_with_axes, image_axes, palette_colours, with_caption
from coursework.inspection import gradient_class_activation, penultimate_features, perturb, project_2d
from coursework.models import predict_probabilities
from coursework.panel import Menu, Slider, show
from coursework.text import pluralize

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PIXELS = {"vmin": 0, "vmax": 255}
"""The range of the pixels of an image."""
MISTAKES_PER_PAGE = 12
ACTIVATION_LAYERS = tuple(getattr(keras.layers, name) for name in ["ReLU", "LeakyReLU", "PReLU", "ELU", "Activation"])


def mistakes(images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, class_names: Iterable[str]) -> Any:
    """Browse the wrong predictions, the most confident first, by true and by predicted class."""
    names = list(class_names)
    predictions = probabilities.argmax(axis=1)
    pages = max(1, math.ceil((predictions != labels).sum() / MISTAKES_PER_PAGE))

    def draw(true: int | None, predicted: int | None, page: int) -> Figure:
        wanted = predictions != labels
        if true is not None:
            wanted &= labels == true
        if predicted is not None:
            wanted &= predictions == predicted
        first = MISTAKES_PER_PAGE * (min(page, max(1, math.ceil(wanted.sum() / MISTAKES_PER_PAGE))) - 1)
        figure = figures.plot_mistakes(
            images[wanted], labels[wanted], probabilities[wanted], names, MISTAKES_PER_PAGE, first
        )
        classes = {"true": true, "predicted": predicted}
        if chosen := ", ".join(f"{what} {names[number]}" for what, number in classes.items() if number is not None):
            figure.caption += f" ({chosen})"
        return figure

    classes = _any_of(names)
    return show(
        draw,
        true=Menu("true class", classes),
        predicted=Menu("predicted class", classes),
        page=Slider("page", 1, pages, start=1),
    )


def feature_maps(model: keras.Model, images: np.ndarray, columns: int = 12) -> Any:
    """The feature maps of an image: the first ones of each layer, or all of one layer."""
    layers = _feature_layers(model)
    if not layers:
        return empty_figure(f"{model.name} has no convolution, so there are no feature maps to show")
    observer = keras.Model(model.inputs[0], {name: layer.output for name, layer in layers.items()})

    def draw(image: int, layer: str | None) -> Figure:
        outputs = observer(images[image : image + 1], training=False)
        maps = {name: np.asarray(outputs[name])[0] for name in layers}
        if layer is not None:
            starts = range(0, maps[layer].shape[-1], columns)
            maps = {f"from {start + 1}": maps[layer][..., start : start + columns] for start in starts}
        figure, axes = image_axes(1 + len(maps), 1, height=0.3 + 0.5 * (1 + len(maps)))
        rows = {"image": np.squeeze(images[image])[..., np.newaxis]} | maps
        for axis, (name, values) in zip(axes[:, 0], rows.items(), strict=True):
            row = _side_by_side(values[..., :columns], columns)
            if name == "image":
                draw_image(axis, np.nan_to_num(row), vmin=0, vmax=1)
            else:
                draw_image(axis, row, vmin=0, vmax=1, cmap="viridis")
            title = {"ha": "right", "va": "center", "fontsize": 6.5, "transform": axis.transAxes}
            axis.text(-0.01, 0.5, name.replace(", ", "\n"), **title)
        shown = f"the first {columns} feature maps of each layer"
        if layer is not None:
            shown = f"the feature maps of layer {layer}"
        return with_caption(
            figure,
            f"An image and {shown} of {model.name}, each scaled to its own range: the brighter, the stronger the "
            "activation",
            f"Image {image}, and below it rows of feature maps: {', '.join(layers if layer is None else [layer])}.",
        )

    choices = {"all": None} | {name: name for name in layers}
    return show(draw, image=Slider("image", 0, len(images) - 1), layer=Menu("layer", choices))


def class_activation(
    model: keras.Model, images: np.ndarray, labels: np.ndarray, class_names: Iterable[str], columns: int = 6
) -> Any:
    """The regions of images that support a class, by Grad-CAM (`gradient_class_activation`)."""
    names, layers = list(class_names), _feature_layers(model)
    if not layers:
        return empty_figure(f"{model.name} has no convolution, which Grad-CAM needs")
    fine = [name for name, layer in layers.items() if layer.output.shape[1] >= 7] or list(layers)
    ordered = {fine[-1]: layers[fine[-1]]} | layers

    def draw(image: int, asked: int | None, layer: Any) -> Figure:
        shown = slice(image, image + columns)
        probabilities = np.asarray(model(images[shown], training=False))
        classes = probabilities.argmax(axis=1) if asked is None else np.full(len(probabilities), asked)
        activation = gradient_class_activation(model, images[shown], classes, layer)
        figure, axes = image_axes(2, columns, height=2.2)
        descriptions = []
        for number, (picture, heat) in enumerate(zip(images[shown], activation, strict=True)):
            height, width = picture.shape[:2]
            above, below = axes[:, number]
            draw_image(above, picture, **PIXELS)
            above.set_title(f"true: {names[labels[image + number]]}", fontsize=7)
            draw_image(below, picture, **PIXELS)
            look = {"cmap": "inferno", "alpha": 0.6, "vmin": 0, "vmax": 1, "interpolation": "bilinear"}
            below.imshow(heat, extent=(-0.5, width - 0.5, height - 0.5, -0.5), **look)
            title = f"{names[classes[number]]} ({probabilities[number, classes[number]]:.1%})"
            below.set_title(title, fontsize=7)
            row, column = np.unravel_index(heat.argmax(), heat.shape)
            vertical = ("top", "middle", "bottom")[3 * row // heat.shape[0]]
            horizontal = ("left", "centre", "right")[3 * column // heat.shape[1]]
            strongest = f"strongest at the {vertical} {horizontal}" if heat.any() else "no region supports it"
            descriptions.append(f"{title}, {strongest}")
        what = "the predicted class" if asked is None else names[asked]
        return with_caption(
            figure,
            f"Images, and below them the regions that support {what}, by Grad-CAM at layer {layer.name} of "
            f"{model.name}",
            f"{pluralize(len(descriptions), 'image')}: {'; '.join(descriptions)}.",
        )

    return show(
        draw,
        image=Slider("first image", 0, max(0, len(images) - columns)),
        asked=Menu("class", _any_of(names, "predicted class")),
        layer=Menu("layer", ordered),
    )


def reliability(labels: np.ndarray, probabilities: Mapping[str, np.ndarray]) -> Any:
    """Reliability diagrams of one or more models by name, with the expected calibration errors (see `calibration`)."""

    def draw(model: str | None, bins: int) -> Figure:
        shown = probabilities if model is None else {model: probabilities[model]}
        figure, axes = figure_with_axes(1, max(2, len(shown)), height=2.1, sharey=True)
        bar_colour, dot_colour = palette_colours(2)
        descriptions = []
        if len(shown) == 1:
            axes[0, 1].axis("off")
        for axis, (name, predicted) in zip(axes[0], shown.items(), strict=False):
            table = evaluation.calibration(labels, predicted, bins)
            style = {"width": 1 / bins, "color": bar_colour, "edgecolor": "white", "label": "accuracy"}
            axis.bar(table["low"] + 0.5 / bins, table["accuracy"].fillna(0), **style)
            axis.plot(table["confidence"], table["confidence"], "o", color=dot_colour, markersize=3, label="confidence")
            axis.plot([0, 1], [0, 1], ":", color="0.3", linewidth=1)
            error = table.attrs["expected_error"]
            axis.set_title(f"{name}\nexpected calibration error {error:.3f}", fontsize=8)
            axis.set(xlabel="confidence", xlim=(0, 1), ylim=(0, 1))
            confidence, accuracy = predicted.max(axis=1).mean(), (predicted.argmax(axis=1) == labels).mean()
            means = f"mean confidence {confidence:.3f}, accuracy {accuracy:.3f}"
            descriptions.append(f"{name}: expected calibration error {error:.3f}, {means}")
        axes[0, 0].set_ylabel("accuracy")
        axes[0, 0].legend(fontsize=7, loc="upper left")
        return with_caption(
            figure,
            f"Reliability diagrams with {bins} bins: predictions are overconfident where a bar ends below the dotted "
            "line, and underconfident where it ends above",
            "; ".join(descriptions) + ".",
        )

    choices = ({"all": None} if len(probabilities) > 1 else {}) | {name: name for name in probabilities}
    return show(draw, model=Menu("model", choices), bins=Slider("bins", 5, 30, start=15))


def embeddings(
    model: keras.Model, images: np.ndarray, labels: np.ndarray, class_names: Iterable[str], count: int = 1000
) -> Any:
    """The penultimate features of the first `count` images in two dimensions, with thumbnails of misclassified ones."""
    names = list(class_names)
    images, labels = images[:count], labels[:count]
    features = penultimate_features(model, images)
    probabilities = predict_probabilities(model, images)
    predictions = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predictions != labels)
    wrong = wrong[np.argsort(-probabilities[wrong, predictions[wrong]], kind="stable")]
    project = functools.cache(functools.partial(project_2d, features))

    def draw(projection: str, only: int | None, pictures: int) -> Figure:
        from matplotlib.offsetbox import AnnotationBbox, OffsetImage
        from matplotlib.patheffects import withStroke

        points = project(projection)
        figure, axes = figure_with_axes(1, 1, height=3.3)
        axis = axes[0, 0]
        for number, (name, colour) in enumerate(zip(names, palette_colours(len(names)), strict=True)):
            own = points[labels == number]
            faint = only is not None and number != only
            axis.scatter(*own.T, s=7, color=colour, alpha=0.15 if faint else 0.8, linewidths=0, rasterized=True)
            if len(own) and not faint:
                text = {"ha": "center", "va": "center", "fontsize": 9, "fontweight": "bold", "zorder": 5}
                outline = [withStroke(linewidth=2.5, foreground="white")]
                axis.text(*np.median(own, axis=0), name, color="black", path_effects=outline, **text)
        chosen = [index for index in wrong if only is None or only in (labels[index], predictions[index])]
        words = []
        for index in chosen[:pictures]:
            picture = OffsetImage(np.squeeze(images[index]), zoom=0.42, cmap="gray_r")
            frame = {"edgecolor": palette_colours(len(names))[predictions[index]], "linewidth": 1.2}
            axis.add_artist(AnnotationBbox(picture, points[index], pad=0.1, bboxprops=frame, zorder=4))
            words.append(f"{names[labels[index]]} predicted as {names[predictions[index]]}")
        axis.set(xticks=[], yticks=[])
        axis.margins(0.04)
        most_confident = "the most confident " if len(words) < len(chosen) else ""
        return with_caption(
            figure,
            f"Penultimate features of {pluralize(len(images), 'image')} in {model.name}, projected by {projection}, "
            "with each class name at its median; thumbnails: "
            f"{most_confident}{len(words)} of {pluralize(len(chosen), 'mistake')}, framed in the colour of the "
            "predicted class",
            f"A scatter plot of {pluralize(len(images), 'point')} in {len(names)} colours. Thumbnails: "
            f"{'; '.join(words) or 'none'}.",
        )

    return show(
        draw,
        projection=Menu("projection", {"t-SNE": "t-SNE", "PCA": "PCA"}),
        only=Menu("class", _any_of(names, "all")),
        pictures=Slider("pictures", 0, max(1, min(60, len(wrong))), start=min(25, len(wrong))),
    )


PERTURBATIONS = {
    "shift to the right": ("right", (0, 1, 2, 3, 4, 6, 8), "{:g} pixels"),
    "rotation": ("angle", (0, 10, 20, 30, 45, 90, 180), "{:g}°"),
    "noise": ("noise", (0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5), "{:g}"),
}
"""What the static figure of `perturbation` shows: label, argument of `perturb`, its values and their format."""


def perturbation(model: keras.Model, images: np.ndarray, labels: np.ndarray, class_names: Iterable[str]) -> Any:
    """Robustness to shift, rotation and noise: perturb an image and watch the prediction.

    The static figure takes the first correctly classified one of the first hundred.
    """
    names = list(class_names)
    correct = predict_probabilities(model, images[:100]).argmax(axis=1) == labels[:100]
    start = int(correct.argmax())

    def draw(image: int, right: int, down: int, angle: int, noise: float) -> Figure:
        pictures = np.stack([images[image], perturb(images[image], right, down, angle, noise)])
        before, after = np.asarray(model(pictures, training=False))
        figure, axes = figure_with_axes(1, 3, height=2.7, width_ratios=(1, 1, 1.6))
        titles = (f"true: {names[labels[image]]}", "perturbed")
        for axis, picture, title in zip(axes[0], pictures, titles, strict=False):
            axis.axis("off")
            draw_image(axis, picture, **PIXELS)
            axis.set_title(title, fontsize=9)
        axis, positions, (first, second) = axes[0, 2], np.arange(len(names)), palette_colours(2)
        axis.barh(positions - 0.2, before, 0.4, color=first, label="original")
        axis.barh(positions + 0.2, after, 0.4, color=second, label="perturbed", hatch="//", edgecolor="white")
        axis.set_yticks(positions, names, fontsize=7)
        axis.set(xlim=(0, 1), xlabel="probability")
        axis.invert_yaxis()
        axis.legend(fontsize=7)
        results = [f"{names[part.argmax()]} ({part.max():.1%})" for part in (before, after)]
        return with_caption(
            figure,
            f"Image {image} is predicted as {results[0]}, the perturbed image as {results[1]}",
            "The original and the perturbed image, and bars with the probability of each class. "
            f"Original: {results[0]}; perturbed: {results[1]}.",
        )

    def static() -> Figure:
        columns = len(next(iter(PERTURBATIONS.values()))[1])
        figure, axes = figure_with_axes(len(PERTURBATIONS), columns, height=1.05 * len(PERTURBATIONS))
        descriptions = []
        for row, (what, (argument, values, form)) in zip(axes, PERTURBATIONS.items(), strict=True):
            pictures = np.stack([perturb(images[start], **{argument: value}) for value in values])
            probabilities = predict_probabilities(model, pictures)
            for axis, value, picture, predicted in zip(row, values, pictures, probabilities, strict=True):
                axis.set(xticks=[], yticks=[])
                draw_image(axis, picture, **PIXELS)
                wrong = predicted.argmax() != labels[start]
                result = f"{names[predicted.argmax()]} ({predicted.max():.0%})"
                weight, width, colour = ("bold", 2, palette_colours(4)[3]) if wrong else ("normal", 0.5, "0.6")
                axis.set_title(f"{form.format(value)}\n{result}", fontsize=6.5, fontweight=weight)
                axis.spines[:].set(linewidth=width, color=colour)
                descriptions.append(f"{what} {form.format(value)}: {result}")
            row[0].set_ylabel(what, fontsize=7)
        return with_caption(
            figure,
            f"Predictions of {model.name} for an image of the class {names[labels[start]]} under growing "
            "perturbations; wrong predictions have a thick frame",
            f"{'; '.join(descriptions)}.",
        )

    return show(
        draw,
        static,
        image=Slider("image", 0, len(images) - 1, start=start),
        right=Slider("to the right", -10, 10),
        down=Slider("down", -10, 10),
        angle=Slider("angle", -180, 180, step=5),
        noise=Slider("noise", 0, 0.5, step=0.02),
    )


def _any_of(class_names: Iterable[str], first: str = "any") -> dict[str, int | None]:
    """Choices for a menu: no class, or one of the classes by its name."""
    return {first: None} | {name: number for number, name in enumerate(class_names)}


def _feature_layers(model: keras.Model) -> dict[str, Any]:
    """The layers whose outputs are feature maps after the non-linearity, by name, in order."""
    spatial = [layer for layer in model.layers if len(layer.output.shape) == 4]
    convolutions = [layer for layer in spatial if type(layer).__name__.endswith("Conv2D")]
    non_linear = [layer for layer in convolutions if layer.activation is not keras.activations.linear]
    activations = [layer for layer in spatial if isinstance(layer, ACTIVATION_LAYERS)]
    chosen = [layer for layer in spatial if layer in non_linear + activations] or convolutions
    return {
        f"{number}: {layer.name}, {layer.output.shape[1]} x {layer.output.shape[2]}": layer
        for number, layer in enumerate(chosen, start=1)
    }


def _side_by_side(maps: np.ndarray, columns: int) -> np.ndarray:
    """Maps (height, width, n) in a row with room for `columns` of them, each scaled to its own range, from 0 to 1."""
    height, width, channels = maps.shape
    lowest, highest = maps.min(axis=(0, 1)), maps.max(axis=(0, 1))
    scaled = (maps - lowest) / np.where(highest > lowest, highest - lowest, 1)
    gap = max(1, round(width / 10))
    row = np.full((height, columns, width + gap), np.nan)
    row[:, :channels, :width] = scaled.transpose(0, 2, 1)
    return row.reshape(height, -1)[:, :-gap]
