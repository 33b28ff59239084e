"""Looking at a trained model: menus and sliders in a notebook, and figures in what is printed.

`mistakes`, `feature_maps`, `class_activation`, `reliability`, `embeddings` and `what_if` show controls and a picture that follows them; in a
kernel that nobody looks at (`utilities.headless`), and in a PDF of a notebook that was run by hand, the picture alone. Nothing here
changes a model. A change of this file trains no network again, unlike one of `utilities.py`.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import html
import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import utilities
from utilities import counted, described, figure_with_axes

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

IMAGES = {"cmap": "gray_r", "interpolation": "nearest", "vmin": 0, "vmax": 255}
"""How an image of the data is drawn: ink is dark."""


# --- Controls and the picture below them ----------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Menu:
    """A choice of one value by its name; the first is what it begins with."""

    label: str
    choices: Mapping[str, Any]

    @property
    def start(self) -> Any:
        return next(iter(self.choices.values()))

    def widget(self, style: Mapping[str, str]):
        import ipywidgets

        return ipywidgets.Dropdown(options=list(self.choices), description=self.label, style=style)

    def value(self, shown: str) -> Any:
        """What is chosen, where the widget shows a name."""
        return self.choices[shown]


@dataclasses.dataclass(frozen=True)
class Slider:
    """A number from `low` to `high` in steps; a step that is no integer makes it a fraction."""

    label: str
    low: float
    high: float
    step: float = 1
    start: float = 0

    def widget(self, style: Mapping[str, str]):
        import ipywidgets

        kind = ipywidgets.IntSlider if isinstance(self.step, int) else ipywidgets.FloatSlider
        return kind(self.start, min=self.low, max=self.high, step=self.step, description=self.label, style=style)

    def value(self, shown: float) -> float:
        """What is chosen."""
        return shown


def show(draw: Callable[..., Figure], still: Callable[[], Figure] | None = None, **controls: Menu | Slider) -> Any:
    """Controls above a picture that is drawn anew for every change of theirs.

    Args:
        draw: makes the figure from the controls' values, which are its arguments by name.
        still: makes the figure for a page, where nothing can be moved; by default `draw` with the values at the start.
        controls: by the name of the argument.

    Returns:
        What a notebook shows when it is a cell's last line: a widget, or a figure if nobody looks.
    """
    if still is None:
        still = functools.partial(draw, **{name: control.start for name, control in controls.items()})
    return still() if utilities.headless() else _panel_class()(draw, still, controls)


@functools.cache
def _panel_class() -> type:
    """Defined when it is first asked for: a kernel that nobody looks at needs no widgets."""
    import ipywidgets

    class Panel(ipywidgets.VBox):
        """The controls and the picture. Where widgets can't be shown, such as in a PDF, it is the figure for a page."""

        def __init__(self, draw: Callable[..., Figure], still: Callable[[], Figure], controls: Mapping[str, Any]):
            style = {"description_width": "initial"}
            self.controls, self._draw, self._still = controls, draw, still
            self.widgets = {name: control.widget(style) for name, control in controls.items()}
            self.picture = ipywidgets.HTML()
            row = ipywidgets.HBox(list(self.widgets.values()), layout={"flex_flow": "row wrap"})
            super().__init__([row, self.picture])
            for widget in self.widgets.values():
                widget.observe(self._changed, names="value")
            self._changed()

        def _changed(self, _change: Any = None) -> None:
            try:
                values = {name: self.controls[name].value(widget.value) for name, widget in self.widgets.items()}
                self.picture.value = _picture(self._draw(**values))
            except Exception as error:  # in a callback it would be seen in the server's log alone
                self.picture.value = f"<pre>{html.escape(f'{type(error).__name__}: {error}')}</pre>"

        def _repr_mimebundle_(self, **options: Any) -> tuple[dict, dict]:
            data, about = self._still()._repr_mimebundle_()
            return data | super()._repr_mimebundle_(**options) | {"text/plain": data["text/plain"]}, about

    return Panel


