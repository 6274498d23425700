"""Losses of embeddings and ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..checks import boolean, number
from ..functional.loss_checks import check_reduction
from ..functional.loss_distance import (
    check_distance,
    cosine_embedding_loss,
    margin_ranking_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from ..layers.module import Module


class CosineEmbeddingLoss(Module):
    """One minus the cosine of pairs that are alike, and what others exceed a margin by.

    See `nnx.functional.cosine_embedding_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.CosineEmbeddingLoss()(np.asarray([[1.0, 0.0]]), np.asarray([[0.0, 2.0]]), np.asarray([1]))
    np.float64(1.0)
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        number("CosineEmbeddingLoss", "margin", margin, -1.0, 1.0)
        check_reduction("CosineEmbeddingLoss", reduction)
        self.margin = margin
        self.reduction = reduction

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        return cosine_embedding_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"margin={self.margin!r}, reduction={self.reduction!r}"


class MarginRankingLoss(Module):
    """Who should rank higher, and by how much. See `nnx.functional.margin_ranking_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.MarginRankingLoss()(np.asarray([1.0]), np.asarray([3.0]), np.asarray([1]))
    np.float64(2.0)
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        number("MarginRankingLoss", "margin", margin, 0.0)
        check_reduction("MarginRankingLoss", reduction)
        self.margin = margin
        self.reduction = reduction

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        return margin_ranking_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"margin={self.margin!r}, reduction={self.reduction!r}"


class TripletMarginLoss(Module):
    """How far anchors are from being closer, by a margin, to their like than to their unlike.

    See `nnx.functional.triplet_margin_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> a, b, c = np.asarray([[0.0]]), np.asarray([[3.0]]), np.asarray([[2.0]])
    >>> round(float(nnx.TripletMarginLoss()(a, b, c)), 4)
    2.0
    """

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, reduction: str = "mean"
    ) -> None:
        number("TripletMarginLoss", "margin", margin, 0.0, above=True)
        number("TripletMarginLoss", "p", p, 0.0, above=True, infinite=True)
        number("TripletMarginLoss", "eps", eps, 0.0)
        check_reduction("TripletMarginLoss", reduction)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = boolean("TripletMarginLoss", "swap", swap)
        self.reduction = reduction

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:
        return triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        return (
            f"margin={self.margin!r}, p={self.p!r}, eps={self.eps!r}, swap={self.swap!r}, reduction={self.reduction!r}"
        )


class TripletMarginWithDistanceLoss(Module):
    """`TripletMarginLoss` under a distance of your own. See `nnx.functional.triplet_margin_with_distance_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> a, b, c = np.asarray([[0.0]]), np.asarray([[3.0]]), np.asarray([[2.0]])
    >>> round(float(nnx.TripletMarginWithDistanceLoss()(a, b, c)), 4)
    2.0
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[Any, Any], Any] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        number("TripletMarginWithDistanceLoss", "margin", margin, 0.0, above=True)
        check_distance("TripletMarginWithDistanceLoss", distance_function)
        check_reduction("TripletMarginWithDistanceLoss", reduction)
        self.distance_function = distance_function
        self.margin = margin
        self.swap = boolean("TripletMarginWithDistanceLoss", "swap", swap)
        self.reduction = reduction

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:
        return triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        return f"margin={self.margin!r}, swap={self.swap!r}, reduction={self.reduction!r}"
