"""The NumPy backend: a thin namespace and CPU kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from .indexing import EXTENSIONS
from .kernels import KERNELS
from .namespace import xp

__all__ = ["NumpyBackend"]


class NumpyBackend:
    """Arrays of NumPy, on the CPU."""

    name = "numpy"
    xp = xp
    array_types = (np.ndarray, np.generic)
    writable = True
    on_host = True
    extensions = EXTENSIONS
    kernels = KERNELS

    def __repr__(self) -> str:
        return "NumpyBackend()"

    @classmethod
    def unavailable(cls) -> str | None:
        return None

    def asarray(self, obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> np.ndarray:
        return xp.asarray(obj, dtype=dtype, device=device, copy=copy)

    def to_numpy(self, x: Any) -> np.ndarray:
        return np.asarray(x)

    def synchronize(self) -> None:
        return None
