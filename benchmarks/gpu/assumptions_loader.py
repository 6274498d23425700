"""Assumptions about code and launches: architectures, cubins, shared memory, arguments by value, tensor maps."""

from __future__ import annotations

import contextlib
import ctypes
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from . import ours
from .session import NotHere, Session

HERE = "benchmarks.gpu.assumptions_loader"
KIB = 1024
FILL = (
    "#include <common.cuh>\nKERNEL(256) fill(float* out, i32 n) { DYNAMIC_SHARED(float, shared);\n"
    "for (int i = threadIdx.x; i < n; i += 256) shared[i] = i; __syncthreads();\n"
    "for (int i = threadIdx.x; i < n; i += 256) out[i] = shared[n - 1 - i]; }\n"
)
STRUCT = """
struct Sizes { int n, step; float scale; long long offset; };
extern "C" __global__ void scaled(const float* x, float* y, const Sizes s) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < s.n) y[i] = s.scale * x[(i * s.step + s.offset) % s.n];
}
"""


def run(session: Session) -> None:
    """Ask all of them; what may break the context is asked in a process of its own."""
    gpu = session.gpu
    session.measure("kernels of nnx can run", lambda: refusal(gpu))
    session.measure("NVRTC, and what it compiles for", lambda: compiler(gpu), expected=5, limit=200)
    session.isolated("cubins of which architectures load and run", f"{HERE}:architectures", seconds=90)
    session.isolated("RawModule with -arch=sm_90a gives wgmma", f"{HERE}:raw_module", seconds=60)
    session.measure("shared memory above 48 KiB", lambda: shared_memory(gpu), expected=3)
    session.measure("structs by value", lambda: by_value(gpu), expected=3)
    session.measure("tensor maps of CuPy arrays", lambda: tensor_maps(gpu), expected=5)
    session.measure("cuBLASLt can be reached", cublas_lt)


def run_risky(session: Session) -> None:
    """Ask what breaks a context, and might trouble the device for a while."""
    session.isolated("an illegal address: error, and whether the context survives", f"{HERE}:illegal_address")
    session.isolated(
        "a wrong tensor map: error, and whether the context survives", f"{HERE}:wrong_tensor_map", seconds=25
    )


def refusal(gpu: Any) -> dict[str, Any]:
    """Whether nnx runs kernels on an array here, and where their code is kept."""
    backend = ours.backend(gpu)
    array = backend.asarray(np.zeros(3, "f4"))
    cache = ours.module("cupy.cache")
    answer = backend.machine.refusal(array)
    return {
        "refusal": answer,
        "architecture": None if answer else backend.machine.architecture(array),
        "cache": cache.folder_text(),
    }


def compiler(gpu: Any) -> dict[str, Any]:
    """Which NVRTC is loaded, and whether every kernel compiles with it for the architecture of this device."""
    backend = ours.backend(gpu)
    array = backend.asarray(np.zeros(3, "f4"))
    compiling, loaded = ours.module("cupy.compiler"), ours.module("cupy.nvrtc").load_compiler()
    every = ours.module("cupy.launchers").EVERY
    architecture = backend.machine.architecture(array)
    failed, spilled, seconds = {}, {}, 0.0
    for kernel in every if not gpu.rehearsing else every[:2]:
        if architecture not in kernel.architectures:
            continue
        try:
            cubin = compiling.compile_kernel(kernel, architecture)
            seconds += 0.0 if cubin.from_cache else cubin.seconds
            if cubin.usage[kernel.name].spilled:
                spilled[str(kernel)] = cubin.usage[kernel.name].spilled
        except Exception as error:
            failed[str(kernel)] = str(error)[:500]
    return {
        "version": loaded.version,
        "path": loaded.path,
        "architectures": loaded.architectures(),
        "compiled_for": architecture,
        "seconds": seconds,
        "failed": failed,
        "spilled": spilled,
    }


def architectures(gpu: Any) -> dict[str, str]:
    """Compile a kernel for every architecture, load the code on this device, run it."""
    compiling = ours.module("cupy.compiler")
    kernel = ours.module("cupy.launchers.random").WORDS
    cp = gpu.cp
    wanted = ours.nnx().random.random_words((0, 3), 0, 64)
    found = {}
    for name in compiling.ARCHITECTURES:
        try:
            module = cp.cuda.function.Module()
            module.load(compiling.compile_kernel(kernel, name).code)
            out = cp.zeros(64, dtype="uint32")
            threads = kernel.declaration.threads
            module.get_function(kernel.name)(
                (1, 1, 1), (threads, 1, 1), (np.uint64(0), np.uint64(3), np.uint64(0), out, np.int64(64)), 0
            )
            gpu.synchronize()
            found[name] = "runs" if (cp.asnumpy(out) == wanted).all() else "loads, and gives other numbers"
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"[:300]
    return found


def raw_module(gpu: Any) -> dict[str, Any]:
    """CuPy's public loader with an architecture of its own choice."""
    source = ours.module("cupy.source")
    kernel = ours.tests("cuda.test_simulator").WARPGROUP
    found: dict[str, Any] = {}
    for options in (("-arch=sm_90a",), ()):
        try:
            flags = (*options, "-std=c++17", "-default-device", f"-I{source.FOLDER}")
            module = gpu.cp.RawModule(code=kernel.source.text, options=flags)
            loaded = module.get_function(kernel.name)
            numbers = {key: loaded.attributes[key] for key in ("binary_version", "num_regs")}
            found[" ".join(options) or "no option"] = numbers
        except Exception as error:
            found[" ".join(options) or "no option"] = f"{type(error).__name__}: {str(error)[-400:]}"
    return found


