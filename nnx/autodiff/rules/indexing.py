"""Indexing, gathering and their transposes, with a generic reference for what the standard lacks.

The references use no item assignment by integer arrays and no data-dependent shapes, so that they run anywhere;
backends override them (``Backend.extensions``), since a gather written as a one-hot product is slow.
"""

import math
from typing import Any

from ...backend import device
from ..rule import rule

rule("indexing.alias(x, /)", x=lambda xp, g: g, forward=lambda xp, x: x)

# ------------------------------------------------------------------ x[key] and x[key] = value


def _basic_key(key: Any, ndim: int) -> tuple:
    """A key of slices and integers, one per axis: Ellipsis spelled out, None dropped."""
    parts = [k for k in (key if isinstance(key, tuple) else (key,)) if k is not None]
    missing = (slice(None),) * (ndim - sum(k is not Ellipsis for k in parts))
    if not any(k is Ellipsis for k in parts):
        return (*parts, *missing)
    at = next(i for i, k in enumerate(parts) if k is Ellipsis)
    return (*parts[:at], *missing, *parts[at + 1 :])


def _basic_transpose(xp: Any, g: Any, key: Any, shape: tuple[int, ...]) -> Any:
    """Gather from `g` with a slice of zeros appended: every place of the result takes its value or the zero."""
    keys = _basic_key(key, len(shape))
    hits = [range(*k.indices(n)) if isinstance(k, slice) else [k % n] for k, n in zip(keys, shape, strict=True)]
    g = xp.reshape(g, tuple(len(h) for h in hits))
    for axis, (hit, n) in enumerate(zip(hits, shape, strict=True)):
        if list(hit) == list(range(n)):
            continue
        position = {place: j for j, place in enumerate(hit)}
        index = xp.asarray([position.get(i, len(hit)) for i in range(n)], dtype=xp.int64, device=device(g))
        zero = xp.zeros((*g.shape[:axis], 1, *g.shape[axis + 1 :]), dtype=g.dtype, device=device(g))
        g = xp.take(xp.concat([g, zero], axis=axis), index, axis=axis)
    return g


def _getitem_transpose(xp: Any, g: Any, key: Any, shape: tuple[int, ...]) -> Any:
    """An array of zeros with `g` added at `key`: the transpose of ``x[key]``."""
    keys = key if isinstance(key, tuple) else (key,)
    arrays = [k for k in keys if hasattr(k, "dtype")]
    if not arrays:
        return _basic_transpose(xp, g, key, shape)
    if any(xp.isdtype(k.dtype, "bool") for k in arrays):
        if len(keys) > 1:
            raise IndexError("a boolean mask must be the only index; combine masks with & first.")
        places = xp.reshape(
            xp.cumulative_sum(xp.astype(xp.reshape(keys[0], (-1,)), xp.int64), axis=0) - 1, keys[0].shape
        )
        rest = shape[keys[0].ndim :]
        if g.shape[0] == 0:
            return xp.zeros(shape, dtype=g.dtype, device=device(g))
        spread = xp.reshape(
            xp.take(g, xp.reshape(xp.where(keys[0], places, 0), (-1,)), axis=0), (*keys[0].shape, *rest)
        )
        mask = xp.reshape(keys[0], (*keys[0].shape, *(1 for _ in rest)))
        return xp.where(mask, spread, xp.zeros_like(spread))
    if any(not hasattr(k, "dtype") and not isinstance(k, int) for k in keys):
        raise IndexError(f"an integer array may not be combined with slices in one index: {key!r}; use xp.take.")
    indices = xp.broadcast_arrays(*[k if hasattr(k, "dtype") else xp.asarray(k, device=device(g)) for k in keys])
    dims = shape[: len(indices)]
    flat = xp.zeros(indices[0].shape, dtype=xp.int64, device=device(g))
    for index, n in zip(indices, dims, strict=True):
        flat = flat * n + xp.astype(xp.where(index < 0, index + n, index), xp.int64)
    rest = shape[len(dims) :]
    summed = _take_transpose(
        xp, xp.reshape(g, (flat.size, math.prod(rest))), xp.reshape(flat, (-1,)), 0, (math.prod(dims), math.prod(rest))
    )
    return xp.reshape(summed, shape)


