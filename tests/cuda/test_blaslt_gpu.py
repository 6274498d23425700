"""On a GPU: the checks of `test_blaslt` and `test_linear`, with cuBLASLt itself, and in a captured CUDA graph."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnx.backend import to_numpy
from tests.cuda import test_blaslt, test_linear
from tests.cuda.own_kernels import array, machine

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def library(gpu: Any) -> None:
    if machine().blas_problem is not None:
        pytest.fail(machine().blas_problem)


@pytest.fixture
def standin() -> None:
    """None stands in for the library here."""


def _shared(module: Any) -> list[Any]:
    """The checks of a file; those with parameters once for each."""
    found = []
    for name, check in vars(module).items():
        if name.startswith("test_") and inspect.isfunction(check):
            for number, options in enumerate(_options(check)):
                found.append(pytest.param(check, options, id=f"{name}-{number}"))
    return found


def _options(check: Callable) -> list[dict[str, Any]]:
    every: list[dict[str, Any]] = [{}]
    for mark in reversed(getattr(check, "pytestmark", [])):
        if mark.name == "parametrize":
            names, values = mark.args
            names = [names] if isinstance(names, str) else list(names)
            rows = [value if len(names) > 1 else (value,) for value in values]
            every = [{**one, **dict(zip(names, row, strict=True))} for one in every for row in rows]
    return every


@pytest.mark.parametrize(("check", "options"), [*_shared(test_blaslt), *_shared(test_linear)])
def test_as_over_the_stand_in(check: Callable, options: dict[str, Any], standin: None) -> None:
    wanted = inspect.signature(check).parameters
    check(**options, **({"standin": None} if "standin" in wanted else {}))


def test_large_products(rehearsing: bool) -> None:
    rng = np.random.default_rng(0)
    for shape in ((4096, 1024, 1024), (1, 4096, 4096), (8192, 64, 3), (3, 100_000, 5)):
        m, k, n = (min(size, 40) for size in shape) if rehearsing else shape
        a, b = rng.standard_normal((m, k)).astype("f4"), rng.standard_normal((k, n)).astype("f4")
        found = to_numpy(machine().blas.matmul(array(a), array(b)))
        wanted = a.astype("f8") @ b.astype("f8")
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * float(np.abs(wanted).max()))


def test_the_same_bits_every_time() -> None:
    rng = np.random.default_rng(0)
    g, x = (array(rng.standard_normal((50_000, n)), "f4") for n in (64, 96))
    first = to_numpy(machine().blas.matmul(g, x, transpose_a=True))
    for _ in range(5):
        np.testing.assert_array_equal(to_numpy(machine().blas.matmul(g, x, transpose_a=True)), first)


def test_a_cuda_graph_captures_it(rehearsing: bool) -> None:
    if rehearsing:
        pytest.skip("the stand-in for CuPy captures nothing")
    import cupy as cp

    rng = np.random.default_rng(0)
    x, w, b = (array(rng.standard_normal(s), "f4") for s in ((64, 32), (48, 32), (48,)))
    g = array(rng.standard_normal((64, 48)), "f4")
    kernel = test_linear.LINEAR.Linear(machine())
    need = test_linear.Need()

    def step() -> tuple[Any, ...]:
        out, residuals = kernel.forward(x, w, b)
        return out, *kernel.backward(g, residuals, (need, need, need))

    pool, stream = cp.cuda.MemoryPool(), cp.cuda.Stream(non_blocking=True)
    with stream, cp.cuda.using_allocator(pool.malloc):
        step()
        stream.synchronize()
        stream.begin_capture()
        found = step()
        graph = stream.end_capture()
        x[...] = array(rng.standard_normal((64, 32)), "f4")
        graph.launch(stream)
        stream.synchronize()
    wanted = step()
    for mine, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(to_numpy(mine), to_numpy(theirs), rtol=1e-5, atol=1e-4)


def test_streams_have_workspaces_of_their_own() -> None:
    import cupy as cp

    a = array(np.random.default_rng(0).standard_normal((512, 512)), "f4")
    wanted = to_numpy(machine().blas.matmul(a, a))
    streams = [cp.cuda.Stream(non_blocking=True) for _ in range(3)]
    cp.cuda.Device().synchronize()
    found = []
    for _ in range(20):
        for stream in streams:
            with stream:
                found.append(machine().blas.matmul(a, a))
    for stream in streams:
        stream.synchronize()
    for values in found:
        np.testing.assert_allclose(to_numpy(values), wanted, rtol=0, atol=1e-3)
