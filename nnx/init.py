"""Initial values of parameters: drawn on the host, so that they are the same bits on every backend."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy

from . import random
from .backend import get_backend
from .dtypes import dtype_name, is_differentiable
from .errors import DTypeError


def uniform(shape: Sequence[int], low: float = 0.0, high: float = 1.0, dtype: Any = "float32") -> Any:
    """Return numbers drawn evenly from [low, high), on the default backend.

    Examples
    --------
    >>> import nnx
    >>> nnx.init.uniform((2, 3)).shape
    (2, 3)
    """
    return _born(random.init_generator().uniform(low, high, tuple(shape)), dtype)


def zeros(shape: Sequence[int], dtype: Any = "float32") -> Any:
    """Return zeros, on the default backend.

    Examples
    --------
    >>> import nnx
    >>> nnx.init.zeros((2,))
    array([0., 0.], dtype=float32)
    """
    return _born(numpy.zeros(tuple(shape)), dtype)


def floating_dtype(where: str, dtype: Any) -> Any:
    """Return a floating-point dtype of the default backend, given by name or as any library's dtype.

    Raises
    ------
    DTypeError
        If it is none, or the backend has no such dtype.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.init.floating_dtype("Linear", "float64") == nnx.init.floating_dtype("Linear", np.float64) == np.float64
    True
    """
    backend = get_backend()
    name = dtype if isinstance(dtype, str) else dtype_name(dtype) if isinstance(dtype, Hashable) else ""
    if not is_differentiable(name):
        raise DTypeError(f"{where}: expected a floating-point dtype, such as 'float32', got {dtype!r}.")
    found = getattr(backend.xp, name, None)
    if found is None:
        raise DTypeError(f"{where}: backend {backend.name!r} has no dtype {name!r}; use 'float32' or another backend.")
    return found


def _born(values: Any, dtype: Any) -> Any:
    return get_backend().asarray(values, dtype=floating_dtype("init", dtype))
