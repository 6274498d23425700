"""A test-only backend that runs CUDA kernels on the CPU: the sources and the launch code of the CuPy backend.

g++ makes libraries of the .cu files, in which a thread is a fiber. Its arrays are NumPy's in a class of their own.
Races, divergence, deadlocks, misalignment and accesses out of bounds are errors that name the line of the kernel.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

__all__ = ["SimtBackend"]


class SimtBackend:
    """Arrays in host memory that behave like those of a device, with the kernels of the CuPy backend."""

    name = "simt"
    writable = True
    on_host = False

    def __init__(self) -> None:
        from nnx.backends.cupy.launchers import kernels_on
        from nnx.backends.cupy.launchers.linear import matmul_on

        from .array import EXTENSIONS, SimtArray, plain_matmul, xp
        from .machine import SimtMachine

        self.xp = xp
        self.array_types = (SimtArray,)
        self.extensions: Mapping[str, Any] = EXTENSIONS
        self.machine = SimtMachine()
        xp.matmul = matmul_on(self.machine, plain_matmul)
        self.kernels: Mapping[str, Any] = kernels_on(self.machine)

    def __repr__(self) -> str:
        return "SimtBackend()"

    @classmethod
    def unavailable(cls) -> str | None:
        return importlib.import_module(".builder", __name__).unavailable()

    def asarray(self, obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Any:
        return self.xp.asarray(obj, dtype=dtype, device=device, copy=copy)

    def to_numpy(self, x: Any) -> Any:
        import numpy

        return numpy.array(x, subok=False)

    def synchronize(self) -> None:
        return None
