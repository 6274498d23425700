"""``pytest -m gpu``: every kernel against its reference, whole training steps, and all tests on CuPy's arrays."""

from __future__ import annotations

from . import suites
from .session import Session

# What tests the kernels themselves runs alone; the rest shares the device among several processes.
SLICES = (
    ("kernels on the device", ("tests/cuda",), 150, False),
    ("kernels against references", ("tests/kernels",), 90, True),
    ("the library on CuPy's arrays", ("tests",), 240, True),
)


def run(session: Session) -> None:
    """Run the slices."""
    for name, tests, seconds, shared in SLICES:
        options = ["-m", "gpu"]
        if name.startswith("the library"):
            options += ["--ignore=tests/cuda", "--ignore=tests/kernels"]
        if session.rehearse:
            # Without a GPU all are skipped: that they are collected is what can be seen.
            tests, options = ("tests/cuda/test_gpu.py",), ["-m", "gpu", "-k", "48"]
        limit = max(5.0, min(seconds, session.left() - 5))
        session.measure(
            name,
            lambda t=tests, o=options, s=limit, n=shared: suites.run_slice(
                t, o, s, workers=suites.workers(session.rehearse) if n else 0
            ),
            expected=20,
            limit=limit + 40,
        )
