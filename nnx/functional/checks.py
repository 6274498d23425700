"""Checks of arguments that functions and layers share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autodiff.namespace import namespace
from ..backend import mixed_backends_error
from ..checks import positive_integer
from ..dtypes import dtype_name
from ..errors import DTypeError, MixedBackendsError


def namespace_of(operation: str, **arrays: Any) -> Any:
    """Return the namespace of the arrays of a call; errors name the call and the argument.

    The first has to be there; of the others None is skipped.
    """
    for position, (name, array) in enumerate(arrays.items()):
        if array is not None or position == 0:
            check_array(operation, name, array)
    try:
        return namespace(*arrays.values())
    except MixedBackendsError:
        raise mixed_backends_error(operation, *[a for a in arrays.values() if a is not None]) from None


def check_array(operation: str, name: str, array: Any) -> None:
    """Raise unless an argument is an array."""
    if array is None:
        raise TypeError(f"{operation}: expected {name} to be an array, got None; pass one.")
    if not hasattr(array, "dtype"):
        raise TypeError(
            f"{operation}: expected {name} to be an array, got {type(array).__name__}; use nnx.asarray({name})."
        )


def check_dtype(operation: str, name: str, array: Any, like: Any, owner: str) -> None:
    """Raise unless an array has the dtype of another one, which belongs to `owner`."""
    if array.dtype == like.dtype:
        return
    expected, got = dtype_name(like.dtype), dtype_name(array.dtype)
    fix = f"Cast it, e.g. xp.astype({name}, xp.{expected})."
    if expected == got:  # NumPy's dtypes have a byte order too
        expected, got = f"{expected} ({_byte_order(like.dtype)})", f"{got} ({_byte_order(array.dtype)})"
        foreign = owner if array.dtype.isnative else name
        fix = f'Convert the {foreign}: x.astype(x.dtype.newbyteorder("=")).'
    raise DTypeError(f"{operation}: expected {name} of dtype {expected}, that of the {owner}, got {got}. {fix}")


def _byte_order(dtype: Any) -> str:
    return "the machine's byte order" if dtype.isnative else "foreign byte order"


def per_axis(
    label: Any, name: str, value: Any, rank: int, check: Callable[[Any, str, Any], int] = positive_integer
) -> tuple[int, ...]:
    """Return one integer per spatial axis, given as one for all or as a tuple, or raise."""
    if not isinstance(value, (tuple, list)):
        return (check(label, name, value),) * rank
    if len(value) != rank:
        axes = f"an integer or {rank} of them, one per spatial axis" if rank > 1 else "one integer"
        raise ValueError(f"{label}: expected {name} to be {axes}, got {value!r}.")
    return tuple(check(label, f"{name}[{i}]", each) for i, each in enumerate(value))
