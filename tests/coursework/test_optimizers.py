import keras
import numpy as np
import pytest

from coursework import models, optimizers

layers = keras.layers


def test_the_cosine_schedule_falls_from_its_peak_to_zero():
    rate = optimizers.cosine_decay(0.01, images=90, batch_size=16, epochs=4)  # six steps an epoch
    rates = [float(rate(step)) for step in range(25)]
    np.testing.assert_allclose(rates, 0.01 * (1 + np.cos(np.pi * np.arange(25) / 24)) / 2, atol=1e-8)


def test_the_one_cycle_schedule_rises_in_a_line_and_falls_along_half_a_cosine():
    rate = optimizers.one_cycle(2.0, images=95, batch_size=10, epochs=10, warmup=0.2)
    rates = [float(rate(step)) for step in range(101)]
    np.testing.assert_allclose(rates[:21], np.linspace(0, 2, 21), atol=1e-6)
    np.testing.assert_allclose(rates[20:], 1 + np.cos(np.pi * np.linspace(0, 1, 81)), atol=1e-5)


def updated_by_muon(model, **options):
    """Names of the layers and variables that Muon updates; Adam's learning rate is zero here, so it changes nothing."""
    optimizer = optimizers.Muon(0.01, adam_lr_ratio=0.0, weight_decay=None, adam_weight_decay=None, **options)
    variables = model.trainable_variables
    optimizer.build(variables)
    before = [variable.numpy() for variable in variables]
    random = np.random.default_rng(0)
    optimizer.apply([keras.ops.array(random.normal(size=array.shape), "float32") for array in before], variables)
    pairs = zip(variables, before, strict=True)
    return [variable.path.split("/")[-2:] for variable, array in pairs if (variable.numpy() != array).any()]


def test_muon_updates_large_kernels_but_no_bias_normalisation_or_output_and_is_saved_with_its_settings(tmp_path):
    first, second = layers.Conv2D(8, 3, name="first"), layers.Conv2D(8, 3, name="second")
    hidden, output = layers.Dense(16, name="hidden"), layers.Dense(3, activation="softmax", name="output")
    parts = [keras.Input((8, 8, 1)), first, layers.BatchNormalization(), second, layers.Flatten(), hidden, output]
    model = keras.Sequential(parts)
    assert updated_by_muon(model) == [["second", "kernel"], ["hidden", "kernel"]]
    assert updated_by_muon(model, exclude_layers=["hidden"]) == [["second", "kernel"]]
    model.compile(optimizers.Muon(0.01, adam_lr_ratio=0.3), "sparse_categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    models.save_model(model, tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    assert type(loaded.optimizer) is optimizers.Muon
    assert loaded.optimizer.get_config() == model.optimizer.get_config()


@pytest.mark.parametrize(("rms_rate", "length"), [(None, 1), (0.2, 0.2 * np.sqrt(36))])
def test_the_update_of_a_convolution_is_an_orthogonal_matrix_of_the_chosen_size(rms_rate, length):
    model = keras.Sequential([keras.Input((6, 6, 4)), layers.Conv2D(8, 3, use_bias=False), layers.Conv2D(2, 3)])
    optimizer, kernel = optimizers.Muon(1.0, rms_rate=rms_rate, weight_decay=None), model.trainable_variables[0]
    optimizer.build(model.trainable_variables)
    before, gradient = kernel.numpy(), np.random.default_rng(0).normal(size=kernel.shape).astype("float32")
    gradients = [keras.ops.array(gradient), *map(keras.ops.zeros_like, model.trainable_variables[1:])]
    optimizer.apply(gradients, model.trainable_variables)
    lengths = np.linalg.svd((kernel.numpy() - before).reshape(36, 8), compute_uv=False) / length
    assert 0.6 < lengths.min() < lengths.max() < 1.4
