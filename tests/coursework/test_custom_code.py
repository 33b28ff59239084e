"""Parts of a model whose code a checkpoint does not cover are named, and it is trained without a checkpoint."""

import functools

import keras
import pytest

from coursework import checkpoint
from coursework.metrics import F1Score
from coursework.optimizers import Muon, cosine_decay
from tests.models import train

layers = keras.layers


class Scale(layers.Layer):
    def call(self, inputs):
        return 2 * inputs


class Hits(keras.metrics.SparseCategoricalAccuracy):
    pass


class Network(keras.Sequential):
    pass


def relu(x):
    return 2 * x


def mean_squared_error(y_true, y_pred):
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)


def compiled(*hidden, optimizer="adam", loss="sparse_categorical_crossentropy", metrics=()):
    output = layers.Dense(3, activation="softmax")
    model = keras.Sequential([keras.Input((4, 4, 1), dtype="uint8"), layers.Flatten(), *hidden, output])
    model.compile(optimizer, loss, metrics=[F1Score(num_classes=3), *metrics])
    return model


PARTIAL = functools.partial(keras.activations.leaky_relu, negative_slope=0.3)


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: compiled(layers.Lambda(lambda x: 2 * x)), "a lambda"),
        (lambda: compiled(keras.Sequential([layers.Dense(4, activation=relu)])), "relu"),  # Keras has one
        (lambda: compiled(layers.Dense(4, activation=PARTIAL)), "a part that Keras cannot serialize"),
        (lambda: compiled(Scale(), Scale()), "Scale"),
        (lambda: compiled(metrics=[Hits()]), "Hits"),
        (lambda: compiled(loss=mean_squared_error), "mean_squared_error"),
        (Network, "Network"),
    ],
)
@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_a_part_with_its_own_code_is_named_once(build, named):
    (found,) = checkpoint.custom_code(build())
    assert found.partition(" (")[0] == named


@pytest.mark.parametrize(
    "build",
    [
        lambda: compiled(layers.Dense(4, activation=layers.LeakyReLU(negative_slope=0.1))),
        lambda: compiled(layers.Dense(4, activation=keras.ops.relu)),
        lambda: compiled(keras.Sequential([layers.Dense(4), layers.BatchNormalization()]), layers.Dropout(0.1)),
        lambda: compiled(optimizer=Muon(cosine_decay(0.1, images=90, batch_size=16, epochs=2))),
        lambda: compiled(loss=keras.losses.categorical_crossentropy, metrics=["accuracy"]),
    ],
)
def test_parts_of_keras_and_of_this_package_are_not_named(build):
    assert checkpoint.custom_code(build()) == []


def test_a_model_with_its_own_code_is_trained_without_a_checkpoint(tmp_path, capsys):
    path = tmp_path / "model.npz"
    path.write_bytes(b"another checkpoint")
    train(compiled(Scale()), epochs=1, checkpoint=path)
    notice, line, *_ = capsys.readouterr().out.splitlines()
    assert notice.startswith("the code of Scale is not part of the model's configuration")
    assert line.startswith("epoch 1/1")
    assert path.read_bytes() == b"another checkpoint"
