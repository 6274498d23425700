"""A vector added to every row of a large array, and its gradient, the sum of all rows."""

from __future__ import annotations

import math

import numpy as np

from .ones import ones

_LONG = 4096  # numbers in a row that is long enough
_CHUNK = 4096  # rows summed at a time: short sums of sums are more exact than one long sum


def add_bias(x: np.ndarray, bias: np.ndarray) -> None:
    """Add a vector to the last axis of `x`, in place.

    NumPy loops over that axis alone, so several rows are joined where it is short.
    """
    *rest, rows, length = x.shape
    joined = rows if rows * length <= _LONG else math.gcd(rows, 1 << (_LONG // max(length, 1)).bit_length() >> 1)
    if joined > 1 and x.strides[-2:] == (length * x.itemsize, x.itemsize):
        x = x.reshape(*rest, rows // joined, joined * length)
        bias = np.concatenate([bias] * joined)
    x += bias


def sum_rows(x: np.ndarray) -> np.ndarray:
    """Return the sum over the rows of a matrix."""
    if len(x) <= _CHUNK:
        return ones(len(x), x.dtype).dot(x)
    total = np.zeros(x.shape[1], x.dtype)
    for start in range(0, len(x), _CHUNK):
        rows = x[start : start + _CHUNK]
        total += ones(len(rows), x.dtype).dot(rows)
    return total
