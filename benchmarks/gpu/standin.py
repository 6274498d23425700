"""The device of a rehearsal: NumPy under CuPy's names, PyTorch on the CPU, the simulator for nnx's kernels.

Only what the measurements use is here, so that a name that CuPy does not have cannot slip in: a test compares the names
with CuPy itself where it is installed. Times are those of the CPU and mean nothing; kernels given as text do nothing.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from .device import Gpu

_NUMPY = (
    *(
        "add",
        "arange",
        "argmax",
        "asarray",
        "bool_",
        "concatenate",
        "cumsum",
        "divmod",
        "einsum",
    ),
    *(
        "empty",
        "empty_like",
        "exp",
        "fft",
        "float32",
        "float64",
        "int32",
        "linalg",
        "matmul",
    ),
    *(
        "max",
        "maximum",
        "ndarray",
        "nonzero",
        "ones",
        "random",
        "round",
        "sort",
        "sqrt",
    ),
    *(
        "sum",
        "take",
        "tanh",
        "uint8",
        "where",
        "zeros",
        "zeros_like",
    ),
)


class Event:
    """`cupy.cuda.Event`."""

    def __init__(self) -> None:
        self.at = 0.0

    def record(self, stream: Any = None) -> None:
        self.at = time.perf_counter()

    def synchronize(self) -> None:
        return None


class Graph:
    """`cupy.cuda.Graph`: it does nothing when it is launched."""

    def launch(self, stream: Any = None) -> None:
        return None

    def upload(self, stream: Any = None) -> None:
        return None


class Stream:
    """`cupy.cuda.Stream`; while it captures, the work is done all the same."""

    null: Any = None

    def __init__(self, non_blocking: bool = False) -> None:
        self._capturing = False

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *details: object) -> None:
        return None

    def begin_capture(self) -> None:
        self._capturing = True

    def end_capture(self) -> Graph:
        self._capturing = False
        return Graph()

    def is_capturing(self) -> bool:
        return self._capturing

    def synchronize(self) -> None:
        return None


class Device:
    """`cupy.cuda.Device`."""

    compute_capability = "90"
    mem_info = (1 << 30, 1 << 31)
    attributes = {"L2CacheSize": 1 << 16}

    def synchronize(self) -> None:
        return None


class MemoryPool:
    """`cupy.cuda.MemoryPool`."""

    def malloc(self, size: int) -> None:
        return None

    def used_bytes(self) -> int:
        return 0

    def total_bytes(self) -> int:
        return 0

    def free_all_blocks(self) -> None:
        return None


class Kernel:
    """A kernel from text: it takes its arguments and does nothing."""

    attributes = {"binary_version": 90, "num_regs": 32}
    max_dynamic_shared_size_bytes = 0

    def __init__(self, *details: Any, **options: Any) -> None:
        return None

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return arguments[-1]

    def compile(self) -> None:
        return None


class Module(Kernel):
    """`cupy.RawModule`, `cupy.cuda.function.Module`."""

    def get_function(self, name: str) -> Kernel:
        return Kernel()

    def load(self, code: bytes) -> None:
        return None


_using = contextlib.nullcontext
_pool = MemoryPool()


def _cupy() -> Any:
    cuda = SimpleNamespace(
        Device=Device,
        Event=Event,
        Graph=Graph,
        MemoryPool=MemoryPool,
        Stream=Stream,
        function=SimpleNamespace(Module=Module),
        get_elapsed_time=lambda start, end: (end.at - start.at) * 1e3,
        runtime=SimpleNamespace(
            driverGetVersion=lambda: 13000,
            getDeviceProperties=lambda device: {"name": b"rehearsal", "major": 9, "minor": 0, "multiProcessorCount": 1},
            memGetInfo=lambda: (1 << 30, 1 << 31),
            runtimeGetVersion=lambda: 13000,
        ),
        using_allocator=lambda allocate: _using(),
    )
    own = {
        "ElementwiseKernel": Kernel,
        "RawKernel": Kernel,
        "RawModule": Module,
        "ReductionKernel": Kernel,
        "asnumpy": np.asarray,
        "cuda": cuda,
        "get_default_memory_pool": lambda: _pool,
        "__version__": "a rehearsal",
    }
    return SimpleNamespace(**{name: getattr(np, name) for name in _NUMPY}, **own)


Stream.null = Stream()


def _scatter_add(array: Any, where: Any, what: Any) -> None:
    np.add.at(array, where, what)


class Rehearsal(Gpu):
    """The stand-in: every method of the device that reaches CUDA is done without."""

    backend = "simt"
    place = "cpu"
    rehearsing = True

    @functools.cached_property
    def cp(self) -> Any:
        return _cupy()

    @functools.cached_property
    def cupyx(self) -> Any:
        return SimpleNamespace(scatter_add=_scatter_add, empty_pinned=np.empty)

    @functools.cached_property
    def torch(self) -> Any:
        import torch

        torch.set_num_threads(1)
        return torch

    def event(self) -> Any:
        return time.perf_counter()

    def seconds(self, start: Any, end: Any) -> float:
        return end - start

    def synchronize(self) -> None:
        return None

    def free(self) -> None:
        return None

    def scratch(self, size: int) -> Callable[[], Any]:
        room = np.empty(1 << 12, np.uint8)
        return lambda: room.fill(0)

    def l2_bytes(self) -> int:
        return 1 << 12

    def torch_captured(self, function: Callable[[], Any]) -> Callable[[], None]:
        return function

    def compiled(self, function: Callable, mode: str) -> Callable:
        return function

    def captured(self, function: Callable[[], Any]) -> Callable[[], None]:
        with self.private() as stream:
            function()
            stream.begin_capture()
            function()
            graph = stream.end_capture()
        return lambda: graph.launch(self.cp.cuda.Stream.null)

    @contextlib.contextmanager
    def private(self, pool: Any = None) -> Iterator[Any]:
        with Stream(non_blocking=True) as stream:
            yield stream

    def shared(self, tensor: Any) -> Any:
        from .ours import backend

        tensor = tensor.detach()
        if tensor.dtype == self.torch.bfloat16:
            return backend(self).asarray(tensor.view(self.torch.int16).numpy().view(self.bfloat16))
        return backend(self).asarray(tensor.numpy())

    def tensor(self, array: Any) -> Any:
        array = np.array(array, subok=False)
        if array.dtype == self.bfloat16:
            return self.torch.from_numpy(array.view(np.int16)).view(self.torch.bfloat16)
        return self.torch.from_numpy(array)

    def torch_facts(self) -> dict[str, Any]:
        return {"version": self.torch.__version__}

    def clocks(self) -> dict[str, Any] | None:
        return None
