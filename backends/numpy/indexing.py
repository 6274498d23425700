"""Native NumPy versions of the indexing functions that the standard lacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_LONG_SLICE = 64  # elements; from there a loop over the indices is faster than np.add.at


def getitem_transpose(g: np.ndarray, key: Any, shape: tuple[int, ...]) -> np.ndarray:
    z = np.zeros(shape, g.dtype)
    keys = key if type(key) is tuple else (key,)
    if any(isinstance(k, list) or (isinstance(k, np.ndarray) and k.dtype != np.bool_) for k in keys):
        np.add.at(z, key, g)  # integer arrays and lists may repeat an index
    else:
        z[key] = g
    return z


def setitem(x: np.ndarray, key: Any, value: Any) -> np.ndarray:
    y = np.array(x)
    y[key] = value
    return y


def take_transpose(g: np.ndarray, indices: np.ndarray, axis: int, shape: tuple[int, ...]) -> np.ndarray:
    z = np.zeros(shape, g.dtype)
    before: Any = (slice(None),) * axis
    if g.size < _LONG_SLICE * max(indices.size, 1):
        np.add.at(z, (*before, indices), g)
        return z
    for k, i in enumerate(indices.tolist()):
        z[*before, i] += g[*before, k]
    return z


def take_along_axis_transpose(g: np.ndarray, indices: np.ndarray, axis: int, shape: tuple[int, ...]) -> np.ndarray:
    z = np.zeros(shape, g.dtype)
    ndim = len(shape)
    key: list[Any] = [np.arange(n).reshape([-1 if k == d else 1 for k in range(ndim)]) for d, n in enumerate(shape)]
    key[axis] = indices
    np.add.at(z, tuple(key), g)
    return z


EXTENSIONS: dict[str, Callable] = {
    f"indexing.{f.__name__}": f for f in (getitem_transpose, setitem, take_transpose, take_along_axis_transpose)
}
