"""``pytest -m gpu``: every kernel against its reference, whole training steps, and all tests on CuPy's arrays."""

from __future__ import annotations

from . import suites
from .session import Session

# What tells most runs first, and alone; the rest shares the device among several processes.
FIRST = ("tests/cuda/test_gpu.py", "tests/cuda/test_gpu_conditions.py", "tests/cuda/test_convolution_hopper_gpu.py")
SLICES = (
    ("kernels on the device", FIRST, 90, False),
    ("the whole grid of kernels", ("tests/cuda",), 180, True),
    ("the library on CuPy's arrays", ("tests",), 140, True),
)


def run(session: Session) -> None:
    """Run the slices."""
    for name, tests, seconds, shared in SLICES:
        options = ["-m", "gpu"]
        if name.startswith("the library"):
            options += ["--ignore=tests/cuda"]
        elif name.startswith("the whole"):
            options += [f"--ignore={file}" for file in FIRST]
        if session.rehearse:
            # Without a GPU all are skipped: that they are collected is what can be seen.
            tests, options = ("tests/cuda/test_gpu.py",), ["-m", "gpu", "-k", "48"]
        workers = suites.workers(session.rehearse) if shared else 0
        suites.measure(session, name, tests, options, seconds, workers=workers)
