"""Losses for classification."""

from __future__ import annotations

from typing import Any

from ..checks import integer, number
from ..functional.loss import cross_entropy, nll_loss
from ..functional.loss_checks import check_reduction
from ..layers.module import Module
from .buffers import class_weights


class CrossEntropyLoss(Module):
    """Cross-entropy between the softmax of logits and class indices, probabilities or one-hot vectors.

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
        self.weight: Any = class_weights("CrossEntropyLoss", weight)
        self.ignore_index = integer("CrossEntropyLoss", "ignore_index", ignore_index)
        self.reduction = reduction
        self.label_smoothing = number("CrossEntropyLoss", "label_smoothing", label_smoothing, 0.0, 1.0)

    def forward(self, input: Any, target: Any) -> Any:
        return cross_entropy(input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}, label_smoothing={self.label_smoothing}"


class NLLLoss(Module):
    """The negative log-likelihood of classes, given logarithms of probabilities. See `nnx.functional.nll_loss`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> round(float(nnx.NLLLoss()(np.log([[0.25, 0.75]]), np.asarray([1]))), 4)
    0.2877
    """

    def __init__(self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        check_reduction("NLLLoss", reduction)
        self.weight: Any = class_weights("NLLLoss", weight)
        self.ignore_index = integer("NLLLoss", "ignore_index", ignore_index)
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        return nll_loss(input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"ignore_index={self.ignore_index!r}, reduction={self.reduction!r}"