def shared_memory(gpu: Any) -> dict[str, str]:
    """Dynamic shared memory of a block, up to the most that nnx asks for and above."""
    backend = ours.backend(gpu)
    launching, compiling, source = (ours.module(f"cupy.{name}") for name in ("launch", "compiler", "source"))
    kernel = compiling.Kernel("fill.cu", "fill", (), source.with_headers("fill.cu", FILL))
    like = backend.asarray(np.zeros(1, "f4"))
    found = {}
    for size in (48 * KIB, 96 * KIB, 164 * KIB, 227 * KIB, 228 * KIB):
        n = size // 4
        try:
            out = backend.machine.empty((n,), "float32", like)
            launching.launch(backend.machine, kernel, 1, (out, n), shared=size)
            right = bool((backend.to_numpy(out) == np.arange(n, dtype="f4")[::-1]).all())
            found[f"{size // KIB} KiB"] = "right" if right else "wrong numbers"
        except Exception as error:
            found[f"{size // KIB} KiB"] = f"{type(error).__name__}: {error}"[:300]
    return found


def by_value(gpu: Any) -> dict[str, Any]:
    """A NumPy array of one element, of a struct, passed by value."""
    cp = gpu.cp
    kernel = cp.RawKernel(STRUCT, "scaled")
    n = 1000
    x, y = cp.arange(n, dtype="float32"), cp.zeros(n, dtype="float32")
    layout = np.dtype([("n", "i4"), ("step", "i4"), ("scale", "f4"), ("offset", "i8")], align=True)
    kernel((4,), (256,), (x, y, np.array([(n, 3, 0.5, 7)], layout)))
    wanted = (np.arange(n) * 3 + 7) % n * np.float32(0.5)
    return {"right": bool((cp.asnumpy(y) == wanted).all()), "bytes": layout.itemsize}


def tensor_maps(gpu: Any) -> dict[str, Any]:
    """TMA, mbarrier and wgmma on arrays of CuPy: the error of a matrix product."""
    own, simulator = ours.tests("cuda.own_kernels"), ours.tests("cuda.test_simulator")
    backend = ours.backend(gpu)
    architecture = backend.machine.architecture(backend.asarray(np.zeros(1, "f4")))
    if architecture != "90a" and not gpu.rehearsing:
        raise NotHere(f"wgmma is of sm_90a, this is sm_{architecture}")
    found = {}
    with own.on(gpu.backend):
        for size in ((64, 64, 64), (128, 192, 320)) if not gpu.rehearsing else ((64, 64, 64),):
            out, wanted = own.run_warpgroup(simulator.WARPGROUP, *size)
            found[str(size)] = float(np.abs(out - wanted).max() / np.abs(wanted).max())
    return {"relative error": found}


def _survives(gpu: Any, run: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"error": None}
    try:
        run()
        gpu.synchronize()
    except Exception as error:
        found["error"] = f"{type(error).__name__}: {error}"[:400]
    try:
        cp = gpu.cp
        found["works afterwards"] = float(cp.asnumpy(cp.ones(3) + 1)[0]) == 2.0
    except Exception:
        found["works afterwards"] = traceback.format_exc()[-300:]
    return found


def wrong_tensor_map(gpu: Any) -> dict[str, Any]:
    """Pass 128 bytes of zeros as a tensor map."""
    if gpu.rehearsing:
        return _survives(gpu, lambda: None)
    kernel = ours.tests("cuda.test_simulator").WARPGROUP
    machine = ours.backend(gpu).machine
    cp = gpu.cp
    memory = np.zeros(24, np.uint64)
    start = -memory.ctypes.data % 64 // 8
    nothing = memory[start : start + 16].view("V128")
    out = cp.zeros((64, 64), dtype="float32")
    shared = 3 * 2 * 64 * 64 * 2
    loaded = machine.function(kernel, 0, shared)
    arguments = (nothing, nothing, out, np.int32(64), np.int32(64))
    return _survives(gpu, lambda: loaded((1, 1, 1), (kernel.declaration.threads, 1, 1), arguments, shared))


def illegal_address(gpu: Any) -> dict[str, Any]:
    """Write far outside of everything."""
    cp = gpu.cp
    text = 'extern "C" __global__ void far(float* x) { x[1ll << 40] = 1.f; }'
    kernel = cp.RawKernel(text, "far")
    x = cp.zeros(1, dtype="float32")
    return _survives(gpu, lambda: kernel((1,), (1,), (x,)))


def cublas_lt() -> dict[str, Any]:
    """Which libraries of that name load, and what version they say."""
    found: dict[str, Any] = {}
    places = ["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"]
    try:
        import nvidia

        for root in nvidia.__path__:
            places += [str(path) for path in sorted(Path(root).glob("**/libcublasLt.so.*"))]
    except ImportError:
        pass
    for place in places:
        try:
            library = ctypes.CDLL(place)
            library.cublasLtGetVersion.restype = ctypes.c_size_t
            found[place] = int(library.cublasLtGetVersion())
        except (OSError, AttributeError) as error:
            found[place] = str(error)[:200]
    with contextlib.suppress(NotHere):
        found["as nnx finds it"] = ours.module("cupy.blaslt_library").report()
    if not any(isinstance(value, int) for value in found.values()):
        raise NotHere(f"no libcublasLt loads: {found}")
    return found
