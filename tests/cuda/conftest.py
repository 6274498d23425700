"""The gate for CUDA kernels: what it needs has to be there. Without it the tests fail and say so; they never skip."""

from __future__ import annotations

import pytest

from tests.cuda.own_kernels import module


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
