"""Checks of arguments that the activation functions share."""

from __future__ import annotations

from typing import Any

from ..autodiff.namespace import namespace
from ..checks import number
from ..dtypes import dtype_name, is_floating
from ..errors import DTypeError, ShapeError


def floating_namespace(operation: str, input: Any, *others: Any) -> Any:
    """Return the namespace of arrays whose first one holds real floating-point numbers, or raise."""
    xp = namespace(input, *others)
    if not is_floating(input.dtype):
        raise DTypeError(
            f"{operation}: expected a floating-point array, got dtype {dtype_name(input.dtype)}; cast it first."
        )
    return xp


def axis_of(operation: str, axis: Any, input: Any) -> int:
    """Return an axis of the input, counted from 0, or raise an error that says which there are."""
    axis = whole_axis(operation, axis)
    ndim = len(input.shape)
    if not -ndim <= axis < ndim:
        shape = tuple(input.shape)
        allowed = f"expected an axis from {-ndim} to {ndim - 1}" if ndim else "expected an array with an axis"
        raise ShapeError(f"{operation}: {allowed}, got axis={axis} and an input of shape {shape}.")
    return axis % ndim


def whole_axis(operation: str, axis: Any) -> int:
    """Return an axis as an integer, or raise."""
    if isinstance(axis, bool) or not hasattr(axis, "__index__"):
        raise TypeError(f"{operation}: expected an integer axis, got {axis!r}; -1 is the last one.")
    return axis.__index__()


def check_celu(operation: str, alpha: Any) -> float:
    """Return alpha, or raise."""
    return number(operation, "alpha", alpha, 0.0, above=True, fix="as alpha goes to 0 it becomes relu")


def check_softplus(operation: str, beta: Any, threshold: Any) -> tuple[float, float]:
    """Return beta and the threshold, or raise."""
    beta = number(operation, "beta", beta)
    if beta == 0.0:
        raise ValueError(f"{operation}: expected beta to be a number other than 0, got {beta}; it divides the result.")
    return beta, number(operation, "threshold", threshold, infinite=True)


def check_bounds(operation: str, low: tuple[str, Any], high: tuple[str, Any]) -> tuple[float, float]:
    """Return two numbers, given with their names, or raise unless they are in order."""
    first, second = (number(operation, *one, infinite=True) for one in (low, high))
    if first > second:
        raise ValueError(
            f"{operation}: expected {low[0]} not above {high[0]}, got {low[0]}={first} and {high[0]}={second}; "
            "swap them."
        )
    return first, second


def check_lambd(operation: str, lambd: Any) -> float:
    """Return lambd, or raise if it is negative."""
    return number(operation, "lambd", lambd, 0.0, infinite=True)


def check_channels(operation: str, name: str, array: Any, input: Any) -> None:
    """Raise unless a learned array has one element, or one per channel (the last axis), and the input's dtype."""
    shape, size = tuple(input.shape), tuple(array.shape)
    channels = shape[-1] if shape else 1
    if size not in ((1,), (channels,)):
        hint = ""
        if len(shape) > 2 and size == (shape[1],):
            axes = (0, *range(2, len(shape)), 1)
            hint = f" This looks like channels in the second axis; use xp.permute_dims(x, {axes})."
        raise ShapeError(
            f"{operation}: expected {name} of shape (1,) or ({channels},), the last axis of the input, got {size} for "
            f"an input of shape {shape}.{hint}"
        )
    if array.dtype != input.dtype:
        expected = dtype_name(array.dtype)
        raise DTypeError(
            f"{operation}: expected input of dtype {expected}, that of the {name}, got {dtype_name(input.dtype)}. "
            f"Cast it, e.g. xp.astype(x, xp.{expected})."
        )
