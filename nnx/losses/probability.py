"""Losses between distributions, and likelihoods of distributions."""

from __future__ import annotations

from typing import Any

from ..checks import boolean, number
from ..functional.loss_checks import check_reduction
from ..functional.loss_probability import gaussian_nll_loss, kl_div, poisson_nll_loss
from ..layers.module import Module


class KLDivLoss(Module):
    """The Kullback-Leibler divergence; take ``reduction="batchmean"`` for that of the definition.

    See `nnx.functional.kl_div`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> p, q = np.asarray([[1.0, 0.0]]), np.asarray([[0.5, 0.5]])
    >>> round(float(nnx.KLDivLoss(reduction="batchmean")(np.log(q), p)), 4)
    0.6931
    """

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        check_reduction("KLDivLoss", reduction, "batchmean")
        self.reduction = reduction
        self.log_target = boolean("KLDivLoss", "log_target", log_target)

    def forward(self, input: Any, target: Any) -> Any:
        return kl_div(input, target, reduction=self.reduction, log_target=self.log_target)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}, log_target={self.log_target!r}"


class PoissonNLLLoss(Module):
    """The negative logarithm of the probability of counts under Poisson distributions.

    See `nnx.functional.poisson_nll_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.PoissonNLLLoss()(np.asarray([0.0]), np.asarray([3.0]))
    np.float64(1.0)
    """

    def __init__(self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean") -> None:
        number("PoissonNLLLoss", "eps", eps, 0.0)
        check_reduction("PoissonNLLLoss", reduction)
        self.log_input = boolean("PoissonNLLLoss", "log_input", log_input)
        self.full = boolean("PoissonNLLLoss", "full", full)
        self.eps = eps
        self.reduction = reduction

    def forward(self, log_input: Any, target: Any) -> Any:
        return poisson_nll_loss(
            log_input, target, log_input=self.log_input, full=self.full, eps=self.eps, reduction=self.reduction
        )

    def extra_repr(self) -> str:
        return f"log_input={self.log_input!r}, full={self.full!r}, eps={self.eps!r}, reduction={self.reduction!r}"


class GaussianNLLLoss(Module):
    """The negative logarithm of the density of values under normal distributions.

    See `nnx.functional.gaussian_nll_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.GaussianNLLLoss()(np.asarray([1.0, 3.0]), np.zeros(2), np.ones(2))
    np.float64(2.5)
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        number("GaussianNLLLoss", "eps", eps, 0.0, above=True)
        check_reduction("GaussianNLLLoss", reduction)
        self.full = boolean("GaussianNLLLoss", "full", full)
        self.eps = eps
        self.reduction = reduction

    def forward(self, input: Any, target: Any, var: Any) -> Any:
        return gaussian_nll_loss(input, target, var, full=self.full, eps=self.eps, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"full={self.full!r}, eps={self.eps!r}, reduction={self.reduction!r}"
