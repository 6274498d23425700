"""Losses for classification."""

from __future__ import annotations

from typing import Any

from ..autodiff import Buffer
from ..backend import asarray
from ..functional.checks import check_fraction
from ..functional.loss import check_reduction, cross_entropy
from ..layers.checks import integer
from ..layers.module import Module


class CrossEntropyLoss(Module):
    """Cross-entropy between the softmax of logits and class indices or probabilities.

    See `nnx.functional.cross_entropy` for shapes and arguments.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> loss = nnx.CrossEntropyLoss()
    >>> round(float(loss(np.zeros((2, 4)), np.asarray([0, 3]))), 4)
    1.3863
    """

    def __init__(
        self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
    ) -> None:
        check_reduction("CrossEntropyLoss", reduction)
        check_fraction("CrossEntropyLoss", "label_smoothing", label_smoothing)
        self.weight: Any = None if weight is None else Buffer(weight if hasattr(weight, "shape") else asarray(weight))
        self.ignore_index = integer("CrossEntropyLoss", "ignore_index", ignore_index)
        self.reduction = reduction
        self.label_smoothing = label_smoothing

    def forward(self, input: Any, target: Any) -> Any:
        return cross_entropy(input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}, label_smoothing={self.label_smoothing}"
