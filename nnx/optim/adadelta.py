"""Adadelta: steps as large as the last ones were, in units of the parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..checks import check_range
from .optimizer import Optimizer
from .parts import Step
from .rules import check_decay, check_eps, with_decay


class Adadelta(Optimizer):
    """Adadelta [1]_; arguments and defaults are PyTorch's.

    Parameters
    ----------
    parameters
        A module, parameters, or groups; see `Optimizer`.
    lr
        What the step is multiplied with: a number, or a function of the step.
    rho
        The decay rate of the running means of the squared gradients and of the squared steps, from 0 to below 1.
    eps
        Added to both means; it sets the size of the first steps.
    weight_decay
        The coefficient of an L2 penalty, added to the gradient.
    maximize
        Whether to climb instead.

    References
    ----------
    .. [1] Zeiler, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701

    Examples
    --------
    >>> import numpy as np, nnx
    >>> p = nnx.Parameter(np.asarray([1.0, 2.0]))
    >>> nnx.optim.Adadelta([p], eps=1e-3).step([np.asarray([1.0, -3.0])])
    >>> p.value.round(4)
    array([0.9005, 2.0999])
    """

    allows_complex = False
    state_names = ("square_avg", "acc_delta")

    def __init__(
        self,
        parameters: Any,
        lr: float | Callable[[int], float] = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(parameters, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        label = type(self).__name__
        check_range(label, "rho", options["rho"], 0.0, 1.0)
        check_eps(label, options["eps"])
        check_decay(label, options)

    def state_scales(self, options: Mapping[str, Any]) -> tuple[float, ...]:
        return (1 - options["rho"],) * 2

    def update(self, xp: Any, p: Any, g: Any, state: list[Any], step: Step) -> tuple[Any, list[Any]]:
        options = step.options
        rho = options["rho"]
        p, g = with_decay(p, g, step)
        square, steps = state  # divided by 1 - rho, which their ratio does not notice
        eps = options["eps"] / (1 - rho)
        square *= rho
        square += xp.square(g)
        change = steps + eps
        change /= square + eps
        change = xp.sqrt(change)
        change *= g
        steps *= rho
        steps += xp.square(change)
        if step.lr != 1:
            change *= step.lr
        p -= change
        return p, [square, steps]