def _picture(figure: Figure) -> str:
    """A figure as HTML, with its caption below it and its description in place of it for who can't see it."""
    source = base64.b64encode(figure.svg().encode()).decode()
    return (
        f'<figure style="margin: 0"><img src="data:image/svg+xml;base64,{source}" alt="{html.escape(figure.description)}" '
        f'style="max-width: 100%; background: white"><figcaption>{html.escape(figure.caption)}</figcaption></figure>'
    )


def _any_of(class_names: Iterable[str], first: str = "any") -> dict[str, int | None]:
    """The choices of a class by its name, or of none."""
    return {first: None} | {name: number for number, name in enumerate(class_names)}


# --- Mistakes -------------------------------------------------------------------------------------

MISTAKES_A_PAGE = 12


def mistakes(images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, class_names: Iterable[str]) -> Any:
    """Browse the wrong predictions, the most confident first, by true and by predicted class.

    Args:
        images: (n, height, width) or (n, height, width, 1).
        labels: (n,) class indices.
        probabilities: (n, classes).
    """
    names = list(class_names)
    predictions = probabilities.argmax(axis=1)
    pages = max(1, math.ceil((predictions != labels).sum() / MISTAKES_A_PAGE))

    def draw(true: int | None, predicted: int | None, page: int) -> Figure:
        wanted = predictions != labels
        if true is not None:
            wanted &= labels == true
        if predicted is not None:
            wanted &= predictions == predicted
        first = MISTAKES_A_PAGE * (min(page, max(1, math.ceil(wanted.sum() / MISTAKES_A_PAGE))) - 1)
        figure = utilities.plot_mistakes(
            images[wanted], labels[wanted], probabilities[wanted], names, MISTAKES_A_PAGE, first
        )
        chosen = [
            f"{what} {names[number]}" for what, number in (("true", true), ("read as", predicted)) if number is not None
        ]
        return described(
            figure, f"{figure.caption}{' (' + ', '.join(chosen) + ')' if chosen else ''}", figure.description
        )

    classes = _any_of(names)
    return show(
        draw,
        true=Menu("true class", classes),
        predicted=Menu("read as", classes),
        page=Slider("page", 1, pages, start=1),
    )


# --- What a network sees --------------------------------------------------------------------------


def plot_filters(model: keras.Model) -> Figure:
    """The kernels of the first convolution, first input channel, on one scale around zero."""
    layer = next((layer for layer in model.layers if _is_convolution(layer)), None)
    if layer is None:
        return _nothing_to_show(f"{model.name} has no layer Conv2D, so there are no filters to show")
    kernels = np.asarray(layer.kernel)[:, :, 0]
    height, width, filters = kernels.shape
    columns = min(filters, 12)
    rows = math.ceil(filters / columns)
    figure, axes = figure_with_axes(rows, columns, height=0.4 + 0.62 * rows)
    largest = np.abs(kernels).max()
    for axis in axes.ravel():
        axis.axis("off")
    for number, axis in zip(range(filters), axes.ravel(), strict=False):
        drawn = axis.imshow(kernels[..., number], cmap="PuOr", vmin=-largest, vmax=largest, interpolation="nearest")
        axis.set_title(str(number + 1), fontsize=7)
    figure.colorbar(drawn, ax=axes, shrink=0.9, aspect=10)
    return described(
        figure,
        f"The {counted(filters, 'filter')} of {height} x {width} pixels of {model.name}'s first convolution",
        f"Small squares, one for each filter, orange where a weight is negative and purple where it is positive; the largest is {largest:.2f}.",
    )


def _is_convolution(layer: Any) -> bool:
    return type(layer).__name__ == "Conv2D"


def _nothing_to_show(reason: str) -> Figure:
    """A figure that says why there is no picture."""
    figure, axes = figure_with_axes(1, 1, height=0.6)
    axes[0, 0].axis("off")
    axes[0, 0].text(0.5, 0.5, reason, ha="center", va="center")
    return described(figure, reason, f"No picture: {reason}.")


