"""The two primitives of convolution, of one to three spatial axes: what `conv2d` and its like call.

Both take arguments that have been checked and completed; see `conv2d` and `conv_transpose2d` for what they mean.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from ..autodiff.namespace import namespace
from ..autodiff.primitive import primitive
from .padding import Pairs, pad_axes


@primitive("convolution", arrays=3)
def convolution(
    input: Any,
    weight: Any,
    bias: Any,
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int,
) -> Any:
    """Return the cross-correlation of the input with the weight: what neural networks call a convolution [1]_.

    ``output[n, y, o] = bias[o] + sum over taps k and channels i of
    padded[n, y * stride + k * dilation, first(o) + i] * weight[o, k, i]``, where `first(o)` is the first channel of the
    group that `o` belongs to.

    Parameters
    ----------
    input
        Array of shape (N, *spatial, C).
    weight
        Array of shape (O, *kernel, C // groups).
    bias
        Array of shape (O,), or None.
    stride, dilation
        One positive integer per spatial axis.
    padding
        One pair (zeros before, zeros after) per spatial axis.
    groups
        The number of groups that the channels are split into; it divides C and O.

    Returns
    -------
    array
        Of shape (N, *spatial_out, O), see `output_length`.

    References
    ----------
    .. [1] Goodfellow, Bengio and Courville, "Deep Learning", chapter 9, 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.functional.convolution import convolution
    >>> x, weight = np.asarray([[[1.0], [2.0], [4.0]]]), np.asarray([[[-1.0], [1.0]]])
    >>> convolution(x, weight, None, (1,), ((0, 0),), (1,), 1)
    array([[[1.],
            [2.]]])
    """
    xp = namespace(input, weight, bias)
    outputs, *kernel, channels = weight.shape  # channels of a group
    lengths = input.shape[1:-1]
    out = [output_length(*each) for each in zip(lengths, kernel, stride, padding, dilation, strict=True)]
    places = input.shape[0] * math.prod(out)
    padded = pad_axes(xp, input, padding)
    padded = xp.reshape(padded, (*padded.shape[:-1], groups, channels))
    padded = xp.moveaxis(padded, -2, 0)  # (g, N, *padded, C / g)
    weight = xp.reshape(weight, (groups, outputs // groups, *kernel, channels))
    total: Any = None
    for tap in itertools.product(*map(range, kernel)):
        part = padded[(slice(None), slice(None), *windows(tap, out, stride, dilation), ...)]
        part = xp.reshape(part, (groups, places, channels))
        matrix = weight[(slice(None), slice(None), *tap, ...)]  # (g, O / g, C / g)
        product = xp.matmul(part, xp.matrix_transpose(matrix))
        total = product if total is None else total + product
    total = xp.reshape(xp.moveaxis(total, 0, 1), (input.shape[0], *out, outputs))
    return total if bias is None else total + bias


@primitive("convolution_transpose", arrays=3)
def convolution_transpose(
    input: Any,
    weight: Any,
    bias: Any,
    stride: tuple[int, ...],
    padding: Pairs,
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Any:
    """Return what the derivative of `convolution` with respect to its input makes of a cotangent, plus a bias [1]_.

    Every element of the input adds the whole kernel, times itself, to the output, at distances of `stride`.

    Parameters
    ----------
    input
        Array of shape (N, *spatial, C).
    weight
        Array of shape (O // groups, *kernel, C).
    bias
        Array of shape (O,), or None.
    stride, padding, dilation, groups
        Those of the convolution that it is the transpose of; padding so takes away from the output.
    output_padding
        How much longer the output is per spatial axis, at its end: where stride > 1, inputs of several lengths give a
        convolution outputs of one length.

    Returns
    -------
    array
        Of shape (N, *spatial_out, O), see `transposed_length`.

    References
    ----------
    .. [1] Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, arXiv:1603.07285.

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.functional.convolution import convolution_transpose
    >>> x, weight = np.asarray([[[1.0], [2.0]]]), np.asarray([[[-1.0], [1.0]]])
    >>> convolution_transpose(x, weight, None, (2,), ((0, 0),), (0,), (1,), 1)[0, :, 0]
    array([-1.,  1., -2.,  2.])
    """
    xp = namespace(input, weight, bias)
    outputs, *kernel, _ = weight.shape  # outputs of a group
    batch, *lengths, channels = input.shape
    # (O / g, *kernel, C) to (g, O / g, *kernel, C / g)
    weight = xp.moveaxis(xp.reshape(weight, (outputs, *kernel, groups, channels // groups)), -2, 0)
    places = batch * math.prod(lengths)
    flat = xp.reshape(input, (places, groups, channels // groups))
    flat = xp.moveaxis(flat, 1, 0)  # (g, places, C / g)
    full = [
        transposed_length(n, k, s, (0, 0), o, d)
        for n, k, s, o, d in zip(lengths, kernel, stride, output_padding, dilation, strict=True)
    ]
    total: Any = None
    for tap in itertools.product(*map(range, kernel)):
        matrix = weight[(slice(None), slice(None), *tap, ...)]  # (g, O / g, C / g)
        product = xp.matmul(flat, xp.matrix_transpose(matrix))
        product = xp.reshape(product, (groups, batch, *lengths, outputs))
        key = (slice(None), slice(None), *windows(tap, lengths, stride, dilation), slice(None))
        placed = xp.indexing.getitem_transpose(product, key, (groups, batch, *full, outputs))
        total = placed if total is None else total + placed
    inner = tuple(slice(before, n - after) for n, (before, after) in zip(full, padding, strict=True))
    total = total[(slice(None), slice(None), *inner, ...)]
    total = xp.moveaxis(total, 0, -2)
    total = xp.reshape(total, (*total.shape[:-2], groups * outputs))
    return total if bias is None else total + bias


def output_length(length: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int) -> int:
    """Return how long the output of a convolution is along an axis; 0 or less where the kernel does not fit."""
    return (length + padding[0] + padding[1] - dilation * (kernel - 1) - 1) // stride + 1


def transposed_length(
    length: int, kernel: int, stride: int, padding: tuple[int, int], output_padding: int, dilation: int
) -> int:
    """Return how long the output of a transposed convolution is along an axis."""
    return (length - 1) * stride - padding[0] - padding[1] + dilation * (kernel - 1) + 1 + output_padding


def windows(tap: Sequence[int], out: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Iterator[slice]:
    """Yield, per spatial axis, which elements of the padded input one tap of the kernel meets."""
    for k, n, s, d in zip(tap, out, stride, dilation, strict=True):
        yield slice(k * d, k * d + s * (n - 1) + 1 if n else k * d, s)
