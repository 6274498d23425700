"""CuPy's raw namespace: array_api_compat's, with what it leaves out for the sake of older versions.

What remains different from the standard are attributes of the array object, which no namespace can mend: there is no
`__array_namespace__`, `to_device` or `__index__`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import array_api_compat.cupy as compat
import cupy as cp

xp: Any = ModuleType("nnx.backends.cupy.xp", "The Array API standard on CuPy arrays.")
for _name in dir(compat):
    if not _name.startswith("_") or _name.startswith("__array_"):
        setattr(xp, _name, getattr(compat, _name))

xp.matmul = cp.matmul


# ------------------------------------------------------------------ creation on a chosen device


def _create(function: Callable) -> Callable:
    """Obey ``device=``, which array_api_compat ignores: CuPy allocates on its current device."""

    @functools.wraps(function)
    def create(*args: Any, device: Any = None, **options: Any) -> Any:
        if device is None:
            return function(*args, **options)
        with cp.cuda.Device(device):
            return function(*args, **options)

    return create


def _create_like(function: Callable) -> Callable:
    """The same, where the default is the device of the model array."""

    @functools.wraps(function)
    def create_like(x: Any, /, *args: Any, device: Any = None, **options: Any) -> Any:
        with x.device if device is None else cp.cuda.Device(device):
            return function(x, *args, **options)

    return create_like


for _name in ("arange", "empty", "eye", "full", "linspace", "ones", "zeros"):
    setattr(xp, _name, _create(getattr(compat, _name)))
for _name in ("empty_like", "full_like", "ones_like", "zeros_like"):
    setattr(xp, _name, _create_like(getattr(compat, _name)))


# ------------------------------------------------------------------ functions


def matrix_transpose(x: Any, /) -> Any:
    return x.mT


def permute_dims(x: Any, /, axes: tuple[int, ...]) -> Any:
    return x.transpose(axes)


def repeat(x: Any, repeats: Any, /, *, axis: int | None = None) -> Any:
    """CuPy's, which takes no array of counts, and a gather for those; the length of the result has to be read back."""
    if not isinstance(repeats, cp.ndarray):
        return cp.repeat(x, repeats, axis=axis)
    if axis is None:
        x, axis = x.reshape(-1), 0
    ends = cp.cumsum(cp.broadcast_to(repeats, (x.shape[axis],)))
    length = int(ends[-1]) if ends.size else 0
    return cp.take(x, cp.searchsorted(ends, cp.arange(length), side="right"), axis=axis)


for _function in (matrix_transpose, permute_dims, repeat):
    setattr(xp, _function.__name__, _function)
