"""Losses for yes-or-no questions, one or many at once."""

from __future__ import annotations

from typing import Any

from ..functional.loss_binary import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    check_focal,
    focal_loss,
    multilabel_soft_margin_loss,
)
from ..functional.loss_checks import check_reduction
from ..layers.module import Module
from .buffers import as_buffer


class BCELoss(Module):
    """The cross-entropy between probabilities of yes and labels. See `nnx.functional.binary_cross_entropy`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.BCELoss()(np.asarray([0.5]), np.asarray([1.0])).round(4)
    np.float64(0.6931)
    """

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        check_reduction("BCELoss", reduction)
        self.weight: Any = as_buffer(weight)
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        return binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class BCEWithLogitsLoss(Module):
    """The cross-entropy between the sigmoid of logits and labels.

    See `nnx.functional.binary_cross_entropy_with_logits`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.BCEWithLogitsLoss()(np.asarray([0.0]), np.asarray([1.0])).round(4)
    np.float64(0.6931)
    """

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> None:
        check_reduction("BCEWithLogitsLoss", reduction)
        self.weight: Any = as_buffer(weight)
        self.reduction = reduction
        self.pos_weight: Any = as_buffer(pos_weight)

    def forward(self, input: Any, target: Any) -> Any:
        return binary_cross_entropy_with_logits(
            input, target, weight=self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class MultiLabelSoftMarginLoss(Module):
    """The binary cross-entropy with logits, averaged over the classes of each sample.

    See `nnx.functional.multilabel_soft_margin_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.MultiLabelSoftMarginLoss()(np.zeros((1, 2)), np.asarray([[1.0, 0.0]])).round(4)
    np.float64(0.6931)
    """

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        check_reduction("MultiLabelSoftMarginLoss", reduction)
        self.weight: Any = as_buffer(weight)
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        return multilabel_soft_margin_loss(input, target, weight=self.weight, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class FocalLoss(Module):
    """The binary cross-entropy with logits, turned down where the answer is right already.

    See `nnx.functional.focal_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.FocalLoss()(np.asarray([0.0]), np.asarray([1.0])).round(6)
    np.float64(0.043322)
    """

    def __init__(self, alpha: float | None = 0.25, gamma: float = 2.0, reduction: str = "mean") -> None:
        check_focal("FocalLoss", alpha, gamma)
        check_reduction("FocalLoss", reduction)
        self.alpha = alpha
        self.gamma = gamma
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        return focal_loss(input, target, alpha=self.alpha, gamma=self.gamma, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha!r}, gamma={self.gamma!r}, reduction={self.reduction!r}"
