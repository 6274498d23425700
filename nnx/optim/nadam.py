"""NAdam: Adam that looks ahead, as Nesterov's momentum does."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ..checks import boolean, check_range
from .optimizer import Optimizer
from .parts import Step
from .rules import check_betas, check_decay, check_eps, with_decay


class NAdam(Optimizer):
    """Adam with Nesterov momentum [1]_; arguments and defaults are PyTorch's.

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
    momentum_decay
        How fast the momentum of step t, ``betas[0] * (1 - 0.96 ** (t * momentum_decay) / 2)``, grows to its full size.
    decoupled_weight_decay
        Whether `weight_decay` shrinks the parameters apart from the gradient, as in `AdamW`.
    maximize
        Whether to climb instead.

    References
    ----------
    .. [1] Dozat, "Incorporating Nesterov momentum into Adam", ICLR 2016 workshop

    Examples
    --------
    >>> import numpy as np, nnx
    >>> p = nnx.Parameter(np.asarray([1.0, 2.0]))
    >>> nnx.optim.NAdam([p], lr=0.1).step([np.asarray([1.0, -3.0])])
    >>> p.value.round(4)
    array([0.8944, 2.1056])
    """

    allows_complex = False
    state_names = ("exp_avg", "exp_avg_sq")
    number_names = ("mu_product",)

    def __init__(
        self,
        parameters: Any,
        lr: float | Callable[[int], float] = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
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
            momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        label = type(self).__name__
        check_betas(label, options["betas"])
        check_eps(label, options["eps"])
        check_decay(label, options)
        check_range(label, "momentum_decay", options["momentum_decay"], 0.0)
        boolean(label, "decoupled_weight_decay", options["decoupled_weight_decay"])

    def state_scales(self, options: Mapping[str, Any]) -> tuple[float, ...]:
        beta1, beta2 = options["betas"]
        return (1 - beta1, 1 - beta2)

    def next_numbers(self, step: Step) -> tuple[float, ...]:
        """The product of the momenta of all steps so far."""
        (product,) = step.numbers or (1.0,)
        return (product * _momentum(step.options, step.t),)

    def update(self, xp: Any, p: Any, g: Any, state: list[Any], step: Step) -> tuple[Any, list[Any]]:
        options, lr, t, (product,) = step
        beta1, beta2 = options["betas"]
        p, g = with_decay(p, g, step, options["decoupled_weight_decay"])
        mean, square = state  # divided by 1 - beta, as in Adam
        mean *= beta1
        mean += g
        square *= beta2
        square += xp.square(g)
        now, ahead = _momentum(options, t), _momentum(options, t + 1)
        of_gradient, of_mean = (1 - now) / (1 - product), ahead * (1 - beta1) / (1 - product * ahead)
        root = math.sqrt((1 - beta2**t) / (1 - beta2))
        size = xp.sqrt(square)
        size += options["eps"] * root
        change = mean * (of_mean / of_gradient)
        change += g
        change /= size
        change *= lr * root * of_gradient
        p -= change
        return p, [mean, square]


def _momentum(options: Mapping[str, Any], t: int) -> float:
    return options["betas"][0] * (1 - 0.5 * 0.96 ** (t * options["momentum_decay"]))
