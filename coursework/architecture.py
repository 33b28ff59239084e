"""Layer arithmetic: output shapes, parameters and multiply-adds of a model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import keras


def layer_arithmetic(model: keras.Model) -> pd.DataFrame:
    """Output shape and parameters of each layer of a sequential model by the textbook formulas, beside Keras's own.

    Output size of a convolution or pooling: (W - K + 2P)/S + 1, with input size W, kernel size K, padding P on each
    side (a half where "same" padding is uneven) and stride S, rounded down. Parameters of a convolution:
    (K_w K_h C_in + 1) C_out; of a dense layer: n_in n_out + n_out; of batch normalisation: 4 C, of which 2 C trained.

    Raises:
        ValueError: a layer of a kind that no formula here covers.
    """
    shape: tuple[int, ...] = tuple(model.input_shape[1:])
    rows = []
    for layer in model.layers:
        shape, size_sum, parameters, parameter_sum = _layer_by_formula(layer, shape)
        rows.append(
            {
                "layer": layer.name,
                "output size": size_sum,
                "output by formula": " x ".join(map(str, shape)),
                "Keras's output": " x ".join(map(str, layer.output.shape[1:])),
                "parameters": parameter_sum,
                "parameters by formula": parameters,
                "Keras's parameters": layer.count_params(),
            }
        )
    return pd.DataFrame(rows).set_index("layer")


def _layer_by_formula(layer, shape: tuple[int, ...]) -> tuple[tuple[int, ...], str, int, str]:
    """Output shape, its computation, number of parameters and its computation, for an input of the given shape."""
    kind, config = type(layer).__name__, layer.get_config()
    if kind in ("Conv2D", "MaxPooling2D"):
        kernel = config["kernel_size" if kind == "Conv2D" else "pool_size"]
        sizes, shown = [], []
        for width, size, stride in zip(shape, kernel, config["strides"], strict=False):
            padding = 0
            if config["padding"] == "same":
                padding = max((-(-width // stride) - 1) * stride + size - width, 0)  # of both sides, 2P
            sizes.append((width - size + padding) // stride + 1)
            shown.append(f"({width} - {size} + {padding})/{stride} + 1")
        if kind == "MaxPooling2D":
            return (*sizes, shape[2]), shown[0], 0, ""
        filters, channels = config["filters"], shape[2]
        parameters = (kernel[0] * kernel[1] * channels + 1) * filters
        return (*sizes, filters), shown[0], parameters, f"({kernel[0]} · {kernel[1]} · {channels} + 1) · {filters}"
    if kind == "Dense":
        units = config["units"]
        return (units,), "", shape[0] * units + units, f"{shape[0]} · {units} + {units}"
    if kind == "Flatten":
        return (int(np.prod(shape)),), " · ".join(map(str, shape)), 0, ""
    if kind == "BatchNormalization":
        return shape, "", 4 * shape[-1], f"4 · {shape[-1]}"
    if kind in ("Rescaling", "Dropout"):
        return shape, "", 0, ""
    raise ValueError(f"no formula for the layer {layer.name} of kind {kind}")


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds for one image in a model's convolutions and dense layers, counted; the rest is small beside them.

    Each output number of a convolution or a dense layer takes one multiply-add for each weight of its filter or unit.
    """
    return sum(
        math.prod(layer.output.shape[1:-1]) * math.prod(layer.kernel.shape)
        for layer in model.layers
        if hasattr(layer, "kernel")
    )
