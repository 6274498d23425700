"""Cutout and RandomErasing: rectangles of the right size, in the right places, as often as said."""

import numpy as np
import pytest

from nnx.data.transforms import Cutout, RandomErasing
from nnx.errors import DTypeError, ShapeError

ONES = np.ones((2000, 8, 10, 2), dtype=np.float32)


def boxes(images, value=0):
    """Top, left, height and width of the one rectangle in each image, all of whose pixels must have the value."""
    found = []
    for image in images:
        erased = np.all(image == value, axis=-1)
        assert np.array_equal(erased, np.any(image == value, axis=-1))
        rows, columns = np.flatnonzero(erased.any(axis=1)), np.flatnonzero(erased.any(axis=0))
        top, left, height, width = rows[0], columns[0], len(rows), len(columns)
        assert erased[top : top + height, left : left + width].all()
        assert erased.sum() == height * width
        found.append((top, left, height, width))
    return np.asarray(found).T


@pytest.mark.parametrize(("size", "rows", "columns"), [(4, 4, 4), (3, 3, 3), ((2, 5), 2, 5)])
def test_cutout_is_a_rectangle_around_a_uniform_pixel(size, rows, columns):
    top, left, height, width = boxes(Cutout(size, seed=0)(ONES))
    # What lies outside is cut off: the rectangle begins that much before its middle.
    for start, length, whole, extent in ((top, height, rows, 8), (left, width, columns, 10)):
        middles = np.arange(extent)
        cut = {
            (max(middle - whole // 2, 0), min(middle - whole // 2 + whole, extent) - max(middle - whole // 2, 0))
            for middle in middles
        }
        pairs, counts = np.unique(np.stack([start, length]), axis=1, return_counts=True)
        assert set(map(tuple, pairs.T.tolist())) == cut
        assert np.abs(counts - 2000 / extent).max() < 5 * (2000 / extent) ** 0.5
        assert length.max() == whole
        assert np.all(start + length <= extent)


def test_holes_and_colours():
    images = Cutout(1, holes=3, value=(0.25, 0.5), seed=0)(ONES)
    erased = images[..., 0] == 0.25
    np.testing.assert_array_equal(images[erased], np.full((erased.sum(), 2), (0.25, 0.5), dtype=np.float32))
    assert np.all(images[~erased] == 1)
    counts = np.bincount(erased.sum(axis=(1, 2)), minlength=4)
    assert counts[0] == 0
    assert counts[3] > 1700  # (79 / 80) * (78 / 80) of 2000 are 1925


@pytest.mark.parametrize("p", [0, 0.3, 1])
def test_erasing_has_its_probability_area_and_shape(p):
    scale, ratio = (0.1, 0.3), (0.5, 2.0)
    large = np.ones((1000, 40, 60, 1), dtype=np.uint8)
    images = RandomErasing(p, scale, ratio, seed=0)(large)
    changed = (images == 0).any(axis=(1, 2, 3))
    assert abs(changed.mean() - p) < 5 * 0.5 / 1000**0.5 * (0 < p < 1) + 1e-9
    if p == 0:
        return
    top, left, height, width = boxes(images[changed])
    area = height * width / 2400
    assert 0.09 < area.min() < 0.12
    assert 0.27 < area.max() < 0.32
    assert abs(area.mean() - 0.2) < 0.02
    logarithm = np.log(height / width)
    assert np.abs(logarithm).max() < np.log(2) + 0.1
    assert abs(logarithm.mean()) < 0.1
    # Uniform among the places where it fits: half of the way on average.
    assert abs((top / (40 - height)).mean() - 0.5) < 0.1
    assert abs((left / (60 - width)).mean() - 0.5) < 0.1


def test_a_rectangle_that_never_fits_leaves_the_image():
    images = np.ones((50, 2, 50, 1))
    np.testing.assert_array_equal(RandomErasing(1, (0.5, 0.6), (0.9, 1.1), seed=0)(images), images)


def test_random_values():
    images = RandomErasing(1, (0.3, 0.33), (1, 1), "random", seed=0)(np.full((500, 20, 20, 3), 9, dtype=np.float32))
    values = images[images != 9]
    assert values.size > 100_000
    assert abs(values.mean()) < 0.02
    assert abs(values.std() - 1) < 0.02
    small = RandomErasing(1, (0.3, 0.33), (1, 1), "random", seed=0)(np.zeros((500, 20, 20, 3), dtype=np.uint8))
    counts = np.bincount(small[small > 0], minlength=256)[1:]
    assert counts.min() > 0.8 * counts.mean()
    assert counts.max() < 1.2 * counts.mean()


def test_a_value_for_each_channel():
    images = RandomErasing(1, value=(3, 4), seed=0)(ONES.astype(np.uint8))
    colors = np.unique(images.reshape(-1, 2), axis=0)
    np.testing.assert_array_equal(colors, [[1, 1], [3, 4]])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Cutout(0), ValueError, "^Cutout: expected size to be a positive integer, got 0"),
        (lambda: Cutout(4, holes=0), ValueError, "^Cutout: expected holes to be a positive integer, got 0"),
        (lambda: Cutout(4, value="grey"), TypeError, "^Cutout: expected value as a number, or as one for each channel"),
        (lambda: Cutout(4, value=(1, 2, 3))(ONES), ShapeError, "value has 3 numbers, but the images have 2 channels"),
        (lambda: Cutout(4, value=-1)(ONES.astype(np.uint8)), DTypeError, "integers from 0 to 255 for images of uint8"),
        (lambda: RandomErasing(2), ValueError, "^RandomErasing: expected p to be a probability from 0 to 1, got 2"),
        (lambda: RandomErasing(scale=0.2), TypeError, r"expected scale as two numbers, .* from 0 to 1, got 0.2"),
        (lambda: RandomErasing(scale=(0, 2)), ValueError, r"expected scale as two numbers, .* got \(0, 2\)"),
        (lambda: RandomErasing(ratio=(0, 2)), ValueError, r"expected ratio above 0, got \(0, 2\)"),
        (lambda: RandomErasing(value="noise"), ValueError, "one for each channel, or 'random', got 'noise'"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()
