"""Adamax: Adam with the largest gradient in place of the mean square."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .optimizer import Optimizer
from .parts import Step
from .rules import check_betas, check_decay, check_eps, with_decay


class Adamax(Optimizer):
    """Adamax, the variant of Adam by the infinity norm [1]_; arguments and defaults are PyTorch's.

    Parameters
    ----------
    parameters
        A module, parameters, or groups; see `Optimizer`.
    lr
        The learning rate: a number, or a function of the step.
    betas
        The decay rates of the running mean of the gradient and of its largest size so far, each from 0 to below 1.
    eps
        Added to the size of each gradient.
    weight_decay
        The coefficient of an L2 penalty, added to the gradient.
    maximize
        Whether to climb instead.

    References
    ----------
    .. [1] Kingma and Ba, "Adam: a method for stochastic optimization", section 7.1, arXiv:1412.6980

    Examples
    --------
    >>> import numpy as np, nnx
    >>> p = nnx.Parameter(np.asarray([1.0, 2.0]))
    >>> nnx.optim.Adamax([p], lr=0.1).step([np.asarray([1.0, -3.0])])
    >>> p.value.round(6)
    array([0.9, 2.1])
    """

    allows_complex = False
    state_names = ("exp_avg", "exp_inf")

    def __init__(
        self,
        parameters: Any,
        lr: float | Callable[[int], float] = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        label = type(self).__name__
        check_betas(label, options["betas"])
        check_eps(label, options["eps"])
        check_decay(label, options)

    def state_scales(self, options: Mapping[str, Any]) -> tuple[float, ...]:
        return (1 - options["betas"][0], 1.0)

    def update(self, xp: Any, p: Any, g: Any, state: list[Any], step: Step) -> tuple[Any, list[Any]]:
        options, lr, t, _ = step
        beta1, beta2 = options["betas"]
        p, g = with_decay(p, g, step)
        mean, largest = state  # the mean divided by 1 - beta1
        mean *= beta1
        mean += g
        largest *= beta2
        size = xp.abs(g)
        size += options["eps"]
        largest = xp.maximum(largest, size)
        change = mean / largest
        change *= lr * (1 - beta1) / (1 - beta1**t)
        p -= change
        return p, [mean, largest]
