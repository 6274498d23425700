"""RandomRotation and RandomAffine: quarter turns and shifts exactly, other maps against SciPy."""

import numpy as np
import pytest
from scipy import ndimage

from nnx.data.transforms import RandomAffine, RandomRotation
from nnx.data.transforms import warp as warping
from nnx.errors import ShapeError

RNG = np.random.default_rng(0)
both = pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])


@both
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("size", [4, 5])
def test_quarter_turns_are_exact(interpolation, dtype, size):
    images = RNG.integers(256, size=(3, size, size, 2)).astype(dtype)
    for turns in range(-4, 5):
        angles = (90 * turns, 90 * turns)
        expected = np.rot90(images, turns, axes=(1, 2))
        np.testing.assert_array_equal(RandomRotation(angles, interpolation, fill=9)(images), expected)
        clockwise = np.rot90(images, -turns, axes=(1, 2))
        np.testing.assert_array_equal(RandomAffine(angles, interpolation=interpolation, fill=9)(images), clockwise)


@both
def test_no_turn_changes_nothing(interpolation):
    images = RNG.random((3, 4, 7, 3))
    np.testing.assert_array_equal(RandomRotation(0, interpolation)(images), images)
    np.testing.assert_array_equal(RandomAffine(0, (0, 0), (1, 1), 0, interpolation)(images), images)


def test_what_lay_outside_is_filled():
    images = np.ones((1, 2, 4, 3), dtype=np.float32)
    expected = np.full((2, 4, 3), (5, 6, 7), dtype=np.float32)
    expected[:, 1:3] = 1  # two pixels high, so two wide when turned
    np.testing.assert_array_equal(RandomRotation((90, 90), fill=(5, 6, 7))(images)[0], expected)


