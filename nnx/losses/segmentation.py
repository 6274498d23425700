"""Losses for masks."""

from __future__ import annotations

from typing import Any

from ..functional.loss_checks import check_reduction
from ..functional.loss_segmentation import check_overlap, dice_loss, tversky_loss
from ..layers.module import Module


class DiceLoss(Module):
    """One minus the Dice coefficient of masks. See `nnx.functional.dice_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> mask = np.ones((1, 2, 2, 1))
    >>> nnx.DiceLoss()(mask, mask)
    np.float64(0.0)
    """

    def __init__(self, smooth: float = 1.0, reduction: str = "mean") -> None:
        check_overlap("DiceLoss", smooth)
        check_reduction("DiceLoss", reduction)
        self.smooth = smooth
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        return dice_loss(input, target, smooth=self.smooth, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"smooth={self.smooth!r}, reduction={self.reduction!r}"


class TverskyLoss(Module):
    """One minus the Tversky index of masks. See `nnx.functional.tversky_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> mask = np.ones((1, 2, 2, 1))
    >>> nnx.TverskyLoss()(mask, mask)
    np.float64(0.0)
    """

    def __init__(self, alpha: float = 0.3, beta: float = 0.7, smooth: float = 1.0, reduction: str = "mean") -> None:
        check_overlap("TverskyLoss", smooth, alpha, beta)
        check_reduction("TverskyLoss", reduction)
        self.alpha = alpha
        self.beta = beta
        self.smooth = smooth
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        return tversky_loss(
            input, target, alpha=self.alpha, beta=self.beta, smooth=self.smooth, reduction=self.reduction
        )

    def extra_repr(self) -> str:
        return f"alpha={self.alpha!r}, beta={self.beta!r}, smooth={self.smooth!r}, reduction={self.reduction!r}"
