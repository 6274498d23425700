"""Losses for regression."""

from __future__ import annotations

from typing import Any

from ..functional.loss import check_reduction, mse_loss
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
