"""Weights of losses."""

from __future__ import annotations

from typing import Any

from ..autodiff import Buffer
from ..backend import asarray


def as_buffer(weight: Any) -> Any:
    """Return weights as a buffer, which moves and is saved with the loss; a list becomes an array, None stays None."""
    if weight is None:
        return None
    return Buffer(weight if hasattr(weight, "shape") else asarray(weight))
