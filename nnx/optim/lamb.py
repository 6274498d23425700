"""LAMB: Adam with a step length per tensor, in proportion to the norm of its weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ..checks import boolean, check_range
from .norms import norm, trust_ratio
from .optimizer import Optimizer
from .parts import Step
from .rules import check_betas, check_eps


class LAMB(Optimizer):
    """Layer-wise adaptive moments for batch training [1]_.

    Algorithm 2 of the paper, with the identity as its scaling function: with Adam's direction r, bias corrections
    included, and ``u = r + weight_decay * w``,

    - ``w <- w - lr * min(|w| / |u|, trust_clip) * u``

    where the trust ratio is 1 if the norm of the weights or of the step is 0. Gradients are not clipped before; for
    that see `clip_grad_norm_`.

    Parameters
    ----------
    parameters
        A module, parameters, or groups; see `Optimizer`. They must be real.
    lr
        The learning rate: a number, or a function of the step.
    betas
        The decay rates of the running means of the gradient and of its square, each from 0 to below 1.
    eps
        Added to the denominator of the direction.
    weight_decay
        How much of the weights to add to the direction, before its norm is taken.
    bias_correction
        Whether the running means are corrected for their start at zero, as in the paper; some implementations leave it
        out.
    trust_clip
        The largest trust ratio, above 0. The paper's experiments have no bound; some implementations use 1.
    adapt
        Whether there is a trust ratio. It is usual to put biases and the gains of normalisation into a group with
        ``adapt=False, weight_decay=0.0``; for those this is `AdamW`.
    maximize
        Whether to climb instead.

    References
    ----------
    .. [1] You et al., "Large batch optimization for deep learning: training BERT in 76 minutes", arXiv:1904.00962

    Examples
    --------
    >>> import numpy as np, nnx
    >>> p = nnx.Parameter(np.asarray([3.0, 4.0]))
    >>> nnx.optim.LAMB([p], lr=0.1).step([np.asarray([1.0, 0.0])])
    >>> p.value.round(6)
    array([2.5, 4. ])
    """

    elementwise = False
    allows_complex = False
    state_names = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        parameters: Any,
        lr: float | Callable[[int], float] = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        bias_correction: bool = True,
        trust_clip: float = math.inf,
        adapt: bool = True,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            bias_correction=bias_correction,
            trust_clip=trust_clip,
            adapt=adapt,
            maximize=maximize,
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        check_betas("LAMB", options["betas"])
        check_eps("LAMB", options["eps"])
        check_range("LAMB", "weight_decay", options["weight_decay"], 0.0)
        check_range("LAMB", "trust_clip", options["trust_clip"], 0.0, above=True, infinite=True)
        for name in ("bias_correction", "adapt", "maximize"):
            boolean("LAMB", name, options[name])

    def update(self, xp: Any, p: Any, g: Any, state: list[Any], step: Step) -> tuple[Any, list[Any]]:
        options, lr, t, _ = step
        beta1, beta2 = options["betas"]
        mean, square = state
        mean *= beta1
        mean += (beta1 - 1 if options["maximize"] else 1 - beta1) * g
        square *= beta2
        square += (1 - beta2) * (g * g)
        direction, root = mean, xp.sqrt(square)
        if options["bias_correction"]:
            direction = mean / (1 - beta1**t)
            root /= math.sqrt(1 - beta2**t)
        root += options["eps"]
        direction = direction / root
        if options["weight_decay"]:
            direction += options["weight_decay"] * p
        rate: Any = lr
        if options["adapt"]:
            ratio = trust_ratio(xp, norm(xp, p), norm(xp, direction))
            if options["trust_clip"] < math.inf:
                ratio = xp.minimum(ratio, options["trust_clip"])
            rate = lr * ratio
        direction *= rate
        p -= direction
        return p, [mean, square]