def _setitem(xp: Any, x: Any, key: Any, value: Any) -> Any:
    """A copy of `x` with ``x[key] = value`` done."""
    y = xp.asarray(x, copy=True)
    y[key] = value
    return y


rule(
    "indexing.getitem(x, key, /)",
    x=lambda xp, g, key, x_shape: xp.indexing.getitem_transpose(g, key, x_shape),
    forward=lambda xp, x, key: x[key],
)
rule(
    "indexing.getitem_transpose(x, key, shape, /)",
    x=lambda xp, g, key: xp.indexing.getitem(g, key),
    forward=_getitem_transpose,
)
rule(
    "indexing.setitem(x, key, value, /)",
    x=lambda xp, g, key: xp.indexing.setitem(g, key, 0.0),
    value=lambda xp, g, key: xp.indexing.getitem(g, key),
    forward=_setitem,
)

# ------------------------------------------------------------------ take


def _one_hot(xp: Any, indices: Any, n: int, dtype: Any) -> Any:
    """A matrix (n, len(indices)) with a 1 where row = index."""
    indices = xp.where(indices < 0, indices + n, indices)
    rows = xp.arange(n, dtype=indices.dtype, device=device(indices))
    return xp.astype(xp.expand_dims(rows, axis=1) == xp.expand_dims(indices, axis=0), dtype)


def _take_transpose(xp: Any, g: Any, indices: Any, axis: int, shape: tuple[int, ...]) -> Any:
    """An array of zeros with slices of `g` added at `indices` along `axis`: the transpose of ``take``."""
    g = xp.moveaxis(g, axis, 0)
    rest = g.shape[1:]
    flat = xp.reshape(g, (g.shape[0], math.prod(rest)))
    summed = xp.matmul(_one_hot(xp, indices, shape[axis], g.dtype), flat)
    return xp.moveaxis(xp.reshape(summed, (shape[axis], *rest)), 0, axis)


def _take(xp: Any, g: Any, x_shape: Any, indices: Any, axis: Any) -> Any:
    return xp.indexing.take_transpose(g, indices, 0 if axis is None else axis % len(x_shape), x_shape)


rule("take(x, indices, /, *, axis=None)", x=_take)
rule(
    "indexing.take_transpose(x, indices, axis, shape, /)",
    x=lambda xp, g, indices, axis: xp.take(g, indices, axis=axis),
    forward=_take_transpose,
)

# ------------------------------------------------------------------ take_along_axis


def _take_along_axis_transpose(xp: Any, g: Any, indices: Any, axis: int, shape: tuple[int, ...]) -> Any:
    """The transpose of ``take_along_axis``."""
    n = shape[axis]
    indices = xp.broadcast_to(xp.where(indices < 0, indices + n, indices), g.shape)
    indices, g = xp.moveaxis(indices, axis, -1), xp.moveaxis(g, axis, -1)
    places = xp.arange(n, dtype=indices.dtype, device=device(g))
    hit = xp.astype(xp.expand_dims(indices, axis=-1) == places, g.dtype)
    summed = xp.moveaxis(xp.sum(xp.expand_dims(g, axis=-1) * hit, axis=-2), -1, axis)
    return _sum_to(xp, summed, shape)


def _sum_to(xp: Any, x: Any, shape: tuple[int, ...]) -> Any:
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and x.shape[i] != 1)
    return xp.sum(x, axis=axes, keepdims=True) if axes else x


def _take_along_axis(xp: Any, g: Any, x_shape: Any, indices: Any, axis: Any) -> Any:
    return xp.indexing.take_along_axis_transpose(g, indices, axis % len(x_shape), x_shape)


rule("take_along_axis(x, indices, /, *, axis=-1)", x=_take_along_axis)
rule(
    "indexing.take_along_axis_transpose(x, indices, axis, shape, /)",
    x=lambda xp, g, indices, axis: xp.take_along_axis(g, indices, axis=axis),
    forward=_take_along_axis_transpose,
)
