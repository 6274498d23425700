"""Convolutions with a kernel of one element, stride 1 and no padding: products over the channels, by cuBLASLt."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnx.backend import float32_precision

from ..blaslt import Unsupported
from ..blaslt_layout import MAX_SIZE
from ..launch import Machine
from . import convolution_gemm
from .elements import FLOAT_SUMS
from .geometry import Geometry

_ONES = (1, 1, 1)


def fits(machine: Machine, array: Any, g: Geometry, dtype: str, direction: str) -> bool:
    """Whether a convolution is one over the channels alone, and there is cuBLASLt; in every direction alike."""
    same = g.kernel == g.stride == _ONES and not any(g.before) and g.out == g.lengths and g.groups == 1
    short = max(g.places, g.channels, g.outputs) <= MAX_SIZE
    return same and short and not g.empty and dtype in FLOAT_SUMS and machine.blas is not None


def forward(machine: Machine, x: Any, weight: Any, bias: Any, g: Geometry, relu: bool = False) -> Any:
    """Return the convolution of a contiguous array, in the memory of (places, outputs); with ReLU, NaN may become 0."""
    channels = (_matrix(x, g.places, g.channels), _matrix(weight, g.outputs, g.channels))
    try:
        return _product(machine, *channels, transpose_b=True, bias=bias, epilogue="relu" if relu else None)
    except Unsupported:
        out = convolution_gemm.forward(machine, x, weight, bias, g)
        return np.maximum(out, 0, out=out) if relu else out


def input_gradient(machine: Machine, grad: Any, weight: Any, g: Geometry) -> Any:
    """Return the gradient of the input, in the memory of (places, channels)."""
    try:
        return _product(machine, _matrix(grad, g.places, g.outputs), _matrix(weight, g.outputs, g.channels))
    except Unsupported:
        return convolution_gemm.input_gradient(machine, grad, weight, g)


def weight_gradient(machine: Machine, x: Any, grad: Any, g: Geometry) -> Any:
    """Return the gradient of the weight, in the memory of (outputs, channels)."""
    rows = (_matrix(grad, g.places, g.outputs), _matrix(x, g.places, g.channels))
    try:
        return _product(machine, *rows, transpose_a=True)
    except Unsupported:
        return convolution_gemm.weight_gradient(machine, x, grad, g)


def _matrix(array: Any, rows: int, columns: int) -> Any:
    return array.reshape((rows, columns))


def _product(machine: Machine, a: Any, b: Any, **options: Any) -> Any:
    blas = machine.blas
    assert blas is not None  # it fits
    return blas.matmul(a, b, precision=float32_precision(), **options)
