"""one_hot: PyTorch's, on every backend, and the errors."""

import numpy as np
import pytest

import nnx
from nnx.errors import DTypeError
from tests.tolerances import assert_close

one_hot = nnx.functional.one_hot
LABELS = np.random.default_rng(0).integers(0, 5, size=(3, 4))


@pytest.mark.parametrize("shape", [(12,), (3, 4), (), (2, 3, 2)])
@pytest.mark.parametrize("num_classes", [-1, 5, 8])
def test_values_equal_torch(xp_backend, shape, num_classes):
    torch = pytest.importorskip("torch")
    labels = LABELS.reshape(-1)[: int(np.prod(shape))].reshape(shape)
    array = xp_backend.array(labels)
    found = one_hot(array, num_classes)
    assert_close(found, torch.nn.functional.one_hot(torch.asarray(labels), num_classes).numpy())
    assert nnx.backend.device(found) == nnx.backend.device(array)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "uint64"])
def test_every_integer_dtype_gives_int64(xp_backend, dtype):
    # 300 classes are more than an uint8 can count.
    assert_close(one_hot(xp_backend.array(LABELS, dtype), 300), (LABELS[..., None] == np.arange(300)).astype("int64"))


def test_nothing_gives_nothing(xp_backend):
    assert_close(one_hot(xp_backend.array(np.zeros((0, 2), "int64")), 3), np.zeros((0, 2, 3), "int64"))


def test_cross_entropy_takes_it_for_probabilities(xp_backend):
    scores = xp_backend.array(np.random.default_rng(1).normal(size=(3, 4, 5)))
    labels = xp_backend.array(LABELS)
    target = xp_backend.xp.astype(one_hot(labels, 5), scores.dtype)
    assert_close(nnx.functional.cross_entropy(scores, target), nnx.functional.cross_entropy(scores, labels))


@pytest.mark.parametrize(
    ("labels", "num_classes", "error", "message"),
    [
        (
            np.asarray([0, 3]),
            3,
            IndexError,
            "indices from 0 to 2 for 3 classes, got some from 0 to 3. Check the labels",
        ),
        (np.asarray([0, -1]), 3, IndexError, "indices from 0 to 2 for 3 classes, got some from -1 to 0"),
        (np.asarray([-1]), -1, IndexError, "indices from 0 to 0 for 1 classes, got some from -1 to -1"),
        (np.asarray([0]), 0, ValueError, "expected num_classes to be positive, or -1 to find it out, got 0"),
        (np.asarray([0]), -2, ValueError, "expected num_classes to be positive, or -1 to find it out, got -2"),
        (np.asarray([0]), 2.0, TypeError, "expected num_classes to be an integer, got 2.0"),
        (np.asarray([], dtype=int), -1, ValueError, "expected at least one index to tell num_classes from, got none"),
        (np.asarray([0.0]), 2, DTypeError, "expected integer class indices, got dtype float64. Cast them"),
        (np.asarray([True]), 2, DTypeError, "expected integer class indices, got dtype bool"),
        ([0, 1], 2, TypeError, r"expected tensor to be an array, got list; use nnx.asarray\(tensor\)"),
    ],
)
def test_bad_arguments(labels, num_classes, error, message):
    with pytest.raises(error, match=message) as caught:
        one_hot(labels, num_classes)
    assert str(caught.value).startswith("one_hot: ")
