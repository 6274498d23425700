"""The CuPy backend: arrays on CUDA devices. CuPy is imported when the first array needs it, never before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nnx.errors import BackendError

from . import diagnosis
from .blaslt_library import report as _blas_report
from .nvrtc import MAJORS
from .precompiling import precompile
from .precompiling import report as _compiler_report

__all__ = ["CupyBackend", "precompile"]


class CupyBackend:
    """Arrays of CuPy 14 or newer, on CUDA devices.

    New arrays are born on CuPy's current device unless a device is given: its number, or a `cupy.cuda.Device`.
    """

    name = "cupy"
    writable = True
    on_host = False

    def __init__(self) -> None:
        try:
            import cupy

            from .indexing import EXTENSIONS as indexing
            from .launchers import kernels_on
            from .launchers.linear import matmul_on
            from .machine import CudaMachine
            from .namespace import xp
            from .special import EXTENSIONS as special
        except ImportError as error:
            raise BackendError(
                f"backend 'cupy' is installed, but does not import: {error}. "
                "Run `python -m nnx doctor` for what is installed, then reinstall CuPy."
            ) from error
        self._cupy = cupy
        self.xp = xp
        self.array_types = (cupy.ndarray,)
        self.extensions: Mapping[str, Callable] = {**indexing, **special}
        self.machine = CudaMachine()
        xp.matmul = matmul_on(self.machine, cupy.matmul)
        self.kernels: Mapping[str, Any] = kernels_on(self.machine)

    def __repr__(self) -> str:
        return "CupyBackend()"

    @classmethod
    def unavailable(cls) -> str | None:
        return diagnosis.unavailable()

    @classmethod
    def diagnosis(cls) -> dict[str, Any]:
        """Return the installed packages, the driver, devices, compiler and cuBLASLt, without importing CuPy."""
        found = diagnosis.driver()
        newest = MAJORS[0] if found is None or found.error else found.cuda[0]
        return {**diagnosis.report(), "compiler": _compiler_report(), "cublaslt": _blas_report(newest)}

    def asarray(self, obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Any:
        if not isinstance(obj, self.array_types):
            return self.xp.asarray(obj, dtype=dtype, device=device, copy=copy)
        home = obj.device if device is None else self._cupy.cuda.Device(device)
        # Casts and copies run on CuPy's current device, so that has to be the array's.
        with home:
            if obj.device != home:
                if copy is False:
                    raise ValueError("asarray: an array cannot move to another device with copy=False.")
                obj, copy = obj.copy(), None
            return self.xp.asarray(obj, dtype=dtype, copy=copy)

    def to_numpy(self, x: Any) -> Any:
        return self._cupy.asnumpy(x)

    def synchronize(self) -> None:
        self._cupy.cuda.Device().synchronize()
