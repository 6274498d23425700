"""What a module is told about its weights: regularisers for the loss, constraints for after a step."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator
from typing import Any, Self

from ..autodiff import Parameter
from ..autodiff.parameter import fitted
from ..checks import is_number
from ..errors import ShapeError

_Rule = Callable[[Any], Any]


class WeightRules:
    """The part of `Module` that keeps regularisers and constraints, each with the pattern of names that it is for."""

    _regularizers: list[tuple[_Rule, str]]
    _constraints: list[tuple[_Rule, str]]
    modules: Callable[[], Iterator[Any]]
    named_parameters: Callable[..., Iterator[tuple[str, Parameter]]]
    _all: Callable[..., Iterator[tuple[str, Any]]]

    def regularize(self, regularizer: _Rule, pattern: str = "*") -> Self:
        """Penalise the parameters whose dotted names match a shell-style pattern; return self.

        `Model` adds the penalty to the loss; in a loop of your own, add `penalty`.

        Parameters
        ----------
        regularizer
            One of `nnx.regularizers`, or a function from the array of a parameter to a number.
        pattern
            ``*`` stands for anything. A tied parameter goes by its first name.

        Raises
        ------
        TypeError
            If `regularizer` is no function, or does not return a number.
        ValueError
            If no parameter matches; the text lists the names.
        ShapeError
            If the regulariser returns an array with axes, or is not for such a parameter.

        Examples
        --------
        >>> import nnx
        >>> net = nnx.Sequential(nnx.Linear(2, 2)).regularize(nnx.regularizers.L2(1e-4), "*.weight")
        """
        _check_rule("regularize", regularizer, "regularizer", "number, such as nnx.regularizers.L2(1e-4)")
        self._require_match("regularize", pattern)
        for name, parameter in self._matching(pattern):  # to fail here, not in the first step of training
            _check_penalty(name, _applied(regularizer, name, parameter.value))
        self._regularizers.append((regularizer, pattern))
        return self

    @property
    def regularized(self) -> bool:
        """Whether this module or one inside has regularisers."""
        return any(module._regularizers for module in self.modules())

    def penalty(self) -> Any:
        """Return the sum of all penalties of this module and those inside; 0.0 without regularisers."""
        total: Any = 0.0
        for module in self.modules():
            for regularizer, pattern in module._regularizers:
                for name, parameter in module._matching(pattern):
                    total = _applied(regularizer, name, parameter.read()) + total
        return total

    def constrain(self, constraint: _Rule, pattern: str = "*") -> Self:
        """Constrain the parameters whose dotted names match a shell-style pattern; return self.

        Nothing changes yet. `Model` applies the constraints after every step of the optimizer; in a loop of your own,
        call `apply_constraints` there.

        Parameters
        ----------
        constraint
            One of `nnx.constraints`, or a function from the array of a parameter to a new one of its shape and dtype.
        pattern
            ``*`` stands for anything. A tied parameter goes by its first name.

        Raises
        ------
        TypeError
            If `constraint` is no function.
        ValueError
            If no parameter matches; the text lists the names.
        ShapeError, DTypeError
            If the constraint is not for such a parameter (the default norms need two axes), or returns another kind.

        Examples
        --------
        >>> import nnx
        >>> net = nnx.Sequential(nnx.Linear(2, 2)).constrain(nnx.constraints.MaxNorm(3.0), "*.weight")
        """
        _check_rule("constrain", constraint, "constraint", "new one, such as nnx.constraints.MaxNorm(3.0)")
        self._require_match("constrain", pattern)
        for name, parameter in self._matching(pattern):  # to fail here, not in the first step of training
            fitted(f"constrain, {name}", _applied(constraint, name, parameter.value), parameter.value)
        self._constraints.append((constraint, pattern))
        return self

    @property
    def constrained(self) -> bool:
        """Whether this module or one inside has constraints."""
        return any(module._constraints for module in self.modules())

    def apply_constraints(self) -> None:
        """Make the trainable parameters of this module and those inside satisfy their constraints.

        Constraints on one parameter are applied one after another: those of outer modules first, then in the order of
        the calls of `constrain`. Like a step, this outdates graphs that were recorded before.

        Examples
        --------
        >>> import numpy as np, nnx
        >>> layer = nnx.Linear(2, 1).constrain(nnx.constraints.UnitNorm(), "weight")
        >>> layer.weight = np.asarray([[3.0, 4.0]], dtype="float32")
        >>> layer.apply_constraints()
        >>> layer.weight
        array([[0.6, 0.8]], dtype=float32)
        """
        for module in self.modules():
            for constraint, pattern in module._constraints:
                for name, parameter in module._matching(pattern):
                    if parameter.trainable:
                        parameter.value = _applied(constraint, name, parameter.value)

    def _matching(self, pattern: str) -> Iterator[tuple[str, Parameter]]:
        """Yield the parameters whose names, seen from here, match; unlike `named_parameters` it renames none."""
        seen: set[Parameter] = set()
        for name, parameter in self._all("_parameters", ""):
            if parameter not in seen:
                seen.add(parameter)
                if fnmatch.fnmatchcase(name, pattern):
                    yield name, parameter

    def _require_match(self, where: str, pattern: str) -> None:
        if not isinstance(pattern, str):
            raise TypeError(f"{where}: expected pattern to be a string such as '*.weight', got {pattern!r}.")
        names = [name for name, _ in self.named_parameters()]
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            known = ", ".join(names) or "none"
            raise ValueError(f"{where}: no parameter matches {pattern!r}; the names are {known}.")


def _check_rule(where: str, rule: Any, name: str, result: str) -> None:
    if isinstance(rule, type) or not callable(rule):
        got = f"the class {rule.__name__}; write {rule.__name__}(...)" if isinstance(rule, type) else repr(rule)
        raise TypeError(f"{where}: expected {name} to be a function from an array to a {result}, got {got}.")


def _check_penalty(name: str, penalty: Any) -> None:
    where = f"regularize, {name}: expected the regularizer to return a number, an array of shape ()"
    if isinstance(penalty, (bool, str)) or not (is_number(penalty) or hasattr(penalty, "dtype")):
        raise TypeError(f"{where}, got {penalty!r}; return such as xp.sum(parameter * parameter).")
    if tuple(getattr(penalty, "shape", ())):
        raise ShapeError(f"{where}, got one of shape {tuple(penalty.shape)}; sum it up with xp.sum.")


def _applied(rule: _Rule, name: str, array: Any) -> Any:
    try:
        return rule(array)
    except Exception as error:
        error.add_note(f"This happened while applying {rule!r} to the parameter {name!r}.")
        raise
