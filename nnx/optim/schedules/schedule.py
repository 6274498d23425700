"""`Schedule`: a function from step to learning rate that prints and pickles; and the checks of its arguments."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, ParamSpec

from ...checks import check_range, is_number

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
        if type(step) is not int or step < 0:  # at every step: the usual case first
            check_count(self._make.__name__, "step", step, low=0, meaning="steps count from 0")
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

    vars(make)["__nnx_makes_schedules__"] = True  # an optimizer tells who passes it as its rate, uncalled
    vars(make)["__signature__"] = signature.replace(return_annotation=Schedule)
    return make


def check_number(label: str, name: str, value: Any, high: float | None = None) -> None:
    """Raise unless `value` is a finite number from 0, and up to `high`."""
    check_range(label, name, value, 0.0, high=high)


def check_positive(label: str, name: str, value: Any) -> None:
    """Raise unless `value` is a finite number above 0."""
    check_range(label, name, value, 0.0, above=True)


def check_count(
    label: str, name: str, value: Any, low: int = 1, meaning: str = "it counts steps of the optimizer"
) -> None:
    """Raise unless `value` is a whole number of at least `low`."""
    if not is_number(value, Integral) or value < low:
        error = ValueError if is_number(value, Integral) else TypeError
        raise error(
            f"{label}: expected {name} to be an integer of at least {low}, got {value!r}; {meaning}: pass such as "
            f"{name.partition('[')[0]}={'[10, 20]' if '[' in name else 10}."
        )


def check_sequence(label: str, name: str, value: Any, of: str) -> None:
    """Raise unless `value` is a list, or something like it."""
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise TypeError(f"{label}: expected {name} to be a sequence, got {value!r}; pass a list of {of}.")


def check_function(label: str, name: str, value: Any) -> None:
    """Raise unless `value` can be called."""
    if not callable(value):
        wanted = f"{label}: expected {name} to be a function of the step"
        raise TypeError(f"{wanted}, got {value!r}; pass a schedule or lambda step: ...")
