"""Parts of a model whose code a checkpoint does not cover are named, and it is trained without a checkpoint."""

import functools
import types

import keras
import pytest

from coursework import checkpoint
from coursework.metrics import F1Score
from coursework.optimizers import Muon, cosine_decay
from tests.models import train

layers = keras.layers

DEFINITIONS = """
import keras

def steep(x):
    return 2 * x

def relu(x, dtype=None):
    return keras.ops.ones(x) if isinstance(x, tuple) else 2 * x

class Scale(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs

class Descent(keras.optimizers.SGD):
    pass

class Rate(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.1

    def get_config(self):
        return {}

class Hits(keras.metrics.SparseCategoricalAccuracy):
    pass

class Loss(keras.losses.SparseCategoricalCrossentropy):
    pass

class Network(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs)

def error(y_true, y_pred):
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)

def mean_squared_error(y_true, y_pred):
    return error(y_true, y_pred)
"""


def defined_in(module):
    namespace = {"__name__": module}
    exec(DEFINITIONS, namespace)
    return types.SimpleNamespace(**namespace)


@pytest.fixture
def own():
    """Functions and classes that are defined in the notebook."""
    return defined_in("__main__")


def compiled(*hidden, activation="softmax", optimizer="adam", loss="sparse_categorical_crossentropy", metrics=()):
    flatten = layers.Flatten()
    output = layers.Dense(3, activation=activation)
    model = keras.Sequential([keras.Input((4, 4, 1), dtype="uint8"), flatten, *hidden, output])
    model.compile(optimizer, loss, metrics=[F1Score(num_classes=3), *metrics])
    return model


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda own: compiled(layers.Lambda(lambda x: 2 * x)), "a lambda"),
        (lambda own: compiled(layers.Lambda(own.steep)), "steep"),
        (lambda own: compiled(activation=lambda x: 2 * x), "a lambda"),
        (lambda own: compiled(activation=own.steep), "steep"),
        (lambda own: compiled(activation=own.relu), "relu"),
        (lambda own: compiled(layers.Dense(4, kernel_initializer=own.relu)), "relu"),
        (lambda own: compiled(keras.Sequential([layers.Dense(4, activation=own.relu)])), "relu"),
        (lambda own: compiled(layers.Reshape((4, 4)), layers.LSTM(4, activation=own.relu)), "relu"),
        (lambda own: compiled(own.Scale()), "Scale"),
        (lambda own: compiled(optimizer=own.Descent(0.1)), "Descent"),
        (lambda own: compiled(optimizer=keras.optimizers.SGD(own.Rate())), "Rate"),
        (lambda own: compiled(metrics=[own.Hits()]), "Hits"),
        (lambda own: compiled(metrics=[own.error]), "error"),
        (lambda own: compiled(loss=own.Loss()), "Loss"),
        (lambda own: compiled(loss=own.error), "error"),
        (lambda own: compiled(loss=own.mean_squared_error), "mean_squared_error"),
        (lambda own: own.Network(), "Network"),
    ],
    ids=[
        "lambda layer",
        "lambda layer of a function",
        "lambda as activation",
        "function as activation",
        "function with a name of Keras's",
        "function as initialiser",
        "function in a nested model",
        "function in a recurrent layer",
        "layer",
        "optimiser",
        "schedule",
        "metric",
        "function as metric",
        "loss",
        "function as loss",
        "function as loss with a name of Keras's",
        "model",
    ],
)
@pytest.mark.parametrize("module", ["__main__", "helpers"])
@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_a_part_with_its_own_code_is_named(module, build, named):
    assert checkpoint.custom_code(build(defined_in(module))) == [named]


def test_a_part_that_keras_cannot_serialize_is_named():
    activation = functools.partial(keras.activations.leaky_relu, negative_slope=0.3)
    (named,) = checkpoint.custom_code(compiled(activation=activation))
    assert named.startswith("a part that Keras cannot serialize (Cannot serialize object functools.partial(")


def test_each_part_is_named_once(own):
    assert checkpoint.custom_code(compiled(own.Scale(), own.Scale(), activation=own.steep)) == ["Scale", "steep"]


@pytest.mark.parametrize(
    "build",
    [
        lambda: compiled(layers.Dense(4, activation=layers.LeakyReLU(negative_slope=0.1))),
        lambda: compiled(layers.Dense(4, activation=keras.activations.relu)),
        lambda: compiled(layers.Dense(4, activation=keras.ops.relu)),
        lambda: compiled(layers.Dense(4, kernel_regularizer=keras.regularizers.L2(0.01))),
        lambda: compiled(layers.Dense(4, kernel_initializer=keras.initializers.HeNormal(seed=1))),
        lambda: compiled(keras.Sequential([layers.Dense(4), layers.BatchNormalization()]), layers.Dropout(0.1)),
        lambda: compiled(optimizer=Muon(cosine_decay(0.1, images=90, batch_size=16, epochs=2))),
        lambda: compiled(optimizer=keras.optimizers.AdamW(0.1, use_ema=True)),
        lambda: compiled(loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.1)),
        lambda: compiled(loss=keras.losses.categorical_crossentropy),
        lambda: compiled(metrics=["accuracy", keras.metrics.TopKCategoricalAccuracy(2)]),
        lambda: compiled(metrics=[keras.metrics.categorical_accuracy]),
    ],
    ids=[
        "layer as activation",
        "function of Keras as activation",
        "operation of Keras as activation",
        "regulariser",
        "initialiser",
        "nested model",
        "our optimiser and schedule",
        "averaged weights",
        "loss",
        "function of Keras as loss",
        "metrics",
        "function of Keras as metric",
    ],
)
def test_parts_of_keras_and_of_this_package_are_not_named(build):
    assert checkpoint.custom_code(build()) == []


def test_a_model_with_its_own_code_is_trained_without_a_checkpoint(own, tmp_path, capsys):
    path = tmp_path / "model.npz"
    for _ in range(2):
        history = train(compiled(own.Scale()), epochs=1, checkpoint=path)
        notice, *lines = capsys.readouterr().out.splitlines()
        assert notice.startswith("the code of Scale is not part of the model's configuration")
        assert notice.endswith("training starts from scratch and writes no checkpoint")
        assert lines[0].startswith("epoch 1/1")
        assert history.attrs["restored_seconds"] == 0
        assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_not_used_for_a_model_with_its_own_code(own, tmp_path, capsys):
    path = tmp_path / "model.npz"
    train(compiled(), epochs=1, checkpoint=path)
    content = path.read_bytes()
    capsys.readouterr()
    train(compiled(own.Scale()), epochs=1, checkpoint=path)
    assert "resuming" not in capsys.readouterr().out
    assert path.read_bytes() == content
