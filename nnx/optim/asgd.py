"""ASGD: gradient descent that also keeps the mean of its path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..checks import check_range
from .optimizer import Optimizer
from .parts import Step
from .rules import check_decay, with_decay


class ASGD(Optimizer):
    """Averaged stochastic gradient descent [1]_; arguments and defaults are PyTorch's.

    The average of the parameters is the state ``ax`` in `state_dict`; the parameters themselves are those of the last
    step.

    Parameters
    ----------
    parameters
        A module, parameters, or groups; see `Optimizer`.
    lr
        The learning rate: a number, or a function of the step. As in PyTorch, that of a step takes effect at the next.
    lambd
        The rate of weight decay, apart from the gradient, and of the fall of the learning rate.
    alpha
        The power of that fall: after step t the rate is ``lr / (1 + lambd * lr * t) ** alpha``.
    t0
        The number of steps after which averaging begins.
    weight_decay
        The coefficient of an L2 penalty, added to the gradient.
    maximize
        Whether to climb instead.

    References
    ----------
    .. [1] Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", SIAM J. Control Optim. 30, 1992

    Examples
    --------
    >>> import numpy as np, nnx
    >>> p = nnx.Parameter(np.asarray([1.0, 2.0]))
    >>> optimizer = nnx.optim.ASGD([p], lr=0.5, lambd=0.0, t0=0)
    >>> for _ in range(3):
    ...     optimizer.step([np.asarray([1.0, 0.0])])
    >>> p.value, optimizer.state_dict()["parameters"]["0"]["ax"]
    (array([-0.5,  2. ]), array([-0.25,  2.  ]))
    """

    state_names = ("ax",)
    number_names = ("rate", "eta")

    def __init__(
        self,
        parameters: Any,
        lr: float | Callable[[int], float] = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr=lr, lambd=lambd, alpha=alpha, t0=t0, weight_decay=weight_decay, maximize=maximize
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        label = type(self).__name__
        for name in ("lambd", "alpha"):
            check_range(label, name, options[name], 0.0)
        check_range(label, "t0", options["t0"], 0.0, infinite=True)  # then nothing is averaged
        check_decay(label, options)

    def next_numbers(self, step: Step) -> tuple[float, ...]:
        """The rate of this step, and that of the next, PyTorch's ``eta``."""
        options, lr, t, numbers = step
        rate = numbers[1] if numbers else lr
        return rate, lr / (1 + options["lambd"] * lr * t) ** options["alpha"]

    def update(self, xp: Any, p: Any, g: Any, state: list[Any], step: Step) -> tuple[Any, list[Any]]:
        options, _, t, (rate, _) = step
        p, g = with_decay(p, g, step)
        if options["lambd"]:
            p *= 1 - options["lambd"] * rate
        p -= rate * g
        (average,) = state
        count = t - 1 - options["t0"]
        if count <= 1:
            average = xp.asarray(p, copy=True)
        else:
            away = p - average
            away /= count
            average += away
        return p, [average]
