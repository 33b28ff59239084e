import keras
import numpy as np

from coursework import models, optimizers
from tests.models import notebook_model

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
    changed = [(variable.numpy() != array).any() for variable, array in zip(variables, before, strict=True)]
    return [
        variable.path.split("/")[-2:] for variable, is_changed in zip(variables, changed, strict=True) if is_changed
    ]


def small_network():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, name="first"),
            layers.BatchNormalization(name="normalisation"),
            layers.Conv2D(8, 3, name="second"),
            layers.Flatten(),
            layers.Dense(16, name="hidden"),
            layers.Dense(3, activation="softmax", name="output"),
        ]
    )


def test_muon_updates_large_kernels_but_no_bias_normalisation_or_output():
    assert updated_by_muon(small_network()) == [["second", "kernel"], ["hidden", "kernel"]]


def test_muon_updates_all_kernels_of_iteration3_but_the_first_and_the_last():
    model = notebook_model("part2_fashion_mnist", "iteration3")
    with_kernel = [layer.name for layer in model.layers if hasattr(layer, "kernel")]
    assert len(with_kernel) == 7
    assert updated_by_muon(model) == [[name, "kernel"] for name in with_kernel[1:-1]]


class DenseOfPatches(layers.Layer):
    """A convolution written as a dense layer on the patches of the image, with a kernel that is a matrix."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(9 * shape[-1], 8), initializer="zeros", name="kernel")

    def call(self, images):
        return keras.ops.image.extract_patches(images, 3, strides=1, padding="same") @ self.kernel


def test_muon_updates_a_convolution_as_keras_muon_updates_the_same_matrix():
    random = np.random.default_rng(0)
    images, targets = (random.normal(size=(16, 6, 6, channels)).astype("float32") for channels in (4, 8))
    convolution = keras.Sequential([keras.Input((6, 6, 4)), layers.Conv2D(8, 3, padding="same", use_bias=False)])
    dense = keras.Sequential([keras.Input((6, 6, 4)), DenseOfPatches()])
    dense.layers[0].kernel.assign(keras.ops.reshape(convolution.layers[0].kernel, (36, 8)))
    before = dense.layers[0].kernel.numpy()
    convolution.compile(optimizers.Muon(0.1), "mse")
    dense.compile(keras.optimizers.Muon(0.1), "mse")
    for model in (convolution, dense):
        model.fit(images, targets, epochs=1, batch_size=16, verbose=0)
    step = convolution.layers[0].kernel.numpy().reshape(36, 8) - before
    np.testing.assert_allclose(step, dense.layers[0].kernel.numpy() - before, rtol=0.02, atol=1e-4)
    lengths = np.linalg.svd(step, compute_uv=False) / (0.1 * 0.2 * np.sqrt(36))
    assert lengths.min() > 0.6
    assert lengths.max() < 1.4


def test_muon_is_saved_and_loaded_with_its_settings(tmp_path):
    model = small_network()
    model.compile(optimizers.Muon(0.01, adam_lr_ratio=0.3), "sparse_categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    models.save_model(model, tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    assert type(loaded.optimizer) is optimizers.Muon
    assert loaded.optimizer.get_config() == model.optimizer.get_config()


def test_adam_updates_the_layers_that_are_excluded():
    names = {name for name, _ in updated_by_muon(small_network(), exclude_layers=["hidden"])}
    assert names == {"second"}


def test_without_an_rms_rate_the_update_is_orthogonal():
    model = keras.Sequential([keras.Input((40,)), layers.Dense(8, use_bias=False)])
    optimizer, (kernel,) = optimizers.Muon(1.0, rms_rate=None, weight_decay=None), model.trainable_variables
    before, gradient = kernel.numpy(), np.random.default_rng(0).normal(size=(40, 8)).astype("float32")
    optimizer.apply([keras.ops.array(gradient)], [kernel])
    lengths = np.linalg.svd(kernel.numpy() - before, compute_uv=False)
    assert 0.6 < lengths.min() < lengths.max() < 1.3
