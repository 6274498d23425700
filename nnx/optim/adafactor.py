"""Adafactor: Adam's step sizes from the row and column means of the squared gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ..checks import boolean, check_range, is_number
from .norms import sum_of_squares
from .optimizer import Optimizer
from .parts import Step


class Adafactor(Optimizer):
    """Adafactor [1]_; arguments, defaults and the meaning of `lr` and `eps` are PyTorch's.

    A tensor with two axes or more keeps the mean squares of its rows and of its columns, over the last two axes,
    instead of one mean square per element: for (m, n) weights m + n numbers of state.

    Parameters
    ----------
    parameters
        A module, parameters, or groups; see `Optimizer`. They must be real.
    lr
        The largest relative step size, also the factor of `weight_decay`: a number, or a function of the step.
    beta2_decay
        The mean squares forget at the rate ``1 - t**beta2_decay`` in step t; at most 0.
    eps
        A pair: the smallest root mean square of a gradient to divide by (None: the machine epsilon of the parameter's
        dtype, at most that of float32), and the smallest root mean square of the weights to scale a step with.
    d
        The largest root mean square that a step may have before it is scaled; at least 1.
    weight_decay
        How much of the weights to subtract, times `lr`.
    maximize
        Whether to climb instead.

    References
    ----------
    .. [1] Shazeer and Stern, "Adafactor: adaptive learning rates with sublinear memory cost", arXiv:1804.04235

    Examples
    --------
    >>> import numpy as np, nnx
    >>> p = nnx.Parameter(np.asarray([[1.0, 2.0], [2.0, 4.0]]))
    >>> optimizer = nnx.optim.Adafactor([p], lr=0.1)
    >>> optimizer.step([np.asarray([[1.0, -1.0], [1.0, -1.0]])])
    >>> p.value
    array([[0.75, 2.25],
           [1.75, 4.25]])
    >>> optimizer.state_dict()["parameters"]["0"]["row_var"]
    array([[1.],
           [1.]])
    """

    elementwise = False
    allows_complex = False
    state_names = ("row_var", "col_var", "variance")

    def __init__(
        self,
        parameters: Any,
        lr: float | Callable[[int], float] = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr=lr, beta2_decay=beta2_decay, eps=eps, d=d, weight_decay=weight_decay, maximize=maximize
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        decay = options["beta2_decay"]
        if not is_number(decay) or not -math.inf < decay <= 0:
            error = ValueError if is_number(decay) else TypeError
            raise error(
                f"Adafactor: expected beta2_decay to be a number of at most 0, got {decay!r}; pass such as -0.8."
            )
        if not isinstance(options["eps"], (tuple, list)) or len(options["eps"]) != 2:
            raise TypeError(
                f"Adafactor: expected eps to be a pair (None or a number, number), got {options['eps']!r}; pass "
                "such as (None, 1e-3)."
            )
        if options["eps"][0] is not None:
            check_range("Adafactor", "eps[0]", options["eps"][0], 0.0)
        check_range("Adafactor", "eps[1]", options["eps"][1], 0.0)
        check_range("Adafactor", "d", options["d"], 1.0, infinite=True)
        check_range("Adafactor", "weight_decay", options["weight_decay"], 0.0)
        boolean("Adafactor", "maximize", options["maximize"])

    def state_shapes(self, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        """A tensor has rows and columns, or a variance if it has less than two axes; the rest has no elements."""
        if len(shape) < 2:
            return [(0,), (0,), shape]
        return [(*shape[:-1], 1), (*shape[:-2], 1, shape[-1]), (0,)]

    def update(self, xp: Any, p: Any, g: Any, state: list[Any], step: Step) -> tuple[Any, list[Any]]:
        options, lr, t, _ = step
        size = math.prod(p.shape)
        if not size:
            return p, state
        limits = xp.finfo(p.dtype)
        tiny, eps = float(limits.smallest_normal), options["eps"][0]
        if eps is None:
            eps = float(limits.eps)
        length = xp.maximum(_root_mean_square(xp, p, size), options["eps"][1]) * min(lr, t**-0.5)
        if options["weight_decay"]:
            p *= 1 - lr * options["weight_decay"]
        rows, columns, variance = state
        share = t ** options["beta2_decay"]  # of the newest gradient
        if len(p.shape) < 2:
            variance = _mixed(variance, g * g, share)
            change = g / xp.sqrt(xp.maximum(variance, max(eps * eps, tiny)))
        else:
            m, n = p.shape[-2:]
            rows = _mixed(rows, xp.expand_dims(xp.vecdot(g, g, axis=-1), axis=-1) / n, share)
            columns = _mixed(columns, xp.sum(g * g, axis=-2, keepdims=True) / m, share)
            # The variance of an element is row * column / mean row; its root is taken factor by factor, which are kept
            # so large that their inverses can be multiplied.
            row = rows / xp.maximum(xp.sum(rows, axis=-2, keepdims=True) / m, max(eps, tiny))
            row = xp.sqrt(xp.maximum(row, tiny))
            column = xp.sqrt(xp.maximum(columns, tiny))
            change = (1.0 / row) * (1.0 / column)
            if eps > tiny:
                change = xp.minimum(change, 1.0 / eps)
            change *= g
        length = length / xp.maximum(_root_mean_square(xp, change, size) / options["d"], 1.0)
        change *= -length if options["maximize"] else length
        p -= change
        return p, [rows, columns, variance]


def _root_mean_square(xp: Any, x: Any, size: int) -> Any:
    return xp.sqrt(sum_of_squares(xp, x) / size)


def _mixed(mean: Any, new: Any, share: float) -> Any:
    mean *= 1 - share
    new *= share
    mean += new
    return mean
