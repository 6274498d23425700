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
    b = b[..., None, :, :]
    for rows, found in bunches(a, out):
        np.matmul(rows, b, out=found)


def bunches(a: np.ndarray, out: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut the rows of a product a @ b = out: each pair, of a and of out, is for a call with ``b[..., None, :, :]``."""
    rows = a.shape[-2]
    bunch = _bunch(rows, a.shape[-1] * out.shape[-1])
    full = rows // bunch * bunch
    pairs = [(_cut(a[..., :full, :], bunch), _cut(out[..., :full, :], bunch))]
    if full < rows:
        pairs.append((a[..., None, full:, :], out[..., None, full:, :]))
    return pairs


def cross_product(a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return the product of a transposed and b: (..., rows, m) and (..., rows, n) give `out` (..., m, n)."""
    rows = a.shape[-2]
    bunch = _bunch(rows, a.shape[-1] * b.shape[-1])
    transposed = np.swapaxes(a, -1, -2)
    if bunch == rows:
        return np.matmul(transposed, b, out=out)
    full = rows // bunch * bunch
    parts = np.matmul(np.swapaxes(_cut(a[..., :full, :], bunch), -1, -2), _cut(b[..., :full, :], bunch))
    total = np.add.reduce(parts, axis=-3, out=out)
    if full < rows:
        total += np.matmul(transposed[..., full:], b[..., full:, :])
    return total


def _bunch(rows: int, others: int) -> int:
    """How many rows to multiply at a time."""
    most = min(_SMALL // max(others, 1), 256) // 8 * 8
    if not _FEWEST <= most < rows:
        return max(rows, 1)
    return -(-rows // -(-rows // most) // 8) * 8  # bunches of nearly one size: a small rest would be slow


def _cut(x: np.ndarray, size: int) -> np.ndarray:
    return x.reshape(*x.shape[:-2], x.shape[-2] // size, size, x.shape[-1])
