import numpy as np
import pytest
from scipy import ndimage

from coursework import models
from tests.models import bright_images, small_model

IMAGES = bright_images()[0]


@pytest.fixture(scope="module")
def averaged():
    """A model, and the same model with test-time augmentation."""
    model = small_model()
    return model, models.with_test_time_augmentation(model)


def test_test_time_augmentation_averages_ten_versions_of_an_image(averaged):
    model, with_augmentation = averaged
    steps = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
    moved = [ndimage.shift(IMAGES, (0, *step, 0), order=0) for step in steps]
    versions = [*moved, *(images[:, :, ::-1] for images in moved)]
    expected = np.mean([models.predict_probabilities(model, images) for images in versions], axis=0)
    np.testing.assert_allclose(models.predict_probabilities(with_augmentation, IMAGES), expected, atol=1e-6)


def test_a_model_with_test_time_augmentation_is_saved_and_loaded(averaged, tmp_path):
    models.save_model(averaged[1], tmp_path / "averaged.keras")
    loaded = models.load_model(tmp_path / "averaged.keras")
    predictions = [models.predict_probabilities(model, IMAGES) for model in (averaged[1], loaded)]
    np.testing.assert_array_equal(*predictions)
