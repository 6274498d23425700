"""What an optimizer accepts: a module, parameters with or without names, groups; and the ranges of options."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from ..autodiff import Parameter
from ..checks import check_range

_Named = list[tuple[str, Parameter, bool]]  # name, parameter, and whether the name was given by hand


def grouped(parameters: Any, label: str) -> list[tuple[dict[str, Parameter], dict[str, Any]]]:
    """Return (named parameters, own options) for each group."""
    if isinstance(parameters, Parameter):
        raise TypeError(
            f"{label}: expected a module or an iterable of parameters, got one Parameter; pass [parameter]."
        )
    listed: list[tuple[_Named, dict[str, Any]]] = []
    items = parameters if _is_module(parameters) else _items(parameters, label)
    if isinstance(items, list) and items and all(isinstance(item, Mapping) for item in items):
        for item in items:
            own = {k: v for k, v in item.items() if k != "params"}
            if "params" not in item:
                raise KeyError(f'{label}: a group needs the key "params"; got {", ".join(map(repr, item))}.')
            listed.append((_listed(item["params"], label), own))
    else:
        listed.append((_listed(items, label), {}))
    _check_distinct([entry for group, _ in listed for entry in group], label)
    names = [name for group, _ in listed for name, _, _ in group]
    if not all(names) or len(set(names)) < len(names):  # then those without a name given by hand are numbered
        number = itertools.count()
        listed = [([(n if given else str(next(number)), p, given) for n, p, given in g], own) for g, own in listed]
    return [({name: parameter for name, parameter, _ in group}, own) for group, own in listed]


def _is_module(parameters: Any) -> bool:
    return hasattr(type(parameters), "__nnx_parameters__")


def _items(parameters: Any, label: str) -> list[Any]:
    if isinstance(parameters, Mapping):
        return list(parameters.items())
    if isinstance(parameters, (str, bytes)) or not isinstance(parameters, Iterable):
        raise TypeError(f"{label}: expected a module or an iterable of parameters, got {type(parameters).__name__}.")
    return list(parameters)


def _listed(parameters: Any, label: str) -> _Named:
    if isinstance(parameters, Parameter):  # as PyTorch allows for a group
        parameters = [parameters]
    if _is_module(parameters):
        return [(name, parameter, False) for name, parameter in parameters.__nnx_parameters__().items()]
    listed: _Named = []
    for item in _items(parameters, label):
        given = isinstance(item, tuple) and len(item) == 2
        name, parameter = (item[0], item[1]) if given else (getattr(item, "name", ""), item)
        if not isinstance(parameter, Parameter):
            raise TypeError(
                f"{label}: expected parameters, got {type(parameter).__name__}. Pass the module itself, or "
                "module.parameters()."
            )
        listed.append((name, parameter, given))
    return listed


def _check_distinct(entries: _Named, label: str) -> None:
    seen: set[Parameter] = set()
    names: set[str] = set()
    for position, (name, parameter, given) in enumerate(entries):
        if parameter in seen:
            raise ValueError(
                f"{label}: parameter {name or position!r} appears twice; a parameter may be in one group only."
            )
        if given and name in names:
            raise ValueError(f"{label}: two parameters are named {name!r}; pass pairs of distinct names.")
        seen.add(parameter)
        if given:
            names.add(name)


def check_group_options(
    label: str, groups: Sequence[tuple[dict[str, Parameter], dict[str, Any]]], options: Mapping[str, Any]
) -> None:
    if not any(named for named, _ in groups):
        raise ValueError(f"{label}: got no parameters. Pass a module that has some, or module.parameters().")
    for _, own in groups:
        unknown = [key for key in own if key not in options]
        if unknown:
            raise TypeError(f"{label}: unknown option {', '.join(map(repr, unknown))}; it has {', '.join(options)}.")


def check_lr(label: str, lr: float | Callable[[int], float]) -> None:
    """Raise unless `lr` is a positive number, zero, or a schedule."""
    if not callable(lr):
        check_range(label, "lr", lr, low=0.0, fix="pass such as lr=0.1, or a schedule")
    elif isinstance(lr, type) or hasattr(lr, "__nnx_makes_schedules__"):
        raise TypeError(
            f"{label}: expected lr to be a number or a schedule, got {lr.__name__} itself, which makes schedules; call "
            f"it: lr={lr.__name__}(...)."
        )


def checked_rate(label: str, schedule: Callable[[int], float], step: int, value: Any) -> float:
    """Return as a float the rate that a schedule gave for a step; raise unless it is one."""
    if type(value) is float and 0.0 <= value < math.inf:  # at every step: the usual case first
        return value
    where = f"{label}: expected lr, the schedule {schedule!r},"
    number = hasattr(value, "__float__") and not isinstance(value, bool) and getattr(value, "shape", ()) == ()
    if not number:
        raise TypeError(f"{where} to return a number, got {describe(value)} at step {step}; let it return a float.")
    if not 0.0 <= float(value) < math.inf:
        raise ValueError(
            f"{where} to return a finite number of at least 0, got {value!r} at step {step}; correct it for this step, "
            "e.g. with max(0.0, ...)."
        )
    return float(value)


def describe(value: Any) -> str:
    """Return what was passed where something else was expected, briefly: short values themselves, others by type."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"an array of shape {tuple(shape)}"


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with Python's own numbers: NumPy's promote float32 arrays, and other libraries refuse them."""
    return {name: _plain(value) for name, value in options.items()}


def _plain(value: Any) -> Any:
    if hasattr(value, "dtype") and hasattr(value, "tolist"):  # NumPy's numbers and flags, and arrays
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return tuple(map(_plain, value))
    if isinstance(value, bool) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def gradients_by_name(label: str, names: Sequence[str], grads: Any) -> Mapping[str, Any]:
    """Return gradients that were given by name or in order by name; raise unless there are such parameters."""
    if not isinstance(grads, Mapping):
        if not isinstance(grads, Iterable) or isinstance(grads, (str, bytes)) or hasattr(grads, "dtype"):
            raise TypeError(
                f"{label}: expected gradients by name, a list of them, or a closure, got {type(grads).__name__}. After "
                "backward(), call step() without an argument."
            )
        grads = list(grads)
        if len(grads) != len(names):
            raise ValueError(f"{label}: expected {len(names)} gradients, one per parameter, got {len(grads)}.")
        return dict(zip(names, grads, strict=True))
    unknown = [name for name in grads if name not in names]
    if unknown:
        raise KeyError(
            f"{label}: no parameter is named {', '.join(map(repr, unknown))}; the names are {', '.join(names)}."
        )
    return grads
