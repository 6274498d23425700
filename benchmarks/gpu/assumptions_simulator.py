"""The simulator against the hardware: the same kernels on the same numbers, compared bit for bit.

Where a tensor core adds in another order than the simulator, the last bits differ; how many and by how much is told.
Integer work, copies and roundings must be equal.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import ours
from .session import NotHere, Session


def run(session: Session) -> None:
    """Compare every instruction that the simulator emulates, then the random numbers."""
    gpu = session.gpu
    try:
        names = list(ours.tests("cuda.test_simulator").RUNS)
    except NotHere:
        session.measure("simulator and device", lambda: ours.tests("cuda.test_simulator"))  # which tells the reason
        names = []
    for name in names:
        session.measure(f"simulator and device: {name}", lambda name=name: instruction(gpu, name), expected=5)
    for name in ("bf16", "f16", "warpgroup") if names else ():
        session.measure(f"whole numbers, exactly: {name}", lambda name=name: whole_numbers(gpu, name), expected=5)
    for name in ("round_all", "product_tf32", "transpose") if names else ():
        session.measure(f"simulator and device: {name}", lambda name=name: formats(gpu, name), expected=5)
    session.measure("Philox: the stream of NumPy, bit for bit", lambda: philox(gpu), expected=5)


def differing(found: np.ndarray, wanted: np.ndarray) -> dict[str, Any]:
    """Tell how two arrays of one dtype differ."""
    found, wanted = np.ascontiguousarray(found), np.ascontiguousarray(wanted)
    bits = found.view(f"u{found.itemsize}") != wanted.view(f"u{wanted.itemsize}")
    scale = float(np.abs(wanted.astype("f8")).max()) or 1.0
    return {
        "elements": int(found.size),
        "bits differ in": int(bits.sum()),
        "largest difference": float(np.abs(found.astype("f8") - wanted.astype("f8")).max()) if found.size else 0.0,
        "relative to the largest element": float(np.abs(found.astype("f8") - wanted.astype("f8")).max() / scale),
    }


def _simulated(function: Any) -> Any:
    """Run something on the simulator; without g++ there is none."""
    own = ours.tests("cuda.own_kernels")
    problem = ours.module("simt.builder").unavailable()
    if problem:
        raise NotHere(problem)
    with own.on("simt"):
        return function()


def instruction(gpu: Any, name: str) -> dict[str, Any]:
    """Run one of the simulator's test kernels in both places."""
    own, simulator = ours.tests("cuda.own_kernels"), ours.tests("cuda.test_simulator")
    run_it, kernel, sizes, _ = simulator.RUNS[name]
    _only_where_it_runs(gpu, kernel)
    answers = {}
    for size in sizes if not gpu.rehearsing else sizes[:1]:
        with own.on(gpu.backend):
            found, reference = run_it(kernel, *size)
        simulated, _ = _simulated(lambda size=size: run_it(kernel, *size))
        answers[str(size)] = {**differing(found, simulated), "to the reference": differing(found, reference)}
    return answers


