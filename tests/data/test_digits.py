"""The bundled digits: the right data, and a split that stays."""

import hashlib
from importlib import resources

import numpy as np
import pytest

from nnx.data.datasets import digits


def test_the_file_is_the_one_that_was_checked():
    content = resources.files("nnx.data.datasets").joinpath("digits.npz").read_bytes()
    assert hashlib.sha256(content).hexdigest() == ("516461765719e9f81b246f52d21473a2e9006efb68053ba7c60c53a89fe9dcb6")


def test_the_images_are_those_of_scikit_learn():
    bunch = pytest.importorskip("sklearn.datasets").load_digits()
    images, labels = digits("all", dtype="uint8")
    np.testing.assert_array_equal(images[..., 0], bunch.images)
    np.testing.assert_array_equal(labels, bunch.target)


def test_shapes_types_and_range():
    images, labels = digits("all")
    assert (images.shape, images.dtype) == ((1797, 8, 8, 1), np.float32)
    assert (labels.shape, labels.dtype) == ((1797,), np.int64)
    assert (images.min(), images.max()) == (0.0, 1.0)
    raw, same = digits("all", dtype=np.uint8)
    assert raw.dtype == np.uint8
    np.testing.assert_array_equal(images * 16, raw)
    np.testing.assert_array_equal(labels, same)


def test_the_split():
    images, labels = digits("all", dtype="uint8")
    (train_x, train_y), (test_x, test_y) = digits("train", dtype="uint8"), digits("test", dtype="uint8")
    assert (len(train_y), len(test_y)) == (1438, 359)
    assert np.bincount(test_y).tolist() == [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]
    assert np.bincount(train_y).tolist() == [142, 146, 142, 146, 145, 146, 145, 143, 139, 144]
    for digit in range(10):
        own = images[labels == digit]
        np.testing.assert_array_equal(test_x[test_y == digit], own[2::5])
        np.testing.assert_array_equal(train_x[train_y == digit], own[np.arange(len(own)) % 5 != 2])


def test_every_call_gives_new_arrays():
    images, labels = digits()
    images[:] = labels[:] = 7
    again_images, again_labels = digits()
    assert again_images.max() == 1
    assert again_labels.max() == 9


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"split": "valid"}, ValueError, "digits: expected split='train' or 'test' or 'all', got 'valid'"),
        ({"dtype": "float64"}, TypeError, "digits: expected dtype='float32' .*or 'uint8' .*got 'float64'"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        digits(**arguments)
