"""Lengths of whole tensors, as arrays of no axes, so that nothing waits for a device."""

from __future__ import annotations

from typing import Any


def sum_of_squares(xp: Any, x: Any) -> Any:
    """Return the sum of the squared elements of a tensor of any shape."""
    flat = xp.reshape(x, (-1,))
    return xp.vecdot(flat, flat)


def norm(xp: Any, x: Any) -> Any:
    """Return the Euclidean norm of a tensor of any shape."""
    return xp.sqrt(sum_of_squares(xp, x))


def trust_ratio(xp: Any, of_weights: Any, of_update: Any) -> Any:
    """Return the norm of the weights over that of their update, and 1 where one of them is 0."""
    one = xp.ones_like(of_weights)
    ratio = of_weights / xp.where(of_update > 0, of_update, one)
    return xp.where((of_weights > 0) & (of_update > 0), ratio, one)
