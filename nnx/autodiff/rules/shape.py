"""Functions that move elements: reshaping, joining, repeating, matrix products."""

import math
from typing import Any

from ..rule import composite, joint_rule, rule
from ..tape import unbroadcast
from .reductions import part


def _undo(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(axes)), key=lambda i: axes[i] % len(axes)))


rule("reshape(x, /, shape, *, copy=None)", x=lambda xp, g, x_shape: xp.reshape(g, x_shape))
rule("permute_dims(x, /, axes)", x=lambda xp, g, axes: xp.permute_dims(g, _undo(axes)))
rule("matrix_transpose(x, /)", x=lambda xp, g: xp.matrix_transpose(g))
rule("moveaxis(x, source, destination, /)", x=lambda xp, g, source, destination: xp.moveaxis(g, destination, source))
rule("expand_dims(x, /, axis)", x=lambda xp, g, x_shape: xp.reshape(g, x_shape))
rule("squeeze(x, /, axis)", x=lambda xp, g, x_shape: xp.reshape(g, x_shape))
rule("broadcast_to(x, /, shape)", x=lambda xp, g, x_shape: unbroadcast(xp, g, x_shape))
rule("flip(x, /, *, axis=None)", x=lambda xp, g, axis: xp.flip(g, axis=axis))
rule("tril(x, /, *, k=0)", x=lambda xp, g, k: xp.tril(g, k=k))
rule("triu(x, /, *, k=0)", x=lambda xp, g, k: xp.triu(g, k=k))
rule("astype(x, dtype, /, *, copy=True, device=None)", x=lambda xp, g: g, holomorphic=False)


def _roll(xp: Any, g: Any, shift: Any, axis: Any) -> Any:
    return xp.roll(g, tuple(-s for s in shift) if isinstance(shift, tuple) else -shift, axis=axis)


rule("roll(x, /, shift, *, axis=None)", x=_roll)

# ------------------------------------------------------------------ joining and splitting


def _concat(xp: Any, g: Any, needs: tuple, arrays_shapes: Any, axis: Any) -> tuple:
    sizes = [math.prod(s) if axis is None else s[axis] for s in arrays_shapes]
    grads, start = [], 0
    for need, shape, size in zip(needs, arrays_shapes, sizes, strict=True):
        stop = start + size
        piece = None if need is None else g[part(axis or 0, g.ndim, slice(start, stop))]
        grads.append(piece if need is None or axis is not None else xp.reshape(piece, shape))
        start = stop
    return tuple(grads)


def _stack(xp: Any, g: Any, needs: tuple, axis: Any) -> tuple:
    return tuple(None if need is None else g[part(axis, g.ndim, i)] for i, need in enumerate(needs))


joint_rule("concat(arrays, /, *, axis=0)", _concat)
joint_rule("stack(arrays, /, *, axis=0)", _stack)


def _unstack(xp: Any, x: Any, *, axis: int = 0) -> tuple:
    return tuple(x[part(axis, x.ndim, i)] for i in range(x.shape[axis]))


def _broadcast_arrays(xp: Any, *arrays: Any) -> tuple:
    shape = xp.broadcast_shapes(*[a.shape for a in arrays])
    return tuple(xp.broadcast_to(a, shape) for a in arrays)


def _meshgrid(xp: Any, *arrays: Any, indexing: str = "xy") -> tuple:
    n = len(arrays)
    columns = []
    for i, a in enumerate(arrays):
        axis = 1 - i if indexing == "xy" and n > 1 and i < 2 else i
        columns.append(xp.reshape(a, (1,) * axis + (-1,) + (1,) * (n - 1 - axis)))
    return xp.broadcast_arrays(*columns)


