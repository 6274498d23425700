"""Activation functions that look at several elements along an axis: softmin, sparsemax, glu, maxout."""

from __future__ import annotations

from typing import Any

from ..autodiff import stop_gradient
from ..autodiff.namespace import namespace
from ..checks import positive_integer
from ..errors import ShapeError
from .arguments import axis_of, floating_namespace


def softmin(input: Any, axis: int = -1) -> Any:
    """Return the softmax of the negative input along an axis.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.softmin(np.asarray([0.0, 1000.0]))
    array([1., 0.])
    """
    xp = floating_namespace("softmin", input)
    return xp.special.softmax(-input, axis=axis_of("softmin", axis, input))


def sparsemax(input: Any, axis: int = -1) -> Any:
    """Return the point of the probability simplex that is nearest to the input along an axis [1]_.

    Like the softmax it is positive and sums to 1, but it can be exactly 0.

    Parameters
    ----------
    input
        Array of any shape.
    axis
        The axis that sums to 1.

    References
    ----------
    .. [1] Martins and Astudillo, "From Softmax to Sparsemax", arXiv:1602.02068

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.sparsemax(np.asarray([0.5, 1.0, -1.0]))
    array([0.25, 0.75, 0.  ])
    """
    xp = floating_namespace("sparsemax", input)
    axis = axis_of("sparsemax", axis, input)
    if 0 in input.shape:
        return input
    peak = xp.max(stop_gradient(input), axis=axis, keepdims=True)  # a shift changes nothing, so needs no derivative
    shifted = xp.subtract(input, peak)
    outside = _outside_support(stop_gradient(shifted), axis)
    size = xp.sum(xp.where(outside, xp.zeros_like(peak), 1.0), axis=axis, keepdims=True)
    total = xp.sum(xp.where(outside, 0.0, shifted), axis=axis, keepdims=True)
    return xp.where(outside, 0.0, xp.subtract(shifted, xp.divide(total - 1.0, size)))


def _outside_support(shifted: Any, axis: int) -> Any:
    """Return where the sparsemax is 0. `shifted` is the input minus its maximum. Beside NaN it is nowhere 0."""
    xp = namespace(shifted)
    descending = xp.sort(shifted, axis=axis, descending=True)
    sums = xp.cumulative_sum(descending, axis=axis)
    counts = xp.cumulative_sum(xp.ones_like(shifted), axis=axis)
    held = 1.0 + counts * descending > sums
    size = xp.sum(xp.astype(held, shifted.dtype), axis=axis, keepdims=True)
    total = xp.sum(xp.where(held, descending, 0.0), axis=axis, keepdims=True)
    return shifted <= (total - 1.0) / xp.where(size == 0.0, 1.0, size)


def glu(input: Any, axis: int = -1) -> Any:
    """Return the first half of the input times the logistic function of the second half: a gated linear unit [1]_.

    Parameters
    ----------
    input
        Array with an even length along `axis`.
    axis
        The axis that is halved.

    Raises
    ------
    ShapeError
        If the length is odd, or there is no such axis.

    References
    ----------
    .. [1] Dauphin et al., "Language Modeling with Gated Convolutional Networks", arXiv:1612.08083

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.glu(np.asarray([[1.0, 2.0, 0.0, 1000.0]]))
    array([[0.5, 2. ]])
    """
    xp = floating_namespace("glu", input)
    axis = axis_of("glu", axis, input)
    length = input.shape[axis]
    if length % 2:
        raise ShapeError(f"glu: expected an even length along axis {axis}, got {length} in {tuple(input.shape)}.")
    before = (slice(None),) * axis
    value, gate = input[(*before, slice(0, length // 2), ...)], input[(*before, slice(length // 2, None), ...)]
    return value * xp.special.expit(gate)


def maxout(input: Any, pool_size: int, axis: int = -1) -> Any:
    """Return the largest element of each group of `pool_size` neighbours along an axis [1]_.

    After a linear layer this is a learned convex function. Elements that tie share the derivative evenly.

    Parameters
    ----------
    input
        Array whose length along `axis` is a multiple of `pool_size`.
    pool_size
        The number of elements in a group.
    axis
        The axis that becomes shorter.

    Raises
    ------
    ShapeError
        If the length is no multiple of `pool_size`, or there is no such axis.

    References
    ----------
    .. [1] Goodfellow et al., "Maxout Networks", arXiv:1302.4389

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.maxout(np.asarray([[1.0, 3.0, 0.0, -2.0]]), pool_size=2)
    array([[3., 0.]])
    """
    xp = floating_namespace("maxout", input)
    axis = axis_of("maxout", axis, input)
    pool_size = positive_integer("maxout", "pool_size", pool_size)
    shape = tuple(input.shape)
    if shape[axis] % pool_size:
        raise ShapeError(
            f"maxout: expected a length along axis {axis} that is a multiple of pool_size={pool_size}, got "
            f"{shape[axis]} in {shape}."
        )
    groups = (*shape[:axis], shape[axis] // pool_size, pool_size, *shape[axis + 1 :])
    return xp.max(xp.reshape(input, groups), axis=axis + 1)
