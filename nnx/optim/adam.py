"""Adam and its relatives: step sizes from running means of the gradient and of its square."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ..backend import get_backend
from ..checks import boolean
from ..kernels import choose_kernel
from .optimizer import Optimizer
from .parts import Step
from .rules import check_betas, check_decay, check_eps, with_decay


class Adam(Optimizer):
    """Adam [1]_; arguments and defaults are PyTorch's.

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
    amsgrad
        Whether to divide by the largest mean square so far [2]_.
    maximize
        Whether to climb instead.
    decoupled_weight_decay
        Whether `weight_decay` shrinks the parameters apart from the gradient, which makes it `AdamW`.

    References
    ----------
    .. [1] Kingma and Ba, "Adam: a method for stochastic optimization", arXiv:1412.6980
    .. [2] Reddi et al., "On the convergence of Adam and beyond", ICLR 2018

    Examples
    --------
    >>> import numpy as np, nnx
    >>> p = nnx.Parameter(np.asarray([1.0, 2.0]))
    >>> nnx.optim.Adam([p], lr=0.1).step([np.asarray([1.0, -3.0])])
    >>> p.value.round(6)
    array([0.9, 2.1])
    """

    allows_complex = False

    def __init__(
        self,
        parameters: Any,
        lr: float | Callable[[int], float] = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(
            parameters,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            maximize=maximize,
            decoupled_weight_decay=decoupled_weight_decay,
        )

    @property
    def state_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The running means, and the largest mean square if any group wants it."""
        amsgrad = any(group.options["amsgrad"] for group in self.groups)
        return ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if amsgrad else ("exp_avg", "exp_avg_sq")

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        label = type(self).__name__
        check_betas(label, options["betas"])
        check_eps(label, options["eps"])
        check_decay(label, options)
        for name in ("amsgrad", "decoupled_weight_decay"):
            boolean(label, name, options[name])

    def state_scales(self, options: Mapping[str, Any]) -> tuple[float, ...]:
        beta1, beta2 = options["betas"]
        return (1 - beta1, 1 - beta2, 1 - beta2)[: len(self.state_names)]

    def update(self, xp: Any, p: Any, g: Any, state: list[Any], step: Step) -> tuple[Any, list[Any]]:
        options, lr, t, _ = step
        beta1, beta2 = options["betas"]
        if "adam" in get_backend(p).kernels and not options["amsgrad"] and self._by_kernel(p, g, state, step):
            return p, state
        p, g = with_decay(p, g, step, options["decoupled_weight_decay"])
        mean, square, *rest = state  # divided by 1 - beta: a multiplication less each
        mean *= beta1
        mean += g
        square *= beta2
        square += xp.square(g)
        if options["amsgrad"]:
            rest = [xp.maximum(rest[0], square)]
        # both bias corrections and scales, moved from the arrays into two numbers
        root = math.sqrt((1 - beta2**t) / (1 - beta2))
        change = xp.sqrt(rest[0] if options["amsgrad"] else square)
        change += options["eps"] * root
        change = mean / change
        change *= lr * root * (1 - beta1) / (1 - beta1**t)
        p -= change
        return p, [mean, square, *rest]

    def _by_kernel(self, p: Any, g: Any, state: list[Any], step: Step) -> bool:
        """Change the arrays by one kernel; return False if there is none for them."""
        options, lr, t, _ = step
        beta1, beta2 = options["betas"]
        decay, decoupled = options["weight_decay"], options["decoupled_weight_decay"]
        root = math.sqrt((1 - beta2**t) / (1 - beta2))
        numbers = (
            1 - lr * decay if decoupled else 1.0,
            -1.0 if options["maximize"] else 1.0,
            0.0 if decoupled else decay,
            beta1,
            beta2,
            options["eps"] * root,
            lr * root * (1 - beta1) / (1 - beta1**t),
        )
        kernel = choose_kernel("adam", get_backend(p), (p, g, *state, *numbers))
        if kernel is not None:
            kernel.forward(p, g, *state, *numbers)
        return kernel is not None


class AdamW(Adam):
    """Adam with weight decay apart from the gradient [1]_. See `Adam` for the arguments; `weight_decay` defaults to
    0.01.

    References
    ----------
    .. [1] Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019

    Examples
    --------
    >>> import numpy as np, nnx
    >>> p = nnx.Parameter(np.asarray([1.0]))
    >>> nnx.optim.AdamW([p], lr=0.1, weight_decay=0.5).step([np.asarray([0.0])])
    >>> p.value
    array([0.95])
    """

    def __init__(
        self,
        parameters: Any,
        lr: float | Callable[[int], float] = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True
        )
