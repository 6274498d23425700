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
    return (type(value) is float and kind is Real) or (isinstance(value, kind) and not isinstance(value, bool))


def number(
    where: Any,
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: bool = False,
    below: bool = False,
    infinite: bool = False,
    fix: str = "",
) -> float:
    """Return a number as a Python float, which never promotes an array, or raise an error that names the argument.

    Parameters
    ----------
    where, name, value
        The function or class, its argument, and what was passed.
    low, high
        The bounds.
    above, below
        Whether `low` and `high` do not belong to the range.
    infinite
        Whether infinity does, where there is no bound.
    fix
        What to do, for the end of the message.

    Raises
    ------
    TypeError
        If `value` is no real number; True, False and arrays are none.
    ValueError
        If it is NaN or not in the range.

    Examples
    --------
    >>> from nnx.checks import number
    >>> number("huber_loss", "delta", 2, 0.0, above=True)
    2.0
    """
    known = is_number(value)
    unbounded = known and abs(value) == math.inf
    if known and (value > low if above else value >= low) and (value < high if below else value <= high):
        if infinite or not unbounded:
            return float(value)
    bounds = _bounds(low, high, above, below)
    open_ended = unbounded and math.isinf(high)
    kind = "finite number" if not infinite and (open_ended or not bounds) else "number"
    error = ValueError if known else TypeError
    fix = fix or ("pass one in that range" if bounds else "pass a float")
    raise error(f"{where}: expected {name} to be a {kind}{bounds}, got {value!r}; {fix}.")


def _bounds(low: float, high: float, above: bool, below: bool) -> str:
    if math.isinf(low) and math.isinf(high):
        return ""
    if math.isinf(low):
        return f" below {high:g}" if below else f" of at most {high:g}"
    if math.isinf(high):
        return f" above {low:g}" if above else f" of at least {low:g}"
    if above:
        return f" above {low:g} and {'below' if below else 'at most'} {high:g}"
    return f" from {low:g} to {'below ' if below else ''}{high:g}"


def check_range(
    where: str,
    name: str,
    value: Any,
    low: float,
    below: float | None = None,
    *,
    high: float | None = None,
    above: bool = False,
    infinite: bool = False,
    fix: str = "pass one in that range",
) -> None:
    """Raise unless `value` is a number with low <= value (< below, or <= high).

    Parameters
    ----------
    where, name, value
        The function or class, its argument, and what was passed.
    low, below, high
        The bounds. `below` does not belong to the range; `high` does.
    above
        Whether `low` does not belong to the range.
    infinite
        Whether infinity does, where there is no upper bound.
    fix
        What to do, for the end of the message.

    Raises
    ------
    TypeError
        If `value` is no real number; True and False are none.
    ValueError
        If it is NaN or not in the range.

    Examples
    --------
    >>> from nnx.checks import check_range
    >>> check_range("SGD", "momentum", 0.9, 0.0, 1.0)
    """
    top = below if below is not None else math.inf if high is None else high
    number(where, name, value, low, top, above=above, below=below is not None, infinite=infinite, fix=fix)


def check_choice(where: str, name: str, value: Any, choices: Iterable[str | None]) -> None:
    """Raise ValueError unless `value` is one of the names, and TypeError if it is no name at all."""
    known = list(choices)
    if (value is not None and not isinstance(value, str)) or value not in known:
        error = ValueError if isinstance(value, str) else TypeError
        raise error(f"{where}: expected {name} to be one of {', '.join(map(repr, known))}, got {value!r}.")
