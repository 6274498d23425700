"""ToFloat, Normalize and Compose."""

import numpy as np
import pytest

from nnx.data.transforms import Compose, Normalize, RandomHorizontalFlip, ToFloat
from nnx.errors import DTypeError, ShapeError

BYTES = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
IMAGES = np.random.default_rng(0).random((3, 4, 5, 3)).astype(np.float32)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_to_float(dtype):
    result = ToFloat(dtype)(BYTES)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, BYTES.astype(dtype) / np.asarray(255, dtype=dtype))
    assert (result.min(), result.max()) == (0, 1)
    already = ToFloat(dtype)(IMAGES)
    assert already.dtype == dtype
    np.testing.assert_array_equal(already, IMAGES)


def test_normalize():
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    for images in (IMAGES, IMAGES.astype(np.float64)):
        expected = (images - np.asarray(mean, images.dtype)) / np.asarray(std, images.dtype)
        np.testing.assert_array_equal(Normalize(mean, std)(images), expected)
        half, quarter = images.dtype.type(0.5), images.dtype.type(0.25)
        np.testing.assert_array_equal(Normalize(0.5, 0.25)(images), (images - half) / quarter)
    learned = Normalize(np.asarray(mean), np.asarray(std))
    assert repr(learned) == "Normalize(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))"
    np.testing.assert_array_equal(learned(IMAGES), Normalize(mean, std)(IMAGES))
    np.testing.assert_array_equal(Normalize((0.1, 0.2, 0.3), 1)(IMAGES), IMAGES - np.asarray(mean, np.float32))


def test_compose_calls_in_order():
    images, labels = Compose([RandomHorizontalFlip(1), ToFloat(), Normalize(0.5, 0.5)])(BYTES, np.zeros(1))
    np.testing.assert_allclose(images, BYTES[:, :, ::-1] / 255 * 2 - 1, rtol=1e-5, atol=1e-6)
    assert labels.tolist() == [0]
    assert Compose([ToFloat()])(BYTES).shape == BYTES.shape
    assert Compose([])(BYTES) is BYTES
    assert Compose([lambda x, y: (x, y, 1), lambda x, y, z: x + y + z])(2, 3) == 6
    assert Compose([Compose([lambda x: x + 1]), lambda x: x * 2])(3) == 8


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ToFloat("float16"), ValueError, "^ToFloat: expected dtype='float32' or 'float64', got 'float16'"),
        (
            lambda: Normalize("x", 1),
            TypeError,
            "^Normalize: expected mean as a number, or as one for each channel, got 'x'",
        ),
        (lambda: Normalize(0, 0), ValueError, "^Normalize: expected std above 0, got 0. Use 1 for a channel"),
        (lambda: Normalize(0, (1, -1, 1)), ValueError, r"expected std above 0, got \(1, -1, 1\)"),
        (lambda: Normalize((0, 0), 1)(IMAGES), ShapeError, "mean has 2 numbers, but the images have 3 channels"),
        (lambda: Normalize(0, (1, 1))(IMAGES), ShapeError, "std has 2 numbers, but the images have 3 channels"),
        (
            lambda: Normalize(0, 1)(BYTES),
            DTypeError,
            r"images of float32 or float64, got uint8\. Put ToFloat\(\) before",
        ),
        (lambda: Compose(ToFloat()), TypeError, r"^Compose: expected a list of transforms, got ToFloat\(.*\[a, b\]"),
        (lambda: Compose([ToFloat(), 3]), TypeError, "^Compose: expected transforms that can be called, got 3 as 1"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()
