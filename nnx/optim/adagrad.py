"""Adagrad: step sizes from the sum of all squared gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..checks import check_range
from .optimizer import Optimizer
from .parts import Step
from .rules import check_decay, check_eps, with_decay


class Adagrad(Optimizer):
    """Adagrad [1]_; arguments and defaults are PyTorch's.

    Parameters
    ----------
    parameters
        A module, parameters, or groups; see `Optimizer`.
    lr
        The learning rate: a number, or a function of the step.
    lr_decay
        How fast the rate falls: at step t it is divided by ``1 + (t - 1) * lr_decay``.
    weight_decay
        The coefficient of an L2 penalty, added to the gradient.
    initial_accumulator_value
        What the sum of squares starts from. A group may have its own, which PyTorch ignores.
    eps
        Added to the denominator. It may be 0 if the sum starts above 0.
    maximize
        Whether to climb instead.

    References
    ----------
    .. [1] Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic optimization",
       JMLR 12, 2011

    Examples
    --------
    >>> import numpy as np, nnx
    >>> p = nnx.Parameter(np.asarray([1.0, 2.0]))
    >>> nnx.optim.Adagrad([p], lr=0.1).step([np.asarray([1.0, -3.0])])
    >>> p.value.round(6)
    array([0.9, 2.1])
    """

    allows_complex = False
    state_names = ("sum",)

    def __init__(
        self,
        parameters: Any,
        lr: float | Callable[[int], float] = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters,
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
            maximize=maximize,
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        label = type(self).__name__
        check_range(label, "lr_decay", options["lr_decay"], 0.0)
        check_range(label, "initial_accumulator_value", options["initial_accumulator_value"], 0.0)
        check_range(label, "eps", options["eps"], 0.0)
        if not options["initial_accumulator_value"]:
            check_eps(label, options["eps"])
        check_decay(label, options)

    def update(self, xp: Any, p: Any, g: Any, state: list[Any], step: Step) -> tuple[Any, list[Any]]:
        options, lr, t, _ = step
        p, g = with_decay(p, g, step)
        (total,) = state
        if t == 1 and options["initial_accumulator_value"]:
            total += options["initial_accumulator_value"]
        total += xp.square(g)
        change = xp.sqrt(total)
        if options["eps"]:
            change += options["eps"]
        change = g / change
        change *= lr / (1 + (t - 1) * options["lr_decay"])
        p -= change
        return p, [total]
