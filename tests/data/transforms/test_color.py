"""ColorJitter: by hand, hue against colorsys, the order of changes, and what is refused."""

import colorsys
import itertools

import numpy as np
import pytest

from nnx.data.transforms import ColorJitter
from nnx.errors import DTypeError, ShapeError

RNG = np.random.default_rng(0)
IMAGES = RNG.random((20, 4, 5, 3))
PIXEL = np.asarray([0.2, 0.4, 0.8]).reshape(1, 1, 1, 3)
LUMA = np.asarray([0.2989, 0.587, 0.114])


def fixed(brightness=1, contrast=1, saturation=1, hue=0, **options):
    return ColorJitter((brightness,) * 2, (contrast,) * 2, (saturation,) * 2, (hue,) * 2, **options)


def brighten(images, factor):
    return np.clip(images * factor, 0, 1)


def contrast(images, factor):
    mean = (images * LUMA).sum(axis=-1).mean(axis=(1, 2)).reshape(-1, 1, 1, 1)
    return np.clip(images * factor + mean * (1 - factor), 0, 1)


def saturate(images, factor):
    grey = (images * LUMA).sum(axis=-1, keepdims=True)
    return np.clip(images * factor + grey * (1 - factor), 0, 1)


def turn_hue(images, shift):
    result = np.empty_like(images)
    for place in np.ndindex(images.shape[:3]):
        hue, saturation, value = colorsys.rgb_to_hsv(*images[place])
        result[place] = colorsys.hsv_to_rgb((hue + shift) % 1, saturation, value)
    return result


def test_by_hand():
    np.testing.assert_allclose(fixed(brightness=1.5)(PIXEL).ravel(), [0.3, 0.6, 1.0])
    np.testing.assert_allclose(fixed(saturation=0)(PIXEL).ravel(), [0.2 * 0.2989 + 0.4 * 0.587 + 0.8 * 0.114] * 3)
    two = np.asarray([0.0, 1.0]).reshape(1, 1, 2, 1)
    np.testing.assert_allclose(fixed(contrast=0.5)(two).ravel(), [0.25, 0.75])
    np.testing.assert_allclose(fixed(contrast=2)(two * 0.5 + 0.25).ravel(), [0, 1])
    red = np.asarray([1.0, 0.0, 0.0]).reshape(1, 1, 1, 3)
    np.testing.assert_allclose(fixed(hue=1 / 3)(red).ravel(), [0, 1, 0], atol=1e-9)
    np.testing.assert_allclose(fixed(hue=-1 / 3)(red).ravel(), [0, 0, 1], atol=1e-9)


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.7])
@pytest.mark.parametrize(
    ("name", "change"), [("brightness", brighten), ("contrast", contrast), ("saturation", saturate)]
)
def test_factors(name, change, factor):
    np.testing.assert_allclose(fixed(**{name: factor})(IMAGES), change(IMAGES, factor), atol=1e-12)


@pytest.mark.parametrize("shift", [-0.5, -0.2, 0.05, 0.3, 0.5])
def test_hue_against_colorsys(shift):
    pixels = np.asarray(list(itertools.product([0, 0.25, 0.5, 1], repeat=3))).reshape(1, 8, 8, 3)  # greys and ties
    for images in (pixels, IMAGES):
        np.testing.assert_allclose(fixed(hue=shift)(images), turn_hue(images, shift), atol=1e-12)


def test_nothing_to_change_is_identity():
    for jitter in (ColorJitter(), ColorJitter(0, 0, 0, 0), fixed()):
        for images in (IMAGES, IMAGES.astype(np.float32), (IMAGES * 255).astype(np.uint8)):
            np.testing.assert_array_equal(jitter(images), images)


def test_the_order_of_changes_is_drawn_for_each_image():
    image = RNG.random((1, 2, 3, 3))
    amounts = (0.6, 1.8, 0.3, 0.2)
    changes = (brighten, contrast, saturate, turn_hue)
    expected = []
    for order in itertools.permutations(range(4)):
        changed = image
        for number in order:
            changed = changes[number](changed, amounts[number])
        expected.append(changed[0])
    result = fixed(*amounts, seed=0)(np.repeat(image, 2400, axis=0))
    near = np.stack([np.abs(result - one).max(axis=(1, 2, 3)) < 1e-9 for one in expected])
    assert np.all(near.any(axis=0))
    groups = {}
    for row in near:  # some orders come to the same
        groups[row.tobytes()] = row.sum() / sum(np.array_equal(row, other) for other in near)
    assert len(groups) > 7
    assert all(50 < count < 150 for count in groups.values())  # 100 each, five standard deviations


def test_amounts_are_uniform():
    grey = np.full((4000, 1, 1, 1), 0.5)
    factors = ColorJitter(brightness=(0.4, 1.6), seed=0)(grey).ravel() * 2
    assert 0.4 <= factors.min() < 0.41
    assert 1.59 < factors.max() <= 1.6
    assert np.abs(np.percentile(factors, [25, 50, 75]) - [0.7, 1.0, 1.3]).max() < 0.06
    factors = ColorJitter(brightness=0.3, seed=0)(grey).ravel() * 2
    assert 0.7 <= factors.min() < 0.71
    assert 1.29 < factors.max() <= 1.3
    assert ColorJitter(brightness=3).brightness == (0.0, 4.0)


def test_grey_images_have_no_colours_to_change():
    grey = RNG.random((5, 3, 3, 1))
    np.testing.assert_array_equal(ColorJitter(saturation=0.9, hue=0.5)(grey), grey)
    mean = grey.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(fixed(contrast=0.5)(grey), grey * 0.5 + mean * 0.5)


def test_bytes_are_rounded_once():
    images = (IMAGES * 255).astype(np.uint8)
    options = {"brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "hue": 0.3, "seed": 0}
    exact = ColorJitter(**options)(images / 255) * 255
    assert np.abs(ColorJitter(**options)(images) - exact).max() < 0.501


def test_single_precision_is_near_double():
    options = {"brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "hue": 0.3, "seed": 0}
    narrow = ColorJitter(**options)(IMAGES.astype(np.float32))
    np.testing.assert_allclose(narrow, ColorJitter(**options)(IMAGES), atol=1e-5)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: ColorJitter(-0.1),
            ValueError,
            "^ColorJitter: expected brightness of at least 0, or two numbers, got -0.1",
        ),
        (lambda: ColorJitter(0, (-1, 1)), ValueError, r"expected contrast as two numbers, .* from 0 on, got \(-1, 1\)"),
        (lambda: ColorJitter(0, 0, "x"), TypeError, "expected saturation as two numbers, .*pass such as 0.2 or"),
        (
            lambda: ColorJitter(hue=0.6),
            ValueError,
            r"expected hue as two numbers, .*from -0.5 to 0.5, got \(-0.6, 0.6\)",
        ),
        (lambda: ColorJitter(hue=-0.1), ValueError, "expected hue of at least 0, or two numbers, got -0.1"),
        (lambda: ColorJitter(0.1)(IMAGES * 255), ValueError, "from 0 to 1, got some from .* to .* before Normalize"),
        (lambda: ColorJitter(0.1)(IMAGES * np.nan), ValueError, "got some from nan to nan"),
        (lambda: ColorJitter(0.1)(IMAGES[..., :2]), ShapeError, r"of 1 or 3 channels, got \(20, 4, 5, 2\)"),
        (lambda: ColorJitter(0.1)(IMAGES.astype(np.float16)), DTypeError, "got float16"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()
