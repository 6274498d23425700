"""The arguments of a launch, checked against what the kernel declares: one check for each parameter, made once.

A launch costs the CPU some microseconds, so that the usual case is decided by few comparisons; what is wrong is then
found out at leisure.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnx.errors import BackendError, DTypeError, ShapeError

from .source import TENSOR_MAP, Parameter

# Takes the function that tells an array's address, and a value; returns what is passed to the kernel.
Check = Callable[[Callable[[Any], int], Any], Any]


@dataclass(frozen=True)
class Tiled:
    """An argument for a parameter of the type ``TensorMap``: a matrix of 16-bit numbers that is copied by tiles.

    A row of a tile has 64 columns: 128 bytes, by which it is swizzled in shared memory.
    """

    array: Any
    tile_rows: int
    tile_columns: int = 64

    @property
    def box(self) -> tuple[int, ...]:
        return self.tile_rows, self.tile_columns

    @property
    def steps(self) -> tuple[int, ...]:
        return 1, 1


@dataclass(frozen=True)
class Boxed:
    """An argument for a parameter of the type ``TensorMap``: an array of five axes that is copied by boxes.

    `box` are the elements of each axis that a copy takes, 64 of the last one; `steps` tells every how many-th.
    """

    array: Any
    box: tuple[int, ...]
    steps: tuple[int, ...] = (1, 1, 1, 1, 1)


def check_for(kernel: object, parameter: Parameter) -> Check:
    """Return the check of a parameter."""
    where = f"{kernel}: argument {parameter.name}"
    if parameter.dtype == TENSOR_MAP:
        return _tiled(where)
    if parameter.is_array:
        return _array(where, parameter.dtype, parameter.is_written)
    kind = np.dtype(parameter.dtype).kind
    return {"f": _real, "b": _boolean}.get(kind, _integer)(where, np.dtype(parameter.dtype))


def _array(where: str, name: str, is_written: bool) -> Check:
    # bfloat16 is no dtype of NumPy's: a package registers it, which whoever has such an array has imported.
    dtype, itemsize = (None, 2) if name == "bfloat16" else (np.dtype(name), np.dtype(name).itemsize)

    def check(address_of: Callable[[Any], int], value: Any) -> Any:
        found = getattr(value, "dtype", None)
        if found != dtype if dtype is not None else str(found) != name:
            raise DTypeError(f"{where}: expected an array of {name}, got {found or type(value).__name__}.")
        flags = value.flags
        if not flags.c_contiguous:
            raise ShapeError(
                f"{where}: expected a contiguous array (C order), got strides {value.strides} for shape "
                f"{value.shape}; copy it."
            )
        if is_written and not getattr(flags, "writeable", True):
            raise BackendError(f"{where}: expected an array that can be written to, got a read-only one; copy it.")
        if itemsize > 1 and value.size and address_of(value) % itemsize:
            raise BackendError(f"{where}: expected memory aligned to {itemsize} bytes; copy it.")
        return value

    return check


def _tiled(where: str) -> Check:
    def check(address_of: Callable[[Any], int], value: Any) -> Tiled | Boxed:
        if isinstance(value, Boxed):
            _check_box(where, value, address_of(value.array))
            return value
        if not isinstance(value, Tiled):
            raise DTypeError(f"{where}: expected an array as Tiled(array, rows), got {type(value).__name__}.")
        array = value.array
        if array.dtype.itemsize != 2 or array.ndim != 2 or not array.flags.c_contiguous or not array.size:
            raise ShapeError(
                f"{where}: expected a contiguous matrix of 16-bit numbers that is not empty, got {array.dtype} of "
                f"shape {array.shape}."
            )
        if array.shape[1] % 8 or address_of(array) % 16:
            raise ShapeError(
                f"{where}: expected rows that begin at multiples of 16 bytes, got {array.shape[1]} columns."
            )
        if value.tile_columns != 64 or not 1 <= value.tile_rows <= 256:
            raise ShapeError(
                f"{where}: expected tiles of 1 to 256 rows and 64 columns, got {value.tile_rows} and "
                f"{value.tile_columns}."
            )
        return value

    return check


def _check_box(where: str, value: Boxed, address: int) -> None:
    """What cuTensorMapEncodeTiled demands (CUDA driver API, "Tensor Map Object Management")."""
    array, box, steps = value.array, value.box, value.steps
    if array.dtype.itemsize != 2 or array.ndim != 5 or not array.flags.c_contiguous or not array.size:
        raise ShapeError(
            f"{where}: expected a contiguous array of 16-bit numbers with five axes that is not empty, got "
            f"{array.dtype} of shape {array.shape}."
        )
    if array.shape[-1] % 8 or address % 16:
        raise ShapeError(f"{where}: expected rows that begin at multiples of 16 bytes, got {array.shape[-1]} columns.")
    reach = [count * step for count, step in zip(box, steps, strict=False)]
    if not (len(box) == len(steps) == 5 and box[-1] == 64 and steps[-1] == 1):
        raise ShapeError(f"{where}: expected boxes of five axes, 64 elements of the last one, got {box} by {steps}.")
    if min(box) < 1 or max(reach) > 256 or not 1 <= min(steps) <= max(steps) <= 8:
        raise ShapeError(
            f"{where}: expected boxes that reach over 1 to 256 elements in steps of 1 to 8, got {box} by {steps}."
        )


# ------------------------------------------------------------------ numbers, as NumPy scalars of the declared dtype


def _real(where: str, dtype: np.dtype) -> Check:
    cast, largest = dtype.type, float(np.finfo(dtype).max)

    def check(address_of: Callable[[Any], int], value: Any) -> Any:
        if type(value) is float and -largest <= value <= largest:
            return cast(value)
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise DTypeError(f"{where}: expected a number for {dtype}, got {value!r}.")
        if largest < abs(float(value)) < math.inf:
            raise BackendError(f"{where}: {value!r} is too large for {dtype}.")
        return cast(value)

    return check


def _boolean(where: str, dtype: np.dtype) -> Check:
    def check(address_of: Callable[[Any], int], value: Any) -> Any:
        if not isinstance(value, (bool, np.bool_)):
            raise DTypeError(f"{where}: expected True or False, got {value!r}.")
        return np.bool_(value)

    return check


def _integer(where: str, dtype: np.dtype) -> Check:
    cast, smallest, largest = dtype.type, int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)

    def check(address_of: Callable[[Any], int], value: Any) -> Any:
        if type(value) is int and smallest <= value <= largest:
            return cast(value)
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
            raise DTypeError(f"{where}: expected an int for {dtype}, got {value!r}.")
        if not smallest <= value <= largest:
            raise BackendError(f"{where}: expected an int from {smallest} to {largest} ({dtype}), got {value}.")
        return cast(value)

    return check
