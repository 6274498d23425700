"""Rprop: steps from the signs of gradients alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..checks import boolean, check_range
from .optimizer import Optimizer
from .parts import Step
from .rules import check_pair


class Rprop(Optimizer):
    """Resilient backpropagation [1]_, without weight backtracking [2]_; arguments and defaults are PyTorch's.

    Each number has a step size of its own, which grows while its gradient keeps its sign and shrinks when it changes.
    It is meant for gradients of the whole data set, not of small batches.

    Parameters
    ----------
    parameters
        A module, parameters, or groups; see `Optimizer`.
    lr
        The first step size: a number, or a function of the step.
    etas
        The factors by which a step size shrinks, between 0 and 1, and grows, above 1.
    step_sizes
        The smallest and the largest step size.
    maximize
        Whether to climb instead.

    Notes
    -----
    Of the last gradient only the sign matters, so the state ``prev`` is the sign.

    References
    ----------
    .. [1] Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning: the RPROP algorithm",
       ICNN 1993
    .. [2] Igel and Hüsken, "Improving the Rprop learning algorithm", NC 2000: the variant iRprop-

    Examples
    --------
    >>> import numpy as np, nnx
    >>> p = nnx.Parameter(np.asarray([1.0, 2.0]))
    >>> nnx.optim.Rprop([p], lr=0.1).step([np.asarray([1.0, -3.0])])
    >>> p.value
    array([0.9, 2.1])
    """

    allows_complex = False
    state_names = ("prev", "step_size")

    def __init__(
        self,
        parameters: Any,
        lr: float | Callable[[int], float] = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(parameters, lr=lr, etas=etas, step_sizes=step_sizes, maximize=maximize)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        label = type(self).__name__
        for name in ("etas", "step_sizes"):
            check_pair(label, name, options[name])
            for k, value in enumerate(options[name]):
                check_range(label, f"{name}[{k}]", value, 0.0, infinite=name == "step_sizes" and k == 1)
        shrink, grow = options["etas"]
        if not 0 < shrink < 1 < grow:
            raise ValueError(
                f"{label}: expected etas to be a factor between 0 and 1 and one above 1, got {options['etas']!r}; "
                "such as (0.5, 1.2)."
            )
        if options["step_sizes"][0] > options["step_sizes"][1]:
            raise ValueError(
                f"{label}: expected step_sizes to be the smallest and the largest, got {options['step_sizes']!r}; "
                "swap them."
            )
        boolean(label, "maximize", options["maximize"])

    def update(self, xp: Any, p: Any, g: Any, state: list[Any], step: Step) -> tuple[Any, list[Any]]:
        options, lr, t, _ = step
        (shrink, grow), (smallest, largest) = options["etas"], options["step_sizes"]
        previous, size = state
        if t == 1:
            size += lr
        sign = xp.sign(-g if options["maximize"] else g)
        turn = sign * previous  # 1 where the sign is the last one, -1 where it changed, 0 where either was 0
        # the parabola through `shrink` at -1, 1 at 0 and `grow` at 1: quicker than choosing number by number
        factor = turn * ((grow + shrink) / 2 - 1)
        factor += (grow - shrink) / 2
        factor *= turn
        factor += 1.0
        size *= factor
        size = xp.clip(size, smallest, largest)
        turn = xp.clip(turn, -1.0, 0.0)
        turn += 1.0
        sign *= turn  # where the sign changed, stand still, and forget it
        p -= sign * size
        return p, [sign, size]
