"""Weights of losses."""

from __future__ import annotations

from typing import Any

from ..autodiff import Buffer
from ..backend import asarray
from ..errors import ShapeError
from ..functional.loss_checks import check_class_weight


def as_buffer(weight: Any) -> Any:
    """Return weights as a buffer, which moves and is saved with the loss; a list becomes an array, None stays None."""
    if weight is None:
        return None
    return Buffer(weight if hasattr(weight, "shape") else asarray(weight))


def class_weights(label: str, weight: Any) -> Any:
    """Return the weights of classes as a buffer, or raise unless they are finite numbers of at least 0 in one axis."""
    buffer = as_buffer(weight)
    if buffer is not None:
        shape = tuple(buffer.value.shape)
        if len(shape) != 1:
            raise ShapeError(f"{label}: expected weight of shape (classes,), one for each class, got shape {shape}.")
        check_class_weight(label, buffer.value)
    return buffer
