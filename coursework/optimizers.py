"""Learning rate schedules and the Muon optimiser."""

from __future__ import annotations

import math

from coursework.backend import keras, tf


def cosine_decay(learning_rate: float, images: int, batch_size: int, epochs: int):
    """A learning rate that falls from its peak to zero along half a cosine over the whole training.

    Source: Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017.
    """
    steps = epochs * -(-images // batch_size)
    return keras.optimizers.schedules.CosineDecay(learning_rate, steps)


def one_cycle(peak: float, images: int, batch_size: int, epochs: int, warmup: float = 0.1):
    """A learning rate that rises from zero to its peak in a straight line and falls to zero along half a cosine.

    The warm-up allows a peak several times as high as a constant rate that a training could start with, and high rates
    need fewer epochs.

    Args:
        warmup: fraction of the training in which the rate rises.

    Source: Smith and Topin, Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates, 2019.
    """
    steps = epochs * -(-images // batch_size)
    rising = round(warmup * steps)
    decay = keras.optimizers.schedules.CosineDecay
    return decay(0.0, steps - rising, warmup_target=peak, warmup_steps=rising)


@keras.saving.register_keras_serializable(package="coursework")
class Muon(keras.optimizers.Muon):
    """Keras's Muon, extended from matrices to the kernels of convolutions.

    Muon orthogonalises each update: it replaces the momentum, as a matrix, by the nearest orthogonal matrix. A kernel
    (height, width, channels, filters) is treated as the matrix (height * width * channels, filters) that multiplies the
    patches of an image. Adam updates biases, the parameters of normalisation, the layer called `output`, and kernels
    with fewer than 32 inputs.

    Takes the arguments of `keras.optimizers.Muon`.

    Sources: Jordan et al., Muon: An Optimizer for Hidden Layers in Neural Networks, 2024; the size of the step, Liu
    et al., Muon is Scalable for LLM Training, 2025.
    """

    def _should_use_adamw(self, variable):
        is_output = "output" in variable.path.split("/")
        return len(variable.shape) not in (2, 4) or is_output or math.prod(variable.shape[:-1]) < 32

    def zeropower_via_newtonschulz5(self, x, steps):
        return tf.reshape(super().zeropower_via_newtonschulz5(tf.reshape(x, [-1, x.shape[-1]]), steps), x.shape)

    def lr_adjust(self, x):
        return x * math.sqrt(max(math.prod(x.shape[:-1]), x.shape[-1])) * self.rms_rate
