import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coursework.augmentation import Augmentation


def augmented_by_hand(image, drawn, shift):
    """What one row of `Augmentation.draw` means, pixel by pixel in NumPy."""
    mirrored, down, right, top, left, height, width, grey = drawn
    padded = np.pad(image, ((shift, shift), (shift, shift), (0, 0)))
    moved = padded[down : down + image.shape[0], right : right + image.shape[1]]
    moved = (moved[:, ::-1] if mirrored else moved).copy()
    moved[top : top + height, left : left + width] = grey
    return moved


@settings(deadline=None)
@given(
    flips=st.booleans(),
    shift=st.integers(0, 3),
    erase=st.sampled_from([0.0, 0.5, 1.0]),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 2)),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_drawn_changes_are_applied(flips, shift, erase, shape, seed):
    augmentation = Augmentation(flips, shift, erase)
    images = np.random.default_rng(seed).integers(0, 256, (5, *shape)).astype(np.uint8)
    drawn = augmentation.draw(5, *shape[:2], seed, epoch=3)
    result = augmentation.apply(images, drawn).numpy()
    for image, row, changed in zip(images, drawn, result, strict=True):
        np.testing.assert_array_equal(changed, augmented_by_hand(image, row, shift))


COUNT = 20_000
AUGMENTATION = Augmentation(flips=True, shift=2, erase=0.3, erase_area=0.25)
DRAWN = AUGMENTATION.draw(COUNT, 28, 28, seed=1, epoch=1)


def test_the_changes_are_a_function_of_seed_and_epoch():
    np.testing.assert_array_equal(AUGMENTATION.draw(COUNT, 28, 28, 1, 1), DRAWN)
    assert (AUGMENTATION.draw(COUNT, 28, 28, 2, 1) != DRAWN).any(axis=0).all()
    second = AUGMENTATION.draw(COUNT, 28, 28, 1, 2)
    assert (second != DRAWN).any(axis=0).all()
    np.testing.assert_array_equal(DRAWN[:, 0] + second[:, 0], 1)  # two epochs show each image both ways


def test_flips_and_shifts_are_uniform_and_erased_rectangles_have_the_chosen_frequency_and_area():
    np.testing.assert_allclose([np.bincount(DRAWN[:, column]) / COUNT for column in (1, 2)], 0.2, atol=0.02)
    assert DRAWN[:, 0].mean() == pytest.approx(0.5, abs=0.02)
    top, left, height, width = DRAWN[DRAWN[:, 5] > 0, 3:7].T
    assert len(top) / COUNT == pytest.approx(0.3, abs=0.02)
    assert (height * width).max() <= 0.25 * 28 * 28
    assert (top.min(), left.min(), (top + height).max(), (left + width).max()) == (0, 0, 28, 28)


@pytest.mark.parametrize(("name", "value"), [("shift", -1), ("erase", 1.1), ("erase_area", 0)])
def test_an_argument_out_of_range_is_rejected(name, value):
    with pytest.raises(ValueError, match=f"{name}={value}: expected"):
        Augmentation(**{name: value})
