"""Initialisers for very deep networks, which begin as an identity or an isometry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from ..checks import integer, number, positive_integer
from ..errors import ShapeError
from .arrays import born, checked_shape
from .scaled import kaiming_normal
from .structured import orthonormal


def delta_orthogonal(shape: Sequence[int], gain: float = 1.0, dtype: Any = "float32") -> Any:
    """Return a kernel with an orthogonal matrix at its centre and zeros elsewhere [1]_.

    The convolution then turns each pixel's channels without changing their length, which lets plain networks of
    thousands of layers train.

    Parameters
    ----------
    shape
        (out, *kernel, in), with odd kernel lengths and out at least in.
    gain
        The factor; see `calculate_gain`.
    dtype
        The name of the dtype.

    References
    ----------
    .. [1] Xiao et al., "Dynamical Isometry and a Mean Field Theory of CNNs", 2018, arXiv:1806.05393.

    Examples
    --------
    >>> import nnx
    >>> w = nnx.init.delta_orthogonal((4, 3, 2), dtype="float64")
    >>> float(abs(w[:, 0, :]).max()), (w[:, 1, :].T @ w[:, 1, :]).round(6) + 0.0
    (0.0, array([[1., 0.],
           [0., 1.]]))
    """
    label = "delta_orthogonal"
    shape = checked_shape(label, shape)
    number(label, "gain", gain)
    if len(shape) < 3 or any(length % 2 == 0 for length in shape[1:-1]):
        raise ShapeError(f"{label}: expected (out, *kernel, in) with odd kernel lengths, got {shape}; see orthogonal.")
    if shape[0] < shape[-1]:
        wanted = f"{label}: expected at least as many outputs as inputs"
        raise ShapeError(f"{wanted}, got {shape[0]} and {shape[-1]} in {shape}; use orthogonal.")
    values = numpy.zeros(shape)
    if values.size:
        centre: Any = (slice(None), *(length // 2 for length in shape[1:-1]))
        values[centre] = gain * orthonormal(shape[0], shape[-1])
    return born(label, values, dtype)


def fixup(shape: Sequence[int], num_branches: int, layers_per_branch: int = 2, dtype: Any = "float32") -> Any:
    """Draw the weights inside a residual branch so that no normalisation is needed [1]_.

    `kaiming_normal` for ReLU, times ``num_branches ** (-1 / (2 * layers_per_branch - 2))``. The last layer of each
    branch gets `zeros`, so that every block begins as the identity.

    Parameters
    ----------
    shape
        See `fans`.
    num_branches
        The number of residual branches in the network.
    layers_per_branch
        The number of layers with weights in each, at least 2.
    dtype
        The name of the dtype.

    References
    ----------
    .. [1] Zhang, Dauphin and Ma, "Fixup Initialization: Residual Learning Without Normalization", 2019,
       arXiv:1901.09321.

    Examples
    --------
    >>> import nnx
    >>> nnx.init.fixup((16, 3, 3, 16), num_branches=27).shape
    (16, 3, 3, 16)
    """
    num_branches = positive_integer("fixup", "num_branches", num_branches)
    layers_per_branch = integer("fixup", "layers_per_branch", layers_per_branch, 2)  # a branch of one layer gets zeros
    scale = float(num_branches ** (-1.0 / (2 * layers_per_branch - 2)))
    checked_shape("fixup", shape, "a shape (out, in) or (out, *kernel, in / groups)", 2)
    # A Python float does not change the dtype, and a product with it is rounded the same everywhere.
    return scale * kaiming_normal(shape, nonlinearity="relu", dtype=dtype)
