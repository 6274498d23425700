"""The gate for CUDA kernels: what it needs has to be there. Without it the tests fail and say so; they never skip.

The fixture `gpu` is for tests that need a device; their kernels need no g++, which a machine with a GPU may not have.
``NNX_GPU_TESTS_ON=simulator`` rehearses them without a device.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from typing import Any

import pytest

import nnx
from nnx.backend import load_backend
from tests.cuda.own_kernels import module, on
from tests.cuda.rehearsal import rehearsed

# Modules of tests make arrays of the simulator while they are imported. That takes no compiler; running kernels on it
# does, which the fixture `toolchain` sees to.
if module("simt.builder").unavailable():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module("simt.builder"), "unavailable", lambda: None)
        load_backend("simt")


@functools.cache
def missing(simulator: bool) -> list[str]:
    """What keeps kernels from being compiled for GPUs or built for the CPU, with the commands that repair it."""
    found = [module("simt.builder").unavailable()] if simulator else []
    try:
        module("cupy.nvrtc").load_compiler()
    except RuntimeError as error:
        found.append(str(error))
    return [problem for problem in found if problem]


@pytest.fixture(autouse=True)
def toolchain(request: pytest.FixtureRequest) -> None:
    on_device = request.node.get_closest_marker("gpu") and os.environ.get("NNX_GPU_TESTS_ON", "cupy") == "cupy"
    problems = missing(simulator=not on_device)
    if problems:
        pytest.fail("the gate for CUDA kernels cannot run: " + " ".join(problems), pytrace=False)


@functools.cache
def absent() -> str | None:
    """Why there is no device, if there is none. It takes a while to look, and there are thousands of tests."""
    return nnx.available_backends()["cupy"]


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
    reason = absent()
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
