"""NumPy's raw namespace: array_api_compat's, with NumPy's own functions where they conform and cost less.

array_api_compat wraps many functions; on small arrays the wrapper costs more than the work. The functions below are
NumPy's (or a few lines around them) and pass the same conformance tests.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import array_api_compat.numpy as compat
import numpy as np

xp: Any = ModuleType("nnx.backends.numpy.xp", "The Array API standard on NumPy arrays.")
for _name in dir(compat):
    if not _name.startswith("_") or _name.startswith("__array_"):
        setattr(xp, _name, getattr(compat, _name))

xp.matmul = np.matmul
xp.sign = np.sign


def matrix_transpose(x: np.ndarray, /) -> np.ndarray:
    return x.mT


def permute_dims(x: np.ndarray, /, axes: tuple[int, ...]) -> np.ndarray:
    return x.transpose(axes)


def zeros(shape: Any, *, dtype: Any = None, device: Any = None) -> np.ndarray:
    _check_device(device)
    return np.zeros(shape, np.float64 if dtype is None else dtype)


def ones(shape: Any, *, dtype: Any = None, device: Any = None) -> np.ndarray:
    _check_device(device)
    array = np.empty(shape, np.float64 if dtype is None else dtype)
    array.fill(1)
    return array


def zeros_like(x: np.ndarray, /, *, dtype: Any = None, device: Any = None) -> np.ndarray:
    _check_device(device)
    return np.zeros(x.shape, x.dtype if dtype is None else dtype)


def ones_like(x: np.ndarray, /, *, dtype: Any = None, device: Any = None) -> np.ndarray:
    _check_device(device)
    array = np.empty(x.shape, x.dtype if dtype is None else dtype)
    array.fill(1)
    return array


def empty(shape: Any, *, dtype: Any = None, device: Any = None) -> np.ndarray:
    _check_device(device)
    return np.empty(shape, np.float64 if dtype is None else dtype)


def _check_device(device: Any) -> None:
    if device is not None and device != "cpu":
        raise ValueError(f"unsupported device {device!r}: NumPy arrays live on 'cpu'.")


for _function in (matrix_transpose, permute_dims, zeros, ones, empty, zeros_like, ones_like):
    setattr(xp, _function.__name__, _function)
