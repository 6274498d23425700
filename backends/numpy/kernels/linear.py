"""The fully connected layer: three matrix products without transposed copies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .bias import sum_rows

_SMALL = 2**15  # elements of a result that is cheap to turn round
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class Linear:
    """Override of `nnx.functional.linear`."""

    def supports(self, input: np.ndarray, weight: Any, bias: Any) -> str | None:
        if not isinstance(weight, np.ndarray) or not (bias is None or isinstance(bias, np.ndarray)):
            return "it takes NumPy arrays"
        dtype = weight.dtype
        if dtype not in _FLOATS or input.dtype != dtype or (bias is not None and bias.dtype != dtype):
            return "it takes float32 or float64 arrays of one dtype"
        shape = weight.shape
        if len(shape) != 2 or input.ndim == 0 or input.shape[-1] != shape[1]:
            return "the shapes do not fit"
        return None if bias is None or bias.shape == shape[:1] else "the shapes do not fit"

    def forward(
        self, input: np.ndarray, weight: np.ndarray, bias: np.ndarray | None
    ) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        out_features = weight.shape[0]
        if input.ndim == 2 and input.shape[0] < out_features and input.shape[0] * out_features <= _SMALL:
            # BLAS is a quarter faster with the larger matrix first; the sum with the bias turns the result round
            output = np.matmul(weight, input.T).T
            return np.add(output, 0 if bias is None else bias, order="C"), (input, weight)
        output = np.matmul(input, weight.T)
        if bias is not None:
            output += bias
        return output, (input, weight)

    def backward(self, grad: np.ndarray, residuals: tuple, needs: tuple) -> tuple:
        input, weight = residuals
        need_input, need_weight, need_bias = needs
        grad_input = None if need_input is None else np.matmul(grad, weight)
        if grad.ndim != 2:
            rows = math.prod(grad.shape[:-1])
            grad = grad.reshape(rows, weight.shape[0])
            input = input.reshape(rows, weight.shape[1])
        grad_weight = None if need_weight is None else np.matmul(grad.T, input, out=need_weight.destination())
        grad_bias = None if need_bias is None else sum_rows(grad)
        return grad_input, grad_weight, grad_bias
