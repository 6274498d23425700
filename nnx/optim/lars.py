"""LARS: momentum with a learning rate per tensor, in proportion to the norm of its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..checks import boolean, check_range
from .norms import norm
from .optimizer import Optimizer
from .parts import Step


class LARS(Optimizer):
    """Layer-wise adaptive rate scaling [1]_, for large batches.

    Algorithm 1 of the paper: with the local rate ``trust_coefficient * |w| / (|g| + weight_decay * |w| + eps)``,

    - ``v <- momentum * v + lr * local rate * (g + weight_decay * w)``
    - ``w <- w - v``

    so the rate is inside the momentum, other than in `SGD`. `eps` is not in the paper. The local rate is 1 where the
    norm of the weights or of the gradient is 0.

    Parameters
    ----------
    parameters
        A module, parameters, or groups; see `Optimizer`. They must be real.
    lr
        The global learning rate: a number, or a function of the step.
    momentum
        How much of the last step to keep, from 0 to below 1.
    weight_decay
        The coefficient of an L2 penalty.
    trust_coefficient
        How far to trust a tensor to change: the length of its step relative to its weights, times `lr`.
    eps
        Added to the denominator of the local rate.
    adapt
        Whether there is a local rate. It is usual to put biases and the gains of normalisation into a group with
        ``adapt=False, weight_decay=0.0``; for those this is SGD with momentum.
    maximize
        Whether to climb instead.

    References
    ----------
    .. [1] You, Gitman and Ginsburg, "Large batch training of convolutional networks", arXiv:1708.03888

    Examples
    --------
    >>> import numpy as np, nnx
    >>> net = nnx.Linear(2, 1)
    >>> optimizer = nnx.optim.LARS(
    ...     [
    ...         {"params": [net.parameter("weight")]},
    ...         {"params": [net.parameter("bias")], "adapt": False, "weight_decay": 0.0},
    ...     ],
    ...     lr=1.0,
    ...     weight_decay=1e-4,
    ... )
    >>> net.weight = np.asarray([[3.0, 4.0]], "float32")
    >>> optimizer.step([np.asarray([[1.0, 0.0]], "float32"), np.asarray([0.0], "float32")])
    >>> net.weight.round(3)
    array([[2.995, 4.   ]], dtype=float32)
    """

    elementwise = False
    allows_complex = False
    state_names = ("momentum_buffer",)

    def __init__(
        self,
        parameters: Any,
        lr: float | Callable[[int], float] = 1e-3,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 1e-3,
        eps: float = 1e-8,
        adapt: bool = True,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters,
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            trust_coefficient=trust_coefficient,
            eps=eps,
            adapt=adapt,
            maximize=maximize,
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        check_range("LARS", "momentum", options["momentum"], 0.0, 1.0)
        for name in ("weight_decay", "trust_coefficient", "eps"):
            check_range("LARS", name, options[name], 0.0)
        for name in ("adapt", "maximize"):
            boolean("LARS", name, options[name])

    def update(self, xp: Any, p: Any, g: Any, state: list[Any], step: Step) -> tuple[Any, list[Any]]:
        options, lr, _, _ = step
        decay, rate = options["weight_decay"], lr
        if options["adapt"]:
            of_weights, of_gradient = norm(xp, p), norm(xp, g)
            denominator = of_gradient + (decay * of_weights + options["eps"])
            one = xp.ones_like(of_weights)
            local = options["trust_coefficient"] * of_weights / xp.where(denominator > 0, denominator, one)
            rate = lr * xp.where((of_weights > 0) & (of_gradient > 0), local, one)
        direction = -g if options["maximize"] else g
        if decay:
            direction = direction + decay * p
        (momentum,) = state
        momentum *= options["momentum"]
        momentum += rate * direction
        p -= momentum
        return p, [momentum]
