"""NumPy's dispatch protocols: ``np.sin(t)`` on a differentiable array runs ``sin`` of its namespace."""

from __future__ import annotations

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
_REDUCTIONS = {"add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min", "logical_and": "all", "logical_or": "any"}
_ACCUMULATIONS = {"add": "cumulative_sum", "multiply": "cumulative_prod"}
_FUNCTIONS = {
    "amax": "max",
    "amin": "min",
    "concatenate": "concat",
    "around": "round",
    "transpose": "permute_dims",
    "swapaxes": None,
    "ravel": None,
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
    if method == "reduce" and name in _REDUCTIONS and set(options) <= {"axis", "keepdims", "dtype"}:
        options = {"axis": 0, **{k: v for k, v in options.items() if v is not None or k == "axis"}}
        return getattr(namespace, _REDUCTIONS[name])(*inputs, **options)
    if method == "accumulate" and name in _ACCUMULATIONS and set(options) <= {"axis", "dtype"}:
        return getattr(namespace, _ACCUMULATIONS[name])(*inputs, **{"axis": 0, **options})
    target = _UFUNCS.get(name, name)
    function = None if target is None else getattr(namespace, target, None) or getattr(namespace.special, target, None)
    if method != "__call__" or function is None or options:
        raise _unsupported(f"ufunc method {method}", name, options)
    return function(*inputs)


def call_function(namespace: Any, function: Any, args: tuple, options: dict) -> Any:
    """Run a NumPy function as the function of the same meaning in `namespace`."""
    name = function.__name__
    own = _OWN.get(name)
    if own is not None:
        return own(namespace, *args, **options)
    target = _FUNCTIONS.get(name, name)
    module = namespace
    for part in function.__module__.split(".")[1:]:
        if part in ("linalg", "fft"):
            module = getattr(namespace, part)
    found = None if target is None else getattr(module, target, None)
    if found is None:
        raise _unsupported("function", name, options)
    return found(*args, **{k: v for k, v in options.items() if v is not None})


# ------------------------------------------------------------------ functions that the standard spells differently


def _transpose(xp: Any, a: Any, axes: Any = None) -> Any:
    return xp.permute_dims(a, tuple(range(a.ndim))[::-1] if axes is None else tuple(axes))


def _swapaxes(xp: Any, a: Any, axis1: int, axis2: int) -> Any:
    axes = list(range(a.ndim))
    axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
    return xp.permute_dims(a, tuple(axes))


def _ravel(xp: Any, a: Any) -> Any:
    return xp.reshape(a, (-1,))


def _dot(xp: Any, a: Any, b: Any) -> Any:
    if a.ndim == 0 or b.ndim == 0:
        return xp.multiply(a, b)
    return xp.tensordot(a, b, axes=((a.ndim - 1,), (max(b.ndim - 2, 0),)))


def _outer(xp: Any, a: Any, b: Any) -> Any:
    return xp.linalg.outer(xp.reshape(a, (-1,)), xp.reshape(b, (-1,)))


def _cumulate(function: str) -> Any:
    def cumulate(xp: Any, a: Any, axis: Any = None, dtype: Any = None) -> Any:
        if axis is None:
            a, axis = xp.reshape(a, (-1,)), 0
        return getattr(xp, function)(a, axis=axis, dtype=dtype)

    return cumulate


def _expand(xp: Any, a: Any, axis: Any) -> Any:
    return xp.expand_dims(a, axis=axis)


def _spread(function: str) -> Any:
    def spread(xp: Any, a: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False, **options: Any) -> Any:
        if options:
            raise _unsupported("function", function, options)
        return getattr(xp, function)(a, axis=axis, correction=ddof, keepdims=keepdims)

    return spread


def _plain(function: str) -> Any:
    def plain(xp: Any, a: Any, *args: Any, **options: Any) -> Any:
        names = ("axis", "dtype", "out", "keepdims") if function in ("sum", "prod", "mean") else ("axis", "out", "keepdims")
        options = {**dict(zip(names, args, strict=False)), **options}
        options = {k: v for k, v in options.items() if v is not None and type(v).__name__ != "_NoValueType"}
        if function == "mean" and "dtype" in options:
            a = xp.astype(a, options.pop("dtype"))
        return getattr(xp, function)(a, **options)

    return plain


def _stack_like(axis_of_rank: Any) -> Any:
    def join(xp: Any, arrays: Any) -> Any:
        return xp.concat(list(arrays), axis=axis_of_rank(arrays[0]))

    return join


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
    **{name: _plain(name) for name in ("sum", "prod", "mean", "max", "min", "all", "any", "argmax", "argmin")},
    "amax": _plain("max"),
    "amin": _plain("min"),
    "vstack": _stack_like(lambda a: 0),
    "hstack": _stack_like(lambda a: 0 if a.ndim == 1 else 1),
    "where": _where,
    "shape": lambda xp, a: a.shape,
    "ndim": lambda xp, a: a.ndim,
    "size": _size,
}
