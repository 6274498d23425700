"""The confusion matrix: scikit-learn's, from classes and from scores, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import DTypeError, ShapeError
from nnx.metrics import confusion_matrix


@pytest.mark.parametrize("normalize", [None, "true", "pred", "all"])
@pytest.mark.parametrize("shape", [(1,), (50,), (4, 5, 3)])
def test_it_is_that_of_scikit_learn(xp_backend: Any, normalize: str | None, shape: tuple[int, ...]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 4, shape)  # class 4 never is the right one, class 5 does not occur
    scores = rng.standard_normal((*shape, 6))
    scores[..., 5] = -10.0
    classes = scores.argmax(axis=-1)
    with np.errstate(invalid="ignore"):
        expected = metrics.confusion_matrix(
            targets.reshape(-1), classes.reshape(-1), labels=range(6), normalize=normalize
        )
    for predictions in (xp_backend.array(scores), xp_backend.array(classes)):
        found = confusion_matrix(predictions, xp_backend.array(targets), 6, normalize)
        assert type(found) is type(predictions)
        np.testing.assert_allclose(nnx.to_numpy(found), expected, rtol=1e-12)
    assert nnx.to_numpy(confusion_matrix(xp_backend.array(scores), xp_backend.array(targets))).sum() == targets.size


def test_sizes_kinds_and_nothing(xp_backend: Any) -> None:
    small = confusion_matrix(
        xp_backend.array(np.asarray([2, 0], "int8")), xp_backend.array(np.asarray([0, 0], "int32"))
    )
    np.testing.assert_array_equal(nnx.to_numpy(small), [[1, 0, 1], [0, 0, 0], [0, 0, 0]])
    onehot = confusion_matrix(xp_backend.array(np.eye(3)), xp_backend.array(np.eye(3)[[1, 1, 2]]))
    np.testing.assert_array_equal(nnx.to_numpy(onehot), [[0, 0, 0], [1, 1, 0], [0, 0, 1]])
    none = xp_backend.array(np.zeros((0,), "int64"))
    np.testing.assert_array_equal(nnx.to_numpy(confusion_matrix(none, none, 2)), np.zeros((2, 2)))
    tracked = nnx.variable(xp_backend.array(np.eye(2)))
    assert nnx.to_numpy(confusion_matrix(tracked, xp_backend.array(np.asarray([0, 1])))).tolist() == [[1, 0], [0, 1]]


def test_errors() -> None:
    two = np.asarray([0, 1])
    with pytest.raises(ValueError, match="confusion_matrix: expected classes from 0 to 1, got 7"):
        confusion_matrix(np.eye(2), np.asarray([0, 7]))
    with pytest.raises(ValueError, match="confusion_matrix: expected classes from 0 to 1, got -1"):
        confusion_matrix(two, np.asarray([0, -1]))
    with pytest.raises(ShapeError, match=r"as many predicted classes as targets, got shapes \(2,\) and \(3,\)"):
        confusion_matrix(two, np.asarray([0, 1, 1]))
    with pytest.raises(ShapeError, match=r"confusion_matrix: expected scores \(..., C\) and targets \(...\)"):
        confusion_matrix(np.eye(2), np.asarray([0, 1, 1]))
    with pytest.raises(DTypeError, match="confusion_matrix: expected integer classes, got dtype float64"):
        confusion_matrix(two, np.asarray([0.0, 1.0]))
    with pytest.raises(ValueError, match="expected normalize to be None, 'true', 'pred', 'all', got 'rows'"):
        confusion_matrix(two, two, normalize="rows")
    with pytest.raises(ValueError, match="expected num_classes to be a positive integer, got 0"):
        confusion_matrix(two, two, 0)
