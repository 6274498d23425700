"""Layer and RMS normalisation: each row by itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .bias import sum_rows
from .ones import ones
from .pieces import for_pieces, number_of_pieces, row_sums, unsupported


class LayerNorm:
    """Override of `nnx.functional.layer_norm`."""

    def supports(self, input: np.ndarray, weight: Any, bias: Any, axes: int, eps: float) -> str | None:
        return unsupported(input, weight, bias)

    def forward(self, input: np.ndarray, weight: Any, bias: Any, axes: int, eps: float) -> tuple[np.ndarray, tuple]:
        rows = _as_rows(input, axes)
        count, width = rows.shape
        output = np.empty(rows.shape, rows.dtype)
        mean, scale = np.empty((count, 1), rows.dtype), np.empty((count, 1), rows.dtype)
        factor = None if weight is None else weight.reshape(width)
        shift = None if bias is None else bias.reshape(width)

        def work(i: int, piece: slice) -> None:
            x, y = rows[piece], output[piece]
            m = np.divide(row_sums(x)[:, None], width, out=mean[piece])
            np.subtract(x, m, out=y)
            y *= _inverse_root(y, eps, scale[piece])
            if factor is not None:
                y *= factor
            if shift is not None:
                y += shift

        for_pieces(work, count, width)
        return output.reshape(input.shape), (rows, factor, mean, scale, input.shape, axes)

    def backward(self, grad: np.ndarray, residuals: tuple, needs: tuple) -> tuple:
        rows, factor, mean, scale, shape, axes = residuals
        need_input, need_weight, need_bias = needs
        count, width = rows.shape
        grad = grad.reshape(rows.shape)
        grad_input = None if need_input is None else np.empty(rows.shape, rows.dtype)
        partial = np.zeros((2, number_of_pieces(count, width), width), rows.dtype)

        def work(i: int, piece: slice) -> None:
            g = grad[piece]
            if need_bias is not None:
                partial[1, i] = sum_rows(g)
            if need_input is None and need_weight is None:
                return
            s = scale[piece]
            centred = rows[piece] - mean[piece]
            product = g * centred
            if need_weight is not None:
                partial[0, i] = s[:, 0].dot(product)
            if grad_input is not None:
                out = grad_input[piece]
                centred *= _slope(product, factor, s)
                np.subtract(g if factor is None else np.multiply(g, factor, out=product), centred, out=out)
                out -= _weighted_sums(g, factor) / width
                out *= s

        for_pieces(work, count, width)
        grad_weight, grad_bias = np.add.reduce(partial, axis=1).reshape(2, *shape[-axes:])
        return (
            None if grad_input is None else grad_input.reshape(shape),
            None if need_weight is None else grad_weight,
            None if need_bias is None else grad_bias,
        )


class RMSNorm:
    """Override of `nnx.functional.rms_norm`."""

    def supports(self, input: np.ndarray, weight: Any, axes: int, eps: float) -> str | None:
        return unsupported(input, weight)

    def forward(self, input: np.ndarray, weight: Any, axes: int, eps: float) -> tuple[np.ndarray, tuple]:
        rows = _as_rows(input, axes)
        count, width = rows.shape
        output, scale = np.empty(rows.shape, rows.dtype), np.empty((count, 1), rows.dtype)
        factor = None if weight is None else weight.reshape(width)

        def work(i: int, piece: slice) -> None:
            x = rows[piece]
            y = np.multiply(x, _inverse_root(x, eps, scale[piece]), out=output[piece])
            if factor is not None:
                y *= factor

        for_pieces(work, count, width)
        return output.reshape(input.shape), (rows, factor, scale, input.shape, axes)

    def backward(self, grad: np.ndarray, residuals: tuple, needs: tuple) -> tuple:
        rows, factor, scale, shape, axes = residuals
        need_input, need_weight = needs
        count, width = rows.shape
        grad = grad.reshape(rows.shape)
        grad_input = None if need_input is None else np.empty(rows.shape, rows.dtype)
        partial = np.zeros((number_of_pieces(count, width), width), rows.dtype)

        def work(i: int, piece: slice) -> None:
            g, x, s = grad[piece], rows[piece], scale[piece]
            product = g * x
            if need_weight is not None:
                partial[i] = s[:, 0].dot(product)
            if grad_input is not None:
                out = np.multiply(x, _slope(product, factor, s), out=grad_input[piece])
                np.subtract(g if factor is None else np.multiply(g, factor, out=product), out, out=out)
                out *= s

        for_pieces(work, count, width)
        return (
            None if grad_input is None else grad_input.reshape(shape),
            None if need_weight is None else np.add.reduce(partial, axis=0).reshape(shape[-axes:]),
        )


def _as_rows(x: np.ndarray, axes: int) -> np.ndarray:
    split = x.ndim - axes
    return x.reshape(math.prod(x.shape[:split]), math.prod(x.shape[split:]))


def _inverse_root(x: np.ndarray, eps: float, out: np.ndarray) -> np.ndarray:
    """Write 1 / sqrt(mean square + eps) of each row to `out`."""
    np.divide(np.vecdot(x, x)[:, None], x.shape[1], out=out)
    out += eps
    np.sqrt(out, out=out)
    return np.divide(1.0, out, out=out)


def _weighted_sums(x: np.ndarray, factor: np.ndarray | None) -> np.ndarray:
    return x.dot(ones(x.shape[1], x.dtype) if factor is None else factor)[:, None]


def _slope(product: np.ndarray, factor: np.ndarray | None, scale: np.ndarray) -> np.ndarray:
    """How much the gradient of a row depends on its normalised values, by way of their common scale."""
    slope = _weighted_sums(product, factor)
    slope *= scale
    slope *= scale
    slope /= product.shape[1]
    return slope
