"""Convolutions with a kernel of one element, stride 1 and no padding: matrix products over the channels."""

from __future__ import annotations

import math

import numpy as np

from .bias import add_bias
from .geometry import Block, Geometry, cut_for_threads, shares, total
from .jobs import Job
from .products import cross_product, product

_BLOCK = 2**22  # bytes of input and output of a block; large products are the faster ones


def fits(g: Geometry) -> bool:
    """Whether a convolution is one over the channels alone."""
    return (
        g.taps == 1 and g.groups == 1 and set(g.stride) == {1} and not any(map(any, g.padding)) and g.out == g.lengths
    )


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, g: Geometry) -> Job:
    """Return the convolution of the input."""
    matrix = np.ascontiguousarray(weight.reshape(g.outputs, g.channels).T)
    return _times(x, matrix, bias, g.output_shape, g)


def input_gradient(grad: np.ndarray, weight: np.ndarray, g: Geometry) -> Job:
    """Return the gradient of the input."""
    return _times(grad, weight.reshape(g.outputs, g.channels), None, g.input_shape, g)


def weight_gradient(x: np.ndarray, grad: np.ndarray, g: Geometry) -> Job:
    """Return the gradient of the weight."""
    size = g.outputs * g.channels * x.itemsize
    tasks = shares(_blocks(g, x.itemsize), size)
    sums: list = [None] * len(tasks)

    def run(index: int) -> None:
        for block in tasks[index]:
            part = cross_product(_rows(grad, block), _rows(x, block))
            sums[index] = part if sums[index] is None else np.add(sums[index], part, out=sums[index])

    return Job(run, range(len(tasks)), lambda: total(sums).reshape(g.weight_shape))


def _times(x: np.ndarray, matrix: np.ndarray, bias: np.ndarray | None, shape: tuple[int, ...], g: Geometry) -> Job:
    out = np.empty(shape, x.dtype)

    def run(share: list[Block]) -> None:
        for block in share:
            found = _rows(out, block)
            product(_rows(x, block), matrix, found)
            if bias is not None:
                add_bias(found, bias)

    return Job(run, shares(_blocks(g, x.itemsize)), lambda: out)


def _blocks(g: Geometry, itemsize: int) -> list[Block]:
    row = math.prod(g.lengths[1:]) * (g.channels + g.outputs) * itemsize
    return cut_for_threads(g.batch, g.lengths[0], _BLOCK // row)


def _rows(x: np.ndarray, block: Block) -> np.ndarray:
    """The places of a block as rows of a matrix."""
    return x[block.images, block.rows].reshape(-1, x.shape[-1])
