"""Learning rate schedules and the Muon optimiser."""

from __future__ import annotations

import math
from collections.abc import Iterable

from coursework.backend import keras

ops = keras.ops


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
class Muon(keras.optimizers.Optimizer):
    """Muon for convolutional networks: orthogonalised updates of kernels, AdamW for all other variables.

    Muon replaces the momentum of a kernel, as a matrix, by the nearest orthogonal matrix, which five Newton-Schulz
    iterations approximate. A kernel (height, width, channels, filters) is the matrix (height * width * channels,
    filters) that multiplies the patches of an image. AdamW updates biases, the parameters of normalisation, kernels
    with fewer than 32 inputs, and the layers of `exclude_layers`.

    Args:
        learning_rate: a number, or a schedule.
        momentum: decay of the moving sum of gradients; the update looks one step ahead (Nesterov).
        weight_decay: times the learning rate, the fraction of a kernel that is subtracted per step; None for none.
        rms_rate: times the learning rate, the root mean square of an update; 0.2 is about Adam's. None leaves the
            update orthogonal.
        adam_lr_ratio: learning rate of AdamW as a multiple of `learning_rate`.
        adam_beta_1, adam_beta_2, epsilon, adam_weight_decay: the settings of AdamW.
        exclude_layers: names of the layers that AdamW updates, as a rule the last one.
        **options: those of every optimiser in Keras, such as `clipnorm`.

    Sources: Jordan et al., Muon: An Optimizer for Hidden Layers in Neural Networks, 2024; the size of the step, Liu
    et al., Muon is Scalable for LLM Training, 2025.
    """

    def __init__(
        self,
        learning_rate=0.001,
        momentum: float = 0.95,
        weight_decay: float | None = 0.004,
        rms_rate: float | None = 0.2,
        adam_lr_ratio: float = 1.0,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        epsilon: float = 1e-7,
        adam_weight_decay: float | None = 0.004,
        exclude_layers: Iterable[str] = ("output",),
        **options,
    ):
        super().__init__(learning_rate=learning_rate, **options)
        self.momentum, self.muon_weight_decay, self.rms_rate = momentum, weight_decay, rms_rate
        self.adam_lr_ratio, self.adam_beta_1, self.adam_beta_2 = adam_lr_ratio, adam_beta_1, adam_beta_2
        self.epsilon, self.adam_weight_decay = epsilon, adam_weight_decay
        self.exclude_layers = list(exclude_layers)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.momenta = [self.add_variable_from_reference(variable, "momentum") for variable in variables]
        self.velocities = [
            None if self._is_kernel(variable) else self.add_variable_from_reference(variable, "velocity")
            for variable in variables
        ]

    def _is_kernel(self, variable) -> bool:
        """Whether Muon updates a variable."""
        excluded = set(self.exclude_layers) & set(variable.path.split("/"))
        return len(variable.shape) in (2, 4) and not excluded and math.prod(variable.shape[:-1]) >= 32

    def update_step(self, gradient, variable, learning_rate):
        number = self._get_variable_index(variable)
        momentum, velocity = self.momenta[number], self.velocities[number]
        weight_decay = self.muon_weight_decay if velocity is None else self.adam_weight_decay
        if weight_decay is not None:
            self.assign(variable, variable - variable * weight_decay * learning_rate)
        if velocity is None:
            self._muon_step(gradient, variable, learning_rate, momentum)
        else:
            self._adam_step(gradient, variable, learning_rate * self.adam_lr_ratio, momentum, velocity)

    def _muon_step(self, gradient, variable, learning_rate, momentum):
        self.assign_add(momentum, gradient + momentum * (self.momentum - 1))
        matrix = ops.reshape(gradient + self.momentum * momentum, (-1, variable.shape[-1]))
        update = learning_rate * ops.reshape(orthogonalized(matrix), variable.shape)
        if self.rms_rate is not None:
            update = update * math.sqrt(max(matrix.shape)) * self.rms_rate
        self.assign_sub(variable, update)

    def _adam_step(self, gradient, variable, learning_rate, momentum, velocity):
        step = ops.cast(self.iterations + 1, variable.dtype)
        powers = (ops.power(ops.cast(beta, variable.dtype), step) for beta in (self.adam_beta_1, self.adam_beta_2))
        power_1, power_2 = powers
        rate = learning_rate * ops.sqrt(1 - power_2) / (1 - power_1)
        self.assign_add(momentum, (gradient - momentum) * (1 - self.adam_beta_1))
        self.assign_add(velocity, (ops.square(gradient) - velocity) * (1 - self.adam_beta_2))
        self.assign_sub(variable, momentum * rate / (ops.sqrt(velocity) + self.epsilon))

    def get_config(self):
        names = ("momentum", "rms_rate", "adam_lr_ratio", "adam_beta_1", "adam_beta_2", "epsilon", "adam_weight_decay")
        own = {name: getattr(self, name) for name in (*names, "exclude_layers")}
        return super().get_config() | own | {"weight_decay": self.muon_weight_decay}


def orthogonalized(matrix, iterations: int = 5):
    """The nearest orthogonal matrix, approximately: the singular values of the result are between about 0.7 and 1.2."""
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = ops.transpose(matrix) if is_tall else matrix
    x = x / (ops.norm(x, axis=(-2, -1), keepdims=True) + 1e-7)
    for _ in range(iterations):
        square = x @ ops.transpose(x)
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return ops.transpose(x) if is_tall else x
