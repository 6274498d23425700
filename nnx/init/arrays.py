"""What all initialisers share: the checks of shapes and numbers, and the way from the host to the default backend."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from numbers import Integral
from typing import Any

from ..backend import get_backend
from ..checks import is_number
from ..dtypes import dtype_name, is_differentiable
from ..errors import DTypeError, ShapeError


def checked_shape(label: str, shape: Any, dims: str = "", low: int = 0) -> tuple[int, ...]:
    """Return the shape as a tuple of at least `low` lengths; `dims` is how to say what is expected."""
    if hasattr(shape, "shape"):  # a parameter, as PyTorch's functions take it
        wanted = f"{label}: expected a shape such as (3, 4), got {type(shape).__name__}"
        raise TypeError(f"{wanted}; write parameter.value = nnx.init.{label}(parameter.shape).")
    if isinstance(shape, str) or not isinstance(shape, Sequence):
        raise TypeError(f"{label}: expected a shape such as (3, 4), got {shape!r}; pass a tuple of lengths.")
    for length in shape:
        if not is_number(length, Integral) or length < 0:
            wanted = f"{label}: expected lengths in shape to be integers of at least 0"
            raise ShapeError(f"{wanted}, got {tuple(shape)}; pass such as (3, 4).")
    if len(shape) < low:
        raise ShapeError(f"{label}: expected {dims}, got {tuple(shape)}; use uniform, normal or zeros for others.")
    return tuple(int(length) for length in shape)


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


def born(label: str, values: Any, dtype: Any) -> Any:
    """Return the values, from the host, as an array of the default backend."""
    return get_backend().asarray(values, dtype=floating_dtype(label, dtype))
