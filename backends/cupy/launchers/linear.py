"""The fully connected layer, and products of matrices as such: through cuBLASLt."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from nnx.backend import float32_precision

from ..blaslt import Unsupported
from ..blaslt_layout import leading_dimension, strided
from ..launch import Machine
from .column_sum import PARTS, column_sum


class Linear:
    """Override of `nnx.functional.linear`: three products, with the bias and its gradient in passing."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def supports(self, input: Any, weight: Any, bias: Any) -> str | None:
        shape = weight.shape
        if len(shape) != 2 or not input.shape or input.shape[-1] != shape[1]:
            return "the shapes do not fit"
        if bias is not None and bias.shape != shape[:1]:
            return "the shapes do not fit"
        return _refusal(self._machine, *[x for x in (input, weight, bias) if x is not None])

    def forward(self, input: Any, weight: Any, bias: Any) -> tuple[Any, tuple]:
        precision = float32_precision()
        if bias is not None and not bias.flags.c_contiguous:
            bias = bias.copy()
        blas: Any = self._machine.blas
        out = blas.matmul(_matrix(input), weight, transpose_b=True, bias=bias, precision=precision)
        return out.reshape((*input.shape[:-1], weight.shape[0])), (input, weight, precision)

    def backward(self, grad: Any, residuals: tuple, needs: tuple) -> tuple:
        input, weight, precision = residuals
        need_input, need_weight, need_bias = needs
        rows, x = _rows(grad), _matrix(input)
        blas: Any = self._machine.blas
        grad_input = grad_weight = grad_bias = None
        if need_input is not None:
            grad_input = blas.matmul(rows, weight, precision=precision).reshape(input.shape)
        if need_weight is not None:
            options = {"transpose_a": True, "out": need_weight.destination(), "precision": precision}
            # With TF32 the sums would be of rounded numbers.
            if need_bias is not None and (precision == "highest" or str(grad.dtype) != "float32"):
                sums = need_bias.destination()
                sums = self._machine.empty(rows.shape[1:], str(rows.dtype), rows) if sums is None else sums
                try:
                    grad_weight = blas.matmul(rows, x, epilogue="bgrada", bias_gradient=sums, **options)
                    grad_bias = sums
                except Unsupported:
                    pass
            if grad_weight is None:
                grad_weight = blas.matmul(rows, x, **options)
        if need_bias is not None and grad_bias is None:
            grad_bias = self._sum(rows)
        return grad_input, grad_weight, grad_bias

    def _sum(self, rows: Any) -> Any:
        if str(rows.dtype) not in PARTS or rows.size == 0:
            return rows.sum(axis=0)
        return column_sum(self._machine, rows if rows.flags.c_contiguous else rows.copy())


def matmul_on(machine: Machine, plain: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return the standard's ``matmul``: through cuBLASLt where it can, else by the library's own function `plain`.

    CuPy's copies transposed factors of batches, knows no batches of bfloat16, and cannot be captured in a CUDA graph.
    """

    def matmul(x1: Any, x2: Any, /) -> Any:
        if type(x1) is not type(x2) or min(x1.ndim, x2.ndim) < 2 or _refusal(machine, x1, x2) is not None:
            return plain(x1, x2)
        blas: Any = machine.blas
        try:
            return blas.matmul(x1, x2)
        except Unsupported:
            return plain(x1, x2)

    return matmul


def _refusal(machine: Machine, *arrays: Any) -> str | None:
    reason = machine.refusal(*arrays)
    if reason is not None:
        return reason
    blas = machine.blas
    return machine.blas_problem if blas is None else blas.refusal(*arrays)


def _matrix(array: Any) -> Any:
    """All rows as one matrix, without a copy if there is such a view."""
    return array if array.ndim == 2 else array.reshape((math.prod(array.shape[:-1]), array.shape[-1]))


def _rows(array: Any) -> Any:
    """The same, row-major, since three products and sums read it."""
    matrix = _matrix(array)
    apart = leading_dimension(*matrix.shape, *strided(matrix).strides)
    return matrix if apart is not None else matrix.copy()
