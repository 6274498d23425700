"""Sums of the columns of a matrix: gradients of biases, and the splits of a sum."""

from __future__ import annotations

from typing import Any

from ..compiler import Kernel
from ..launch import Machine, launch
from .elements import FLOAT_SUMS

PARTS = {dtype: Kernel("column_sum.cu", "sum_parts", (("REAL", name),)) for dtype, name in FLOAT_SUMS.items()}
OF_PARTS = {dtype: Kernel("column_sum.cu", "sum_of_parts", (("REAL", name),)) for dtype, name in FLOAT_SUMS.items()}
KERNELS = (*PARTS.values(), *OF_PARTS.values())
_BLOCKS = 528  # four for each of 132 multiprocessors


def column_sum(machine: Machine, matrix: Any, dtype: str | None = None) -> Any:
    """Return the sums of the columns of a contiguous matrix of 32 or 16 bits, added in float32.

    Parameters
    ----------
    machine
        Where.
    matrix
        Array of shape (rows, columns), up to 2**31 - 1 of each.
    dtype
        Of the result, by default that of the matrix.

    Returns
    -------
    array
        Of shape (columns,); the same bits on every device and in every run.
    """
    rows, columns = matrix.shape
    parts_kernel = PARTS[str(matrix.dtype)]
    across = 1
    while across < 32 and across * 8 < columns:
        across *= 2
    blocks = max(1, -(-columns // (across * 8)))
    span = max(-(-rows * blocks // _BLOCKS), 4 * 256 // across, -(-rows // 65535), 1)
    parts = -(-rows // span)
    partial = machine.empty((parts, columns), "float32", matrix)
    launch(machine, parts_kernel, (blocks, parts), (matrix, partial, rows, columns, span, across))
    return add_parts(machine, partial, dtype or str(matrix.dtype))


def add_parts(machine: Machine, partial: Any, dtype: str) -> Any:
    """Return the sums of the columns of a float32 matrix of few rows, in order."""
    parts, columns = partial.shape
    out = machine.empty((columns,), dtype, partial)
    launch(machine, OF_PARTS[dtype], -(-columns // 32), (partial, out, parts, columns))
    return out
