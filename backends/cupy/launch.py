"""Launches: the arguments checked against what the kernel declares, the grid computed, limits kept, in one place.

Nothing here knows where a kernel runs. A `Machine` does: CuPy's devices (`machine.py`), or the simulator.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from nnx.errors import BackendError

from .arguments import Boxed as Boxed
from .arguments import Check, check_for
from .arguments import Tiled as Tiled
from .compiler import Kernel

if TYPE_CHECKING:
    from .blaslt import Blas

MAX_GRID = (2**31 - 1, 65535, 65535)
# Shared memory of a block: up to here without asking; and the most of any device that nnx knows.
MAX_PLAIN_SHARED = 48 * 1024
MAX_SHARED = 227 * 1024
MAX_INT32 = 2**31 - 1


class Machine(Protocol):
    """Runs kernels on arrays of its backend."""

    def refusal(self, *arrays: Any) -> str | None:
        """Return None if kernels can run on these arrays, else the reason."""

    def empty(self, shape: tuple[int, ...], dtype: str, like: Any) -> Any:
        """Return a new array on the device of another, with undefined values."""

    def address(self, array: Any) -> int:
        """Return where the memory of an array begins."""

    def architecture(self, array: Any) -> str:
        """Return the architecture that kernels on an array are compiled for: ``"90a"``."""

    def multiprocessors(self, array: Any) -> int:
        """Return how many multiprocessors the device of an array has."""

    @property
    def blas(self) -> Blas | None:
        """Products of matrices by cuBLASLt, or None if `blas_problem` keeps them away."""

    @property
    def blas_problem(self) -> str | None:
        """Why there is no `blas`."""

    def run(self, kernel: Kernel, grid: tuple[int, int, int], shared: int, arguments: Sequence[Any]) -> None:
        """Run a kernel on checked arguments: arrays, `Tiled` or `Boxed` ones, NumPy scalars of the declared dtypes."""


def blocks_for(n: int, kernel: Kernel, per_thread: int = 1) -> int:
    """Return how many blocks cover n elements."""
    return -(-n // (kernel.declaration.threads * per_thread))


def too_large(*sizes: int) -> str | None:
    """Return None if every size can be counted in 32 bits, else the reason why the reference has to run."""
    largest = max(sizes, default=0)
    return None if largest <= MAX_INT32 else f"{largest} elements are more than 32-bit indices reach"


def launch(
    machine: Machine, kernel: Kernel, grid: int | tuple[int, ...], arguments: Sequence[Any], shared: int = 0
) -> None:
    """Run a kernel over a grid of blocks.

    Parameters
    ----------
    machine
        Where.
    kernel
        Which.
    grid
        The number of blocks, along up to three axes; nothing happens if there are none.
    arguments
        One for each declared parameter. Arrays have to be contiguous (C order) and of exactly the declared dtype,
        numbers to fit theirs.
    shared
        Bytes of dynamic shared memory.

    Raises
    ------
    DTypeError, ShapeError, BackendError
        If an argument, the grid or the shared memory does not fit.
    """
    checks = _checks(kernel)
    if len(arguments) != len(checks):
        names = ", ".join(parameter.name for parameter in kernel.declaration.parameters)
        raise BackendError(f"{kernel}: expected the arguments {names}, got {len(arguments)} values.")
    address = machine.address
    checked = [check(address, value) for check, value in zip(checks, arguments, strict=True)]
    blocks = grid if isinstance(grid, tuple) else (grid,)
    x, y, z = (*blocks, 1, 1, 1)[:3]
    fits = 0 <= x <= MAX_GRID[0] and 0 <= y <= MAX_GRID[1] and 0 <= z <= MAX_GRID[2]
    if len(blocks) > 3 or not fits:
        raise BackendError(f"{kernel}: expected a grid of at most {MAX_GRID} blocks, got {blocks}.")
    if not 0 <= shared <= MAX_SHARED:
        raise BackendError(f"{kernel}: expected 0 to {MAX_SHARED} bytes of shared memory, got {shared}.")
    if x and y and z:
        machine.run(kernel, (x, y, z), shared, checked)


@functools.cache
def _checks(kernel: Kernel) -> tuple[Check, ...]:
    return tuple([check_for(kernel, parameter) for parameter in kernel.declaration.parameters])
