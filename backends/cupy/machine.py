"""Kernels on CUDA devices: the one place that uses CuPy's loader of modules, which is none of its public interface."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import cupy as cp

from nnx.errors import BackendError

from . import diagnosis
from .blaslt import Blas
from .blaslt_library import load_library
from .compiler import Kernel, architecture_of, compile_kernel
from .launch import MAX_PLAIN_SHARED, Boxed, Tiled
from .launchers.random import MASK as SMALLEST
from .nvrtc import MAJORS
from .tensor_map import encode

_TILED = (Tiled, Boxed)
# Bytes that cuBLASLt may use, by the major compute capability: NVIDIA's advice.
_WORKSPACE = {9: 32 << 20, 10: 32 << 20, 12: 12 << 20}
_OTHER_WORKSPACE = 4 << 20
_PER_THREAD_STREAM = 2  # cudaStreamPerThread: one address, a stream for each thread
_DYNAMIC_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES


class CudaMachine:
    """Runs kernels on the device of their arrays, in CuPy's current stream."""

    def __init__(self) -> None:
        self._functions: dict[tuple[int, Kernel], Any] = {}
        self._shared: dict[tuple[int, Kernel], int] = {}
        self._modules: dict[tuple[Any, ...], Any] = {}
        self._refusals: dict[int, str | None] = {}
        self._multiprocessors: dict[int, int] = {}
        self._newest_cuda: int | None = None
        self._blas: Blas | None = None
        self._blas_problem: str | None = None
        self._lock = threading.RLock()

    def refusal(self, *arrays: Any) -> str | None:
        homes = {array.device.id for array in arrays}
        if len(homes) > 1:
            return "the arrays are on different devices"
        (device,) = homes
        if device not in self._refusals:
            self._refusals[device] = self._device_refusal(device)
        return self._refusals[device]

    def _device_refusal(self, device: int) -> str | None:
        """Whether anything can run there is found out once: that NVRTC is missing is a reason, not an error."""
        try:
            compile_kernel(SMALLEST, architecture_of(self.capability(device)), self.newest_cuda)
        except BackendError as error:
            return str(error).rstrip(".")
        return None

    def capability(self, device: int) -> tuple[int, int]:
        """Return the compute capability of a device: (9, 0)."""
        digits = cp.cuda.Device(device).compute_capability
        return int(digits[:-1]), int(digits[-1])

    @property
    def newest_cuda(self) -> int:
        """The newest major version of CUDA whose code the driver runs."""
        if self._newest_cuda is None:
            found = diagnosis.driver()
            self._newest_cuda = MAJORS[0] if found is None else found.cuda[0]
        return self._newest_cuda

    def empty(self, shape: tuple[int, ...], dtype: str, like: Any) -> Any:
        with like.device:
            return cp.empty(shape, dtype)

    def address(self, array: Any) -> int:
        return array.data.ptr

    def architecture(self, array: Any) -> str:
        return architecture_of(self.capability(array.device.id))

    def multiprocessors(self, array: Any) -> int:
        device = array.device.id
        if device not in self._multiprocessors:
            self._multiprocessors[device] = int(cp.cuda.Device(device).attributes["MultiProcessorCount"])
        return self._multiprocessors[device]

    @property
    def blas(self) -> Blas | None:
        if self._blas is None and self._blas_problem is None:
            with self._lock:
                try:
                    self._blas = self._blas or Blas(load_library(self.newest_cuda), CudaPlace(self))
                except BackendError as error:
                    self._blas_problem = str(error).rstrip(".")
        return self._blas

    @property
    def blas_problem(self) -> str | None:
        return None if self.blas is not None else self._blas_problem

    def run(self, kernel: Kernel, grid: tuple[int, int, int], shared: int, arguments: Sequence[Any]) -> None:
        device = next(value.device for value in arguments if isinstance(value, cp.ndarray))
        passed = tuple(
            [encode(value, self.address(value.array)) if isinstance(value, _TILED) else value for value in arguments]
        )
        with device:
            loaded = self.function(kernel, device.id, shared)
            loaded(grid, (kernel.declaration.threads, 1, 1), passed, shared)

    def function(self, kernel: Kernel, device: int, shared: int = 0) -> Any:
        """Return the loaded kernel on a device, which has to be the current one."""
        slot = (device, kernel)
        with self._lock:
            if slot not in self._functions:
                cubin = (device, kernel.source, kernel.defines)
                if cubin not in self._modules:
                    self._modules[cubin] = self._load(kernel, device)
                self._functions[slot] = self._modules[cubin].get_function(kernel.name)
            loaded = self._functions[slot]
            if shared > MAX_PLAIN_SHARED and shared > self._shared.get(slot, 0):
                from cupy_backends.cuda.api import driver

                driver.funcSetAttribute(loaded.ptr, _DYNAMIC_SHARED, shared)
                self._shared[slot] = shared
            return loaded

    def _load(self, kernel: Kernel, device: int) -> Any:
        architecture = architecture_of(self.capability(device))
        from cupy.cuda import function

        module = function.Module()
        module.load(compile_kernel(kernel, architecture, self.newest_cuda).code)
        return module


class CudaPlace:
    """CuPy's devices, streams and memory, as `blaslt` asks for them."""

    def __init__(self, machine: CudaMachine) -> None:
        self.address, self.empty, self._capability = machine.address, machine.empty, machine.capability
        self._workspaces: dict[tuple[int, ...], Any] = {}
        self._lock = threading.Lock()

    def device(self, array: Any) -> int:
        return array.device.id

    def current(self, device: int) -> AbstractContextManager:
        return cp.cuda.Device(device)

    def stream(self, device: int) -> int:
        return cp.cuda.get_current_stream().ptr

    def workspace(self, device: int, stream: int) -> tuple[int, int]:
        """One for each stream, whose calls run one after the other; kept for good, since a CUDA graph may hold it."""
        slot = (device, stream, threading.get_ident()) if stream == _PER_THREAD_STREAM else (device, stream)
        found = self._workspaces.get(slot)
        if found is None:
            size = _WORKSPACE.get(self._capability(device)[0], _OTHER_WORKSPACE)
            with self._lock:
                memory = cp.cuda.alloc(size)
                found = self._workspaces.setdefault(slot, (memory.ptr, size, memory))
        return found[:2]
