"""Matrix products cut to the sizes that BLAS is fast at.

OpenBLAS multiplies matrices without repacking them first as long as rows * columns * depth <= 100**3. For long, narrow
matrices, such as those of a convolution with up to a hundred channels, that is up to twice as fast as one large
product. With another BLAS the cuts cost a few percent.
"""

from __future__ import annotations

import numpy as np

_SMALL = 100**3
_FEWEST = 24  # rows; below it the calls cost more than the repacking


def product(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """Write the matrix product of a (..., rows, depth) and b (..., depth, columns) to `out`, by bunches of rows."""
    rows = a.shape[-2]
    bunch = _bunch(rows, a.shape[-1] * b.shape[-1])
    if not bunch:
        np.matmul(a, b, out=out)
        return
    full = rows // bunch * bunch
    np.matmul(_bunches(a[..., :full, :], bunch), b[..., None, :, :], out=_bunches(out[..., :full, :], bunch))
    if full < rows:
        np.matmul(a[..., full:, :], b, out=out[..., full:, :])


def cross_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the product of a transposed and b: (..., rows, m) and (..., rows, n) give (..., m, n)."""
    rows = a.shape[-2]
    bunch = _bunch(rows, a.shape[-1] * b.shape[-1])
    transposed = np.swapaxes(a, -1, -2)
    if not bunch:
        return np.matmul(transposed, b)
    full = rows // bunch * bunch
    parts = np.matmul(np.swapaxes(_bunches(a[..., :full, :], bunch), -1, -2), _bunches(b[..., :full, :], bunch))
    total = np.add.reduce(parts, axis=-3)
    if full < rows:
        total += np.matmul(transposed[..., full:], b[..., full:, :])
    return total


def _bunch(rows: int, others: int) -> int:
    """How many rows to multiply at a time, or 0 for all of them."""
    most = min(_SMALL // max(others, 1), 256) // 8 * 8
    if not _FEWEST <= most < rows:
        return 0
    return -(-rows // -(-rows // most) // 8) * 8  # bunches of nearly one size: a small rest would be slow


def _bunches(x: np.ndarray, size: int) -> np.ndarray:
    return x.reshape(*x.shape[:-2], x.shape[-2] // size, size, x.shape[-1])
