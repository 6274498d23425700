"""RAdam: Adam that trusts its mean square only once it is one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ..checks import boolean
from .optimizer import Optimizer
from .parts import Step
from .rules import check_betas, check_decay, check_eps, with_decay


class RAdam(Optimizer):
    """Adam with rectified variance of its step sizes [1]_; arguments and defaults are PyTorch's.

    The first steps, whose mean square is of too few gradients, go along the mean gradient alone.

    Parameters
    ----------
    parameters
        A module, parameters, or groups; see `Optimizer`.
    lr
        The learning rate: a number, or a function of the step.
    betas
        The decay rates of the running means of the gradient and of its square, each from 0 to below 1.
    eps
        Added to the denominator.
    weight_decay
        The coefficient of an L2 penalty, added to the gradient.
    decoupled_weight_decay
        Whether `weight_decay` shrinks the parameters apart from the gradient, as in `AdamW`.
    maximize
        Whether to climb instead.

    References
    ----------
    .. [1] Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR 2020

    Examples
    --------
    >>> import numpy as np, nnx
    >>> p = nnx.Parameter(np.asarray([1.0, 2.0]))
    >>> nnx.optim.RAdam([p], lr=0.1).step([np.asarray([1.0, -3.0])])
    >>> p.value.round(6)
    array([0.9, 2.3])
    """

    allows_complex = False
    state_names = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        parameters: Any,
        lr: float | Callable[[int], float] = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        label = type(self).__name__
        check_betas(label, options["betas"])
        check_eps(label, options["eps"])
        check_decay(label, options)
        boolean(label, "decoupled_weight_decay", options["decoupled_weight_decay"])

    def state_scales(self, options: Mapping[str, Any]) -> tuple[float, ...]:
        beta1, beta2 = options["betas"]
        return (1 - beta1, 1 - beta2)

    def update(self, xp: Any, p: Any, g: Any, state: list[Any], step: Step) -> tuple[Any, list[Any]]:
        options, lr, t, _ = step
        beta1, beta2 = options["betas"]
        p, g = with_decay(p, g, step, options["decoupled_weight_decay"])
        mean, square = state  # divided by 1 - beta, as in Adam
        mean *= beta1
        mean += g
        square *= beta2
        square += xp.square(g)
        rate = lr * (1 - beta1) / (1 - beta1**t)
        rectification = _rectification(beta2, t)
        if rectification:
            scale = math.sqrt(1 - beta2)
            change = xp.sqrt(square)
            change += options["eps"] / scale
            change = mean / change
            change *= rate * rectification * math.sqrt(1 - beta2**t) / scale
        else:
            change = mean * rate
        p -= change
        return p, [mean, square]


def _rectification(beta2: float, t: int) -> float:
    """Return the factor, at most 1, that evens out the variance of the step sizes; 0 where that has no bound."""
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * t * beta2**t / (1 - beta2**t)  # of the simple mean that is worth as much
    if length <= 5:
        return 0.0
    ratio = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
    return math.sqrt(ratio)
