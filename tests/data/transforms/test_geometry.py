"""RandomCrop and the flips: by hand on small images, and in distribution."""

import numpy as np
import pytest

from nnx.data.transforms import RandomCrop, RandomHorizontalFlip, RandomVerticalFlip
from nnx.errors import DTypeError, ShapeError

SMALL = np.arange(1, 7, dtype=np.float32).reshape(1, 2, 3, 1)  # 1 2 3 / 4 5 6


def windows(padded, rows, columns):
    """Every window of an image, by loops."""
    height, width, _ = padded.shape
    return [
        padded[top : top + rows, left : left + columns]
        for top in range(height - rows + 1)
        for left in range(width - columns + 1)
    ]


@pytest.mark.parametrize(
    ("options", "pads", "mode"),
    [
        ({}, ((0, 0), (0, 0), (0, 0)), {}),
        ({"padding": 1}, ((1, 1), (1, 1), (0, 0)), {}),
        ({"padding": (2, 1)}, ((1, 1), (2, 2), (0, 0)), {}),
        ({"padding": (2, 1, 0, 2)}, ((1, 2), (2, 0), (0, 0)), {}),
        ({"padding": [1], "fill": 7}, ((1, 1), (1, 1), (0, 0)), {"constant_values": 7}),
        ({"padding": 1, "padding_mode": "edge"}, ((1, 1), (1, 1), (0, 0)), {"mode": "edge"}),
        ({"padding": 1, "padding_mode": "reflect"}, ((1, 1), (1, 1), (0, 0)), {"mode": "reflect"}),
        ({"padding": 2, "padding_mode": "symmetric"}, ((2, 2), (2, 2), (0, 0)), {"mode": "symmetric"}),
    ],
)
def test_crops_are_the_windows_of_the_padded_image_equally_often(options, pads, mode):
    image = np.random.default_rng(0).random((4, 5, 2))
    expected = windows(np.pad(image, pads, **mode), 3, 4)
    count = 400 * len(expected)
    result = RandomCrop((3, 4), seed=0, **options)(np.repeat(image[None], count, axis=0))
    assert result.shape == (count, 3, 4, 2)
    places = np.stack([np.all(result == window, axis=(1, 2, 3)) for window in expected])
    assert np.all(places.sum(axis=0) == 1)
    # Each has probability 1 / len(expected): five standard deviations are at most 5 * sqrt(400) = 100.
    assert np.all(np.abs(places.sum(axis=1) - 400) < 100)


def test_a_crop_by_hand():
    class Given:
        """Draws what a test says."""

        def __init__(self, *draws):
            self.draws = list(draws)

        def integers(self, high, size):
            assert high in (3, 2)
            return np.asarray(self.draws.pop(0))

    crop = RandomCrop((2, 3), padding=(0, 1, 1, 0), fill=9)  # left, top, right, bottom
    crop._generator = lambda: Given([0, 1], [1, 0])  # 3 x 4 pixels: two places down, two across
    result = crop(np.repeat(SMALL, 2, axis=0))
    np.testing.assert_array_equal(result[0, ..., 0], [[9, 9, 9], [2, 3, 9]])
    np.testing.assert_array_equal(result[1, ..., 0], [[1, 2, 3], [4, 5, 6]])


def test_a_colour_for_each_channel():
    images = np.zeros((50, 2, 2, 3), dtype=np.uint8)
    result = RandomCrop(2, padding=2, fill=(10, 20, 30), seed=0)(images)
    colors = np.unique(result.reshape(-1, 3), axis=0)
    np.testing.assert_array_equal(colors, [[0, 0, 0], [10, 20, 30]])


@pytest.mark.parametrize(
    ("flip", "mirrored"),
    [(RandomHorizontalFlip, [[3, 2, 1], [6, 5, 4]]), (RandomVerticalFlip, [[4, 5, 6], [1, 2, 3]])],
)
def test_flips(flip, mirrored):
    np.testing.assert_array_equal(flip(p=1)(SMALL)[0, ..., 0], mirrored)
    np.testing.assert_array_equal(flip(p=0)(SMALL), SMALL)
    for p in (0.5, 0.2):
        result = flip(p, seed=0)(np.repeat(SMALL, 4000, axis=0))[..., 0]
        turned = np.all(result == mirrored, axis=(1, 2))
        assert np.all(turned | np.all(result == SMALL[0, ..., 0], axis=(1, 2)))
        assert abs(turned.mean() - p) < 5 * 0.5 / 4000**0.5


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: RandomCrop(0), ValueError, "^RandomCrop: expected size to be a positive integer, got 0"),
        (
            lambda: RandomCrop((4, 4, 3)),
            TypeError,
            r"^RandomCrop: expected size as an integer or \(height, width\), got",
        ),
        (lambda: RandomCrop("44"), TypeError, "expected size as an integer or"),
        (lambda: RandomCrop(4, padding=-1), ValueError, "expected padding to be a non-negative integer, got -1"),
        (lambda: RandomCrop(4, padding=(1, 2, 3)), TypeError, r"one integer, two .* or four .*, got \(1, 2, 3\)"),
        (lambda: RandomCrop(4, padding="1"), TypeError, "got '1'"),
        (
            lambda: RandomCrop(4, fill="red"),
            TypeError,
            "expected fill as a number, or as one for each channel, got 'red'",
        ),
        (lambda: RandomCrop(4, fill=()), TypeError, r"expected fill as a number, .*got \(\)"),
        (
            lambda: RandomCrop(4, padding_mode="wrap"),
            ValueError,
            "expected padding_mode to be one of 'constant', 'edge', 'reflect', 'symmetric', got 'wrap'",
        ),
        (
            lambda: RandomHorizontalFlip(1.5),
            ValueError,
            "^RandomHorizontalFlip: expected p to be a probability from 0 to 1",
        ),
        (lambda: RandomVerticalFlip("x"), TypeError, "^RandomVerticalFlip: expected p to be a probability .*, got 'x'"),
        (lambda: RandomVerticalFlip(True), TypeError, "got True"),
        (lambda: RandomVerticalFlip(float("nan")), TypeError, "got nan"),
        (
            lambda: RandomCrop(4)(SMALL),
            ShapeError,
            r"images of at least 4 x 4 pixels, got 2 x 3\. Use a larger padding",
        ),
        (lambda: RandomCrop(5, padding=1)(SMALL), ShapeError, r"at least 5 x 5 pixels, got 4 x 5, with the border\."),
        (
            lambda: RandomCrop(2, padding=2, padding_mode="reflect")(SMALL),
            ShapeError,
            r"wider than a mirrored border of \(2, 2, 2, 2\) .* got 2 x 3 pixels. Use padding_mode='symmetric'",
        ),
        (
            lambda: RandomCrop(2, padding=1, fill=(1, 2))(SMALL),
            ShapeError,
            "fill has 2 numbers, but the images have 1 channels",
        ),
        (
            lambda: RandomCrop(2, padding=1, fill=0.5)(SMALL.astype(np.uint8)),
            DTypeError,
            "expected fill of integers from 0 to 255 for images of uint8, got 0.5",
        ),
        (lambda: RandomCrop(2, padding=1, fill=256)(SMALL.astype(np.uint8)), DTypeError, "got 256"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()
