"""The gate for CUDA kernels: what it needs has to be there. Without it the tests fail and say so; they never skip.

The fixture `gpu` is for tests that need a device. ``NNX_GPU_TESTS_ON=simulator`` rehearses them without one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

import nnx
from nnx.backend import load_backend
from tests.cuda.own_kernels import module, on
from tests.cuda.rehearsal import rehearsed


def missing() -> list[str]:
    """What keeps kernels from being compiled for GPUs or built for the CPU, with the commands that repair it."""
    found = [module("simt.builder").unavailable()]
    try:
        module("cupy.nvrtc").load_compiler()
    except RuntimeError as error:
        found.append(str(error))
    return [problem for problem in found if problem]


@pytest.fixture(scope="session", autouse=True)
def toolchain() -> None:
    problems = missing()
    if problems:
        pytest.fail("the gate for CUDA kernels cannot run: " + " ".join(problems), pytrace=False)


@pytest.fixture
def gpu() -> Iterator[Any]:
    """Run the kernels of a test on CuPy's current device, or in a rehearsal; gives the backend."""
    wanted = os.environ.get("NNX_GPU_TESTS_ON", "cupy")
    if wanted not in ("cupy", "simulator"):
        pytest.fail(f"NNX_GPU_TESTS_ON: expected cupy or simulator, got {wanted!r}", pytrace=False)
    if wanted == "simulator":
        with rehearsed() as backend, on("cupy"):
            yield backend
        return
    reason = nnx.available_backends()["cupy"]
    if reason is not None:
        pytest.skip(reason)
    backend = load_backend("cupy")
    if os.environ.get("NNX_GPU_TESTS_POOL") == "off":  # so that memcheck sees where an array ends
        import cupy

        cupy.cuda.set_allocator(None)
    with on("cupy"):
        yield backend


@pytest.fixture
def rehearsing() -> bool:
    """Whether the device is the simulator, which gets smaller work."""
    return os.environ.get("NNX_GPU_TESTS_ON") == "simulator"
