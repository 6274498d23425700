"""Native CuPy versions of the indexing functions that the standard lacks.

A gradient may add many values into one place. `cupy.add.at` does that with float atomics, in an order that changes
from run to run, and `cupy.add.reduceat` takes differences of a running sum, which cancel. Here the values are sorted by
place and summed pairwise within each place, in log2(n) passes, so that a training run repeats bit for bit. Nothing
waits for the device, except where a boolean mask does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cupy as cp


def _is_basic(key: Any) -> bool:
    """Tell whether an index can hit no place twice: slices, integers, boolean masks."""
    keys = key if type(key) is tuple else (key,)
    return not any(
        isinstance(k, list) or (hasattr(k, "dtype") and k.dtype != cp.bool_ and getattr(k, "ndim", 0) > 0) for k in keys
    )


def _segment_sum(rows: Any, places: Any, size: int) -> Any:
    """Sum the rows (n, m) that share one of the `size` places: an array (size, m), the same bits in every run."""
    n, m = rows.shape
    if n == 0 or m == 0 or size == 0:
        return cp.zeros((size, m), rows.dtype)
    order = cp.argsort(places)  # CuPy's is stable
    rows, places = cp.take(rows, order, axis=0), cp.take(places, order)
    zero = cp.zeros((), rows.dtype)
    step = 1
    while step < n:
        # Each row holds the sum of up to `step` rows of its place; now it also takes in those before them.
        same = places[step:] == places[:-step]
        rows[step:] += cp.where(same[:, None], rows[:-step], zero)
        step *= 2
    everywhere = cp.arange(size, dtype=places.dtype)
    starts, ends = (cp.searchsorted(places, everywhere, side=side) for side in ("left", "right"))
    return cp.where((starts < ends)[:, None], cp.take(rows, cp.maximum(ends - 1, 0), axis=0), zero)


def getitem_transpose(g: Any, key: Any, shape: tuple[int, ...]) -> Any:
    with g.device:
        if _is_basic(key):
            z = cp.zeros(shape, g.dtype)
            z[key] = g
            return z
        size = math.prod(shape)
        places = cp.arange(size).reshape(shape)[key]
        return _segment_sum(g.reshape(-1, 1), places.reshape(-1), size).reshape(shape)


def setitem(x: Any, key: Any, value: Any) -> Any:
    with x.device:
        y = x.copy()
        y[key] = value
        return y


def take_transpose(g: Any, indices: Any, axis: int, shape: tuple[int, ...]) -> Any:
    with g.device:
        rows = cp.moveaxis(g, axis, 0)
        rest = rows.shape[1:]
        summed = _segment_sum(rows.reshape(len(rows), math.prod(rest)), indices % shape[axis], shape[axis])
        return cp.moveaxis(summed.reshape(shape[axis], *rest), 0, axis)


def take_along_axis_transpose(g: Any, indices: Any, axis: int, shape: tuple[int, ...]) -> Any:
    with g.device:
        size = math.prod(shape)
        places = cp.arange(size).reshape(shape)
        lines = tuple(n if d == axis else g.shape[d] for d, n in enumerate(shape))
        indices = cp.broadcast_to(indices, g.shape)
        places = cp.take_along_axis(cp.broadcast_to(places, lines), indices, axis=axis)
        if g.shape[axis] == 1 and lines == shape:
            z = cp.zeros(size, g.dtype)  # one value per line, so no place is hit twice: the target of a cross entropy
            z[places.reshape(-1)] = g.reshape(-1)
            return z.reshape(shape)
        return _segment_sum(g.reshape(-1, 1), places.reshape(-1), size).reshape(shape)


EXTENSIONS: dict[str, Callable] = {
    f"indexing.{f.__name__}": f for f in (getitem_transpose, setitem, take_transpose, take_along_axis_transpose)
}
