"""Assumptions about CuPy at run time: bfloat16, what a capture takes, costs of launches and graphs, the memory pool."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import ours, timing
from .session import NotHere, Session

INCREASE = 'extern "C" __global__ void increase(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x] + 1.f; }'


def run(session: Session) -> None:
    """Ask all of them. A capture that fails may break its stream, so each has its own."""
    gpu = session.gpu
    session.measure("bfloat16 in CuPy", lambda: bfloat16(gpu), expected=5)
    for name in CAPTURES:
        session.measure(f"capture: {name}", lambda name=name: capture(gpu, name), expected=2, limit=30)
    session.measure("capture: a kernel of nnx", lambda: capture_ours(gpu), expected=2, limit=30)
    for nodes in session.sized((10, 100, 1000), (2,)):
        session.measure(f"a graph of {nodes} nodes", lambda nodes=nodes: graph_cost(gpu, nodes), expected=2)
    session.measure("what a launch costs the CPU", lambda: launches(gpu, session.sized(2000, 20)), expected=8)
    session.measure("what a launch costs the CPU, PyTorch", lambda: torch_launches(session), expected=12)
    session.measure("memory pool", lambda: memory_pool(gpu), expected=3)


def _told(function: Callable[[], Any]) -> str:
    try:
        value = function()
        return str(getattr(value, "dtype", type(value).__name__))
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]


def bfloat16(gpu: Any) -> dict[str, str]:
    """The dtype that each operation gives, or its error."""
    cp, dtype = gpu.cp, gpu.bfloat16
    a, b = cp.ones((4, 4), dtype=dtype), cp.ones((2, 4, 4), dtype=dtype)
    operations: dict[str, Callable[[], Any]] = {
        "a + a": lambda: a + a,
        "a * 2.0": lambda: a * 2.0,
        "a * 2": lambda: a * 2,
        "a + float32": lambda: a + cp.ones((4, 4), dtype="float32"),
        "astype float32": lambda: a.astype("float32"),
        "float32 astype": lambda: cp.ones(3, dtype="float32").astype(dtype),
        "2-D matmul": lambda: a @ a,
        "2-D matmul, transposed": lambda: a.T @ a,
        "3-D matmul": lambda: b @ b,
        "3-D by 2-D matmul": lambda: b @ a,
        "float16 3-D matmul": lambda: b.astype("float16") @ b.astype("float16"),
        "sum": lambda: a.sum(),
        "mean": lambda: a.mean(axis=0),
        "max": lambda: a.max(axis=0),
        "argmax": lambda: a.argmax(axis=0),
        "exp": lambda: cp.exp(a),
        "tanh": lambda: cp.tanh(a),
        "sqrt": lambda: cp.sqrt(a),
        "maximum": lambda: cp.maximum(a, a),
        "where": lambda: cp.where(a > 0, a, a),
        "round": lambda: cp.round(a),
        "divmod": lambda: cp.divmod(a, a),
        "take": lambda: cp.take(a, cp.arange(2), axis=0),
        "concatenate": lambda: cp.concatenate([a, a]),
        "sort": lambda: cp.sort(a, axis=0),
        "cumsum": lambda: cp.cumsum(a, axis=0),
        "einsum": lambda: cp.einsum("ij,jk->ik", a, a),
        "asnumpy": lambda: cp.asnumpy(a),
        "asarray": lambda: cp.asarray(np.ones(3, dtype)),
        "zeros": lambda: cp.zeros(3, dtype=dtype),
        "view uint16": lambda: a.view("uint16"),
        "scatter_add": lambda: gpu.cupyx.scatter_add(a.copy(), cp.arange(4), cp.ones((4, 4), dtype=dtype)),
    }
    return {name: _told(function) for name, function in operations.items()}


# ------------------------------------------------------------------ what a capture takes


def _captures(gpu: Any) -> dict[str, Callable[[], Any]]:
    cp = gpu.cp
    x = cp.ones((256, 256), dtype="float32")
    out = cp.empty_like(x)
    places = cp.arange(4)
    on_host = np.ones((256, 256), "f4")
    kernel = cp.RawKernel(INCREASE, "increase")
    elementwise = cp.ElementwiseKernel("float32 a", "float32 b", "b = a + 1.f", "nnx_increase")
    reduction = cp.ReductionKernel("float32 a", "float32 b", "a", "a + b", "b = a", "0", "nnx_total")
    return {
        "ufunc": lambda: cp.add(x * 2, 1, out=out),
        "sum": lambda: cp.sum(x, axis=0),
        "sum of all": lambda: cp.sum(x),
        "argmax": lambda: cp.argmax(x, axis=1),
        "matmul float32": lambda: cp.matmul(x, x),
        "matmul bfloat16": lambda: cp.matmul(x.astype(gpu.bfloat16), x.astype(gpu.bfloat16)),
        "matmul batched": lambda: cp.matmul(x.reshape(4, 64, 256), x.reshape(4, 256, 64)),
        "einsum": lambda: cp.einsum("ij,jk->ik", x, x),
        "linalg.solve": lambda: cp.linalg.solve(x + cp.asarray(np.eye(256, dtype="f4")), x),
        "random": lambda: cp.random.random((4, 4)),
        "random.default_rng": lambda: cp.random.default_rng(0).random((4, 4)),
        "take": lambda: cp.take(x, places, axis=0),
        "integer index": lambda: x[places],
        "boolean index": lambda: x[x > 0],
        "assignment by index": lambda: out.__setitem__(places, 1.0),
        "scatter_add": lambda: gpu.cupyx.scatter_add(out, places, 1.0),
        "concatenate": lambda: cp.concatenate([x, x]),
        "where": lambda: cp.where(x > 0, x, 0),
        "sort": lambda: cp.sort(x, axis=1),
        "cumsum": lambda: cp.cumsum(x, axis=1),
        "fft": lambda: cp.fft.fft(x),
        "allocation": lambda: cp.zeros(1 << 20, dtype="float32"),
        "copy from the host": lambda: cp.asarray(on_host),
        "copy to the host": lambda: cp.asnumpy(x),
        "float of an element": lambda: float(x[0, 0]),
        "RawKernel": lambda: kernel((1,), (256,), (x, out)),
        "ElementwiseKernel": lambda: elementwise(x, out),
        "ReductionKernel": lambda: reduction(x),
    }


# What can be captured is asked by name, so that the list is known without a device.
CAPTURES = (
    *("ufunc", "sum", "sum of all", "argmax", "matmul float32", "matmul bfloat16", "matmul batched", "einsum"),
    *("linalg.solve", "random", "random.default_rng", "take", "integer index", "boolean index"),
    *("assignment by index", "scatter_add", "concatenate", "where", "sort", "cumsum", "fft", "allocation"),
    *("copy from the host", "copy to the host", "float of an element", "RawKernel", "ElementwiseKernel"),
    "ReductionKernel",
)


def capture(gpu: Any, name: str) -> dict[str, Any]:
    """Capture one operation and launch it; tell the error if it is refused."""
    function = _captures(gpu)[name]
    told: dict[str, Any] = {"taken": False, "error": None, "end of capture": None, "launch": None}
    with contextlib.suppress(_Stopped), gpu.private() as stream:
        function()
        stream.synchronize()
        stream.begin_capture()
        with _noted(told, "error"):
            kept = function()
        with _noted(told, "end of capture"):
            graph = stream.end_capture()
        if told["error"] or told["end of capture"]:
            raise _Stopped  # the stream may not be waited for
        with _noted(told, "launch"):
            graph.launch(stream)
            stream.synchronize()
        del kept
    told["taken"] = not any(told.values())
    return told


class _Stopped(Exception):
    """The capture has failed; what follows would fail for that reason."""


@contextlib.contextmanager
def _noted(told: dict[str, Any], what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        told[what] = f"{type(error).__name__}: {error}"[:300]


def capture_ours(gpu: Any) -> dict[str, Any]:
    """Capture a kernel of nnx, and look whether a replay computes."""
    backend = ours.backend(gpu)
    adam = backend.kernels["adam"]
    arrays = [backend.asarray(np.full(5000, value, "f4")) for value in (1.0, 0.5, 0.0, 0.0)]
    numbers = (1.0, 1.0, 0.0, 0.9, 0.999, 1e-8, 0.01)
    replay = gpu.captured(lambda: adam.forward(*arrays, *numbers))
    before = backend.to_numpy(arrays[0])
    replay()
    backend.synchronize()
    return {"taken": True, "a replay computes": bool((backend.to_numpy(arrays[0]) != before).all())}


# ------------------------------------------------------------------ costs


def graph_cost(gpu: Any, nodes: int) -> dict[str, Any]:
    """Time the launch of a graph of small kernels, on the CPU and as a whole."""
    cp = gpu.cp
    x, y = (cp.ones(1024, dtype="float32") for _ in range(2))
    kernel = cp.RawKernel(INCREASE, "increase")

    def work() -> None:
        for _ in range(nodes):
            kernel((1,), (1024,), (x, y))

    launch = gpu.captured(work)
    enqueued = timing.host(launch, gpu, calls=20 if gpu.rehearsing else 200)
    whole = timing.steps(gpu, launch, seconds=0.01 if gpu.rehearsing else 0.5)
    return {
        "cpu_us": enqueued["median_us"],
        "median_us": whole["median_us"],
        "us_per_node": whole["median_us"] / nodes,
        "samples_us": whole["samples_us"],
    }


def launches(gpu: Any, calls: int) -> dict[str, Any]:
    """What the CPU pays for each kind of call, in microseconds."""
    cp, backend = gpu.cp, ours.backend(gpu)
    x, matrix = cp.ones(1024, dtype="float32"), cp.ones((64, 64), dtype="float32")
    y = cp.empty_like(x)
    elementwise = cp.ElementwiseKernel("float32 a", "float32 b", "b = a + 1.f", "nnx_increase")
    raw = cp.RawKernel(INCREASE, "increase")
    block = ((1,), (1024,), (x, y))
    mine = [backend.asarray(np.ones(1024, "f4")) for _ in range(4)]
    adam = backend.kernels["adam"]
    functions: dict[str, Callable[[], Any]] = {
        "ufunc": lambda: x + 1,
        "ufunc, out=": lambda: cp.add(x, 1, out=y),
        "ElementwiseKernel": lambda: elementwise(x, y),
        "RawKernel": lambda: raw(*block),
        "kernel of nnx (Adam)": lambda: adam.forward(*mine, 1.0, 1.0, 0.0, 0.9, 0.999, 1e-8, 0.01),
        "sum": lambda: cp.sum(x),
        "matmul 64": lambda: cp.matmul(matrix, matrix),
        "empty": lambda: cp.empty(1024, dtype="float32"),
        "reshape": lambda: matrix.reshape(-1),
        "event": gpu.event,
    }
    return {name: timing.host(function, gpu, calls) for name, function in functions.items()}


def torch_launches(session: Session) -> dict[str, Any]:
    """The same of PyTorch."""
    gpu = session.gpu
    torch = gpu.torch
    x, matrix = torch.ones(1024, device=gpu.place), torch.ones(64, 64, device=gpu.place)
    functions: dict[str, Callable[[], Any]] = {
        "add": lambda: x + 1,
        "sum": lambda: torch.sum(x),
        "matmul 64": lambda: matrix @ matrix,
        "empty": lambda: torch.empty(1024, device=gpu.place),
    }
    calls = session.sized(2000, 20)
    return {name: timing.host(function, gpu, calls) for name, function in functions.items()}


def memory_pool(gpu: Any) -> dict[str, Any]:
    """Whether freed memory is used again, in which stream, and whether a graph's memory stays its own."""
    if gpu.rehearsing:
        address = id
    else:

        def address(array: Any) -> int:
            return array.data.ptr

    cp = gpu.cp
    pool = cp.get_default_memory_pool()
    pool.free_all_blocks()
    found: dict[str, Any] = {}
    first = cp.empty(1 << 20, dtype="float32")
    place = address(first)
    del first
    second = cp.empty(1 << 20, dtype="float32")
    found["freed memory is used again"] = address(second) == place
    del second
    with cp.cuda.Stream(non_blocking=True):
        other = cp.empty(1 << 20, dtype="float32")
        found["in another stream, too"] = address(other) == place
        del other
    small = [cp.empty(1, dtype="uint8") for _ in range(2)]
    found["bytes between the smallest"] = abs(address(small[1]) - address(small[0]))
    start = time.perf_counter()
    for _ in range(100):
        cp.empty(1 << 20, dtype="float32")
    found["us of an allocation"] = (time.perf_counter() - start) * 1e4
    used, total = pool.used_bytes(), pool.total_bytes()
    found["bytes used"], found["bytes held"] = used, total
    with gpu.private() as stream:
        x = cp.ones(1 << 20, dtype="float32")
        stream.synchronize()
        stream.begin_capture()
        inside = (x + 1) + 1
        stream.end_capture()
        captured_at = address(inside)
        del inside
        outside = cp.empty(1 << 20, dtype="float32")
        found["memory of a capture is handed out again"] = address(outside) == captured_at
    if not total and not gpu.rehearsing:
        raise NotHere(f"the pool holds nothing: it is not CuPy's default one; {found}")
    return found
