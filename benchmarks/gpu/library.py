"""The whole test suite with ``NNX_BACKEND=cupy``: arrays and parameters are born on the device.

Tests that build NumPy arrays by hand mix them with those; the failures are told with their reasons, to be judged.
"""

from __future__ import annotations

from . import suites
from .session import Session

# The compiler, the simulator, rehearsals and texts know no device. Guests and made-up libraries need none.
IGNORED = (
    "tests/benchmarks",
    "tests/cuda",
    "tests/test_house.py",
    "tests/test_examples.py",
    "tests/test_results.py",
    "tests/test_readme.py",
)
SLICES = (
    ("layers and losses", ("tests/layers", "tests/losses", "tests/functional"), 150),
    ("optimizers and training", ("tests/optim", "tests/training", "tests/init"), 120),
    ("autodiff", ("tests/autodiff",), 150),
    ("the rest", ("tests",), 150),
)
_DONE = tuple(folder for _, folders, _ in SLICES[:-1] for folder in folders)


def run(session: Session) -> None:
    """Run the slices."""
    for name, tests, seconds in SLICES:
        ignored = IGNORED + (_DONE if tests == ("tests",) else ())
        options = [*(f"--ignore={path}" for path in ignored), "-k", "not strict and not readonly"]
        if session.rehearse:
            tests, options = ("tests/test_checks.py",), []
        # In a rehearsal there is no CuPy, so the variable names what there is.
        backend = "numpy" if session.rehearse else session.gpu.backend
        workers = suites.workers(session.rehearse)
        suites.measure(session, name, tests, options, seconds, environment={"NNX_BACKEND": backend}, workers=workers)