def forward(angle, shift, scale, shear):
    """The map of points (x, y), clockwise on a screen where y runs down, as a product of its parts."""
    turn, x, y = np.deg2rad([angle, *shear])
    rotation = np.asarray([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    along_y = np.asarray([[1, 0], [-np.tan(y), 1]])
    along_x = np.asarray([[1, -np.tan(x)], [0, 1]])
    return scale * rotation @ along_y @ along_x, np.asarray(shift)


def by_scipy(image, linear, shift, fill):
    """One channel: SciPy wants the map from new to old, of (row, column)."""
    center = (np.asarray(image.shape) - 1) / 2
    inverse = np.linalg.inv(linear)[::-1, ::-1]
    offset = center - inverse @ (center + shift[::-1])
    return ndimage.affine_transform(image, inverse, offset, order=1, mode="grid-constant", cval=fill)


@pytest.mark.parametrize(
    ("angle", "translate", "scale", "shear"),
    [
        (0, (0, 0), 1, (0, 0)),
        (17, (0, 0), 1, (0, 0)),
        (-123, (0, 0), 1, (0, 0)),
        (0, (3, -2), 1, (0, 0)),
        (30, (2, 1), 1, (0, 0)),
        (0, (0, 0), 1.7, (0, 0)),
        (0, (0, 0), 1, (25, 0)),
        (0, (0, 0), 1, (0, -20)),
        (40, (-1, 2), 0.6, (15, 10)),
    ],
)
def test_maps_against_scipy(angle, translate, scale, shear):
    image = RNG.random((9, 12))
    one = np.ones(1)
    matrices = warping.inverse_affine(
        angle * one, tuple(shift * one for shift in translate), scale * one, tuple(part * one for part in shear)
    )
    linear, shift = forward(angle, translate, scale, shear)
    np.testing.assert_allclose(matrices[0, :, :2], np.linalg.inv(linear), atol=1e-11)
    result = warping.warp(image[None, ..., None], matrices, "bilinear", np.asarray(0.25))[0, ..., 0]
    np.testing.assert_allclose(result, by_scipy(image, linear, shift, 0.25), atol=1e-9)


def test_single_precision_is_near_double():
    images = RNG.random((40, 16, 16, 3))
    narrow, wide = (
        RandomAffine(40, (0.2, 0.1), (0.7, 1.3), 10, "bilinear", fill=0.5, seed=0)(images.astype(dtype))
        for dtype in ("float32", "float64")
    )
    np.testing.assert_allclose(narrow, wide, atol=1e-6)


def test_bytes_are_rounded():
    images = RNG.integers(256, size=(40, 16, 16, 3), dtype=np.uint8)
    exact = RandomRotation(40, "bilinear", seed=0)(images.astype(np.float64))
    rounded = RandomRotation(40, "bilinear", seed=0)(images)
    assert np.abs(exact - rounded).max() <= 0.5 + 1e-4


@both
def test_blocks_make_no_difference(monkeypatch, interpolation):
    images = RNG.random((13, 6, 5, 3))
    whole = RandomRotation(90, interpolation, seed=0)(images)
    for block in (1, 200, 10**9):
        monkeypatch.setattr(warping, "_BLOCK", block)
        np.testing.assert_array_equal(RandomRotation(90, interpolation, seed=0)(images), whole)


def test_angles_are_uniform(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "nnx.data.transforms.rotation.inverse_affine",
        lambda *arguments: seen.append(arguments) or warping.inverse_affine(*arguments),
    )
    images = np.zeros((4000, 4, 10, 1), dtype=np.uint8)
    RandomRotation(20, seed=0)(images)
    RandomAffine((10, 30), (0.3, 0.5), (0.5, 2), (1, 2, 3, 4), seed=0)(images)
    angles = seen[0][0]
    assert np.all(np.abs(angles) <= 20)
    assert np.abs(np.percentile(angles, [25, 50, 75]) - [-10, 0, 10]).max() < 1.5
    angles, (x, y), scales, (along_x, along_y) = seen[1]
    for drawn, low, high in ((angles, 10, 30), (scales, 0.5, 2), (along_x, 1, 2), (along_y, 3, 4)):
        assert low <= drawn.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < drawn.max() <= high
    assert np.unique(x).tolist() == [-3, -2, -1, 0, 1, 2, 3]  # of 10 pixels
    assert np.unique(y).tolist() == [-2, -1, 0, 1, 2]  # of 4


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: RandomRotation(-3),
            ValueError,
            "^RandomRotation: expected degrees of at least 0, or two numbers, got -3",
        ),
        (lambda: RandomRotation("x"), TypeError, "expected degrees as two numbers, .*got 'x'; pass such as 15 or"),
        (lambda: RandomRotation((5, -5)), ValueError, r"the smaller first, got \(5, -5\)"),
        (lambda: RandomRotation((1, 2, 3)), TypeError, r"got \(1, 2, 3\)"),
        (lambda: RandomRotation(float("inf")), TypeError, "got inf"),
        (lambda: RandomRotation(3, "cubic"), ValueError, "expected interpolation='nearest' or 'bilinear', got 'cubic'"),
        (
            lambda: RandomRotation(3, fill=(1, 2))(np.zeros((1, 4, 4, 3))),
            ShapeError,
            "fill has 2 numbers, .* 3 channels",
        ),
        (lambda: RandomAffine(3, translate=0.1), TypeError, "expected translate as two numbers from 0 to 1, .*got 0.1"),
        (
            lambda: RandomAffine(3, translate=(0.1, 2)),
            ValueError,
            r"translate as two numbers from 0 to 1, .*got \(0.1, 2\)",
        ),
        (
            lambda: RandomAffine(3, scale=(2, 1)),
            ValueError,
            r"expected scale as two numbers, the smaller first, from 0 on",
        ),
        (lambda: RandomAffine(3, scale=(0, 1)), ValueError, r"expected scale above 0, got \(0, 1\)"),
        (
            lambda: RandomAffine(3, scale=1.5),
            TypeError,
            r"expected scale as two numbers, .*got 1.5; pass such as \(0.9",
        ),
        (lambda: RandomAffine(3, shear=(1, 2, 3)), TypeError, "expected shear as two numbers"),
        (lambda: RandomAffine(3, shear=90), ValueError, "expected shear between -90 and 90 degrees, got 90"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()
