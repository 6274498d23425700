"""What nnx needs to know of dtypes, for any array library: their names and kinds."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

DEFAULT_FLOAT = "float32"

_FLOATING = frozenset({"float16", "bfloat16", "float32", "float64", "longdouble", "float128"})
_COMPLEX = frozenset({"complex64", "complex128", "clongdouble", "complex256"})
_REAL_PART = {"complex64": "float32", "complex128": "float64"}


@lru_cache(maxsize=256, typed=True)
def dtype_name(dtype: Any) -> str:
    """Return the name of a dtype, the same for every array library.

    Examples
    --------
    >>> import numpy as np
    >>> dtype_name(np.dtype("float32")), dtype_name(np.float64)
    ('float32', 'float64')
    """
    name = getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or str(dtype)
    return name.rsplit(".", 1)[-1]


@lru_cache(maxsize=256, typed=True)
def is_floating(dtype: Any) -> bool:
    """Tell whether a dtype holds real floating-point numbers (bfloat16 and float16 included)."""
    return dtype_name(dtype) in _FLOATING


@lru_cache(maxsize=256, typed=True)
def is_complex(dtype: Any) -> bool:
    """Tell whether a dtype holds complex numbers."""
    return dtype_name(dtype) in _COMPLEX


@lru_cache(maxsize=256, typed=True)
def is_differentiable(dtype: Any) -> bool:
    """Tell whether gradients can flow through arrays of a dtype: real or complex floating point."""
    return is_floating(dtype) or is_complex(dtype)


def real_dtype(xp: Any, dtype: Any) -> Any:
    """Return the dtype of the real part: float32 for complex64, and a real dtype for itself."""
    name = _REAL_PART.get(dtype_name(dtype))
    return dtype if name is None else getattr(xp, name)
