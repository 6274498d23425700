"""Losses for regression."""

from __future__ import annotations

from typing import Any

from ..checks import number
from ..functional.loss import mse_loss
from ..functional.loss_checks import check_reduction
from ..functional.loss_regression import huber_loss, l1_loss, log_cosh_loss, quantile_loss, smooth_l1_loss
from ..layers.module import Module


class MSELoss(Module):
    """The mean squared error. See `nnx.functional.mse_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.MSELoss()(np.asarray([1.0, 3.0]), np.asarray([1.0, 1.0]))
    np.float64(2.0)
    """

    def __init__(self, reduction: str = "mean") -> None:
        check_reduction("MSELoss", reduction)
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        return mse_loss(input, target, self.reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class L1Loss(Module):
    """The mean absolute error. See `nnx.functional.l1_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.L1Loss()(np.asarray([1.0, 3.0]), np.asarray([2.0, 0.0]))
    np.float64(2.0)
    """

    def __init__(self, reduction: str = "mean") -> None:
        check_reduction("L1Loss", reduction)
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        return l1_loss(input, target, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class SmoothL1Loss(Module):
    """The absolute error, rounded off to a parabola where it is below `beta`. See `nnx.functional.smooth_l1_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.SmoothL1Loss()(np.asarray([0.5, 3.0]), np.zeros(2))
    np.float64(1.3125)
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        number("SmoothL1Loss", "beta", beta, 0.0)
        check_reduction("SmoothL1Loss", reduction)
        self.reduction = reduction
        self.beta = beta

    def forward(self, input: Any, target: Any) -> Any:
        return smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}, beta={self.beta!r}"


class HuberLoss(Module):
    """Half the squared error below `delta`, and a line of slope `delta` beyond. See `nnx.functional.huber_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.HuberLoss(delta=2.0)(np.asarray([0.5, 3.0]), np.zeros(2))
    np.float64(2.0625)
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        number("HuberLoss", "delta", delta, 0.0, above=True)
        check_reduction("HuberLoss", reduction)
        self.reduction = reduction
        self.delta = delta

    def forward(self, input: Any, target: Any) -> Any:
        return huber_loss(input, target, reduction=self.reduction, delta=self.delta)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}, delta={self.delta!r}"


class QuantileLoss(Module):
    """The pinball loss, which a quantile of the target minimises. See `nnx.functional.quantile_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.QuantileLoss(0.75)(np.zeros(2), np.asarray([1.0, -1.0]))
    np.float64(0.5)
    """

    def __init__(self, quantile: float = 0.5, reduction: str = "mean") -> None:
        number("QuantileLoss", "quantile", quantile, 0.0, 1.0, above=True, below=True)
        check_reduction("QuantileLoss", reduction)
        self.quantile = quantile
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        return quantile_loss(input, target, quantile=self.quantile, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"quantile={self.quantile!r}, reduction={self.reduction!r}"


class LogCoshLoss(Module):
    """The logarithm of the hyperbolic cosine of the error. See `nnx.functional.log_cosh_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.LogCoshLoss()(np.asarray([1.0]), np.zeros(1)).round(4)
    np.float64(0.4338)
    """

    def __init__(self, reduction: str = "mean") -> None:
        check_reduction("LogCoshLoss", reduction)
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        return log_cosh_loss(input, target, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"
