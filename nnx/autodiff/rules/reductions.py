"""Sums, products, extrema, statistics, cumulative functions and sorting."""

import math
from typing import Any

from ..rule import composite, constant, rule
from .elementwise import zeros_where


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes that a reduction goes over, not negative."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(a % ndim for a in (axis if isinstance(axis, tuple) else (axis,)))


def keep(xp: Any, reduced: Any, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    """A reduced array with its axes of length 1 back in place."""
    if keepdims:
        return reduced
    axes = axes_of(axis, len(shape))
    return xp.reshape(reduced, tuple(1 if i in axes else n for i, n in enumerate(shape)))


def count(shape: tuple[int, ...], axis: Any) -> int:
    """The number of elements that a reduction takes together."""
    return math.prod(shape[a] for a in axes_of(axis, len(shape)))


def part(axis: int, ndim: int, key: Any) -> tuple:
    """The index that applies `key` to one axis."""
    return (slice(None),) * (axis % ndim) + (key, ...)


# ------------------------------------------------------------------ reductions


def _sum(xp: Any, g: Any, x_shape: Any, axis: Any, keepdims: Any) -> Any:
    return xp.broadcast_to(keep(xp, g, x_shape, axis, keepdims), x_shape)


def _mean(xp: Any, g: Any, x_shape: Any, axis: Any, keepdims: Any) -> Any:
    return xp.broadcast_to(keep(xp, g, x_shape, axis, keepdims) / count(x_shape, axis), x_shape)


def _extreme(xp: Any, g: Any, x: Any, out: Any, axis: Any, keepdims: Any) -> Any:
    """Ties share the gradient evenly."""
    g = keep(xp, g, x.shape, axis, keepdims)
    hit = xp.astype(x == keep(xp, out, x.shape, axis, keepdims), x.dtype)
    return g * (hit / xp.sum(hit, axis=axes_of(axis, x.ndim), keepdims=True))


rule("sum(x, /, *, axis=None, dtype=None, keepdims=False)", x=_sum)
rule("mean(x, /, *, axis=None, keepdims=False)", x=_mean)
rule("max(x, /, *, axis=None, keepdims=False)", x=_extreme)
rule("min(x, /, *, axis=None, keepdims=False)", x=_extreme)


def _prod(xp: Any, g: Any, x: Any, axis: Any, keepdims: Any) -> Any:
    """The product of all others, from the left and from the right: right at any number of zeros."""
    g = keep(xp, g, x.shape, axis, keepdims)
    axes = axes_of(axis, x.ndim)
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    order = (*rest, *axes)
    y = xp.reshape(xp.permute_dims(x, order), (*(x.shape[i] for i in rest), -1 if x.size else count(x.shape, axis)))
    left = xp.cumulative_prod(y, axis=-1, include_initial=True)[..., :-1]
    right = xp.flip(xp.cumulative_prod(xp.flip(y, axis=-1), axis=-1, include_initial=True)[..., :-1], axis=-1)
    others = xp.reshape(left * right, tuple(x.shape[i] for i in order))
    return g * xp.permute_dims(others, tuple(order.index(i) for i in range(x.ndim)))


rule("prod(x, /, *, axis=None, dtype=None, keepdims=False)", x=_prod)


def _var(xp: Any, g: Any, x: Any, axis: Any, correction: Any, keepdims: Any) -> Any:
    centred = x - xp.mean(x, axis=axes_of(axis, x.ndim), keepdims=True)
    return keep(xp, g, x.shape, axis, keepdims) * (2 / _degrees(x.shape, axis, correction)) * centred


def _std(xp: Any, g: Any, x: Any, out: Any, axis: Any, correction: Any, keepdims: Any) -> Any:
    """Zero where the data are constant, as in PyTorch."""
    flat = out == 0
    scaled = zeros_where(xp, flat, g / xp.where(flat, xp.ones_like(out), out))
    centred = x - xp.mean(x, axis=axes_of(axis, x.ndim), keepdims=True)
    return keep(xp, scaled, x.shape, axis, keepdims) * (1 / _degrees(x.shape, axis, correction)) * centred


def _degrees(shape: tuple[int, ...], axis: Any, correction: float) -> float:
    n = count(shape, axis) - correction
    return n if n > 0 else math.nan


rule("var(x, /, *, axis=None, correction=0.0, keepdims=False)", x=_var)
rule("std(x, /, *, axis=None, correction=0.0, keepdims=False)", x=_std)

constant("all(x, /, *, axis=None, keepdims=False)", "any(x, /, *, axis=None, keepdims=False)")
constant("argmax(x, /, *, axis=None, keepdims=False)", "argmin(x, /, *, axis=None, keepdims=False)")
constant("count_nonzero(x, /, *, axis=None, keepdims=False)")

# ------------------------------------------------------------------ cumulative


def reverse_cumulative_sum(xp: Any, g: Any, axis: int) -> Any:
    """The sum of each element and all that come after it."""
    return xp.flip(xp.cumulative_sum(xp.flip(g, axis=axis), axis=axis), axis=axis)


def _cumulative_sum(xp: Any, g: Any, axis: Any, include_initial: Any) -> Any:
    axis = 0 if axis is None else axis
    if include_initial:
        g = g[part(axis, g.ndim, slice(1, None))]
    return reverse_cumulative_sum(xp, g, axis)


def _cumulative_prod(xp: Any, g: Any, x: Any, out: Any, axis: Any, include_initial: Any) -> Any:
    """With y = cumulative_prod(x): dx[i] = y[i-1] r[i], where r[i] = g[i] + x[i+1] r[i+1]. No division by x.

    The recurrence is run by doubling: composing the affine maps of stretches of 1, 2, 4, ... elements.
    """
    axis = 0 if axis is None else axis % x.ndim
    if include_initial:
        g = g[part(axis, g.ndim, slice(1, None))]
        before = out[part(axis, out.ndim, slice(None, -1))]
    else:
        before = _shift(xp, out, axis, -1, 1.0)
    factor = _shift(xp, x, axis, 1, 0.0)
    r, step = g, 1
    while step < x.shape[axis]:
        r = r + factor * _shift(xp, r, axis, step, 0.0)
        factor = factor * _shift(xp, factor, axis, step, 0.0)
        step *= 2
    return before * r


def _shift(xp: Any, x: Any, axis: int, step: int, fill: float) -> Any:
    """x[i + step] along an axis, and `fill` beyond its end."""
    n = x.shape[axis]
    if n == 0:
        return x
    kept = x[part(axis, x.ndim, slice(step, None) if step > 0 else slice(None, step))]
    padding = xp.zeros_like(x[part(axis, x.ndim, slice(0, abs(step)))]) + fill
    return xp.concat([kept, padding] if step > 0 else [padding, kept], axis=axis)


rule("cumulative_sum(x, /, *, axis=None, dtype=None, include_initial=False)", x=_cumulative_sum)
rule("cumulative_prod(x, /, *, axis=None, dtype=None, include_initial=False)", x=_cumulative_prod)


def _diff(xp: Any, x: Any, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Any:
    ends = [a for a in (prepend, x, append) if a is not None]
    if len(ends) > 1:
        x = xp.concat(ends, axis=axis)
    for _ in range(n):
        x = x[part(axis, x.ndim, slice(1, None))] - x[part(axis, x.ndim, slice(None, -1))]
    return x


composite("diff(x, /, *, axis=-1, n=1, prepend=None, append=None)", _diff)

# ------------------------------------------------------------------ sorting and sets


def _sort(xp: Any, g: Any, x: Any, axis: Any, descending: Any) -> Any:
    order = xp.argsort(xp.astype(x, x.dtype), axis=axis, descending=descending, stable=True)
    return xp.take_along_axis(g, xp.argsort(order, axis=axis), axis=axis)


rule("sort(x, /, *, axis=-1, descending=False, stable=True)", x=_sort)
constant("argsort(x, /, *, axis=-1, descending=False, stable=True)")
constant("searchsorted(x1, x2, /, *, side='left', sorter=None)", "isin(x1, x2, /, *, invert=False)")


def _unique_all(xp: Any, x: Any) -> Any:
    found = xp.raw.unique_all(xp.untracked(x))
    values = xp.take(xp.reshape(x, (-1,)), xp.raw.reshape(found.indices, (-1,)), axis=0)
    return type(found)(values, *[xp.wrap(part) for part in tuple(found)[1:]])


def _unique_counts(xp: Any, x: Any) -> Any:
    found = xp.raw.unique_counts(xp.untracked(x))
    return type(found)(_unique_all(xp, x).values, xp.wrap(found.counts))


def _unique_inverse(xp: Any, x: Any) -> Any:
    found = xp.raw.unique_inverse(xp.untracked(x))
    return type(found)(_unique_all(xp, x).values, xp.wrap(found.inverse_indices))


composite("unique_all(x, /)", _unique_all)
composite("unique_counts(x, /)", _unique_counts)
composite("unique_inverse(x, /)", _unique_inverse)
composite("unique_values(x, /)", lambda xp, x: _unique_all(xp, x).values)
