"""Batch normalisation: each channel over all samples, by its own statistics or given ones, with a residual and ReLU."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .bias import sum_rows
from .pieces import for_pieces, number_of_pieces, unsupported

_WIDE, _FEW = 2048, 64  # columns and rows


class _Saved(NamedTuple):
    """What the gradient needs; matrices are folded, `centre` and `factor` repeated accordingly."""

    rows: np.ndarray
    times: int
    centre: np.ndarray
    factor: np.ndarray
    inverse: np.ndarray  # of the standard deviation of each channel, in float64
    output: np.ndarray | None  # with ReLU
    shape: tuple[int, ...]


class BatchNorm:
    """Override of the training mode of `nnx.functional.batch_norm`."""

    def supports(self, input: np.ndarray, weight: Any, bias: Any, eps: float, statistics: list) -> str | None:
        return unsupported(input, weight, bias)

    def forward(self, input: np.ndarray, weight: Any, bias: Any, eps: float, statistics: list) -> tuple:
        return _by_statistics(input, weight, bias, None, eps, statistics, False)

    def backward(self, grad: np.ndarray, residuals: _Saved, needs: tuple) -> tuple:
        of_input, of_weight, of_bias = [need is not None for need in needs]
        out, _, total, along = _gradients(grad, residuals, of_input, of_weight, True)
        return (out, *_of_affine(residuals, of_weight, of_bias, total, along))


class BatchNormReLU:
    """Override of the training mode of `nnx.functional.batch_norm_relu`."""

    def supports(
        self, input: np.ndarray, weight: Any, bias: Any, residual: Any, eps: float, statistics: list
    ) -> str | None:
        return unsupported(input, weight, bias, residual)

    def forward(self, input: np.ndarray, weight: Any, bias: Any, residual: Any, eps: float, statistics: list) -> tuple:
        return _by_statistics(input, weight, bias, residual, eps, statistics, True)

    def backward(self, grad: np.ndarray, residuals: _Saved, needs: tuple) -> tuple:
        of_input, of_weight, of_bias, of_residual = [need is not None for need in needs]
        out, passed, total, along = _gradients(grad, residuals, of_input, of_weight, True)
        return (out, *_of_affine(residuals, of_weight, of_bias, total, along), passed if of_residual else None)


class BatchNormInference:
    """Override of both in evaluation: by given statistics, with a residual and ReLU or without."""

    def supports(
        self, input: np.ndarray, weight: Any, bias: Any, residual: Any, mean: Any, variance: Any, *_: Any
    ) -> str | None:
        return unsupported(input, weight, bias, residual, mean, variance)

    def forward(
        self,
        input: np.ndarray,
        weight: Any,
        bias: Any,
        residual: Any,
        mean: np.ndarray,
        variance: np.ndarray,
        eps: float,
        is_relu: bool,
    ) -> tuple:
        rows, times = _folded(input)
        inverse = 1.0 / np.sqrt(variance.astype(np.float64) + eps)
        return _output(input, rows, times, mean, inverse, weight, bias, residual, is_relu)

    def backward(self, grad: np.ndarray, residuals: _Saved, needs: tuple) -> tuple:
        of_input, of_weight, of_bias, of_residual, of_mean, of_variance = [need is not None for need in needs]
        out, passed, total, along = _gradients(grad, residuals, of_input, of_weight or of_variance, False)
        affine = _of_affine(residuals, of_weight, of_bias, total, along)
        dtype, inverse = residuals.rows.dtype, residuals.inverse
        factor = residuals.factor[: len(inverse)].astype(np.float64)
        return (
            out,
            *affine,
            passed if of_residual else None,
            (-factor * total).astype(dtype) if of_mean else None,
            (-0.5 * factor * inverse * inverse * along).astype(dtype) if of_variance else None,
        )


def _by_statistics(
    input: np.ndarray, weight: Any, bias: Any, residual: Any, eps: float, statistics: list, is_relu: bool
) -> tuple[np.ndarray, _Saved]:
    rows, times = _folded(input)
    mean, variance = _moments(rows, times)
    statistics.append((mean.astype(input.dtype), variance.astype(input.dtype)))
    return _output(input, rows, times, mean, 1.0 / np.sqrt(variance + eps), weight, bias, residual, is_relu)


def _output(
    input: np.ndarray,
    rows: np.ndarray,
    times: int,
    mean: np.ndarray,
    inverse: np.ndarray,
    weight: Any,
    bias: Any,
    residual: Any,
    is_relu: bool,
) -> tuple[np.ndarray, _Saved]:
    """Return the output in one pass through memory, and what the gradient needs."""
    dtype = input.dtype
    centre = _repeated(mean, times, dtype)
    factor = _repeated(inverse if weight is None else inverse * weight, times, dtype)
    shift = None if bias is None else _repeated(bias, times, dtype)
    added = None if residual is None else residual.reshape(rows.shape)
    output = np.empty(rows.shape, dtype)

    def work(i: int, piece: slice) -> None:
        y = np.subtract(rows[piece], centre, out=output[piece])
        y *= factor
        if shift is not None:
            y += shift
        if added is not None:
            y += added[piece]
        if is_relu:
            np.maximum(y, 0, out=y)

    for_pieces(work, *rows.shape)
    kept = output if is_relu else None
    return output.reshape(input.shape), _Saved(rows, times, centre, factor, inverse, kept, input.shape)


def _gradients(grad: np.ndarray, saved: _Saved, of_input: bool, of_product: bool, by_input: bool) -> tuple:
    """Return the gradient of the input and the one that passes ReLU, both or neither in the shape of the input,
    and for each channel the sums of the latter and of its product with the centred input.
    """
    rows, times, centre, factor, inverse, output, shape = saved
    dtype = rows.dtype
    grad = grad.reshape(rows.shape)
    passed = grad if output is None else np.empty(rows.shape, dtype)
    partial = np.zeros((2, number_of_pieces(*rows.shape), rows.shape[1]))

    def gather(i: int, piece: slice) -> None:
        g = passed[piece]
        if output is not None:
            np.multiply(grad[piece], np.not_equal(output[piece], 0), out=g)
        partial[0, i] = sum_rows(g)
        if of_product or (of_input and by_input):
            product = rows[piece] - centre
            product *= g
            partial[1, i] = sum_rows(product)

    for_pieces(gather, *rows.shape)
    total, along = _unfolded(np.add.reduce(partial, axis=1), times)
    if not of_input:
        return None, passed.reshape(shape), total, along
    count = max(1, rows.shape[0] * times)  # given statistics may meet an empty batch
    average = _repeated(total / count, times, dtype)
    slope = _repeated(along * inverse * inverse / count, times, dtype)
    result = np.empty(rows.shape, dtype)

    def work(i: int, piece: slice) -> None:
        out, g = result[piece], passed[piece]
        if by_input:
            np.subtract(rows[piece], centre, out=out)
            out *= slope
            out += average
            g = np.subtract(g, out, out=out)
        np.multiply(g, factor, out=out)

    for_pieces(work, *rows.shape)
    return result.reshape(shape), passed.reshape(shape), total, along


def _of_affine(saved: _Saved, of_weight: bool, of_bias: bool, total: np.ndarray, along: np.ndarray) -> tuple:
    dtype = saved.rows.dtype
    return (
        (along * saved.inverse).astype(dtype) if of_weight else None,
        total.astype(dtype) if of_bias else None,
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
