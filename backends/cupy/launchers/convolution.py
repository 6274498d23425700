"""Convolutions and transposed convolutions: which algorithm does which shape in which direction."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from nnx.backend import float32_precision, use_float32_precision

from ..launch import Machine, too_large
from . import convolution_depthwise, convolution_gemm, convolution_hopper, convolution_narrow, convolution_pointwise
from .column_sum import column_sum
from .elements import FLOAT_SUMS, contiguous
from .geometry import Geometry, three

# The first one that fits does it; the last one does all.
ALGORITHMS: tuple[ModuleType, ...] = (
    convolution_depthwise,
    convolution_pointwise,
    convolution_narrow,
    convolution_hopper,
    convolution_gemm,
)


def algorithm(machine: Machine, array: Any, g: Geometry, direction: str) -> ModuleType:
    """Choose how to do a convolution of arrays like `array` in a direction.

    Directions are ``"forward"``, ``"input_gradient"`` and ``"weight_gradient"``: the names of the functions that the
    module has for them.
    """
    dtype = str(array.dtype)
    return next(module for module in ALGORITHMS if module.fits(machine, array, g, dtype, direction))


class _Convolution:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def _refusal(self, input: Any, weight: Any, bias: Any, g: Geometry | None) -> str | None:
        arrays = [input, weight] if bias is None else [input, weight, bias]
        if str(input.dtype) not in FLOAT_SUMS or any(array.dtype != input.dtype for array in arrays):
            return "it takes float32, bfloat16 or float16 arrays of one dtype"
        if g is None:
            return "the shapes do not fit"
        reason = too_large(*(array.size for array in arrays)) or convolution_gemm.refusal(g)
        return reason or self._machine.refusal(*arrays)

    def _forward(self, x: Any, weight: Any, bias: Any, g: Geometry) -> Any:
        """Of the shape (places, outputs), or any with that memory."""
        if g.empty:
            return self._zeros((g.places, g.outputs), x, bias)
        return algorithm(self._machine, x, g, "forward").forward(self._machine, x, weight, bias, g)

    def _input_gradient(self, grad: Any, weight: Any, bias: Any, g: Geometry) -> Any:
        if g.empty:
            return self._zeros((g.batch, *g.lengths, g.channels), grad, bias)
        module = algorithm(self._machine, grad, g, "input_gradient")
        if module is convolution_gemm:
            return convolution_gemm.input_gradient(self._machine, grad, weight, g, bias)
        out = module.input_gradient(self._machine, grad, weight, g)
        if bias is not None:
            out += bias
        return out

    def _weight_gradient(self, x: Any, grad: Any, g: Geometry) -> Any:
        if g.empty:
            return self._zeros((g.outputs, *g.kernel, g.channels // g.groups), x, None)
        return algorithm(self._machine, x, g, "weight_gradient").weight_gradient(self._machine, x, grad, g)

    def _bias_gradient(self, grad: Any) -> Any:
        outputs = grad.shape[-1]
        if grad.size == 0:
            return self._zeros((outputs,), grad, None)
        return column_sum(self._machine, grad.reshape((grad.size // outputs, outputs)))

    def _zeros(self, shape: tuple[int, ...], like: Any, bias: Any) -> Any:
        out = self._machine.empty(shape, str(like.dtype), like)
        out[...] = 0
        if bias is not None:
            out += bias
        return out


class Convolution(_Convolution):
    """Override of ``convolution`` in `nnx.functional.convolution`."""

    def supports(self, input: Any, weight: Any, bias: Any, *sizes: Any) -> str | None:
        groups = sizes[-1]
        fits = 3 <= input.ndim == weight.ndim <= 5 and input.shape[-1] == weight.shape[-1] * groups
        fits = fits and weight.shape[0] % groups == 0 and (bias is None or bias.shape == weight.shape[:1])
        g = geometry(input.shape, weight.shape, *sizes)[0] if fits else None
        return self._refusal(input, weight, bias, g)

    def forward(self, input: Any, weight: Any, bias: Any, *sizes: Any) -> tuple[Any, tuple]:
        g, out = geometry(input.shape, weight.shape, *sizes)
        x, weight = contiguous(input), contiguous(weight)
        output = self._forward(x, weight, bias if bias is None else contiguous(bias), g)
        return output.reshape((input.shape[0], *out, g.outputs)), (x, weight, g, float32_precision())

    def backward(self, grad: Any, residuals: tuple, needs: tuple) -> tuple:
        x, weight, g, precision = residuals
        grad = contiguous(grad)
        with use_float32_precision(precision):
            return (
                None if needs[0] is None else self._input_gradient(grad, weight, None, g).reshape(x.shape),
                None if needs[1] is None else self._weight_gradient(x, grad, g).reshape(weight.shape),
                None if needs[2] is None else self._bias_gradient(grad),
            )


class ConvolutionTranspose(_Convolution):
    """Override of ``convolution_transpose`` there: a convolution with its directions exchanged."""

    def supports(self, input: Any, weight: Any, bias: Any, *sizes: Any) -> str | None:
        groups = sizes[-1]
        fits = 3 <= input.ndim == weight.ndim <= 5 and input.shape[-1] == weight.shape[-1]
        fits = fits and input.shape[-1] % groups == 0 and (bias is None or bias.shape == (weight.shape[0] * groups,))
        g = transposed_geometry(input.shape, weight.shape, *sizes)[0] if fits else None
        return self._refusal(input, weight, bias, g)

    def forward(self, input: Any, weight: Any, bias: Any, *sizes: Any) -> tuple[Any, tuple]:
        g, lengths = transposed_geometry(input.shape, weight.shape, *sizes)
        x, exchanged = contiguous(input), _exchanged(weight)
        output = self._input_gradient(x, exchanged, bias if bias is None else contiguous(bias), g)
        return output.reshape((input.shape[0], *lengths, g.channels)), (x, exchanged, g, float32_precision())

    def backward(self, grad: Any, residuals: tuple, needs: tuple) -> tuple:
        x, exchanged, g, precision = residuals
        grad = contiguous(grad)
        with use_float32_precision(precision):
            return (
                None if needs[0] is None else self._forward(grad, exchanged, None, g).reshape(x.shape),
                None if needs[1] is None else _exchanged(self._weight_gradient(grad, x, g).reshape(exchanged.shape)),
                None if needs[2] is None else self._bias_gradient(grad),
            )


@functools.lru_cache(maxsize=1024)
def geometry(
    input: tuple[int, ...],
    weight: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    groups: int,
) -> tuple[Geometry, tuple[int, ...]]:
    """Return the sizes of a convolution of two shapes, and the lengths of its output."""
    lengths, kernel = input[1:-1], weight[1:-1]
    axes = zip(lengths, kernel, stride, padding, dilation, strict=True)
    out = tuple([max(0, (n + sum(p) - d * (k - 1) - 1) // s + 1) for n, k, s, p, d in axes])
    before = three([p[0] for p in padding], 0)
    sizes = (three(kernel), three(stride), before, three(dilation), groups)
    return Geometry(input[0], three(lengths), input[-1], three(out), weight[0], *sizes), out


@functools.lru_cache(maxsize=1024)
def transposed_geometry(
    input: tuple[int, ...],
    weight: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> tuple[Geometry, tuple[int, ...]]:
    """Return the sizes of the convolution that a transposed one belongs to, and the lengths of the latter's output."""
    out, kernel = input[1:-1], weight[1:-1]
    axes = zip(out, kernel, stride, padding, output_padding, dilation, strict=True)
    lengths = tuple([max(0, (n - 1) * s - sum(p) + d * (k - 1) + 1 + o) for n, k, s, p, o, d in axes])
    before = three([p[0] for p in padding], 0)
    sizes = (three(kernel), three(stride), before, three(dilation), groups)
    return Geometry(input[0], three(lengths), weight[0] * groups, three(out), input[-1], *sizes), lengths


def _exchanged(weight: Any) -> Any:
    """Exchange the axes of the channels in and out, the first and the last."""
    return weight.swapaxes(0, -1).copy()
