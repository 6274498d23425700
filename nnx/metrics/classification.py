"""How often the predicted class is the right one."""

from __future__ import annotations

import math
from typing import Any

from ..backend import device
from ..checks import positive_integer
from ..dtypes import dtype_name, is_floating
from ..errors import DTypeError, ShapeError
from .base import BatchMetric, evaluate_once


class Accuracy(BatchMetric):
    """The share of elements whose predicted class is the right one.

    Predictions are scores of shape (..., C), of which the largest wins, or integer classes of shape (...). Targets are
    integer classes of shape (...), or probabilities of shape (..., C). Any scores will do: logits or probabilities.

    Raises
    ------
    ShapeError, DTypeError
        On `update`, if predictions and targets do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> import nnx
    >>> metric = nnx.metrics.Accuracy()
    >>> metric.update(np.asarray([[2.0, -1.0], [0.5, 1.5]]), np.asarray([0, 0]))
    >>> metric.result()
    0.5
    """

    name = "accuracy"

    def measure(self, xp: Any, predictions: Any, targets: Any) -> tuple[Any, int]:
        if is_floating(predictions.dtype):
            targets = _class_targets(self.name, xp, predictions, targets)
            predictions = xp.argmax(predictions, axis=-1)
        elif tuple(predictions.shape) != tuple(targets.shape):
            raise ShapeError(
                f"{self.name}: expected as many predicted classes as targets, got shapes {tuple(predictions.shape)} "
                f"and {tuple(targets.shape)}."
            )
        right = predictions == xp.astype(targets, predictions.dtype, copy=False)
        return xp.count_nonzero(right), math.prod(targets.shape)


class TopKAccuracy(BatchMetric):
    """The share of elements whose right class is among the `k` with the largest scores; of equal scores the first wins.

    Parameters
    ----------
    k
        From 1 to the number of classes.

    Raises
    ------
    ValueError
        If `k` is not positive, or on `update`, if it exceeds the number of classes.
    TypeError
        If `k` is not an integer.
    ShapeError, DTypeError
        On `update`, if predictions (..., C) and targets (...) do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> import nnx
    >>> metric = nnx.metrics.TopKAccuracy(k=2)
    >>> metric.update(np.asarray([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]), np.asarray([1, 2]))
    >>> metric.result()
    0.5
    """

    def __init__(self, k: int = 5) -> None:
        super().__init__()
        self.k = positive_integer("TopKAccuracy", "k", k)
        self.name = f"top_{self.k}_accuracy"

    def measure(self, xp: Any, predictions: Any, targets: Any) -> tuple[Any, int]:
        if not is_floating(predictions.dtype):
            raise DTypeError(
                f"{self.name}: expected floating-point scores (..., C), got dtype {dtype_name(predictions.dtype)}."
            )
        targets = _class_targets(self.name, xp, predictions, targets)
        classes = predictions.shape[-1]
        if self.k > classes:
            raise ValueError(f"{self.name}: expected at least {self.k} classes, got {classes}; choose a smaller k.")
        # The standard has no top-k. The rank of the right class needs no sorting, and a label that is out of range
        # hits nothing, instead of reading a wrong score.
        numbers = xp.arange(classes, dtype=xp.int64, device=device(predictions))
        label = xp.expand_dims(xp.astype(targets, xp.int64, copy=False), axis=-1)
        hit = numbers == label
        score = xp.sum(xp.where(hit, predictions, xp.zeros_like(predictions)), axis=-1, keepdims=True)
        ahead = (predictions > score) | ((predictions == score) & (numbers < label))
        rank = xp.sum(xp.astype(ahead, xp.int64), axis=-1)
        valid = xp.any(hit, axis=-1) & ~xp.isnan(xp.squeeze(score, axis=-1))
        return xp.count_nonzero((rank < self.k) & valid), math.prod(targets.shape)

    def __repr__(self) -> str:
        return f"TopKAccuracy(k={self.k})"


