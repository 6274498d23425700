"""Initialisers with a structure: layers that hand on their input, or keep its length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy

from .. import random
from ..checks import number
from ..errors import ShapeError
from .arrays import born, checked_shape


def eye(shape: Sequence[int], dtype: Any = "float32") -> Any:
    """Return ones on the diagonal and zeros elsewhere: a Linear that hands on its input.

    Examples
    --------
    >>> import nnx
    >>> nnx.init.eye((2, 3))
    array([[1., 0., 0.],
           [0., 1., 0.]], dtype=float32)
    """
    shape = checked_shape("eye", shape)
    if len(shape) != 2:
        raise ShapeError(f"eye: expected a shape (out, in), got {shape}; dirac is its like for convolutions.")
    return born("eye", numpy.eye(*shape), dtype)


def dirac(shape: Sequence[int], groups: int = 1, dtype: Any = "float32") -> Any:
    """Return a kernel that hands on its input: ones at its centre, for as many channels as there are on both sides.

    Parameters
    ----------
    shape
        (out, *kernel, in / groups), with a kernel of one to three axes.
    groups
        The groups of the convolution; each hands on its channels. Divides out.
    dtype
        The name of the dtype.

    Examples
    --------
    >>> import nnx
    >>> nnx.init.dirac((2, 3, 2))
    array([[[0., 0.],
            [1., 0.],
            [0., 0.]],
    <BLANKLINE>
           [[0., 0.],
            [0., 1.],
            [0., 0.]]], dtype=float32)
    """
    shape = checked_shape("dirac", shape)
    if not 3 <= len(shape) <= 5:
        raise ShapeError(f"dirac: expected (out, *kernel, in / groups) of 3 to 5 axes, got {shape}; eye is for 2.")
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1 or shape[0] % groups:
        raise ValueError(
            f"dirac: expected groups to divide the {shape[0]} outputs, got {groups!r}; pass such a number."
        )
    values = numpy.zeros(shape)
    per_group = shape[0] // groups
    centre = [length // 2 for length in shape[1:-1]]
    for channel in range(min(per_group, shape[-1])):
        for group in range(groups):
            values[(group * per_group + channel, *centre, channel)] = 1.0
    return born("dirac", values, dtype)


def orthogonal(shape: Sequence[int], gain: float = 1.0, dtype: Any = "float32") -> Any:
    """Draw a matrix with orthonormal rows or columns, evenly from all of them, times a gain [1]_ [2]_.

    Parameters
    ----------
    shape
        Two or more axes; all but the first count as one, as in (out, kernel * in).
    gain
        The factor; see `calculate_gain`.
    dtype
        The name of the dtype.

    References
    ----------
    .. [1] Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks", 2014,
       arXiv:1312.6120.
    .. [2] Mezzadri, "How to generate random matrices from the classical compact groups", 2007, arXiv:math-ph/0609050.

    Examples
    --------
    >>> import nnx
    >>> w = nnx.init.orthogonal((2, 5), dtype="float64")
    >>> (w @ w.T).round(6) + 0.0
    array([[1., 0.],
           [0., 1.]])
    """
    wanted = "a shape of 2 or more axes, such as (out, in)"
    shape = checked_shape("orthogonal", shape, wanted, 2)
    number("orthogonal", "gain", gain)
    if 0 in shape:
        return born("orthogonal", numpy.zeros(shape), dtype)
    return born("orthogonal", gain * orthonormal(shape[0], math.prod(shape[1:])).reshape(shape), dtype)


def orthonormal(rows: int, columns: int) -> numpy.ndarray:
    """Draw a matrix, of which the shorter of rows and columns are orthonormal."""
    drawn = random.init_generator().standard_normal((max(rows, columns), min(rows, columns)))
    q, r = numpy.linalg.qr(drawn)
    # The signs that QR chooses are not random; with these the distribution is even.
    q *= numpy.where(numpy.diagonal(r) < 0, -1.0, 1.0)
    return q if rows >= columns else q.T
