"""The calls that the kernels of convolution are tested with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nnx.functional.convolution import convolution, convolution_transpose
from tests.kernels.cases import Case, _grid, _normal, laid_out

# Input, outputs, kernel, then stride, padding, dilation, groups. The last five are taken in every memory layout, too.
GEOMETRIES: list[tuple[tuple[int, ...], int, tuple[int, ...], tuple, tuple, tuple, int]] = [
    # nothing to do
    ((0, 5, 5, 2), 3, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((2, 5, 5, 0), 3, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((2, 5, 5, 2), 0, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((2, 0, 3, 2), 3, (1, 3), (1, 1), ((0, 0), (1, 1)), (1, 1), 1),
    # one of everything
    ((1, 1, 1), 1, (1,), (1,), ((0, 0),), (1,), 1),
    ((1, 1, 1, 1), 1, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    # over the channels alone
    ((2, 7, 5, 3), 4, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((2, 7, 5, 3), 4, (1, 1), (2, 3), ((0, 0), (0, 0)), (1, 1), 1),
    ((3, 11, 5), 2, (1,), (1,), ((0, 0),), (1,), 1),
    # tiles whole and cut, kernels of every height, uneven padding, one axis
    ((2, 4, 4, 3), 2, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((2, 3, 2, 3), 2, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((3, 13, 11, 5), 7, (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((3, 9, 7, 2), 3, (2, 4), (1, 1), ((0, 1), (3, 0)), (1, 1), 1),
    ((2, 10, 6, 3), 2, (5, 3), (1, 1), ((4, 3), (0, 2)), (1, 1), 1),
    ((2, 8, 6, 2), 2, (4, 1), (1, 1), ((1, 2), (0, 0)), (1, 1), 1),
    ((3, 23, 4), 5, (3,), (1,), ((1, 1),), (1,), 1),
    # strides, dilation, more padding than kernel, groups, three axes, inputs that no output sees
    ((2, 9, 8, 3), 4, (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 1),
    ((2, 11, 13, 2), 3, (3, 2), (3, 1), ((2, 0), (4, 1)), (2, 3), 1),
    ((1, 2, 2, 2), 3, (2, 2), (4, 5), ((5, 5), (5, 5)), (1, 1), 1),
    ((2, 6, 7, 6), 9, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 3),
    ((2, 7, 20), 5, (4,), (3,), ((0, 2),), (1,), 5),
    ((2, 4, 5, 3, 4), 6, (2, 3, 2), (1, 2, 1), ((1, 0), (1, 1), (0, 1)), (1, 1, 2), 2),
    ((2, 5, 4, 5, 2), 3, (3, 3, 3), (1, 1, 1), ((1, 1), (1, 1), (1, 1)), (1, 1, 1), 1),
    # a group per channel
    ((2, 7, 5, 4), 4, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 4),
    ((2, 7, 6, 3), 6, (3, 2), (2, 2), ((1, 1), (0, 1)), (1, 1), 3),
    ((2, 9, 3), 3, (3,), (1,), ((2, 2),), (2,), 3),
    ((2, 4, 5, 3, 2), 2, (2, 3, 2), (1, 1, 1), ((1, 0), (1, 1), (0, 1)), (1, 1, 1), 2),
    ((2, 5, 6, 3), 6, (2, 2), (1, 1), ((3, 0), (0, 0)), (1, 1), 3),
    # more than one block, products cut and whole
    ((3, 31, 37, 17), 19, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((2, 12, 9, 96), 128, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((2, 41, 40, 33), 31, (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 1),
    ((2, 67, 61, 3), 8, (7, 7), (2, 2), ((3, 3), (3, 3)), (1, 1), 1),
    ((2, 61, 59, 36), 36, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 36),
]


def _convolutions() -> Iterator[tuple[str, np.ndarray, tuple[int, ...], np.ndarray, tuple, str, str]]:
    for (shape, outputs, kernel, *rest), dtype, layout in _grid(GEOMETRIES):
        x = laid_out(_normal(shape, dtype), layout)
        weight = (outputs, *kernel, shape[-1] // rest[-1])
        bias = laid_out(_normal((outputs,), dtype, 2), layout)
        yield f"{shape} to {outputs} {kernel} {rest} {dtype} {layout}", x, weight, bias, tuple(rest), dtype, layout


def convolution_cases() -> Iterator[Case]:
    for label, x, shape, bias, rest, dtype, layout in _convolutions():
        weight = laid_out(_normal(shape, dtype, 1), layout)
        yield Case("convolution", label, convolution, (x, weight, bias, *rest), {}, (0, 1, 2))
        if x.size < 500:
            yield Case("convolution", f"{label} no bias", convolution, (x, weight, None, *rest), {}, (0, 1))


def convolution_transpose_cases() -> Iterator[Case]:
    """The same geometries from the other end: the outputs of the convolutions are the inputs."""
    for label, x, shape, _, (stride, padding, dilation, groups), dtype, layout in _convolutions():
        outputs, *kernel, channels = shape
        spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
        loose = [n + sum(p) - span for n, p, span in zip(x.shape[1:-1], padding, spans, strict=True)]
        lengths = [n // s + 1 for n, s in zip(loose, stride, strict=True)]
        left = tuple(n % s for n, s in zip(loose, stride, strict=True))
        y = laid_out(_normal((x.shape[0], *lengths, outputs), dtype), layout)
        weight = laid_out(_normal((channels, *kernel, outputs), dtype, 1), layout)
        bias = laid_out(_normal((channels * groups,), dtype, 2), layout)
        args = (y, weight, bias, stride, padding, left, dilation, groups)
        yield Case("convolution_transpose", label, convolution_transpose, args, {}, (0, 1, 2))
    y, weight = _normal((2, 3, 4, 2), "float64"), _normal((3, 3, 3, 2), "float64", 1)
    longer = (y, weight, None, (1, 1), ((1, 1), (1, 1)), (1, 1), (2, 2), 1)
    yield Case("convolution_transpose", "longer than the convolution needs", convolution_transpose, longer, {}, (0, 1))


CASES: dict[str, Callable[[], Iterator[Case]]] = {
    "convolution": convolution_cases,
    "convolution_transpose": convolution_transpose_cases,
}

_ONE_DTYPE = "it takes float32 or float64 arrays of one dtype"
_SAME: tuple[Any, ...] = ((1, 1), ((1, 1), (1, 1)))
_X, _W = np.ones((1, 4, 4, 2)), np.ones((2, 3, 3, 2))
REFUSED: dict[str, list[tuple[Callable, tuple, dict, str]]] = {
    "convolution": [
        (convolution, (_X.astype("f2"), _W.astype("f2"), None, *_SAME, (1, 1), 1), {}, _ONE_DTYPE),
        (convolution, (_X.astype("c8"), _W.astype("c8"), None, *_SAME, (1, 1), 1), {}, _ONE_DTYPE),
        (convolution, (_X, _W, np.ones(2, "f4"), *_SAME, (1, 1), 1), {}, _ONE_DTYPE),
    ],
    "convolution_transpose": [
        (convolution_transpose, (_X.astype("f2"), _W.astype("f2"), None, *_SAME, (0, 0), (1, 1), 1), {}, _ONE_DTYPE),
        (convolution_transpose, (_X, _W.astype("f4"), None, *_SAME, (0, 0), (1, 1), 1), {}, _ONE_DTYPE),
    ],
}
