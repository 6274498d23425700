"""The arrays of the simulator, and their namespace: NumPy's functions, whose results are viewed as this class again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from nnx.backends.numpy.indexing import EXTENSIONS as _numpy_extensions
from nnx.backends.numpy.namespace import xp as numpy_xp


class SimtArray(np.ndarray):
    """An array of the simulator. It is never a scalar, as on a device."""

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return as_simt(array)

    def __getitem__(self, key: Any) -> Any:
        return as_simt(np.asarray(self)[as_numpy(key)])

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return xp


def as_simt(value: Any) -> Any:
    """View what NumPy returned as arrays of the simulator."""
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value).view(SimtArray)
    if isinstance(value, tuple):
        items = [as_simt(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return [as_simt(item) for item in value] if isinstance(value, list) else value


def as_numpy(value: Any) -> Any:
    """View arrays of the simulator as NumPy's."""
    if isinstance(value, SimtArray):
        return value.view(np.ndarray)
    if isinstance(value, (tuple, list)):
        return type(value)([as_numpy(item) for item in value])
    return value


def _on_simt(function: Callable) -> Callable:
    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        given = {name: as_numpy(value) for name, value in options.items()}
        return as_simt(function(*[as_numpy(arg) for arg in args], **given))

    return call


def _wrapped(module: Any, name: str) -> Any:
    result: Any = ModuleType(name, "The Array API standard on arrays of the simulator.")
    for key in dir(module):
        value = getattr(module, key)
        if isinstance(value, ModuleType) and key in ("linalg", "fft"):
            setattr(result, key, _wrapped(value, f"{name}.{key}"))
        elif not key.startswith("_") or key.startswith("__array_"):
            is_function = callable(value) and not isinstance(value, type) and not key.startswith("__")
            setattr(result, key, _on_simt(value) if is_function else value)
    return result


xp: Any = _wrapped(numpy_xp, "nnx.backends.simt.xp")
plain_matmul: Callable = xp.matmul
EXTENSIONS: dict[str, Callable] = {name: _on_simt(function) for name, function in _numpy_extensions.items()}
