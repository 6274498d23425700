"""Launches: the arguments checked against what the kernel declares, the grid computed, limits kept, in one place.

Nothing here knows where a kernel runs. A `Machine` does: CuPy's devices (`machine.py`), or the simulator.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from nnx.errors import BackendError, DTypeError, ShapeError

from .compiler import Kernel
from .source import TENSOR_MAP, Parameter

MAX_GRID = (2**31 - 1, 65535, 65535)
# Shared memory of a block: up to here without asking; and the most of any device that nnx knows.
MAX_PLAIN_SHARED = 48 * 1024
MAX_SHARED = 227 * 1024
MAX_INT32 = 2**31 - 1


@dataclass(frozen=True)
class Tiled:
    """An argument for a parameter of the type ``TensorMap``: a matrix of 16-bit numbers that is copied by tiles.

    A row of a tile has 64 columns: 128 bytes, by which it is swizzled in shared memory.
    """

    array: Any
    tile_rows: int
    tile_columns: int = 64


class Machine(Protocol):
    """Runs kernels on arrays of its backend."""

    def refusal(self, *arrays: Any) -> str | None:
        """Return None if kernels can run on these arrays, else the reason."""

    def empty(self, shape: tuple[int, ...], dtype: str, like: Any) -> Any:
        """Return a new array on the device of another, with undefined values."""

    def address(self, array: Any) -> int:
        """Return where the memory of an array begins."""

    def run(self, kernel: Kernel, grid: tuple[int, int, int], shared: int, arguments: Sequence[Any]) -> None:
        """Run a kernel on checked arguments: arrays, `Tiled` ones, and NumPy scalars of the declared dtypes."""


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
    declared = kernel.declaration
    if len(arguments) != len(declared.parameters):
        names = ", ".join(parameter.name for parameter in declared.parameters)
        raise BackendError(f"{kernel}: expected the arguments {names}, got {len(arguments)} values.")
    checked = [_checked(machine, kernel, *pair) for pair in zip(declared.parameters, arguments, strict=True)]
    blocks = grid if isinstance(grid, tuple) else (grid,)
    x, y, z = (*blocks, 1, 1, 1)[:3]
    if len(blocks) > 3 or min(blocks) < 0 or any(n > top for n, top in zip((x, y, z), MAX_GRID, strict=True)):
        raise BackendError(f"{kernel}: expected a grid of at most {MAX_GRID} blocks, got {blocks}.")
    if not 0 <= shared <= MAX_SHARED:
        raise BackendError(f"{kernel}: expected 0 to {MAX_SHARED} bytes of shared memory, got {shared}.")
    if x and y and z:
        machine.run(kernel, (x, y, z), shared, checked)


def _checked(machine: Machine, kernel: Kernel, parameter: Parameter, value: Any) -> Any:
    where = f"{kernel}: argument {parameter.name}"
    if parameter.dtype == TENSOR_MAP:
        return _tiled(machine, where, value)
    if not parameter.is_array:
        return _number(where, parameter, value)
    found = str(getattr(value, "dtype", type(value).__name__))
    if found != parameter.dtype:
        raise DTypeError(f"{where}: expected an array of {parameter.dtype}, got {found}.")
    if not value.flags.c_contiguous:
        raise ShapeError(
            f"{where}: expected a contiguous array (C order), got strides {value.strides} for shape {value.shape}; "
            "copy it."
        )
    if parameter.is_written and not getattr(value.flags, "writeable", True):
        raise BackendError(f"{where}: expected an array that can be written to, got a read-only one; copy it.")
    if value.size and machine.address(value) % value.dtype.itemsize:
        raise BackendError(f"{where}: expected memory aligned to {value.dtype.itemsize} bytes; copy it.")
    return value


def _tiled(machine: Machine, where: str, value: Any) -> Tiled:
    if not isinstance(value, Tiled):
        raise DTypeError(f"{where}: expected an array as Tiled(array, rows), got {type(value).__name__}.")
    array = value.array
    if array.dtype.itemsize != 2 or array.ndim != 2 or not array.flags.c_contiguous or not array.size:
        raise ShapeError(
            f"{where}: expected a contiguous matrix of 16-bit numbers that is not empty, got {array.dtype} of shape "
            f"{array.shape}."
        )
    if array.shape[1] % 8 or machine.address(array) % 16:
        raise ShapeError(f"{where}: expected rows that begin at multiples of 16 bytes, got {array.shape[1]} columns.")
    if value.tile_columns != 64 or not 1 <= value.tile_rows <= 256:
        raise ShapeError(
            f"{where}: expected tiles of 1 to 256 rows and 64 columns, got {value.tile_rows} and {value.tile_columns}."
        )
    return value


def _number(where: str, parameter: Parameter, value: Any) -> Any:
    """The value as a NumPy scalar of the declared dtype, so that no float becomes a double on the way."""
    dtype = np.dtype(parameter.dtype)
    if dtype.kind == "f":
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise DTypeError(f"{where}: expected a number for {parameter.dtype}, got {value!r}.")
        with np.errstate(over="ignore"):
            number = dtype.type(value)
        if math.isinf(number) and not math.isinf(float(value)):
            raise BackendError(f"{where}: {value!r} is too large for {parameter.dtype}.")
        return number
    if dtype.kind == "b":
        if not isinstance(value, (bool, np.bool_)):
            raise DTypeError(f"{where}: expected True or False, got {value!r}.")
        return np.bool_(value)
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise DTypeError(f"{where}: expected an int for {parameter.dtype}, got {value!r}.")
    limits = np.iinfo(dtype)
    if not limits.min <= value <= limits.max:
        raise BackendError(
            f"{where}: expected an int from {limits.min} to {limits.max} ({parameter.dtype}), got {value}."
        )
    return dtype.type(value)
