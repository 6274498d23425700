"""Softmax and cross-entropy in one go."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .ones import ones


@lru_cache(maxsize=64)
def _rows(n: int) -> np.ndarray:
    rows = np.arange(n)
    rows.setflags(write=False)
    return rows


class CrossEntropy:
    """Override of `nnx.functional.cross_entropy` for class indices without weights or smoothing."""

    def supports(
        self,
        input: np.ndarray,
        target: Any,
        weight: np.ndarray | None,
        ignore_index: int,
        reduction: str,
        label_smoothing: float,
    ) -> str | None:
        if not isinstance(target, np.ndarray):
            return "it takes NumPy arrays"
        if weight is not None or label_smoothing or reduction not in ("mean", "sum", "none"):
            return "it does not take class weights or label smoothing"
        if type(ignore_index) is not int:
            return "it takes an int as ignore_index"
        if input.ndim != 2 or input.dtype.kind != "f" or target.dtype != np.int64 or target.shape != input.shape[:1]:
            return "it takes logits of shape (N, classes) and int64 class indices of shape (N,)"
        classes = input.shape[1]
        if target.size == 0 or np.maximum.reduce(target.view(np.uint64)) >= classes:  # a negative index is a huge one
            return "there are no class indices, or some are ignored or out of range"
        if 0 <= ignore_index < classes and (target == ignore_index).any():
            return "some class indices are ignored"
        return None

    def forward(
        self, input: np.ndarray, target: np.ndarray, weight: None, ignore_index: int, reduction: str, smoothing: float
    ) -> tuple[Any, tuple]:
        shifted = input - np.maximum.reduce(input, axis=1, keepdims=True)
        picked = shifted[_rows(len(target)), target]
        np.exp(shifted, out=shifted)
        total = shifted.dot(ones(shifted.shape[1], shifted.dtype))
        losses = np.log(total) - picked
        if reduction == "none":
            out: Any = losses
        else:
            out = losses.dot(ones(len(losses), losses.dtype))
            if reduction == "mean":
                out = out / input.dtype.type(len(target))
        return out, (shifted, total, target, reduction)

    def backward(self, grad: Any, residuals: tuple, needs: tuple) -> tuple:
        exponentials, total, target, reduction = residuals
        n = len(target)
        if reduction == "mean":
            grad = grad / exponentials.dtype.type(n)
        gradient = exponentials * (grad / total)[:, None]
        gradient[_rows(n), target] -= grad
        return gradient, None, None
