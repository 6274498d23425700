"""Batch normalisation while training: each channel over all samples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .bias import sum_rows
from .pieces import for_pieces, number_of_pieces, unsupported

_WIDE, _FEW = 2048, 64  # columns and rows


class BatchNorm:
    """Override of the training mode of `nnx.functional.batch_norm`."""

    def supports(self, input: np.ndarray, weight: Any, bias: Any, eps: float, statistics: list) -> str | None:
        return unsupported(input, weight, bias)

    def forward(
        self, input: np.ndarray, weight: Any, bias: Any, eps: float, statistics: list
    ) -> tuple[np.ndarray, tuple]:
        dtype = input.dtype
        rows, times = _folded(input)
        mean, variance = _moments(rows, times)
        statistics.append((mean.astype(dtype), variance.astype(dtype)))
        inverse = 1.0 / np.sqrt(variance + eps)
        centre = _repeated(mean, times, dtype)
        factor = _repeated(inverse if weight is None else inverse * weight, times, dtype)
        shift = None if bias is None else _repeated(bias, times, dtype)
        output = np.empty(rows.shape, dtype)

        def work(i: int, piece: slice) -> None:
            y = np.subtract(rows[piece], centre, out=output[piece])
            y *= factor
            if shift is not None:
                y += shift

        for_pieces(work, *rows.shape)
        return output.reshape(input.shape), (rows, times, centre, factor, inverse, input.shape)

    def backward(self, grad: np.ndarray, residuals: tuple, needs: tuple) -> tuple:
        rows, times, centre, factor, inverse, shape = residuals
        need_input, need_weight, need_bias = needs
        dtype = rows.dtype
        grad = grad.reshape(rows.shape)
        partial = np.zeros((2, number_of_pieces(*rows.shape), rows.shape[1]))

        def gather(i: int, piece: slice) -> None:
            g = grad[piece]
            partial[0, i] = sum_rows(g)
            if need_input is not None or need_weight is not None:
                product = rows[piece] - centre
                product *= g
                partial[1, i] = sum_rows(product)

        for_pieces(gather, *rows.shape)
        # of the gradient, and of its product with the centred input
        total, along = _unfolded(np.add.reduce(partial, axis=1), times)
        grad_input = None
        if need_input is not None:
            count = rows.shape[0] * times
            average = _repeated(total / count, times, dtype)
            slope = _repeated(along * inverse * inverse / count, times, dtype)
            output = np.empty(rows.shape, dtype)

            def work(i: int, piece: slice) -> None:
                out = np.subtract(rows[piece], centre, out=output[piece])
                out *= slope
                out += average
                np.subtract(grad[piece], out, out=out)
                out *= factor

            for_pieces(work, *rows.shape)
            grad_input = output.reshape(shape)
        return (
            grad_input,
            None if need_weight is None else (along * inverse).astype(dtype),
            None if need_bias is None else total.astype(dtype),
        )


def _folded(input: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the input as rows of channels, several samples to a row if they are many: NumPy's loops cost per row."""
    channels = input.shape[-1]
    count, times = math.prod(input.shape[:-1]), 1
    while channels * times < _WIDE and count % (2 * times) == 0 and count > _FEW * times:
        times *= 2
    return input.reshape(count // times, channels * times), times


def _unfolded(sums: np.ndarray, times: int) -> np.ndarray:
    """Return the sums of channels from those of the columns of `_folded`, along the last axis."""
    return sums if times == 1 else sums.reshape(*sums.shape[:-1], times, -1).sum(axis=-2)


def _repeated(channels: np.ndarray, times: int, dtype: np.dtype) -> np.ndarray:
    channels = channels.astype(dtype, copy=False)
    return channels if times == 1 else np.concatenate([channels] * times)


def _moments(rows: np.ndarray, times: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of each channel, in float64.

    Those of each piece come from differences to its own mean; they are put together as in [1]_.

    References
    ----------
    .. [1] Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances",
       COMPSTAT 1982
    """
    pieces, channels = number_of_pieces(*rows.shape), rows.shape[1] // times
    counts, means, squares = np.empty((pieces, 1)), np.empty((pieces, channels)), np.empty((pieces, channels))

    def work(i: int, piece: slice) -> None:
        x = rows[piece]
        count = counts[i, 0] = len(x) * times
        centre = (_unfolded(sum_rows(x).astype(np.float64), times) / count).astype(rows.dtype)
        centred = x - _repeated(centre, times, rows.dtype)
        rest = _unfolded(sum_rows(centred).astype(np.float64), times)  # what rounding has left of the mean
        np.multiply(centred, centred, out=centred)
        means[i] = centre + rest / count
        squares[i] = _unfolded(sum_rows(centred).astype(np.float64), times) - rest * rest / count

    for_pieces(work, *rows.shape)
    total = counts.sum()
    mean = (counts * means).sum(axis=0) / total
    distances = means - mean
    variance = (squares + counts * distances * distances).sum(axis=0) / total
    return mean, np.maximum(variance, 0.0)