class BinaryAccuracy(BatchMetric):
    """The share of elements on the right side of a threshold: ``(predictions > threshold) == targets``.

    Parameters
    ----------
    threshold
        0.5 for probabilities, 0 for logits; there is no default, since a wrong one would go unnoticed.

    Raises
    ------
    ShapeError
        On `update`, if predictions and targets differ in shape.

    Examples
    --------
    >>> import numpy as np
    >>> import nnx
    >>> metric = nnx.metrics.BinaryAccuracy(threshold=0.0)
    >>> metric.update(np.asarray([-2.0, 3.0, 1.0, -1.0]), np.asarray([0, 1, 0, 0]))
    >>> metric.result()
    0.75
    """

    name = "binary_accuracy"

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = float(threshold)

    def measure(self, xp: Any, predictions: Any, targets: Any) -> tuple[Any, int]:
        if tuple(predictions.shape) != tuple(targets.shape):
            raise ShapeError(
                f"{self.name}: expected predictions and targets of one shape, got {tuple(predictions.shape)} and "
                f"{tuple(targets.shape)}; add or remove an axis of length 1."
            )
        right = (predictions > self.threshold) == xp.astype(targets, xp.bool, copy=False)
        return xp.count_nonzero(right), math.prod(targets.shape)

    def __repr__(self) -> str:
        return f"BinaryAccuracy(threshold={self.threshold:g})"


def _class_targets(name: str, xp: Any, scores: Any, targets: Any) -> Any:
    """Return the right classes for scores (..., C), as integers of shape (...)."""
    shape, wanted = tuple(targets.shape), tuple(scores.shape[:-1])
    if is_floating(targets.dtype):
        if scores.ndim > 1 and shape == tuple(scores.shape):
            return xp.argmax(targets, axis=-1)
        if shape == wanted and scores.ndim > 1:
            raise DTypeError(
                f"{name}: expected integer classes, got dtype {dtype_name(targets.dtype)}. Cast them, e.g. "
                "xp.astype(targets, xp.int64)."
            )
    if scores.ndim < 2 or shape != wanted:
        advice = "Give one score per class."
        if shape == tuple(scores.shape):
            advice = (
                "For one score per element use nnx.metrics.BinaryAccuracy(threshold); for one-hot targets take "
                "xp.argmax(targets, axis=-1)."
            )
        raise ShapeError(
            f"{name}: expected scores (..., C) and targets (...), got shapes {tuple(scores.shape)} and {shape}. "
            + advice
        )
    return targets


def accuracy(predictions: Any, targets: Any) -> float:
    """Return the share of elements whose predicted class is the right one. See `Accuracy`.

    Examples
    --------
    >>> import numpy as np
    >>> import nnx
    >>> nnx.metrics.accuracy(np.asarray([[0.9, 0.1], [0.2, 0.8]]), np.asarray([0, 0]))
    0.5
    """
    return evaluate_once(Accuracy(), predictions, targets)


def top_k_accuracy(predictions: Any, targets: Any, k: int = 5) -> float:
    """Return the share of elements whose right class is among the `k` with the largest scores. See `TopKAccuracy`.

    Examples
    --------
    >>> import numpy as np
    >>> import nnx
    >>> nnx.metrics.top_k_accuracy(np.asarray([[0.5, 0.3, 0.2]]), np.asarray([1]), k=2)
    1.0
    """
    return evaluate_once(TopKAccuracy(k), predictions, targets)


def binary_accuracy(predictions: Any, targets: Any, threshold: float) -> float:
    """Return the share of elements on the right side of a threshold. See `BinaryAccuracy`.

    Examples
    --------
    >>> import numpy as np
    >>> import nnx
    >>> nnx.metrics.binary_accuracy(np.asarray([0.2, 0.7]), np.asarray([0, 0]), threshold=0.5)
    0.5
    """
    return evaluate_once(BinaryAccuracy(threshold), predictions, targets)
