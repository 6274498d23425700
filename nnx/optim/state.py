"""Check a saved state before an optimizer takes it over."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..backend import get_backend
from ..checks import is_number
from ..dtypes import dtype_name, is_floating
from ..errors import WeightsError
from .copies import at_home

_NOT_NEGATIVE = {  # means and sums of squares, largest sizes, step sizes
    "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "square_avg", "acc_delta", "sum", "row_var", "col_var", "variance",
    "step_size",
}  # fmt: skip
_WEIGHTS = ("average", "slow")  # are what a network had, whatever that is


def checked_state(
    label: str, own: Mapping[str, Sequence[Any]], keys: Sequence[str], numbers: Sequence[str], state: Any
) -> tuple[int, dict[str, tuple[int, tuple[float, ...], list[Any]]]]:
    """Return the steps, and (step, numbers, arrays) for each parameter, of what ``state_dict()`` returned.

    Parameters
    ----------
    label
        The optimizer, for messages.
    own
        Its state arrays by parameter; the new ones are like them.
    keys
        The names of the state arrays of one parameter.
    numbers
        The names of the numbers that go with a parameter that has made a step.
    state
        What to check.

    Raises
    ------
    WeightsError
        Listing every problem.
    """
    if not isinstance(state, Mapping) or not {"steps", "parameters"} <= set(state):
        raise WeightsError(f"{label}: expected what state_dict() returned, with steps and parameters.")
    steps, entries = state["steps"], state["parameters"]
    problems = [] if is_count(steps) else [f"steps: expected a non-negative integer, got {steps!r}"]
    if isinstance(entries, Mapping):
        problems += [f"missing: {name}" for name in own if name not in entries]
        problems += [f"unexpected: {name}" for name in entries if name not in own]
        for name, arrays in own.items():
            if name in entries:
                problems += _misfits(name, dict(zip(keys, arrays, strict=True)), numbers, entries[name])
    else:
        problems.append(f"parameters: expected a dict with an entry per parameter, got {type(entries).__name__}")
    if problems:
        raise WeightsError(
            f"the state does not fit {label} ({len(problems)} problems, nothing was loaded):\n  "
            + "\n  ".join(problems)
        )
    return int(steps), {name: _taken(arrays, keys, numbers, entries[name]) for name, arrays in own.items()}


def _taken(
    own: Sequence[Any], keys: Sequence[str], numbers: Sequence[str], entry: Mapping[str, Any]
) -> tuple[int, tuple[float, ...], list[Any]]:
    step = int(entry["step"])
    arrays = [at_home(entry[key], array) for key, array in zip(keys, own, strict=True)]
    return step, tuple(float(entry[number]) for number in numbers) if step else (), arrays


def _misfits(name: str, own: Mapping[str, Any], numbers: Sequence[str], entry: Any) -> list[str]:
    if not isinstance(entry, Mapping):
        return [f"{name}: expected a dict with {', '.join(['step', *numbers, *own])}, got {type(entry).__name__}"]
    problems = []
    if not is_count(entry.get("step")):
        problems.append(f"{name}, step: expected a non-negative integer, got {entry.get('step')!r}")
    elif int(entry["step"]):
        problems += [
            f"{name}, {number}: expected a finite number of at least 0, got {entry.get(number)!r}"
            for number in numbers
            if not is_number(entry.get(number)) or not 0 <= entry[number] < math.inf
        ]
    for key, array in own.items():
        found: Any = entry.get(key)
        shape = getattr(found, "shape", None)
        if shape is None or tuple(shape) != tuple(array.shape):
            got = "nothing" if key not in entry else "no array" if shape is None else tuple(shape)
            problems.append(f"{name}, {key}: expected shape {tuple(array.shape)}, got {got}")
        elif is_floating(found.dtype) != is_floating(array.dtype):
            wanted, got = dtype_name(array.dtype), dtype_name(found.dtype)
            problems.append(f"{name}, {key}: expected numbers such as {wanted}, got {got}")
        elif key not in _WEIGHTS:
            problems += [f"{name}, {key}: {what}" for what in _impossible(key, found)]
    return problems + [f"{name}: unexpected {key}" for key in entry if key not in ("step", *numbers, *own)]


def _impossible(key: str, found: Any) -> list[str]:
    xp = get_backend(found).xp
    if bool(xp.any(xp.isnan(found))):
        return ["expected numbers, got NaN"]
    return ["expected no negative numbers, got some"] if key in _NOT_NEGATIVE and bool(xp.any(found < 0)) else []


def is_count(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool) and value.__index__() >= 0
