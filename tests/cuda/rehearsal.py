"""A rehearsal of the tests that need a GPU: the CuPy backend over the stand-in for CuPy, its kernels in the simulator.

Everything from the namespace to the checks of a launch is what a GPU would see; then the simulator takes the kernel,
and `blaslt_standin` the product of matrices. The device claims to be a Hopper one. As with CuPy, NumPy does not take
its arrays, so that a test that only the simulator's arrays would forgive fails here.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import array_api_compat
import numpy as np
import pytest

import nnx
from nnx import registry
from nnx.backend import load_backend
from tests import cupy_standin
from tests.cuda.blaslt_standin import BLAS, LIBRARY, HostPlace, StandIn
from tests.cuda.own_kernels import module
from tests.cupy_standin import Device, Driver

_OF_CUPY = ("cupy", "cupyx", "cupy_backends")
_IMPORTING = {f"nnx.backends.cupy.{name}" for name in ("indexing", "machine", "namespace", "special")}
_REFUSING = ("array", "asarray", "ascontiguousarray")
_made: dict[str, Any] = {}  # the modules of the stand-in and of what was imported over it, by name
_backends: list[Any] = []
_library: list[StandIn] = []


def _of_cupy(name: str) -> bool:
    return name.split(".")[0] in _OF_CUPY or name.startswith("array_api_compat.cupy") or name in _IMPORTING


@contextmanager
def rehearsed() -> Iterator[Any]:
    """Put the stand-in in CuPy's place within a ``with`` block; yields the backend."""
    real = {name: sys.modules.pop(name) for name in list(sys.modules) if _of_cupy(name)}
    loaded, plain = dict(registry._loaded), array_api_compat.device
    simulator = load_backend("simt").machine  # type: ignore[attr-defined]
    sys.modules.update(_made or cupy_standin.modules())
    diagnosis = module("cupy.diagnosis")
    try:
        with pytest.MonkeyPatch.context() as patch, simulator.running(checked=False):
            patch.setattr(diagnosis, "packages", lambda: {"cupy-cuda13x": "14.2.0"})
            patch.setattr(diagnosis, "load_driver", Driver)
            patch.setattr(Device, "compute_capability", "90")
            patch.setattr(array_api_compat, "device", lambda x: getattr(x, "device", None) or plain(x))
            for name in _REFUSING:
                patch.setattr(np, name, _refusing(getattr(np, name)))
            Device.stack[:] = [0]
            if not _backends:
                registry._loaded.pop("cupy", None)
                backend = nnx.get_backend(cupy_standin.wrap(np.zeros(1)))
                _simulate(backend.machine, simulator)  # type: ignore[attr-defined]
                _backends.append(backend)
            registry._loaded["cupy"] = _backends[0]
            yield _backends[0]
            for failure in [failure for library in _library for failure in library.failures]:
                raise failure
    finally:
        registry._loaded.clear()
        registry._loaded.update(loaded)
        for name in [name for name in sys.modules if _of_cupy(name)]:
            _made[name] = sys.modules.pop(name)
        sys.modules.update(real)


def _refusing(function: Callable) -> Callable:
    """A function of NumPy that, as with CuPy, does not take arrays of a device."""

    def call(value: Any, *args: Any, **options: Any) -> Any:
        caller = sys._getframe(1).f_globals["__name__"].partition(".")[0]
        if isinstance(value, cupy_standin.ndarray) and caller != "numpy":  # whose functions the stand-in is made of
            raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")
        return function(value, *args, **options)

    return call


class _Place(HostPlace):
    """Memory of the stand-in, for products of matrices."""

    def empty(self, shape: tuple[int, ...], dtype: str, like: Any) -> Any:
        return self._machine.empty(shape, dtype, like)


def _simulate(machine: Any, simulator: Any) -> None:
    """Let the machine of the CuPy backend run its kernels in the simulator, on the memory of the stand-in."""
    cupy = importlib.import_module("cupy")

    def run(kernel: Any, grid: tuple[int, int, int], shared: int, arguments: Sequence[Any]) -> None:
        device = next(value.device for value in arguments if isinstance(value, cupy.ndarray))
        with device:
            machine.function(kernel, device.id, shared)  # compiled and loaded as it would be
            simulator.run(kernel, grid, shared, arguments)

    machine.run = run
    place = _Place(machine)
    _library.append(StandIn(place))
    machine._blas = BLAS.Blas(LIBRARY.Library(_library[0], "a stand-in"), place)
