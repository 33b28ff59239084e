"""What a trained model computes: gradients, dead units, Grad-CAM, penultimate features, perturbed images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from coursework.backend import keras, tf
from coursework.training import PREDICTION_BATCH_SIZE


def gradient_norms(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> pd.Series:
    """Euclidean norm of the gradient of the cross-entropy with respect to each layer's kernel, first layer first.

    The model ends in a softmax, and may be untrained. Images are (n, height, width, channels) uint8, labels (n,).
    """
    layers = [layer for layer in model.layers if hasattr(layer, "kernel")]
    with tf.GradientTape() as tape:
        losses = keras.losses.sparse_categorical_crossentropy(labels, model(images, training=False))
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, [layer.kernel.value for layer in layers])
    return pd.Series([float(tf.norm(gradient)) for gradient in gradients], index=range(1, len(layers) + 1))


def dead_units(model: keras.Model, images: np.ndarray) -> pd.DataFrame:
    """Number of units or filters of each ReLU layer that are zero for all of the images.

    Such a unit has a zero gradient on all of them and cannot learn from these images.
    """
    layers = [layer for layer in model.layers if getattr(layer, "activation", None) is keras.activations.relu]
    observer = keras.Model(model.inputs, {layer.name: layer.output for layer in layers})
    active = {layer.name: np.zeros(layer.output.shape[-1], bool) for layer in layers}
    for start in range(0, len(images), 1000):  # in batches of 1000: outputs are far larger than images
        outputs = observer.predict(images[start : start + 1000], PREDICTION_BATCH_SIZE, verbose=0)
        for name, output in outputs.items():
            active[name] |= (output > 0).reshape(-1, output.shape[-1]).any(axis=0)
    units = {name: (len(seen), int((~seen).sum())) for name, seen in active.items()}
    return pd.DataFrame.from_dict(units, orient="index", columns=["units", "never active"]).rename_axis("layer")


def gradient_class_activation(model: keras.Model, images: np.ndarray, classes: np.ndarray, layer: Any) -> np.ndarray:
    """Grad-CAM: the regions of images (n, height, width, channels) that support a class (n,).

    The feature maps of a layer are weighted by the mean gradient of the class's score and added; negative values are
    set to zero. The score is the logit if the softmax is part of a dense last layer, and otherwise the logarithm of the
    probability.

    Returns:
        (n, rows, columns) of the layer's output, from 0 to 1 for each image; all 0 if no region supports the class.

    Source: Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization, 2017.
    """
    last = model.layers[-1]
    dense = type(last).__name__ == "Dense"
    observer = keras.Model(model.inputs[0], [layer.output, last.input if dense else last.output])
    with tf.GradientTape() as tape:
        maps, hidden = observer(images, training=False)
        scores = tf.linalg.matmul(hidden, last.kernel) if dense else tf.math.log(tf.maximum(hidden, 1e-30))
        scores = scores + last.bias if dense and last.use_bias else scores
        chosen = tf.reduce_sum(scores * tf.one_hot(classes, scores.shape[-1]))
    weights = tf.reduce_mean(tape.gradient(chosen, maps), axis=(1, 2), keepdims=True)
    activation = np.maximum(np.asarray(tf.reduce_sum(weights * maps, axis=-1)), 0)
    largest = activation.max(axis=(1, 2), keepdims=True)
    return activation / np.where(largest > 0, largest, 1)


def penultimate_features(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """The inputs (n, units) float32 of a model's last layer, for images (n, height, width, channels) uint8."""
    observer = keras.Model(model.inputs[0], model.layers[-1].input)
    return observer.predict(images, PREDICTION_BATCH_SIZE, verbose=0)


def project_2d(points: np.ndarray, projection: str) -> np.ndarray:
    """Project points (n, dimensions) to (n, 2), deterministically.

    Args:
        projection: "PCA", the plane of the largest variance (Pearson, 1901), or "t-SNE", which preserves neighbourhoods
            but not long distances (van der Maaten and Hinton, 2008).
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # one order of sums
        if projection == "PCA":
            return PCA(2, svd_solver="full").fit_transform(points)
        perplexity = min(30.0, (len(points) - 1) / 3)
        return TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(points)


def perturb(image: np.ndarray, right: float = 0, down: float = 0, angle: float = 0, noise: float = 0) -> np.ndarray:
    """Rotate an image (height, width, channels) uint8, shift it and add noise; the border is background, 0.

    Args:
        right, down: shift in pixels.
        angle: rotation in degrees, counterclockwise.
        noise: standard deviation of Gaussian noise for pixels from 0 to 1; each call adds the same noise.
    """
    from scipy import ndimage

    result = image.astype(np.float64)
    if angle:
        result = ndimage.rotate(result, angle, reshape=False, order=1)
    result = ndimage.shift(result, (down, right, 0), order=1)
    result += 255 * noise * np.random.default_rng(0).standard_normal(image.shape)
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)
