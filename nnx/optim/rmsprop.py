"""RMSprop: step sizes from a running mean of the squared gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ..checks import boolean, check_range
from .optimizer import Optimizer
from .parts import Step
from .rules import check_decay, check_eps, with_decay


class RMSprop(Optimizer):
    """RMSprop [1]_, also centered [2]_ and with momentum; arguments and defaults are PyTorch's.

    Parameters
    ----------
    parameters
        A module, parameters, or groups; see `Optimizer`.
    lr
        The learning rate: a number, or a function of the step.
    alpha
        The decay rate of the running means, from 0 to below 1.
    eps
        Added to the denominator.
    weight_decay
        The coefficient of an L2 penalty, added to the gradient.
    momentum
        How much of the last direction to keep, from 0 to below 1.
    centered
        Whether to divide by an estimate of the gradient's standard deviation, instead of its root mean square.
    maximize
        Whether to climb instead.

    Notes
    -----
    A variance that rounding makes negative counts as 0, where PyTorch's gives NaN.

    References
    ----------
    .. [1] Tieleman and Hinton, "Lecture 6.5, RMSProp", COURSERA: Neural networks for machine learning, 2012
    .. [2] Graves, "Generating sequences with recurrent neural networks", arXiv:1308.0850

    Examples
    --------
    >>> import numpy as np, nnx
    >>> p = nnx.Parameter(np.asarray([1.0, 2.0]))
    >>> nnx.optim.RMSprop([p], lr=0.1).step([np.asarray([1.0, -3.0])])
    >>> p.value.round(4)
    array([0., 3.])
    """

    allows_complex = False

    def __init__(
        self,
        parameters: Any,
        lr: float | Callable[[int], float] = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
            maximize=maximize,
        )

    @property
    def state_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The running mean of the square, and momentum and mean if any group wants them."""
        found = ["square_avg"]
        if any(group.options["momentum"] for group in self.groups):
            found.append("momentum_buffer")
        if any(group.options["centered"] for group in self.groups):
            found.append("grad_avg")
        return tuple(found)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        label = type(self).__name__
        check_range(label, "alpha", options["alpha"], 0.0, 1.0)
        check_eps(label, options["eps"])
        check_range(label, "momentum", options["momentum"], 0.0, 1.0)
        boolean(label, "centered", options["centered"])
        check_decay(label, options)

    def state_scales(self, options: Mapping[str, Any]) -> tuple[float, ...]:
        rest = 1 - options["alpha"]
        scales = {"square_avg": rest, "momentum_buffer": 1 / math.sqrt(rest), "grad_avg": rest}
        return tuple(scales[name] for name in self.state_names)

    def update(self, xp: Any, p: Any, g: Any, state: list[Any], step: Step) -> tuple[Any, list[Any]]:
        options = step.options
        alpha, momentum = options["alpha"], options["momentum"]
        root = math.sqrt(1 - alpha)
        p, g = with_decay(p, g, step)
        # the running means divided by 1 - alpha, a multiplication less each; what is divided by their root, times root
        square, *rest = state
        square *= alpha
        square += xp.square(g)
        if options["centered"]:
            mean = rest[-1]
            mean *= alpha
            mean += g
            variance = xp.square(mean)
            variance *= alpha - 1
            variance += square
            change = xp.sqrt(xp.maximum(variance, 0.0))
            rest = [*rest[:-1], mean]
        else:
            change = xp.sqrt(square)
        change += options["eps"] / root
        change = g / change
        if momentum:
            velocity = rest[0]
            velocity *= momentum
            velocity += change
            change = velocity * (step.lr / root)
            rest = [velocity, *rest[1:]]
        else:
            change *= step.lr / root
        p -= change
        return p, [square, *rest]
