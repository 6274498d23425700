"""Dropout once the mask is drawn."""

from __future__ import annotations

import numpy as np


class MaskedScale:
    """Override of ``masked_scale`` in `nnx.functional.dropout`."""

    def supports(self, input: np.ndarray, mask: np.ndarray, scale: float) -> str | None:
        if input.dtype.kind != "f":
            return "it takes floating-point arrays"
        return None if input.shape == mask.shape else "the shapes differ"

    def forward(self, input: np.ndarray, mask: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
        factor = np.multiply(mask, input.dtype.type(scale), dtype=input.dtype)
        return np.multiply(input, factor), factor

    def backward(self, grad: np.ndarray, residuals: np.ndarray, needs: tuple) -> tuple:
        return np.multiply(grad, residuals), None
