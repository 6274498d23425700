"""Kernels that only the tests have: each uses another part of what the simulator emulates."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnx.backend import load_backend, to_numpy

FOLDER = Path(__file__).parent / "kernels"


def module(name: str) -> Any:
    """Import a module of the backends, also from a checkout that is not installed."""
    load_backend("numpy")
    return importlib.import_module(f"nnx.backends.{name}")


Kernel = module("cupy.compiler").Kernel
launch, Tiled = module("cupy.launch").launch, module("cupy.launch").Tiled
source = module("cupy.source")


def own(file: str, name: str, *defines: tuple[str, str], text: str | None = None, **options: Any) -> Any:
    """A kernel of this folder, with another text if one is given."""
    given = source.read_source(file, FOLDER) if text is None else source.with_headers(file, text, FOLDER)
    return Kernel(file, name, defines, given, **options)


def text_of(file: str) -> str:
    return (FOLDER / file).read_text(encoding="utf-8")


_backend = "simt"


@contextmanager
def on(backend: str) -> Iterator[None]:
    """Run kernels somewhere else within a ``with`` block: on ``"cupy"``."""
    global _backend
    before, _backend = _backend, backend
    try:
        yield
    finally:
        _backend = before


def place() -> str:
    """The backend that kernels run on."""
    return _backend


def machine() -> Any:
    return load_backend(_backend).machine  # type: ignore[attr-defined]


@contextmanager
def running(schedule: int = 0, checked: bool = True, of_device: str | None = None) -> Iterator[list[Any]]:
    """Note the kernels that are launched within a ``with`` block.

    The simulator runs them in the order of a schedule, and claims to be a device (of compute capability 8.0, if none is
    given). A device has its own order; its launchers can be told that it is an older one.
    """
    where = machine()
    if hasattr(where, "running"):
        with where.running(schedule, checked, *([of_device] if of_device else [])) as launched:
            yield launched
        return
    here = where.architecture(array([0.0]))
    if of_device is not None and of_device != here:
        if not of_device.isdigit() or int(of_device) > int(here.rstrip("a")):
            pytest.skip(f"its kernels are those of sm_{of_device}, this is sm_{here}")
        here = of_device
    launched, run = [], where.run

    def noted(kernel: Any, grid: Any, shared: int, arguments: Sequence[Any]) -> None:
        launched.append(kernel)
        run(kernel, grid, shared, arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, "run", noted)
        patch.setattr(where, "architecture", lambda array: here)
        yield launched


def array(values: Any, dtype: str | None = None) -> Any:
    return load_backend(_backend).asarray(np.array(values, dtype))


# ------------------------------------------------------------------ how each is launched, and what it should give


def to_bf16(x: Any) -> np.ndarray:
    """The bits of float32 numbers rounded to bfloat16, ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(bits: Any) -> np.ndarray:
    return (np.asarray(bits).astype(np.uint32) << 16).view(np.float32)


def run_tiled(kernel: Any, m: int, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    a, b = (array(rng.standard_normal(shape), "f4") for shape in ((m, k), (k, n)))
    c = machine().empty((m, n), "float32", a)
    launch(machine(), kernel, (-(-n // 64), -(-m // 64)), (a, b, c, m, n, k))
    return to_numpy(c), to_numpy(a) @ to_numpy(b)


def run_softmax(kernel: Any, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    x = array(np.random.default_rng(0).standard_normal((rows, columns)), "f4")
    y, sums = machine().empty((rows, columns), "float32", x), array(np.zeros(columns), "f4")
    launch(machine(), kernel, -(-rows // 4), (x, y, sums, rows, columns))
    e = np.exp(to_numpy(x) - np.max(to_numpy(x), 1, keepdims=True))
    e /= e.sum(1, keepdims=True)
    return np.vstack([to_numpy(y), to_numpy(sums)]), np.vstack([e, e.sum(0)])


def run_sum(kernel: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    x = array(np.random.default_rng(0).integers(-99, 99, n), "i4")
    y = machine().empty((n,), "int32", x)
    launch(machine(), kernel, 1, (x, y, n))
    return to_numpy(y), np.cumsum(to_numpy(x)).astype("i4")


def run_count(kernel: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    x, counts = array(np.random.default_rng(0).integers(-99, 99, n), "i4"), array([0, 0, 0], "i4")
    launch(machine(), kernel, 1, (x, counts, n), shared=32)
    return to_numpy(counts), np.full(3, np.count_nonzero(to_numpy(x) > 0), "i4")


def run_pipeline(kernel: Any, m: int, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(shape).astype("f4") for shape in ((m, k), (n, k))]
    if dict(kernel.defines)["PRODUCT"] == "mma_bf16":
        bits = [to_bf16(v) for v in values]
        a, b = map(from_bf16, bits)
    else:
        halves = [v.astype(np.float16) for v in values]
        bits = [v.view(np.uint16) for v in halves]
        a, b = (v.astype(np.float32) for v in halves)
    on_simt = [array(v) for v in bits]
    c = machine().empty((m, n), "float32", on_simt[0])
    launch(machine(), kernel, (-(-n // 64), -(-m // 64)), (*on_simt, c, m, n, k), shared=4 * 64 * 40 * 2)
    return to_numpy(c), a @ b.T


def run_warpgroup(kernel: Any, m: int, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    bits = [to_bf16(rng.standard_normal(shape)) for shape in ((m, k), (n, k))]
    a, b = (array(v) for v in bits)
    c = machine().empty((m, n), "float32", a)
    launch(machine(), kernel, (n // 64, m // 64), (Tiled(a, 64), Tiled(b, 64), c, n, k), shared=3 * 2 * 64 * 64 * 2)
    return to_numpy(c), from_bf16(bits[0]) @ from_bf16(bits[1]).T
