"""How products of strided arrays are put to a library that knows column-major matrices, with as few calls as possible.

A row-major matrix is the memory of its transpose in column-major order. So ``d = a @ b`` is asked for as ``d.T =
b.T @ a.T``: the library's A is b, its B is a, and what is transposed here is not transposed there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

MAX_SIZE = 2**31 - 1
MAX_BATCH = 65535  # of one call: some of the library's kernels count it in an axis of the grid that ends there
MANY = 32  # calls; before there are more of them, a copy is the cheaper way


class Strided(NamedTuple):
    """Where the elements of an array lie: shape and strides, in elements; the last two axes are those of a matrix."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def transposed(self) -> Strided:
        """Exchange rows and columns."""
        (*batch, rows, columns), (*strides, down, right) = self.shape, self.strides
        return Strided((*batch, columns, rows), (*strides, right, down))

    def broadcast(self, batch: Sequence[int]) -> Strided:
        """Repeat the matrices, with strides of 0."""
        missing = len(batch) - len(self.shape) + 2
        own = zip((1,) * missing + self.shape[:-2], (0,) * missing + self.strides[:-2], strict=True)
        strides = [0 if size == 1 else stride for size, stride in own]
        return Strided((*batch, *self.shape[-2:]), (*strides, *self.strides[-2:]))


class Problem(NamedTuple):
    """One call, in the terms of the library: D (m x n) = A (m x k) B (k x n), each in column-major order."""

    m: int
    n: int
    k: int
    batch: int
    transpose_a: bool
    transpose_b: bool
    leading: tuple[int, ...]  # of A, B, D, and of what the epilogue reads or writes beside D
    strides: tuple[int, ...]  # from one matrix of the batch to the next, likewise


class Group(NamedTuple):
    """Calls that differ only in where their matrices begin: offsets of A, B, D and what is beside D, in elements."""

    problem: Problem
    offsets: tuple[tuple[int, ...], ...]


def result_shape(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...] | None:
    """Return the shape of ``a @ b`` for arrays of matrices, or None if they do not fit."""
    if len(a) < 2 or len(b) < 2 or a[-1] != b[-2]:
        return None
    batch = []
    for x, y in itertools.zip_longest(reversed(a[:-2]), reversed(b[:-2]), fillvalue=1):
        if x != y and 1 not in (x, y):
            return None
        batch.append(y if x == 1 else x)
    return (*reversed(batch), a[-2], b[-1])


def strided(array: Any, turned: bool = False, scale: int = 1) -> Strided:
    """Return where the elements of an array lie, with rows and columns exchanged if `turned`.

    With a `scale` every element is counted as so many along the last axis, such as 8 bits of a byte.
    """
    size = array.dtype.itemsize
    strides = [stride * scale // size if stride % size == 0 else -1 for stride in array.strides]
    shape = list(array.shape)
    if scale > 1:
        shape[-1], strides[-1] = shape[-1] * scale, 1
    found = Strided(tuple(shape), tuple(strides))
    return found.transposed() if turned else found


def leading_dimension(rows: int, columns: int, down: int, right: int) -> int | None:
    """Return the distance between the rows of a row-major matrix with these strides, or None if it is not one."""
    if (columns > 1 and right != 1) or (rows > 1 and down < columns):
        return None
    return down if rows > 1 else columns


def arrange(
    a: Strided, b: Strided, d: Strided, beside: Strided | None = None, summed: str = "", copies: str = "ab"
) -> list[Group] | str:
    """Return the calls that make ``d = a @ b``, or which of the operands have to be copied first: "a", "b" or "ab".

    Parameters
    ----------
    a, b
        The factors, of one batch shape.
    d
        The result: a row-major matrix or many.
    beside
        A matrix for every matrix of the result, which the epilogue reads or writes.
    summed
        "a" or "b": the factor whose sums are wanted, too, which is possible in one order only.
    copies
        Those that are no copies yet.
    """
    (m, k), n = a.shape[-2:], b.shape[-1]
    a_order, b_order = _order(a, {"a": True}.get(summed)), _order(b, {"b": False}.get(summed))
    unfit = ("a" if a_order is None else "") + ("b" if b_order is None else "")
    if a_order is None or b_order is None:
        return unfit
    operands = [b, a, d] if beside is None else [b, a, d, beside]
    below = [leading_dimension(*x.shape[-2:], *x.strides[-2:]) or 0 for x in operands[2:]]
    leading = [b_order[1], a_order[1], *below]
    axes = _merged([(size, [x.strides[i] for x in operands]) for i, size in enumerate(d.shape[:-2])])
    if axes and not summed and not a_order[0] and not any(strides[0] for _, strides in axes):
        # One matrix b for all: rows of many matrices are those of one, if they lie so.
        rows = _merged([*axes, (m, [0, a.strides[-2], *[x.strides[-2] for x in operands[2:]]])])
        if len(rows) == 1 and rows[0][1][1] >= k and rows[0][1][2] >= n:
            m, stacked = rows[0]
            axes, leading = [], [leading[0], *stacked[1:]]
    axes.sort(key=lambda axis: axis[0])
    batch, strides = axes.pop() if axes else (1, [0] * len(operands))
    calls = math.prod(size for size, _ in axes) * -(-batch // MAX_BATCH)
    if calls > MANY and copies:
        return copies
    starts = [
        [sum(i * strides[x] for i, (_, strides) in zip(place, axes, strict=True)) for x in range(len(operands))]
        for place in itertools.product(*[range(size) for size, _ in axes])
    ]
    groups = []
    for first in range(0, batch, MAX_BATCH):
        count = min(MAX_BATCH, batch - first)
        step = [stride if count > 1 else 0 for stride in strides]
        problem = Problem(n, m, k, count, b_order[0], a_order[0], tuple(leading), tuple(step))
        offsets = [tuple(s + first * stride for s, stride in zip(start, strides, strict=True)) for start in starts]
        groups.append(Group(problem, tuple(offsets)))
    return groups


def _order(x: Strided, wanted: bool | None) -> tuple[bool, int] | None:
    """Whether the library has to transpose a factor, and its leading dimension; None if it has to be copied."""
    if any(stride < 0 for stride in x.strides):
        return None
    for transpose in (False, True) if wanted is None else (wanted,):
        way = x.transposed() if transpose else x
        leading = leading_dimension(*way.shape[-2:], *way.strides[-2:])
        if leading is not None:
            return transpose, max(1, leading)
    return None


def _merged(axes: Sequence[tuple[int, list[int]]]) -> list[tuple[int, list[int]]]:
    """Join neighbouring axes that are one for every operand; axes of one element are left out."""
    joined: list[tuple[int, list[int]]] = []
    for size, strides in axes:
        if size == 1:
            continue
        if joined and all(outer == size * inner for outer, inner in zip(joined[-1][1], strides, strict=True)):
            joined[-1] = (joined[-1][0] * size, strides)
        else:
            joined.append((size, strides))
    return joined