def _tile(xp: Any, x: Any, repetitions: tuple[int, ...]) -> Any:
    rank = max(x.ndim, len(repetitions))
    shape = (1,) * (rank - x.ndim) + x.shape
    counts = (1,) * (rank - len(repetitions)) + tuple(repetitions)
    x = xp.reshape(x, tuple(n for size in shape for n in (1, size)))
    x = xp.broadcast_to(x, tuple(n for pair in zip(counts, shape, strict=True) for n in pair))
    return xp.reshape(x, tuple(c * n for c, n in zip(counts, shape, strict=True)))


def _repeat(xp: Any, x: Any, repeats: Any, *, axis: int | None = None) -> Any:
    if axis is None:
        x, axis = xp.reshape(x, (-1,)), 0
    raw = xp.raw
    index = raw.arange(x.shape[axis], device=x.device)
    return xp.take(x, raw.repeat(index, xp.untracked(repeats)), axis=axis)


composite("unstack(x, /, *, axis=0)", _unstack)
composite("broadcast_arrays(*arrays)", _broadcast_arrays)
composite("meshgrid(*arrays, indexing='xy')", _meshgrid)
composite("tile(x, repetitions, /)", _tile)
composite("repeat(x, repeats, /, *, axis=None)", _repeat)

# ------------------------------------------------------------------ products


def _matmul_left(xp: Any, g: Any, x1: Any, x2: Any) -> Any:
    if x2.ndim == 1:
        return g * x2 if x1.ndim == 1 else xp.expand_dims(g, axis=-1) * x2
    if x1.ndim == 1:
        return xp.matmul(x2, xp.expand_dims(g, axis=-1))[..., 0]
    return xp.matmul(g, xp.matrix_transpose(x2))


def _matmul_right(xp: Any, g: Any, x1: Any, x2: Any) -> Any:
    if x1.ndim == 1:
        return g * x1 if x2.ndim == 1 else xp.expand_dims(x1, axis=-1) * xp.expand_dims(g, axis=-2)
    if x2.ndim == 1:
        return xp.matmul(xp.matrix_transpose(x1), xp.expand_dims(g, axis=-1))[..., 0]
    if x2.ndim == 2 and x1.ndim > 2:  # fold the batch: one product, no (batch, k, n) temporary
        x1 = xp.reshape(x1, (math.prod(x1.shape[:-1]), x1.shape[-1]))
        g = xp.reshape(g, (math.prod(g.shape[:-1]), g.shape[-1]))
    return xp.matmul(xp.matrix_transpose(x1), g)


rule("matmul(x1, x2, /)", x1=_matmul_left, x2=_matmul_right)


def _tensordot(xp: Any, x1: Any, x2: Any, *, axes: Any = 2) -> Any:
    pairs = (range(x1.ndim - axes, x1.ndim), range(axes)) if isinstance(axes, int) else axes
    first, second = [a % x1.ndim for a in pairs[0]], [a % x2.ndim for a in pairs[1]]
    rest1 = [i for i in range(x1.ndim) if i not in first]
    rest2 = [i for i in range(x2.ndim) if i not in second]
    shape = tuple(x1.shape[i] for i in rest1) + tuple(x2.shape[i] for i in rest2)
    k = math.prod(x1.shape[i] for i in first)
    rows = math.prod(x1.shape[i] for i in rest1)
    columns = math.prod(x2.shape[i] for i in rest2)
    left = xp.reshape(xp.permute_dims(x1, (*rest1, *first)), (rows, k))
    right = xp.reshape(xp.permute_dims(x2, (*second, *rest2)), (k, columns))
    return xp.reshape(xp.matmul(left, right), shape)


def _vecdot(xp: Any, x1: Any, x2: Any, *, axis: int = -1) -> Any:
    x1 = xp.conj(x1) if xp.isdtype(x1.dtype, "complex floating") else x1
    return xp.sum(xp.multiply(x1, x2), axis=axis)  # by name: one may be raw, and not all libraries' operators give way


composite("tensordot(x1, x2, /, *, axes=2)", _tensordot)
composite("vecdot(x1, x2, /, *, axis=-1)", _vecdot)
