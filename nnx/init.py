"""Initial values of parameters: drawn on the host, so that they are the same bits on every backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from . import random
from .backend import get_backend


def uniform(shape: Sequence[int], low: float = 0.0, high: float = 1.0, dtype: str = "float32") -> Any:
    """Return numbers drawn evenly from [low, high), on the default backend.

    Examples
    --------
    >>> import nnx
    >>> nnx.init.uniform((2, 3)).shape
    (2, 3)
    """
    return _born(random.init_generator().uniform(low, high, tuple(shape)), dtype)


def zeros(shape: Sequence[int], dtype: str = "float32") -> Any:
    """Return zeros, on the default backend.

    Examples
    --------
    >>> import nnx
    >>> nnx.init.zeros((2,))
    array([0., 0.], dtype=float32)
    """
    return _born(numpy.zeros(tuple(shape)), dtype)


def _born(values: Any, dtype: str) -> Any:
    backend = get_backend()
    return backend.asarray(values, dtype=getattr(backend.xp, dtype))
