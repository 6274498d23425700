"""Convolutions and transposed convolutions: which algorithm does which shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from . import depthwise, im2col, pointwise, winograd
from .geometry import TASKS, Geometry, cut, parts
from .jobs import Job, done, finished
from .ones import ones

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_CHUNK = 4096  # places summed at once: sums of sums round less


@lru_cache(maxsize=256)
def algorithm(g: Geometry, backwards: bool = False) -> ModuleType:
    """Choose how to do a convolution, or the gradient of its input if `backwards`.

    Found is a module with `forward`, `input_gradient` and `weight_gradient`, which return jobs.
    """
    if depthwise.fits(g):
        return depthwise
    if pointwise.fits(g):
        return pointwise
    return winograd if winograd.fits(g, backwards) else im2col


class Convolution:
    """Override of `nnx.functional.convolution.convolution`."""

    def supports(
        self,
        input: np.ndarray,
        weight: Any,
        bias: Any,
        stride: tuple[int, ...],
        padding: tuple[tuple[int, int], ...],
        dilation: tuple[int, ...],
        groups: int,
    ) -> str | None:
        reason = _unfit(input, weight, bias)
        if reason is not None:
            return reason
        outputs, *_, channels = weight.shape
        fitting = input.shape[-1] == channels * groups and outputs % groups == 0
        fitting = fitting and (bias is None or bias.shape == (outputs,))
        return None if fitting else "the shapes do not fit"

    def forward(
        self,
        input: np.ndarray,
        weight: np.ndarray,
        bias: np.ndarray | None,
        stride: tuple[int, ...],
        padding: tuple[tuple[int, int], ...],
        dilation: tuple[int, ...],
        groups: int,
    ) -> tuple[np.ndarray, tuple]:
        lengths, kernel = input.shape[1:-1], weight.shape[1:-1]
        axes = zip(lengths, kernel, stride, padding, dilation, strict=True)
        out = tuple(max(0, (n + sum(p) - d * (k - 1) - 1) // s + 1) for n, k, s, p, d in axes)
        g = Geometry(
            input.shape[0],
            lengths,
            input.shape[-1],
            out,
            weight.shape[0],
            kernel,
            tuple(stride),
            tuple(padding),
            tuple(dilation),
            groups,
        )
        (output,) = done(_forward(input, weight, bias, g))
        return output, (input, weight, g)

    def backward(self, grad: np.ndarray, residuals: tuple, needs: tuple) -> tuple:
        input, weight, g = residuals
        return _computed(
            needs,
            lambda: _input_gradient(grad, weight, g),
            lambda: _weight_gradient(input, grad, g),
            lambda: _bias_gradient(grad),
        )


class ConvolutionTranspose:
    """Override of `nnx.functional.convolution.convolution_transpose`: a convolution with its directions exchanged."""

    def supports(
        self,
        input: np.ndarray,
        weight: Any,
        bias: Any,
        stride: tuple[int, ...],
        padding: tuple[tuple[int, int], ...],
        output_padding: tuple[int, ...],
        dilation: tuple[int, ...],
        groups: int,
    ) -> str | None:
        reason = _unfit(input, weight, bias)
        if reason is not None:
            return reason
        outputs, *_, channels = weight.shape
        fitting = input.shape[-1] == channels and channels % groups == 0
        fitting = fitting and (bias is None or bias.shape == (outputs * groups,))
        return None if fitting else "the shapes do not fit"

    def forward(
        self,
        input: np.ndarray,
        weight: np.ndarray,
        bias: np.ndarray | None,
        stride: tuple[int, ...],
        padding: tuple[tuple[int, int], ...],
        output_padding: tuple[int, ...],
        dilation: tuple[int, ...],
        groups: int,
    ) -> tuple[np.ndarray, tuple]:
        out, kernel = input.shape[1:-1], weight.shape[1:-1]
        axes = zip(out, kernel, stride, padding, output_padding, dilation, strict=True)
        lengths = tuple(max(0, (n - 1) * s - sum(p) + d * (k - 1) + 1 + o) for n, k, s, p, o, d in axes)
        g = Geometry(
            input.shape[0],
            lengths,
            weight.shape[0] * groups,
            out,
            input.shape[-1],
            kernel,
            tuple(stride),
            tuple(padding),
            tuple(dilation),
            groups,
        )
        (output,) = done(_input_gradient(input, _exchanged(weight), g))
        if bias is not None:
            output += bias
        return output, (input, weight, g)

    def backward(self, grad: np.ndarray, residuals: tuple, needs: tuple) -> tuple:
        input, weight, g = residuals
        gradients = _computed(
            needs,
            lambda: _forward(grad, _exchanged(weight), None, g),
            lambda: _weight_gradient(grad, input, g),
            lambda: _bias_gradient(grad),
        )
        return (gradients[0], None if needs[1] is None else _exchanged(gradients[1]), gradients[2])


def _computed(needs: tuple, *gradients: Callable[[], Job]) -> tuple:
    """Return the gradients that are needed."""
    wanted = [i for i in (1, 0, 2) if needs[i] is not None]  # the weight's takes longest
    found = dict(zip(wanted, done(*(gradients[i]() for i in wanted)), strict=True))
    return tuple(found.get(i) for i in range(len(gradients)))


def _unfit(input: np.ndarray, weight: Any, bias: Any) -> str | None:
    if not isinstance(weight, np.ndarray) or not (bias is None or isinstance(bias, np.ndarray)):
        return "it takes NumPy arrays"
    if input.dtype not in _FLOATS or weight.dtype != input.dtype or (bias is not None and bias.dtype != input.dtype):
        return "it takes float32 or float64 arrays of one dtype"
    return None if input.ndim == weight.ndim and 3 <= input.ndim <= 5 else "the shapes do not fit"


def _exchanged(weight: np.ndarray) -> np.ndarray:
    """Exchange the axes of the channels in and out, the first and the last."""
    return np.ascontiguousarray(np.swapaxes(weight, 0, -1))


def _forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, g: Geometry) -> Job:
    if not g.empty:
        return algorithm(g).forward(x, weight, bias, g)
    output = np.zeros(g.output_shape, x.dtype)
    if bias is not None:
        output += bias
    return finished(output)


def _input_gradient(grad: np.ndarray, weight: np.ndarray, g: Geometry) -> Job:
    if g.empty:
        return finished(np.zeros(g.input_shape, grad.dtype))
    return algorithm(g, True).input_gradient(grad, weight, g)


def _weight_gradient(x: np.ndarray, grad: np.ndarray, g: Geometry) -> Job:
    return finished(np.zeros(g.weight_shape, x.dtype)) if g.empty else algorithm(g).weight_gradient(x, grad, g)


def _bias_gradient(grad: np.ndarray) -> Job:
    """Sum over everything but the channels."""
    tasks = parts(grad.shape[0], TASKS) if grad.size else []
    sums = np.zeros((len(tasks), grad.shape[-1]), grad.dtype)

    def run(index: int) -> None:
        images = grad[tasks[index]]
        for block in cut(len(images), images.shape[1], _CHUNK // math.prod(images.shape[2:-1])):
            rows = images[block.images, block.rows].reshape(-1, grad.shape[-1])
            sums[index] += ones(len(rows), rows.dtype).dot(rows)

    return Job(run, range(len(tasks)), lambda: np.add.reduce(sums, axis=0))
