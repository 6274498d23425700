"""The one table of tolerances, and the comparison that every test uses."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnx
from nnx.dtypes import dtype_name

# dtype -> (relative, absolute). float32 allows for sums of some hundred terms in another order.
TOLERANCES: dict[str, tuple[float, float]] = {
    "float64": (1e-10, 1e-12),
    "float32": (1e-5, 1e-6),
    "float16": (2e-3, 1e-3),
    "bfloat16": (1.6e-2, 1e-2),
    "complex128": (1e-10, 1e-12),
    "complex64": (1e-5, 1e-6),
}


def assert_close(actual: Any, expected: Any, dtype: str | None = None) -> None:
    """Raise unless two arrays have one shape, one dtype, and values within the tolerance of that dtype.

    `expected` may be a Python number or list; its dtype is then `dtype`, or that of `actual` if none is given. NaN
    equals NaN; integers and booleans must be equal.
    """
    name = dtype_name(actual.dtype)
    wanted = dtype or (dtype_name(expected.dtype) if hasattr(expected, "dtype") else name)
    assert name == wanted, f"dtype {name}, expected {wanted}"
    found = nnx.to_numpy(actual)
    reference = nnx.to_numpy(expected)
    assert found.shape == reference.shape, f"shape {found.shape}, expected {reference.shape}"
    rtol, atol = TOLERANCES.get(wanted, (0.0, 0.0))
    np.testing.assert_allclose(found, reference, rtol=rtol, atol=atol)