def whole_numbers(gpu: Any, name: str) -> dict[str, Any]:
    """Multiply matrices of small whole numbers: no order of additions changes a bit of the result."""
    own, simulator = ours.tests("cuda.own_kernels"), ours.tests("cuda.test_simulator")
    kernel = simulator.RUNS[name][1]
    _only_where_it_runs(gpu, kernel)
    m, n, k = (64, 64, 64) if gpu.rehearsing else (256, 192, 512)
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-8, 9, shape).astype(np.float32) for shape in ((m, k), (n, k)))
    encode: Any = (lambda x: x.astype(np.float16).view(np.uint16)) if name == "f16" else own.to_bf16
    with own.on(gpu.backend):
        machine = own.machine()
        x, y = own.array(encode(a)), own.array(encode(b))
        c = machine.empty((m, n), "float32", x)
        if name == "warpgroup":
            tiles, sizes, shared = (own.Tiled(x, 64), own.Tiled(y, 64)), (n, k), 3 * 2 * 64 * 64 * 2
        else:
            tiles, sizes, shared = (x, y), (m, n, k), 4 * 64 * 40 * 2
        own.launch(machine, kernel, (n // 64, m // 64), (*tiles, c, *sizes), shared=shared)
        found = ours.backend(gpu).to_numpy(c)
    return differing(found, a @ b.T)


def _only_where_it_runs(gpu: Any, kernel: Any) -> None:
    backend = ours.backend(gpu)
    architecture = backend.machine.architecture(backend.asarray(np.zeros(1, "f4")))
    if kernel.architectures == ("90a",) and architecture != "90a" and not gpu.rehearsing:
        raise NotHere(f"it needs sm_90a, this is sm_{architecture}")


def formats(gpu: Any, name: str) -> dict[str, Any]:
    """Roundings to bf16, fp16 and tf32 of any bits, a product of tf32, ldmatrix.trans."""
    own = ours.tests("cuda.own_kernels")
    rng = np.random.default_rng(0)
    kernel = own.own("formats.cu", name)

    def on_either() -> list[np.ndarray]:
        from nnx.backend import to_numpy

        machine = own.machine()
        if name == "round_all":
            count = 4000 if gpu.rehearsing else 1_000_000
            bits = rng.integers(0, 2**32, count, dtype=np.uint64).astype(np.uint32)
            x = own.array(bits.view(np.float32))
            outs = [machine.empty(x.shape, "uint32", x) for _ in range(3)]
            own.launch(machine, kernel, -(-x.size // 256), (x, *outs, x.size))
            return [bits, *map(to_numpy, outs)]
        if name == "product_tf32":
            a, b = (own.array(rng.standard_normal(shape), "f4") for shape in ((16, 8), (8, 8)))
            c = machine.empty((16, 8), "float32", a)
            own.launch(machine, kernel, 1, (a, b, c))
            return [to_numpy(c)]
        x = own.array(np.arange(256).reshape(8, 32), "u2")
        y = machine.empty((32, 8), "uint16", x)
        own.launch(machine, kernel, 1, (x, y))
        return [to_numpy(y)]

    with own.on(gpu.backend):
        found = on_either()
    rng = np.random.default_rng(0)
    wanted = _simulated(on_either)
    if name != "round_all":
        return differing(found[0], wanted[0])
    values = found[0].view(np.float32)
    answers = {}
    for label, ours_, theirs in zip(("bf16", "f16", "tf32"), found[1:], wanted[1:], strict=True):
        answers[label] = {
            "NaN differ": int((ours_ != theirs)[np.isnan(values)].sum()),
            "others differ": int((ours_ != theirs)[~np.isnan(values)].sum()),
        }
    return answers


def philox(gpu: Any) -> dict[str, Any]:
    """Words, uniforms and masks against NumPy's."""
    nnx = ours.nnx()
    from nnx.functional.drawing import draw_mask, draw_uniform

    backend = ours.backend(gpu)
    drawing = ours.module("cupy.launchers.random")
    like = backend.asarray(np.zeros(1, "f4"))
    wrong, drawn = {}, 0
    sizes = (1, 9, 2049) if gpu.rehearsing else (1, 7, 8, 9, 2049, 10_000_001)
    for key, counter in (((0, 3), 0), ((2**64 - 1, 3), 2**63), ((12345, 1), 2**32 - 1)):
        for size in sizes:
            with nnx.use_kernels("require"):
                pairs = {
                    "words": (
                        drawing.draw_words(backend.machine, key, counter, size, like),
                        nnx.random.random_words(key, counter, size),
                    ),
                    "uniform": (draw_uniform(like, key, counter, (size,)), nnx.random.uniform(key, counter, size)),
                    "mask": (
                        draw_mask(like, key, counter, (size,), 0.3),
                        nnx.random.bernoulli_mask(key, counter, size, 0.3),
                    ),
                }
            for name, (found, wanted) in pairs.items():
                drawn += size
                differ = int((backend.to_numpy(found) != wanted).sum())
                if differ:
                    wrong[f"{name}, key {key}, counter {counter}, {size}"] = differ
    return {"numbers compared": drawn, "differ": wrong}
