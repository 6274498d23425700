"""Checks of plain arguments, so that the same mistake is told in the same words everywhere."""

from __future__ import annotations

import operator
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


def _integer(where: str, name: str, value: Any, minimum: int, wanted: str) -> int:
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is not None and number >= minimum:
        return number
    error = TypeError if number is None else ValueError
    raise error(f"{where}: expected {name} to be {wanted}, got {value!r}.")
