"""Which classes are taken for which."""

from __future__ import annotations

from typing import Any

from ..autodiff import stop_gradient
from ..autodiff.namespace import namespace
from ..backend import device, to_numpy
from ..checks import positive_integer
from ..dtypes import dtype_name, is_floating
from ..errors import DTypeError, ShapeError
from .classification import _class_targets

_NORMALIZE = ("true", "pred", "all")


def confusion_matrix(
    predictions: Any, targets: Any, num_classes: int | None = None, normalize: str | None = None
) -> Any:
    """Count how often each class (rows) is taken for each class (columns).

    Parameters
    ----------
    predictions
        Scores of shape (..., C), of which the largest wins, or integer classes of shape (...).
    targets
        The right classes: integers of shape (...), or with scores also probabilities of shape (..., C).
    num_classes
        How many classes there are; by default C, or for classes the largest of all and one more.
    normalize
        None for counts, "true" for shares of each row, "pred" of each column, "all" of the whole. Shares of nothing
        are 0.

    Returns
    -------
    array
        Of shape (C, C): integers, or with `normalize` floating-point numbers. Counts of several batches add up.

    Raises
    ------
    ShapeError, DTypeError
        If predictions and targets do not fit together.
    ValueError
        If a class is out of range, or `normalize` is unknown.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.metrics.confusion_matrix(np.asarray([0, 1, 1, 1]), np.asarray([0, 0, 1, 1]))
    array([[1, 1],
           [0, 2]])
    """
    label = "confusion_matrix"
    if normalize is not None and normalize not in _NORMALIZE:
        known = ", ".join(map(repr, _NORMALIZE))
        raise ValueError(f"{label}: expected normalize to be None, {known}, got {normalize!r}.")
    predictions, targets = stop_gradient(predictions), stop_gradient(targets)
    xp = namespace(predictions, targets)
    if is_floating(predictions.dtype):
        targets = _class_targets(label, xp, predictions, targets)
        count = predictions.shape[-1]
        predictions = xp.argmax(predictions, axis=-1)
    else:
        _check_classes(label, predictions, targets)
        count = None
    right, found = (xp.astype(xp.reshape(a, (-1,)), xp.int64, copy=False) for a in (targets, predictions))
    low, high = _extremes(xp, right, found)
    if num_classes is not None:
        count = positive_integer(label, "num_classes", num_classes)
    elif count is None:
        count = high + 1
    if low < 0 or high >= count:
        raise ValueError(f"{label}: expected classes from 0 to {count - 1}, got {low if low < 0 else high}.")
    # The standard has no bincount. In a sorted list, the places where the next cell begins tell how often each occurs.
    cells = xp.arange(count * count + 1, dtype=xp.int64, device=device(right))
    edges = xp.searchsorted(xp.sort(right * count + found), cells)
    matrix = xp.reshape(xp.astype(edges[1:] - edges[:-1], xp.int64, copy=False), (count, count))
    return matrix if normalize is None else _shares(xp, matrix, normalize)


def _check_classes(label: str, predictions: Any, targets: Any) -> None:
    if tuple(predictions.shape) != tuple(targets.shape):
        raise ShapeError(
            f"{label}: expected as many predicted classes as targets, got shapes {tuple(predictions.shape)} and "
            f"{tuple(targets.shape)}."
        )
    if is_floating(targets.dtype):
        raise DTypeError(
            f"{label}: expected integer classes, got dtype {dtype_name(targets.dtype)}. Cast them, e.g. "
            "xp.astype(targets, xp.int64)."
        )


def _extremes(xp: Any, right: Any, found: Any) -> tuple[int, int]:
    """Return the smallest and the largest class of all; (0, -1) if there are none."""
    if right.shape[0] == 0:
        return 0, -1
    both = xp.concat((right, found), axis=0)
    return int(to_numpy(xp.min(both))), int(to_numpy(xp.max(both)))


def _shares(xp: Any, matrix: Any, normalize: str) -> Any:
    matrix = xp.astype(matrix, xp.float64)
    axis = {"true": 1, "pred": 0, "all": None}[normalize]
    return matrix / xp.clip(xp.sum(matrix, axis=axis, keepdims=True), min=1.0)
