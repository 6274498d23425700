"""Checks of plain arguments, so that the same mistake is told in the same words everywhere."""

from __future__ import annotations

import operator
from numbers import Real
from typing import Any


def positive_integer(where: str, name: str, value: Any) -> int:
    """Return an integer of at least 1, or raise an error that names the argument.

    Raises
    ------
    TypeError
        If `value` is no integer; True and False are none.
    ValueError
        If it is less than 1.

    Examples
    --------
    >>> from nnx.checks import positive_integer
    >>> positive_integer("Model.fit", "epochs", 3)
    3
    """
    return _integer(where, name, value, 1, "a positive integer")


def non_negative_integer(where: str, name: str, value: Any) -> int:
    """Return an integer of at least 0, or raise an error as `positive_integer` does."""
    return _integer(where, name, value, 0, "a non-negative integer")


def boolean(where: str, name: str, value: Any) -> bool:
    """Return True or False as it is; anything else, a string such as ``"no"`` among it, raises TypeError."""
    if not isinstance(value, bool):
        raise TypeError(f"{where}: expected {name} to be True or False, got {value!r}.")
    return value


def integer(where: str, name: str, value: Any) -> int:
    """Return any integer, or raise TypeError."""
    return _integer(where, name, value, None, "an integer")


def check_range(where: str, name: str, value: Any, low: float, below: float | None = None) -> None:
    """Raise unless low <= value (< below)."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not value >= low or (below is not None and not value < below):
        bounds = f"at least {low:g}" if below is None else f"from {low:g} to below {below:g}"
        error = ValueError if number else TypeError
        raise error(f"{where}: expected {name} to be {bounds}, got {value!r}.")


def _integer(where: str, name: str, value: Any, minimum: int | None, wanted: str) -> int:
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is not None and (minimum is None or number >= minimum):
        return number
    error = TypeError if number is None else ValueError
    raise error(f"{where}: expected {name} to be {wanted}, got {value!r}.")
