"""Losses of scores that should be right by a margin."""

from __future__ import annotations

from typing import Any

from ..checks import number
from ..functional.loss_checks import check_reduction
from ..functional.loss_margin import (
    check_power,
    hinge_embedding_loss,
    hinge_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    soft_margin_loss,
    squared_hinge_loss,
)
from ..layers.module import Module
from .buffers import class_weights


class HingeLoss(Module):
    """The loss of support vector machines, for labels -1 and 1. See `nnx.functional.hinge_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.HingeLoss()(np.asarray([0.5, 0.5]), np.asarray([1, -1]))
    np.float64(1.0)
    """

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        number("HingeLoss", "margin", margin, 0.0)
        check_reduction("HingeLoss", reduction)
        self.margin = margin
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        return hinge_loss(input, target, margin=self.margin, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"margin={self.margin!r}, reduction={self.reduction!r}"


class SquaredHingeLoss(Module):
    """The squared loss of support vector machines, for labels -1 and 1. See `nnx.functional.squared_hinge_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.SquaredHingeLoss()(np.asarray([0.5, 0.5]), np.asarray([1, -1]))
    np.float64(1.25)
    """

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        number("SquaredHingeLoss", "margin", margin, 0.0)
        check_reduction("SquaredHingeLoss", reduction)
        self.margin = margin
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        return squared_hinge_loss(input, target, margin=self.margin, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"margin={self.margin!r}, reduction={self.reduction!r}"


class SoftMarginLoss(Module):
    """The logistic loss, for labels -1 and 1. See `nnx.functional.soft_margin_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.SoftMarginLoss()(np.asarray([0.0]), np.asarray([1])).round(4)
    np.float64(0.6931)
    """

    def __init__(self, reduction: str = "mean") -> None:
        check_reduction("SoftMarginLoss", reduction)
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        return soft_margin_loss(input, target, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class HingeEmbeddingLoss(Module):
    """The distances of pairs that are alike, and what others lack to a margin.

    See `nnx.functional.hinge_embedding_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.HingeEmbeddingLoss()(np.asarray([0.25, 0.25]), np.asarray([1, -1]))
    np.float64(0.5)
    """

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        number("HingeEmbeddingLoss", "margin", margin, 0.0)
        check_reduction("HingeEmbeddingLoss", reduction)
        self.margin = margin
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        return hinge_embedding_loss(input, target, margin=self.margin, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"margin={self.margin!r}, reduction={self.reduction!r}"


class MultiMarginLoss(Module):
    """The multi-class hinge loss. See `nnx.functional.multi_margin_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.MultiMarginLoss()(np.asarray([[1.0, 0.5]]), np.asarray([0]))
    np.float64(0.25)
    """

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean") -> None:
        check_power("MultiMarginLoss", p)
        number("MultiMarginLoss", "margin", margin, 0.0)
        check_reduction("MultiMarginLoss", reduction)
        self.p = p
        self.margin = margin
        self.weight: Any = class_weights("MultiMarginLoss", weight)
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        return multi_margin_loss(
            input, target, p=self.p, margin=self.margin, weight=self.weight, reduction=self.reduction
        )

    def extra_repr(self) -> str:
        return f"p={self.p!r}, margin={self.margin!r}, reduction={self.reduction!r}"


class MultiLabelMarginLoss(Module):
    """The hinge loss between classes that are present and absent. See `nnx.functional.multilabel_margin_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.MultiLabelMarginLoss()(np.asarray([[1.0, 0.5]]), np.asarray([[0, -1]]))
    np.float64(0.25)
    """

    def __init__(self, reduction: str = "mean") -> None:
        check_reduction("MultiLabelMarginLoss", reduction)
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        return multilabel_margin_loss(input, target, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"
