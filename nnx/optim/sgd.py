"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..checks import boolean, check_range
from .optimizer import Optimizer
from .parts import Step
from .rules import check_decay, with_decay


class SGD(Optimizer):
    """Stochastic gradient descent with momentum; arguments and defaults are PyTorch's.

    Parameters
    ----------
    parameters
        A module, parameters, or groups; see `Optimizer`.
    lr
        The learning rate: a number, or a function of the step.
    momentum
        How much of the last direction to keep, from 0 to below 1.
    dampening
        How much of the gradient not to add to the momentum.
    weight_decay
        The coefficient of an L2 penalty, added to the gradient.
    nesterov
        Whether to look ahead [1]_.
    maximize
        Whether to climb instead.

    References
    ----------
    .. [1] Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013

    Examples
    --------
    >>> import numpy as np, nnx
    >>> p = nnx.Parameter(np.asarray([1.0, 2.0]))
    >>> optimizer = nnx.optim.SGD([p], lr=0.1)
    >>> optimizer.step([np.asarray([1.0, 0.0])])
    >>> p.value
    array([0.9, 2. ])
    """

    def __init__(
        self,
        parameters: Any,
        lr: float | Callable[[int], float] = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            maximize=maximize,
        )

    @property
    def state_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The momentum, if any group has one."""
        return ("momentum_buffer",) if any(group.options["momentum"] for group in self.groups) else ()

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        check_range("SGD", "momentum", options["momentum"], 0.0, 1.0)
        check_range("SGD", "dampening", options["dampening"], 0.0)
        check_decay("SGD", options)
        boolean("SGD", "nesterov", options["nesterov"])
        if options["nesterov"] and (not options["momentum"] or options["dampening"]):
            raise ValueError("SGD: nesterov=True needs a momentum above 0 and dampening=0.")

    def update(self, xp: Any, p: Any, g: Any, state: list[Any], step: Step) -> tuple[Any, list[Any]]:
        options, lr, t, _ = step
        p, g = with_decay(p, g, step)
        if options["momentum"]:
            (momentum,) = state
            if t == 1:
                momentum = momentum * 0.0 + g
            else:
                momentum *= options["momentum"]
                momentum += g if not options["dampening"] else (1 - options["dampening"]) * g
            g = g + options["momentum"] * momentum if options["nesterov"] else momentum
            state = [momentum]
        p -= lr * g
        return p, state