def _feature_layers(model: keras.Model) -> dict[str, Any]:
    """The layers whose outputs are feature maps after the non-linearity, by name, in order."""
    spatial = [layer for layer in model.layers if len(layer.output.shape) == 4]
    keras = utilities._import_keras()
    linear = keras.activations.linear
    non_linear = [
        layer
        for layer in spatial
        if (type(layer).__name__.endswith("Conv2D") and layer.activation is not linear)
        or isinstance(
            layer,
            keras.layers.ReLU
            | keras.layers.LeakyReLU
            | keras.layers.PReLU
            | keras.layers.ELU
            | keras.layers.Activation,
        )
    ]
    chosen = non_linear or [layer for layer in spatial if type(layer).__name__.endswith("Conv2D")]
    return {
        f"{number}: {layer.name}, {layer.output.shape[1]} x {layer.output.shape[2]}": layer
        for number, layer in enumerate(chosen, start=1)
    }


def feature_maps(model: keras.Model, images: np.ndarray, columns: int = 12) -> Any:
    """What each layer makes of an image: its feature maps, layer by layer or all of one layer.

    Args:
        images: (n, height, width, channels) uint8 to choose from.
        columns: feature maps to a row.
    """
    layers = _feature_layers(model)
    if not layers:
        return _nothing_to_show(f"{model.name} has no convolution, so there are no feature maps to show")
    observer = utilities._import_keras().Model(model.inputs[0], [layer.output for layer in layers.values()])

    def draw(image: int, layer: str | None) -> Figure:
        outputs = observer(images[image : image + 1], training=False)
        outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
        maps = {name: np.asarray(output)[0] for name, output in zip(layers, outputs, strict=True)}
        if layer is not None:
            starts = range(0, maps[layer].shape[-1], columns)
            maps = {f"from {start + 1}": maps[layer][..., start : start + columns] for start in starts}
        figure, axes = figure_with_axes(1 + len(maps), 1, height=0.3 + 0.5 * (1 + len(maps)))
        rows = {"image": np.squeeze(images[image])[..., np.newaxis]} | maps
        for axis, (name, values) in zip(axes[:, 0], rows.items(), strict=True):
            axis.axis("off")
            look = {"cmap": "gray_r" if name == "image" else "viridis", "interpolation": "nearest"}
            row = _side_by_side(values[..., :columns], columns)
            axis.imshow(np.nan_to_num(row) if name == "image" else row, vmin=0, vmax=1, **look)
            title = name.replace(", ", "\n")
            axis.text(-0.01, 0.5, title, transform=axis.transAxes, ha="right", va="center", fontsize=6.5)
        shown = (
            f"the first {columns} feature maps of each layer" if layer is None else f"the feature maps of layer {layer}"
        )
        return described(
            figure,
            f"An image and {shown} of {model.name}, each on a scale of its own: the brighter, the stronger the filter answers",
            f"Image number {image}, and below it rows of small pictures: {', '.join(layers if layer is None else [layer])}.",
        )

    choices = {"all": None} | {name: name for name in layers}
    return show(draw, image=Slider("image", 0, len(images) - 1), layer=Menu("layer", choices))


def _side_by_side(maps: np.ndarray, columns: int) -> np.ndarray:
    """Maps (height, width, n) in a row with room for `columns` of them, each on a scale of its own from 0 to 1."""
    height, width, channels = maps.shape
    lowest, highest = maps.min(axis=(0, 1)), maps.max(axis=(0, 1))
    scaled = (maps - lowest) / np.where(highest > lowest, highest - lowest, 1)
    gap = max(1, round(width / 10))
    row = np.full((height, columns, width + gap), np.nan)
    row[:, :channels, :width] = scaled.transpose(0, 2, 1)
    return row.reshape(height, -1)[:, :-gap]


