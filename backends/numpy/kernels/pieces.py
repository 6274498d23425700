"""Matrices in pieces of some rows: temporaries never reach memory, and threads share the pieces out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nnx.backend import each, single_threaded_blas

from .ones import ones

_PIECE = 2**18  # elements: a megabyte; with shorter NumPy calls threads wait for each other
_LONG = 4096  # beyond it sums are NumPy's, which are pairwise and thus more exact
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def unsupported(first: np.ndarray, *others: Any) -> str | None:
    """Return why a kernel cannot take some arrays (None among them is fine), or None."""
    if first.dtype not in _FLOATS or any(a is not None and a.dtype != first.dtype for a in others):
        return "it takes float32 or float64 arrays of one dtype"
    return None


def number_of_pieces(rows: int, width: int) -> int:
    """Return how many pieces `for_pieces` makes of a matrix."""
    return -(-rows // _rows_of_piece(width))


def for_pieces(work: Callable[[int, slice], Any], rows: int, width: int) -> None:
    """Call ``work(number, slice of rows)`` for every piece of a matrix, over all threads."""
    step = _rows_of_piece(width)
    narrow = width < 512

    def call(i: int) -> None:
        piece = slice(i * step, min((i + 1) * step, rows))
        if narrow:
            work(i, piece)
            return
        # NumPy copies an operand that it broadcasts into buffers, unless rows are longer than these. That doubles the
        # time of a subtraction; for short rows it is made up for by longer loops.
        size = np.setbufsize(256)
        try:
            work(i, piece)
        finally:
            np.setbufsize(size)

    with single_threaded_blas():
        each(call, range(number_of_pieces(rows, width)))


def row_sums(x: np.ndarray) -> np.ndarray:
    """Return the sum of each row."""
    width = x.shape[1]
    return x.dot(ones(width, x.dtype)) if width <= _LONG else np.add.reduce(x, axis=1)


def _rows_of_piece(width: int) -> int:
    return max(1, _PIECE // max(1, width))
