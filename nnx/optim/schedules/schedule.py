"""`Schedule`: a function from step to learning rate that prints and pickles; and the checks of its arguments."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any, ParamSpec

Formula = Callable[[int], float]
P = ParamSpec("P")


class Schedule:
    """What the functions of this package return: call it with a step, from 0, to get that step's learning rate.

    Attributes
    ----------
    arguments
        Those that it was made with, by name, defaults included.

    Examples
    --------
    >>> import pickle
    >>> from nnx.optim import schedules
    >>> schedule = schedules.step_decay(0.5, step_size=10)
    >>> schedule
    step_decay(lr=0.5, step_size=10, gamma=0.1)
    >>> schedule(9), pickle.loads(pickle.dumps(schedule))(10)
    (0.5, 0.05)
    """

    def __init__(self, make: Callable[..., Schedule], arguments: dict[str, Any], formula: Formula) -> None:
        self.arguments = arguments
        self._make = make
        self._formula = formula

    def __call__(self, step: int) -> float:
        if step < 0:
            raise ValueError(f"{self._make.__name__}: expected a step of at least 0, got {step}; steps count from 0.")
        return self._formula(step)

    def __repr__(self) -> str:
        return f"{self._make.__name__}({', '.join(f'{name}={value!r}' for name, value in self.arguments.items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Formulas are closures, which cannot be pickled; the arguments make them again.
        return _again, (self._make, self.arguments)


def _again(make: Callable[..., Schedule], arguments: dict[str, Any]) -> Schedule:
    return make(**arguments)


def schedule(build: Callable[P, Formula]) -> Callable[P, Schedule]:
    """Make a function that checks arguments and returns a formula return a `Schedule`."""
    signature = inspect.signature(build)

    @functools.wraps(build)
    def make(*args: P.args, **kwargs: P.kwargs) -> Schedule:
        formula = build(*args, **kwargs)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        # A list that its owner changes later must not change what the schedule says it is.
        arguments = {name: tuple(v) if isinstance(v, list) else v for name, v in bound.arguments.items()}
        return Schedule(make, arguments, formula)

    vars(make)["__signature__"] = signature.replace(return_annotation=Schedule)
    return make


def check_number(label: str, name: str, value: Any, low: float = 0.0, high: float = math.inf) -> None:
    """Raise unless `value` is a finite number from `low` to `high`."""
    if not _is_number(value) or not low <= value <= high or math.isinf(value):
        bounds = f"of at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
        raise ValueError(f"{label}: expected {name} to be a number {bounds}, got {value!r}; pass one in that range.")


def check_positive(label: str, name: str, value: Any) -> None:
    """Raise unless `value` is a finite number above 0."""
    if not _is_number(value) or not 0 < value < math.inf:
        raise ValueError(f"{label}: expected {name} to be a number above 0, got {value!r}; pass one in that range.")


def check_count(label: str, name: str, value: Any, low: int = 1) -> None:
    """Raise unless `value` is a whole number of at least `low`."""
    if not _is_number(value, Integral) or value < low:
        wanted = f"{label}: expected {name} to be an integer of at least {low}"
        raise ValueError(f"{wanted}, got {value!r}; it counts steps of the optimizer.")


def check_choice(label: str, name: str, value: Any, choices: Iterable[str]) -> None:
    """Raise unless `value` is one of the names."""
    choices = list(choices)
    if value not in choices:
        raise ValueError(f"{label}: expected {name} to be one of {', '.join(map(repr, choices))}, got {value!r}.")


def check_function(label: str, name: str, value: Any) -> None:
    """Raise unless `value` can be called."""
    if not callable(value):
        wanted = f"{label}: expected {name} to be a function of the step"
        raise TypeError(f"{wanted}, got {value!r}; pass a schedule or lambda step: ...")


def _is_number(value: Any, kind: type = Real) -> bool:
    return isinstance(value, kind) and type(value) is not bool
