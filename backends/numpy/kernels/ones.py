"""Vectors of ones: a product with one sums a small array faster than a reduction."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=256)
def ones(n: int, dtype: np.dtype) -> np.ndarray:
    """Return n ones that nobody may change."""
    vector = np.ones(n, dtype)
    vector.setflags(write=False)
    return vector
