"""The device: the one place through which the measurements reach CuPy, PyTorch's CUDA side and the driver.

`Gpu` is the real one. `benchmarks.gpu.standin` has the one for rehearsals without a GPU, with the same methods.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import platform
import subprocess
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

from .session import NotHere

VERSIONS = (
    "numpy",
    "cupy-cuda12x",
    "cupy-cuda13x",
    "torch",
    "triton",
    "nvidia-cuda-nvrtc",
    "nvidia-cublas",
    "ml-dtypes",
)
_QUERY = "clocks.sm,clocks.mem,power.draw,temperature.gpu,clocks_throttle_reasons.active,utilization.gpu"


def open_device(rehearse: bool = False) -> Any:
    """Return the device, or its stand-in. Libraries are imported when they are first asked for."""
    if rehearse:
        from .standin import Rehearsal

        return Rehearsal()
    return Gpu()


class Gpu:
    """The current CUDA device, through CuPy and PyTorch. Both work in the legacy default stream, so either can time."""

    backend = "cupy"  # of nnx
    place = "cuda"  # of PyTorch
    rehearsing = False

    @functools.cached_property
    def cp(self) -> Any:
        """CuPy."""
        try:
            import cupy
        except ImportError as error:
            raise NotHere(f"CuPy does not import: {error}") from error
        return cupy

    @functools.cached_property
    def cupyx(self) -> Any:
        """CuPy's extensions."""
        import cupyx

        return cupyx

    @functools.cached_property
    def torch(self) -> Any:
        """PyTorch, on a CUDA device."""
        try:
            import torch
        except ImportError as error:
            raise NotHere(f"PyTorch does not import: {error}") from error
        if not torch.cuda.is_available():
            raise NotHere("PyTorch sees no CUDA device")
        return torch

    @functools.cached_property
    def bfloat16(self) -> Any:
        """NumPy's dtype of bfloat16, as CuPy takes it."""
        try:
            import ml_dtypes
        except ImportError as error:
            raise NotHere(f"ml_dtypes does not import: {error}") from error
        import numpy

        return numpy.dtype(ml_dtypes.bfloat16)

    # -------------------------------------------------------------- time

    @property
    def _by_torch(self) -> bool:
        # Whichever library the part works with: the other need not be there.
        return "torch" in self.__dict__

    def event(self) -> Any:
        """Return an event that is recorded in the default stream now."""
        if self._by_torch:
            event = self.torch.cuda.Event(enable_timing=True)
            event.record()
            return event
        event = self.cp.cuda.Event()
        event.record()
        return event

    def seconds(self, start: Any, end: Any) -> float:
        """Return the time between two events that have passed."""
        if self._by_torch:
            return start.elapsed_time(end) * 1e-3
        return self.cp.cuda.get_elapsed_time(start, end) * 1e-3

    def synchronize(self) -> None:
        """Wait for the device; raises what went wrong there."""
        if self._by_torch:
            self.torch.cuda.synchronize()
        if "cp" in self.__dict__:
            self.cp.cuda.Device().synchronize()

    def scratch(self, size: int) -> Callable[[], Any]:
        """Return a function that overwrites `size` bytes: it empties the cache of the device and takes some time."""
        if self._by_torch:
            room = self.torch.empty(size, dtype=self.torch.uint8, device="cuda")
            return room.zero_
        room = self.cp.empty(size, dtype="uint8")
        return lambda: room.fill(0)

    def free(self) -> None:
        """Give unused memory back, so that the other library gets it."""
        if self._by_torch:
            self.torch.cuda.empty_cache()
        if "cp" in self.__dict__:
            self.cp.get_default_memory_pool().free_all_blocks()

    def l2_bytes(self) -> int:
        """Return the size of the second-level cache."""
        if self._by_torch:
            return int(self.torch.cuda.get_device_properties(0).L2_cache_size)
        return int(self.cp.cuda.Device().attributes["L2CacheSize"])

    # -------------------------------------------------------------- graphs, streams, kernels

    @contextlib.contextmanager
    def private(self, pool: Any = None) -> Iterator[Any]:
        """Work in a stream of its own with a memory pool of its own, as captured work has to; yields the stream."""
        stream = self.cp.cuda.Stream(non_blocking=True)
        pool = pool or self.cp.cuda.MemoryPool()
        with stream, self.cp.cuda.using_allocator(pool.malloc):
            yield stream
        stream.synchronize()

    def captured(self, function: Callable[[], Any]) -> Callable[[], None]:
        """Capture the work of a function in a graph; return the function that launches it in the default stream."""
        pool = self.cp.cuda.MemoryPool()
        with self.private(pool) as stream:
            function()  # compiles, loads, and fills the pool
            stream.synchronize()
            stream.begin_capture()
            try:
                kept = function()
            finally:
                graph = stream.end_capture()
        alive = (graph, pool, kept)  # what the graph reads and writes must live as long as it does
        null = self.cp.cuda.Stream.null
        return lambda: alive[0].launch(null)

    def torch_captured(self, function: Callable[[], Any]) -> Callable[[], None]:
        """Capture PyTorch's work in a graph, as its documentation has it; return the function that replays it."""
        torch = self.torch
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                function()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            function()
        return graph.replay

    def compiled(self, function: Callable, mode: str) -> Callable:
        """Return what torch.compile makes of a function, for its sizes alone.

        What it knows of others is forgotten: networks that share a line of code would get dynamic, slower shapes.
        """
        self.torch._dynamo.reset()
        return self.torch.compile(function, mode=mode, dynamic=False)

    # -------------------------------------------------------------- one memory, two libraries

    def shared(self, tensor: Any) -> Any:
        """Return the array of nnx's backend on the memory of a contiguous tensor."""
        tensor = tensor.detach()
        if tensor.dtype == self.torch.bfloat16:
            return self.cp.from_dlpack(tensor.view(self.torch.int16)).view(self.bfloat16)
        if tensor.dtype == self.torch.bool:
            return self.cp.from_dlpack(tensor.view(self.torch.uint8)).view("bool")
        return self.cp.from_dlpack(tensor)

    def tensor(self, array: Any) -> Any:
        """Return the tensor on the memory of an array of nnx's backend."""
        if str(array.dtype) == "bfloat16":
            return self.torch.from_dlpack(array.view("int16")).view(self.torch.bfloat16)
        return self.torch.from_dlpack(array)

    # -------------------------------------------------------------- what it is

    def facts(self) -> dict[str, Any]:
        """Describe the machine: device, driver, versions."""
        found: dict[str, Any] = {"python": platform.python_version(), "system": platform.platform()}
        found["versions"] = {name: version for name in VERSIONS if (version := _version(name))}
        for name, get in (("cupy", self._cupy_facts), ("smi", _smi_facts)):
            try:
                found[name] = get()
            except Exception as error:
                found[name] = f"{type(error).__name__}: {error}"
        return found

    def _cupy_facts(self) -> dict[str, Any]:
        runtime = self.cp.cuda.runtime
        properties = runtime.getDeviceProperties(0)
        wanted = (
            "name",
            "totalGlobalMem",
            "multiProcessorCount",
            "l2CacheSize",
            "sharedMemPerBlockOptin",
            "major",
            "minor",
        )
        found = {key: properties[key] for key in wanted if key in properties}
        found["name"] = found["name"].decode(errors="replace")
        return {**found, "driver": runtime.driverGetVersion(), "runtime": runtime.runtimeGetVersion()}

    def torch_facts(self) -> dict[str, Any]:
        """Describe PyTorch."""
        torch = self.torch
        found = {"version": torch.__version__, "cuda": torch.version.cuda, "name": torch.cuda.get_device_name()}
        return {**found, "cudnn": torch.backends.cudnn.version()}

    def clocks(self) -> dict[str, Any] | None:
        """Return what NVML tells of clocks, power and temperature at this moment, or None without it."""
        library, device = _nvml()
        if library is None:
            return None
        found: dict[str, Any] = {}
        for name, number in (("sm_mhz", 1), ("memory_mhz", 2)):
            value = ctypes.c_uint()
            if library.nvmlDeviceGetClockInfo(device, number, ctypes.byref(value)) == 0:
                found[name] = value.value
        value = ctypes.c_uint()
        if library.nvmlDeviceGetPowerUsage(device, ctypes.byref(value)) == 0:
            found["milliwatt"] = value.value
        if library.nvmlDeviceGetTemperature(device, 0, ctypes.byref(value)) == 0:
            found["celsius"] = value.value
        reasons = ctypes.c_ulonglong()
        if library.nvmlDeviceGetCurrentClocksThrottleReasons(device, ctypes.byref(reasons)) == 0:
            found["slowed_by"] = hex(reasons.value)
        return found


@functools.cache
def _nvml() -> tuple[Any, Any]:
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None, None
    device = ctypes.c_void_p()
    if library.nvmlInit_v2() or library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device)):
        return None, None
    return library, device


def _smi_facts() -> str:
    command = ["nvidia-smi", f"--query-gpu=name,driver_version,memory.total,{_QUERY}", "--format=csv"]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout.strip()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
