"""Checks of plain arguments, so that the same mistake is told in the same words everywhere."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
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
    return integer(where, name, value, 1)


def non_negative_integer(where: str, name: str, value: Any) -> int:
    """Return an integer of at least 0, or raise an error as `positive_integer` does."""
    return integer(where, name, value, 0)


def boolean(where: str, name: str, value: Any) -> bool:
    """Return True or False as it is; anything else, a string such as ``"no"`` among it, raises TypeError."""
    if not isinstance(value, bool):
        raise TypeError(f"{where}: expected {name} to be True or False, got {value!r}.")
    return value


def integer(where: str, name: str, value: Any, least: int | None = None) -> int:
    """Return any integer (True and False are none), or raise TypeError, or ValueError below the least one."""
    try:
        found = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        found = None
    if found is not None and (least is None or found >= least):
        return found
    known = {None: "an integer", 0: "a non-negative integer", 1: "a positive integer"}
    error = TypeError if found is None else ValueError
    raise error(
        f"{where}: expected {name} to be {known.get(least) or f'an integer of at least {least}'}, got {value!r}."
    )


def is_number(value: Any, kind: type = Real) -> bool:
    """Whether a value is a real number (or of another kind); True and False are none, nor are arrays."""
    return type(value) is float or (isinstance(value, kind) and not isinstance(value, bool))


def number(
    where: str,
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: bool = False,
    below: bool = False,
    finite: bool = False,
) -> float:
    """Return a number as a Python float, which never promotes an array, or raise an error that names the argument.

    Parameters
    ----------
    where, name, value
        Whose argument it is, its name, and what came.
    low, high
        The interval.
    above, below
        Whether `low` and `high` themselves are left out.
    finite
        Whether infinity is refused.

    Raises
    ------
    TypeError
        If `value` is no number; True, False and arrays are none.
    ValueError
        If it is NaN, or outside the interval.

    Examples
    --------
    >>> from nnx.checks import number
    >>> number("huber_loss", "delta", 2, 0.0, above=True)
    2.0
    """
    if not is_number(value):
        raise TypeError(f"{where}: expected {name} to be a number, got {value!r}; pass a float.")
    found = float(value)
    if (found > low or (found == low and not above)) and (found < high or (found == high and not below)):
        if not finite or math.isfinite(found):
            return found
    wanted = "a finite number" if finite and math.isinf(found) else _bounds(low, high, above, below)
    raise ValueError(f"{where}: expected {name} to be {wanted}, got {value!r}.")


def _bounds(low: float, high: float, above: bool, below: bool) -> str:
    if math.isinf(low):
        return "a number" if math.isinf(high) else f"{'below' if below else 'at most'} {high:g}"
    if math.isinf(high):
        return f"{'above' if above else 'at least'} {low:g}"
    if above:
        return f"above {low:g} and {'below' if below else 'at most'} {high:g}"
    return f"from {low:g} to {'below ' if below else ''}{high:g}"


def check_range(where: str, name: str, value: Any, low: float, below: float | None = None) -> None:
    """Raise unless low <= value (< below); `number` says how."""
    if below is None:
        number(where, name, value, low)
    else:
        number(where, name, value, low, below, below=True)


def check_choice(where: str, name: str, value: Any, choices: Iterable[str]) -> None:
    """Raise unless `value` is one of the names."""
    known = list(choices)
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{where}: expected {name} to be one of {', '.join(map(repr, known))}, got {value!r}.")