def gradient_class_activation(model: keras.Model, images: np.ndarray, classes: np.ndarray, layer: Any) -> np.ndarray:
    """Where in an image a class is seen: Grad-CAM.

    The feature maps of a layer are weighted by the mean gradient of the class's score, and added; what speaks against the class is cut
    off. The score is what the softmax is given if it is part of a dense last layer, and else the logarithm of the probability.

    Args:
        model: gives probabilities.
        images: (n, height, width, channels) uint8.
        classes: (n,) class indices.
        layer: of the model, with an output (rows, columns, channels).

    Returns:
        (n, rows, columns), from 0 to 1 for each image; all 0 where nothing speaks for the class.

    Source: Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization, 2017.
    """
    import tensorflow as tf

    last = model.layers[-1]
    dense = type(last).__name__ == "Dense"
    observer = utilities._import_keras().Model(model.inputs[0], [layer.output, last.input if dense else last.output])
    with tf.GradientTape() as tape:
        maps, hidden = observer(images, training=False)
        scores = tf.linalg.matmul(hidden, last.kernel) if dense else tf.math.log(tf.maximum(hidden, 1e-30))
        scores = scores + last.bias if dense and last.use_bias else scores
        chosen = tf.reduce_sum(scores * tf.one_hot(classes, scores.shape[-1]))
    weights = tf.reduce_mean(tape.gradient(chosen, maps), axis=(1, 2), keepdims=True)
    activation = np.maximum(np.asarray(tf.reduce_sum(weights * maps, axis=-1)), 0)
    largest = activation.max(axis=(1, 2), keepdims=True)
    return activation / np.where(largest > 0, largest, 1)


