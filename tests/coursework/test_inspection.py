import keras
import numpy as np
import pytest

from coursework import inspection

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), dtype=np.uint8)


def test_the_gradient_norm_of_a_softmax_layer_equals_the_one_by_hand():
    layer = keras.layers.Dense(2, activation="softmax", kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((2,)), layer])
    # gradient of the mean cross-entropy: x^T (p - y) / n with p = 1/2
    x, labels = np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([0, 1])
    gradient = x.T @ (np.full((2, 2), 0.5) - np.eye(2)[labels]) / 2
    assert inspection.gradient_norms(model, x, labels).iloc[0] == pytest.approx(np.linalg.norm(gradient))


def test_dead_units_are_zero_for_all_images():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(3, activation="relu"), keras.layers.Dense(2)])
    model.layers[0].set_weights([np.array([[1.0, -1.0, 0.0]]), np.array([0.0, 0.0, -1.0])])
    assert inspection.dead_units(model, np.array([[1.0], [2.0]]))[["units", "never active"]].values.tolist() == [[3, 2]]
    assert inspection.dead_units(model, np.array([[1.0], [-2.0]]))["never active"].tolist() == [1]


def test_grad_cam_of_global_average_pooling_is_the_weighted_sum_of_the_maps():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    maps = layers.Conv2D(5, 3, activation="relu")
    pooling, last = layers.GlobalAveragePooling2D(), layers.Dense(4, activation="softmax")
    scale = layers.Rescaling(1 / 255)
    model = keras.Sequential([keras.Input((28, 28, 1), dtype="uint8"), scale, maps, pooling, last])
    classes = np.array([2, 3, 0])
    found = inspection.gradient_class_activation(model, IMAGES, classes, maps)
    outputs = keras.Model(model.inputs[0], maps.output).predict(IMAGES, verbose=0)
    # Weights (images, maps), without the factor 1 / size of the pooling, which all have in common.
    weights = model.layers[-1].get_weights()[0][:, classes].T
    expected = np.maximum((outputs * weights[:, None, None, :]).sum(axis=-1), 0)
    largest = expected.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found, expected / np.where(largest > 0, largest, 1), atol=1e-5)


def test_penultimate_features_are_the_inputs_of_the_last_layer():
    layers = keras.layers
    image = keras.Input((28, 28, 1), dtype="uint8")
    model = keras.Sequential([image, layers.Flatten(), layers.Dense(4), layers.Dense(3)])
    features = inspection.penultimate_features(model, IMAGES)
    kernel, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(features @ kernel + bias, model.predict(IMAGES, verbose=0), rtol=1e-4)


def test_an_image_is_shifted_and_rotated_on_a_background_and_gets_noise():
    image = IMAGES[0]
    moved = inspection.perturb(image, right=3, down=-2)
    np.testing.assert_array_equal(moved[:-2, 3:], image[2:, :-3])
    assert not moved[-2:].any() and not moved[:, :3].any()
    np.testing.assert_array_equal(inspection.perturb(image, angle=90), np.rot90(image))
    noisy = inspection.perturb(np.full((100, 100, 1), 128, np.uint8), noise=0.1)
    assert noisy.std() / 255 == pytest.approx(0.1, rel=0.05)
