"""Lion: steps along the sign of an interpolated gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .optimizer import Optimizer
from .parts import Step
from .rules import check_betas, check_decay, with_decay


class Lion(Optimizer):
    """Lion, "evolved sign momentum" [1]_. All numbers of a parameter move by the same amount, the learning rate.

    Parameters
    ----------
    parameters
        A module, parameters, or groups; see `Optimizer`.
    lr
        The learning rate: a number, or a function of the step. The paper takes 3 to 10 times less than for `AdamW`.
    betas
        How much of the running mean enters the direction, and its decay rate, each from 0 to below 1.
    weight_decay
        How much to shrink the parameters, times the learning rate, apart from the gradient. The paper takes 3 to 10
        times more than for `AdamW`.
    maximize
        Whether to climb instead.

    References
    ----------
    .. [1] Chen et al., "Symbolic discovery of optimization algorithms", algorithm 2, arXiv:2302.06675

    Examples
    --------
    >>> import numpy as np, nnx
    >>> p = nnx.Parameter(np.asarray([1.0, 2.0]))
    >>> nnx.optim.Lion([p], lr=0.1).step([np.asarray([1.0, -3.0])])
    >>> p.value
    array([0.9, 2.1])
    """

    allows_complex = False
    state_names = ("exp_avg",)

    def __init__(
        self,
        parameters: Any,
        lr: float | Callable[[int], float] = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(parameters, lr=lr, betas=betas, weight_decay=weight_decay, maximize=maximize)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        label = type(self).__name__
        check_betas(label, options["betas"])
        check_decay(label, options)

    def state_scales(self, options: Mapping[str, Any]) -> tuple[float, ...]:
        return (1 - options["betas"][1],)

    def update(self, xp: Any, p: Any, g: Any, state: list[Any], step: Step) -> tuple[Any, list[Any]]:
        beta1, beta2 = step.options["betas"]
        p, g = with_decay(p, g, step, decoupled=True)
        (mean,) = state  # divided by 1 - beta2
        change = mean * (beta1 * (1 - beta2) / (1 - beta1))
        change += g
        change = xp.sign(change)
        change *= step.lr
        p -= change
        mean *= beta2
        mean += g
        return p, [mean]
