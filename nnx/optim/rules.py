"""What many rules share: the gradient that they follow, and the checks of the options that they have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..checks import boolean, check_range
from .parts import Step


def with_decay(p: Any, g: Any, step: Step, decoupled: bool = False) -> tuple[Any, Any]:
    """Return parameters and gradient with the options ``maximize`` and ``weight_decay`` worked in.

    Weight decay that is not decoupled joins the gradient; decoupled, it shrinks the parameters. `g` is not written to.
    """
    decay, maximize = step.options["weight_decay"], step.options["maximize"]
    if decay and not decoupled:
        penalized = decay * p
        if maximize:
            penalized -= g
        else:
            penalized += g
        return p, penalized
    if decay:
        p *= 1 - step.lr * decay
    return p, -g if maximize else g


def check_pair(label: str, name: str, value: Any) -> None:
    """Raise unless `value` has two items."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{label}: expected {name} to be a pair of numbers, got {value!r}; pass {name}=(..., ...).")


def check_betas(label: str, betas: Any) -> None:
    """Raise unless `betas` is a pair of rates from 0 to below 1."""
    check_pair(label, "betas", betas)
    for k, beta in enumerate(betas):
        check_range(label, f"betas[{k}]", beta, 0.0, 1.0)


def check_eps(label: str, eps: Any) -> None:
    """Raise unless `eps` is above 0."""
    check_range(label, "eps", eps, 0.0, above=True, fix="a zero gradient would give NaN; pass such as eps=1e-8")


def check_decay(label: str, options: Mapping[str, Any]) -> None:
    """Raise unless the options of `with_decay` are possible."""
    check_range(label, "weight_decay", options["weight_decay"], 0.0)
    boolean(label, "maximize", options["maximize"])
