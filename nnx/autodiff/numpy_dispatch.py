"""NumPy's dispatch protocols: ``np.sin(t)`` on a differentiable array runs ``sin`` of its namespace."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

_UFUNCS = {
    "power": "pow",
    "float_power": "pow",
    "true_divide": "divide",
    "absolute": "abs",
    "fabs": "abs",
    "arctan2": "atan2",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "invert": "bitwise_invert",
    "bitwise_not": "bitwise_invert",
    "conjugate": "conj",
    "rint": "round",
    "mod": "remainder",
    "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift",
    "fmax": None,
    "fmin": None,
}
_REDUCTIONS = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "max",
    "minimum": "min",
    "logical_and": "all",
    "logical_or": "any",
}
_ACCUMULATIONS = {"add": "cumulative_sum", "multiply": "cumulative_prod"}
_FUNCTIONS = {
    "around": "round",
}


def _unsupported(kind: str, name: str, options: dict) -> TypeError:
    given = f" with {', '.join(options)}" if options else ""
    return TypeError(
        f"numpy.{name}{given} ({kind}) is not recorded on tracked arrays. Use the Array API function of the namespace "
        "x.__array_namespace__(), or nnx.stop_gradient(x) if no gradient shall flow."
    )


def call_ufunc(namespace: Any, ufunc: Any, method: str, inputs: tuple, options: dict) -> Any:
    """Run a NumPy ufunc as the function of the same meaning in `namespace`."""
    name = ufunc.__name__
    typed = {"dtype"} if name in _ACCUMULATIONS else set()
    if method == "reduce" and name in _REDUCTIONS and set(options) <= {"axis", "keepdims"} | typed:
        options = {"axis": 0, **{k: v for k, v in options.items() if v is not None or k == "axis"}}
        return getattr(namespace, _REDUCTIONS[name])(*inputs, **options)
    if method == "accumulate" and name in _ACCUMULATIONS and set(options) <= {"axis", "dtype"}:
        return getattr(namespace, _ACCUMULATIONS[name])(*inputs, **{"axis": 0, **options})
    target = _UFUNCS.get(name, name)
    function = None if target is None else getattr(namespace, target, None) or getattr(namespace.special, target, None)
    if method != "__call__" or function is None or options:
        raise _unsupported(f"ufunc method {method}", name, options)
    if name == "float_power":  # what tells it from power
        inputs = tuple(namespace.astype(_array(namespace, x), _double(namespace, x)) for x in inputs)
    return function(*inputs)


def call_function(namespace: Any, function: Any, args: tuple, options: dict) -> Any:
    """Run a NumPy function as the function of the same meaning in `namespace`."""
    name = function.__name__
    # None is every other option's default, but for an axis it may also say "over the flattened array".
    options = {
        k: v for k, v in options.items() if (v is not None or k == "axis") and type(v).__name__ != "_NoValueType"
    }
    own = _OWN.get(name)
    try:
        if own is not None:
            return own(namespace, *args, **options)
        module = namespace
        for part in function.__module__.split(".")[1:]:
            if part in ("linalg", "fft"):
                module = getattr(namespace, part)
        found = getattr(module, _FUNCTIONS.get(name, name), None)
        if found is None:
            raise _unsupported("function", name, options)
        positional, keywords = _spelling(function, found)
        return found(*args[:positional], **dict(zip(keywords, args[positional:], strict=False)), **options)
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:  # the arguments did not fit
            raise _unsupported("function", name, options) from None
        raise


@functools.cache
def _spelling(function: Callable, found: Callable) -> tuple[int, list[str]]:
    """How many arguments `found` takes by position, and NumPy's names for those that it wants by keyword."""
    kinds = [p.kind for p in inspect.signature(found).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return sys.maxsize, []
    positional = len([k for k in kinds if k is not inspect.Parameter.KEYWORD_ONLY])
    return positional, list(inspect.signature(function).parameters)[positional:]


# ------------------------------------------------------------------ functions that the standard spells differently


def _array(xp: Any, a: Any) -> Any:
    return a if hasattr(a, "shape") else xp.asarray(a)


def _double(xp: Any, a: Any) -> Any:
    return xp.complex128 if xp.isdtype(_array(xp, a).dtype, "complex floating") else xp.float64


def _flat(xp: Any, a: Any, axis: Any) -> tuple[Any, int]:
    """What NumPy works on when the axis is None: the flattened array."""
    return (xp.reshape(a, (-1,)), 0) if axis is None else (a, axis)


def _transpose(xp: Any, a: Any, axes: Any = None) -> Any:
    return xp.permute_dims(a, tuple(range(a.ndim))[::-1] if axes is None else tuple(axes))


def _swapaxes(xp: Any, a: Any, axis1: int, axis2: int) -> Any:
    axes = list(range(a.ndim))
    axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
    return xp.permute_dims(a, tuple(axes))


def _ravel(xp: Any, a: Any) -> Any:
    return xp.reshape(a, (-1,))


def _dot(xp: Any, a: Any, b: Any) -> Any:
    a, b = _array(xp, a), _array(xp, b)
    if a.ndim == 0 or b.ndim == 0:
        return xp.multiply(a, b)
    return xp.tensordot(a, b, axes=((a.ndim - 1,), (max(b.ndim - 2, 0),)))


def _outer(xp: Any, a: Any, b: Any) -> Any:
    return xp.linalg.outer(xp.reshape(a, (-1,)), xp.reshape(b, (-1,)))


def _cumulate(function: str) -> Any:
    def cumulate(xp: Any, a: Any, axis: Any = None, dtype: Any = None) -> Any:
        a, axis = _flat(xp, a, axis)
        return getattr(xp, function)(a, axis=axis, dtype=dtype)

    return cumulate


def _expand(xp: Any, a: Any, axis: Any) -> Any:
    return xp.expand_dims(a, axis=axis)


def _spread(function: str) -> Any:
    def spread(
        xp: Any, a: Any, axis: Any = None, *, ddof: float = 0, correction: float = 0, keepdims: bool = False
    ) -> Any:
        return getattr(xp, function)(a, axis=axis, correction=ddof or correction, keepdims=keepdims)

    return spread


def _plain(function: str) -> Any:
    def plain(xp: Any, a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
        return getattr(xp, function)(a, axis=axis, keepdims=keepdims)

    return plain


def _typed(function: str) -> Any:
    def typed(xp: Any, a: Any, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> Any:
        return getattr(xp, function)(a, axis=axis, dtype=dtype, keepdims=keepdims)

    return typed


def _mean(xp: Any, a: Any, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> Any:
    return xp.mean(a if dtype is None else xp.astype(a, dtype), axis=axis, keepdims=keepdims)


def _squeeze(xp: Any, a: Any, axis: Any = None) -> Any:
    return xp.squeeze(a, axis=tuple(i for i, n in enumerate(a.shape) if n == 1) if axis is None else axis)


def _norm(xp: Any, x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if ord is None or len(axes) == 1:
        return xp.linalg.vector_norm(x, axis=axes, keepdims=keepdims, ord=2 if ord is None else ord)
    if {a % x.ndim for a in axes} != {x.ndim - 2, x.ndim - 1} or axes[0] % x.ndim > axes[1] % x.ndim:
        raise _unsupported("function", "linalg.norm", {"axis": axis})
    return xp.linalg.matrix_norm(x, keepdims=keepdims, ord=ord)


def _tensordot(xp: Any, a: Any, b: Any, axes: Any = 2) -> Any:
    if not isinstance(axes, int):
        axes = tuple((k,) if isinstance(k, int) else tuple(k) for k in axes)
    return xp.tensordot(a, b, axes=axes)


def _qr(xp: Any, a: Any, mode: str = "reduced") -> Any:
    if mode not in ("reduced", "complete"):
        raise _unsupported("function", "linalg.qr", {f"mode={mode!r}": mode})
    return xp.linalg.qr(a, mode=mode)


def _sorted(function: str) -> Any:
    def sort(xp: Any, a: Any, axis: int | None = -1) -> Any:
        a, axis = _flat(xp, a, axis)
        return getattr(xp, function)(a, axis=axis)

    return sort


def _take(xp: Any, a: Any, indices: Any, axis: int | None = None) -> Any:
    a, axis = _flat(xp, a, axis)
    indices = _array(xp, indices)
    taken = xp.take(a, xp.reshape(indices, (-1,)), axis=axis)
    axis %= a.ndim
    return xp.reshape(taken, (*a.shape[:axis], *indices.shape, *a.shape[axis + 1 :]))


def _take_along_axis(xp: Any, arr: Any, indices: Any, axis: int | None = -1) -> Any:
    arr, axis = _flat(xp, arr, axis)
    return xp.take_along_axis(arr, indices, axis=axis)


def _tile(xp: Any, A: Any, reps: Any) -> Any:
    return xp.tile(A, (reps,) if isinstance(reps, int) else tuple(int(n) for n in reps))


def _copy(xp: Any, a: Any) -> Any:
    return xp.asarray(a, copy=True)


def _vstack(xp: Any, arrays: Any) -> Any:
    arrays = [_array(xp, a) for a in arrays]
    return xp.concat([xp.reshape(a, (1, -1)) if a.ndim < 2 else a for a in arrays], axis=0)


def _hstack(xp: Any, arrays: Any) -> Any:
    arrays = [_array(xp, a) for a in arrays]
    arrays = [xp.reshape(a, (1,)) if a.ndim == 0 else a for a in arrays]
    return xp.concat(arrays, axis=0 if arrays[0].ndim == 1 else 1)


def _concatenate(xp: Any, arrays: Any, axis: int | None = 0) -> Any:
    return xp.concat([_array(xp, a) for a in arrays], axis=axis)


def _where(xp: Any, condition: Any, *choices: Any) -> Any:
    return xp.where(condition, *choices) if choices else xp.nonzero(condition)


def _size(xp: Any, a: Any, axis: int | None = None) -> Any:
    return a.size if axis is None else a.shape[axis]


_OWN: dict[str, Any] = {
    "transpose": _transpose,
    "permute_dims": _transpose,
    "swapaxes": _swapaxes,
    "ravel": _ravel,
    "dot": _dot,
    "outer": _outer,
    "cumsum": _cumulate("cumulative_sum"),
    "cumprod": _cumulate("cumulative_prod"),
    "expand_dims": _expand,
    "var": _spread("var"),
    "std": _spread("std"),
    **{name: _plain(name) for name in ("max", "min", "all", "any", "argmax", "argmin")},
    "sum": _typed("sum"),
    "prod": _typed("prod"),
    "mean": _mean,
    "norm": _norm,
    "squeeze": _squeeze,
    "concatenate": _concatenate,
    "concat": _concatenate,
    "sort": _sorted("sort"),
    "argsort": _sorted("argsort"),
    "take": _take,
    "take_along_axis": _take_along_axis,
    "tile": _tile,
    "copy": _copy,
    "tensordot": _tensordot,
    "qr": _qr,
    "amax": _plain("max"),
    "amin": _plain("min"),
    "vstack": _vstack,
    "hstack": _hstack,
    "where": _where,
    "shape": lambda xp, a: a.shape,
    "ndim": lambda xp, a: a.ndim,
    "size": _size,
}