def class_activation(
    model: keras.Model, images: np.ndarray, labels: np.ndarray, class_names: Iterable[str], columns: int = 6
) -> Any:
    """The parts of an image that speak for a class, by `gradient_class_activation`.

    Args:
        images: (n, height, width, channels) uint8 to choose from.
        labels: (n,) class indices.
        columns: images side by side.
    """
    names, layers = list(class_names), _feature_layers(model)
    if not layers:
        return _nothing_to_show(f"{model.name} has no convolution, so what it looks at can't be shown by Grad-CAM")
    fine = [name for name, layer in layers.items() if layer.output.shape[1] >= 7] or list(layers)
    ordered = {name: layers[name] for name in [fine[-1], *(name for name in layers if name != fine[-1])]}

    def draw(image: int, asked: int | None, layer: Any) -> Figure:
        shown = slice(image, image + columns)
        probabilities = np.asarray(model(images[shown], training=False))
        classes = probabilities.argmax(axis=1) if asked is None else np.full(len(probabilities), asked)
        activation = gradient_class_activation(model, images[shown], classes, layer)
        figure, axes = figure_with_axes(2, columns, height=2.2)
        for axis in axes.ravel():
            axis.axis("off")
        words = []
        for number, picture in enumerate(images[shown]):
            height, width = picture.shape[:2]
            axes[0, number].imshow(np.squeeze(picture), **IMAGES)
            axes[0, number].set_title(f"true: {names[labels[image + number]]}", fontsize=7)
            axes[1, number].imshow(np.squeeze(picture), **IMAGES)
            heat = {"cmap": "inferno", "alpha": 0.6, "vmin": 0, "vmax": 1, "interpolation": "bilinear"}
            axes[1, number].imshow(activation[number], extent=(-0.5, width - 0.5, height - 0.5, -0.5), **heat)
            title = f"{names[classes[number]]} ({probabilities[number, classes[number]]:.1%})"
            axes[1, number].set_title(title, fontsize=7)
            row, column = np.unravel_index(activation[number].argmax(), activation[number].shape)
            places = (("top", "middle", "bottom"), ("left", "centre", "right"))
            where = [
                place[3 * at // size]
                for place, at, size in zip(places, (row, column), activation[number].shape, strict=True)
            ]
            words.append(
                f"{title}, {'strongest at the ' + ' '.join(where) if activation[number].any() else 'nothing speaks for it'}"
            )
        what = "the class that is predicted" if asked is None else names[asked]
        return described(
            figure,
            f"Above, images; below, what in them speaks for {what} (Grad-CAM at layer {layer.name} of {model.name}): the brighter, the more",
            f"{counted(len(words), 'image')}: {'; '.join(words)}.",
        )

    return show(
        draw,
        image=Slider("first image", 0, max(0, len(images) - columns)),
        asked=Menu("class", _any_of(names, "the predicted one")),
        layer=Menu("layer", ordered),
    )


# --- How sure, and whether rightly ----------------------------------------------------------------


def calibration(labels: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> pd.DataFrame:
    """Accuracy beside confidence, the probability of the predicted class, in bins of equal width of the confidence.

    Args:
        labels: (n,) class indices.
        probabilities: (n, classes).

    Returns:
        One row a bin, from the least confident: `low` and `high`, the bin's ends (the upper one belongs to it); `images`; and the means
        `confidence` and `accuracy`, not-a-number of an empty bin. The attribute `attrs["expected_error"]` is the expected calibration
        error: the mean over the images of the distance between the two in their bin.

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = {
            name: np.bincount(place, values, minlength=bins) / counts
            for name, values in (("confidence", confidence), ("accuracy", correct.astype(np.float64)))
        }
    table = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "images": counts} | means)
    distances = (table["confidence"] - table["accuracy"]).abs()
    table.attrs["expected_error"] = float((distances * table["images"]).sum() / len(labels))
    return table


def reliability(labels: np.ndarray, probabilities: Mapping[str, np.ndarray]) -> Any:
    """Reliability diagrams of one or more models, with the expected calibration error of each (see `calibration`).

    Args:
        labels: (n,) class indices.
        probabilities: (n, classes) under the name of each model.
    """

    def draw(model: str | None, bins: int) -> Figure:
        shown = probabilities if model is None else {model: probabilities[model]}
        figure, axes = figure_with_axes(1, max(2, len(shown)), height=2.1, sharey=True)
        ours, line = utilities.colours_of_the_palette(2)
        words = []
        for axis in axes[0, len(shown) :]:
            axis.axis("off")
        for axis, (name, predicted) in zip(axes[0], shown.items(), strict=False):
            table = calibration(labels, predicted, bins)
            width = 1 / bins
            axis.bar(
                table["low"] + width / 2,
                table["accuracy"].fillna(0),
                width,
                color=ours,
                edgecolor="white",
                label="accuracy",
            )
            axis.plot(table["confidence"], table["confidence"], "o", color=line, markersize=3, label="confidence")
            axis.plot([0, 1], [0, 1], ":", color="0.3", linewidth=1)
            error = table.attrs["expected_error"]
            axis.set_title(f"{name}\nexpected calibration error {error:.3f}", fontsize=8)
            axis.set(xlabel="confidence", xlim=(0, 1), ylim=(0, 1))
            mean = predicted.max(axis=1).mean(), (predicted.argmax(axis=1) == labels).mean()
            words.append(
                f"{name}: expected calibration error {error:.3f}, mean confidence {mean[0]:.3f}, accuracy {mean[1]:.3f}"
            )
        axes[0, 0].set_ylabel("accuracy")
        axes[0, 0].legend(fontsize=7, loc="upper left")
        return described(
            figure,
            f"Accuracy of predictions by their confidence, in {bins} bins: a bar that ends below the dotted line is of predictions that "
            "were too sure, one that ends above it of predictions that were not sure enough",
            "; ".join(words) + ".",
        )

    choices = ({"all": None} if len(probabilities) > 1 else {}) | {name: name for name in probabilities}
    return show(draw, model=Menu("model", choices), bins=Slider("bins", 5, 30, start=15))


# --- Where images lie -----------------------------------------------------------------------------


def last_hidden_outputs(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """What a model's last layer is given, (n, units) float32, for images (n, height, width, channels) uint8."""
    observer = utilities._import_keras().Model(model.inputs[0], model.layers[-1].input)
    return observer.predict(images, utilities.PREDICTION_BATCH_SIZE, verbose=0)


def on_a_plane(points: np.ndarray, projection: str) -> np.ndarray:
    """Points (n, dimensions) brought down to (n, 2), the same every time.

    Args:
        projection: "PCA", the plane of the largest variance (Pearson, 1901), or "t-SNE", which keeps neighbours together and makes nothing
            of long distances (van der Maaten and Hinton, 2008).
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # sums in one order
        if projection == "PCA":
            return PCA(2, svd_solver="full").fit_transform(points)
        perplexity = min(30.0, (len(points) - 1) / 3)
        return TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(points)


def embeddings(
    model: keras.Model, images: np.ndarray, labels: np.ndarray, class_names: Iterable[str], count: int = 1000
) -> Any:
    """A map of the images as the last layer is given them, with the wrongly predicted ones as pictures.

    Args:
        images: (n, height, width, channels) uint8; the first `count` are shown.
        labels: (n,) class indices.
    """
    names = list(class_names)
    if len(images) < 4:
        return _nothing_to_show("a map takes at least four images")
    images, labels = images[:count], labels[:count]
    hidden = last_hidden_outputs(model, images)
    probabilities = utilities.predict_probabilities(model, images)
    predictions = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predictions != labels)
    wrong = wrong[np.argsort(-probabilities[wrong, predictions[wrong]], kind="stable")]
    place = functools.cache(functools.partial(on_a_plane, hidden))

    def draw(projection: str, only: int | None, pictures: int) -> Figure:
        from matplotlib.offsetbox import AnnotationBbox, OffsetImage
        from matplotlib.patheffects import withStroke

        points = place(projection)
        figure, axes = figure_with_axes(1, 1, height=3.3)
        axis = axes[0, 0]
        for number, (name, colour) in enumerate(zip(names, utilities.colours_of_the_palette(len(names)), strict=True)):
            own = points[labels == number]
            faint = only is not None and number != only
            axis.scatter(*own.T, s=7, color=colour, alpha=0.15 if faint else 0.8, linewidths=0, rasterized=True)
            if len(own) and not faint:
                text = {"ha": "center", "va": "center", "fontsize": 9, "fontweight": "bold", "zorder": 5}
                outline = [withStroke(linewidth=2.5, foreground="white")]
                axis.text(*np.median(own, axis=0), name, color="black", path_effects=outline, **text)
        chosen = [index for index in wrong if only is None or only in (labels[index], predictions[index])]
        for index in chosen[:pictures]:
            picture = OffsetImage(np.squeeze(images[index]), zoom=0.42, cmap="gray_r")
            colour = utilities.colours_of_the_palette(len(names))[predictions[index]]
            frame = {"edgecolor": colour, "linewidth": 1.2}
            axis.add_artist(AnnotationBbox(picture, points[index], pad=0.1, bboxprops=frame, zorder=4))
        axis.set(xticks=[], yticks=[])
        axis.margins(0.04)
        words = "; ".join(f"{names[labels[index]]} read as {names[predictions[index]]}" for index in chosen[:pictures])
        shown = min(pictures, len(chosen))
        return described(
            figure,
            f"{counted(len(images), 'image')} as the last layer of {model.name} is given them, on a plane by {projection}, each class at its "
            f"median; pictures: {'the most confident ' if shown < len(chosen) else ''}{shown} of {counted(len(chosen), 'mistake')}, framed in "
            "the colour of the class they were read as",
            f"A map of {counted(len(images), 'point')} in {len(names)} colours. Pictures on it: {words or 'none'}.",
        )

    return show(
        draw,
        projection=Menu("projection", {"t-SNE": "t-SNE", "PCA": "PCA"}),
        only=Menu("class", _any_of(names, "all")),
        pictures=Slider("pictures", 0, max(1, min(60, len(wrong))), start=min(25, len(wrong))),
    )


# --- What if --------------------------------------------------------------------------------------


def changed(image: np.ndarray, right: float = 0, down: float = 0, angle: float = 0, noise: float = 0) -> np.ndarray:
    """An image (height, width, channels) uint8 that was turned, then moved, then disturbed; what comes in is background, 0.

    Args:
        right, down: pixels.
        angle: degrees, counterclockwise.
        noise: standard deviation of Gaussian noise, the same for every call, on pixels that go from 0 to 1.
    """
    from scipy import ndimage

    result = image.astype(np.float64)
    if angle:
        result = ndimage.rotate(result, angle, reshape=False, order=1)
    result = ndimage.shift(result, (down, right, 0), order=1)
    result += 255 * noise * np.random.default_rng(0).standard_normal(image.shape)
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)


CHANGES = {
    "moved to the right": ("right", (0, 1, 2, 3, 4, 6, 8), "{:g} pixels"),
    "turned": ("angle", (0, 10, 20, 30, 45, 90, 180), "{:g}°"),
    "noise": ("noise", (0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5), "{:g}"),
}
"""What a page shows of `what_if`."""


def what_if(model: keras.Model, images: np.ndarray, labels: np.ndarray, class_names: Iterable[str]) -> Any:
    """Move, turn or disturb one image and watch the prediction; on a page, one image changed more and more.

    Args:
        images: (n, height, width, channels) uint8 to choose from; a page shows the first of a hundred that is read rightly.
        labels: (n,) class indices.
    """
    names = list(class_names)
    right_ones = utilities.predict_probabilities(model, images[:100]).argmax(axis=1) == labels[:100]
    start = int(right_ones.argmax())

    def draw(image: int, right: int, down: int, angle: int, noise: float) -> Figure:
        pictures = np.stack([images[image], changed(images[image], right, down, angle, noise)])
        before, after = np.asarray(model(pictures, training=False))
        figure, axes = figure_with_axes(1, 3, height=2.7, width_ratios=(1, 1, 1.6))
        for axis, picture, title in zip(axes[0], pictures, (f"true: {names[labels[image]]}", "changed"), strict=False):
            axis.axis("off")
            axis.imshow(np.squeeze(picture), **IMAGES)
            axis.set_title(title, fontsize=9)
        positions, (first, second) = np.arange(len(names)), utilities.colours_of_the_palette(2)
        axes[0, 2].barh(positions - 0.2, before, 0.4, color=first, label="as it is")
        axes[0, 2].barh(positions + 0.2, after, 0.4, color=second, label="changed", hatch="//", edgecolor="white")
        axes[0, 2].set_yticks(positions, names, fontsize=7)
        axes[0, 2].set(xlim=(0, 1), xlabel="probability")
        axes[0, 2].invert_yaxis()
        axes[0, 2].legend(fontsize=7)
        results = [f"{names[part.argmax()]} ({part.max():.1%})" for part in (before, after)]
        return described(
            figure,
            f"Image {image} is read as {results[0]}; changed, as {results[1]}",
            f"The image as it is and changed, and bars with the probabilities of each class. Before: {results[0]}; after: {results[1]}.",
        )

    def still() -> Figure:
        columns = len(next(iter(CHANGES.values()))[1])
        figure, axes = figure_with_axes(len(CHANGES), columns, height=1.05 * len(CHANGES))
        words = []
        for row, (what, (argument, values, form)) in zip(axes, CHANGES.items(), strict=True):
            pictures = np.stack([changed(images[start], **{argument: value}) for value in values])
            probabilities = utilities.predict_probabilities(model, pictures)
            for axis, value, picture, predicted in zip(row, values, pictures, probabilities, strict=True):
                axis.set(xticks=[], yticks=[])
                axis.imshow(np.squeeze(picture), **IMAGES)
                wrong = predicted.argmax() != labels[start]
                result = f"{names[predicted.argmax()]} ({predicted.max():.0%})"
                axis.set_title(
                    f"{form.format(value)}\n{result}", fontsize=6.5, fontweight="bold" if wrong else "normal"
                )
                for spine in axis.spines.values():
                    spine.set(
                        linewidth=2 if wrong else 0.5, color=utilities.colours_of_the_palette(4)[3] if wrong else "0.6"
                    )
                words.append(f"{what} {form.format(value)}: {result}")
            row[0].set_ylabel(what, fontsize=7)
        return described(
            figure,
            f"An image of the class {names[labels[start]]} that is changed more and more, and what {model.name} reads; wrong readings have a thick frame",
            f"{'; '.join(words)}.",
        )

    return show(
        draw,
        still,
        image=Slider("image", 0, len(images) - 1, start=start),
        right=Slider("to the right", -10, 10),
        down=Slider("down", -10, 10),
        angle=Slider("angle", -180, 180, step=5),
        noise=Slider("noise", 0, 0.5, step=0.02),
    )
