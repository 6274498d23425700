"""Gaussian noise while training, multiplied or added."""

from __future__ import annotations

import math
from typing import Any

from .. import random
from ..autodiff.namespace import namespace
from ..checks import check_range
from .drawing import draw_uniform
from .dropout import raw_floating
from .norm import narrowed, widened


def gaussian_dropout(input: Any, rate: float, training: bool = True) -> Any:
    """Multiply each element by a normal number of mean 1 and variance rate / (1 - rate); nothing if not training [1]_.

    Mean and variance of the factors are those of dropout with the probability `rate`. They come from the dropout
    stream (see `nnx.seed`); different backends agree to rounding.

    Parameters
    ----------
    input
        Array of any shape.
    rate
        The probability of the dropout that it stands for, from 0 to below 1.
    training
        Whether to do anything at all.

    References
    ----------
    .. [1] Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014,
       section 10; the arguments are Keras'

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.gaussian_dropout(np.ones(3), 0.5, training=False)
    array([1., 1., 1.])
    """
    check_range("gaussian_dropout", "rate", rate, 0.0, 1.0)
    raw = raw_floating("gaussian_dropout", input)
    if not training or rate == 0.0:
        return input
    return namespace(input).multiply(input, _normal(raw) * math.sqrt(rate / (1.0 - rate)) + 1.0)


def gaussian_noise(input: Any, stddev: float, training: bool = True) -> Any:
    """Add to each element a normal number of mean 0 and standard deviation `stddev`; nothing if not training.

    The numbers come from the dropout stream (see `nnx.seed`); different backends agree to rounding.

    Parameters
    ----------
    input
        Array of any shape.
    stddev
        The standard deviation, at least 0.
    training
        Whether to do anything at all.

    References
    ----------
    .. [1] Bishop, "Training with Noise is Equivalent to Tikhonov Regularization", Neural Computation 7, 1995

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.gaussian_noise(np.ones(3), 0.5, training=False)
    array([1., 1., 1.])
    """
    check_range("gaussian_noise", "stddev", stddev, 0.0)
    raw = raw_floating("gaussian_noise", input)
    if not training or stddev == 0.0:
        return input
    return namespace(input).add(input, _normal(raw) * float(stddev))


def _normal(raw: Any) -> Any:
    """Draw standard normal numbers in the shape and dtype of an array: Box and Muller's pairs of uniform ones.

    Of h = ceil(n / 2) pairs, element i < h is the cosine of pair i and element h + i its sine. Uniform number i of the
    draw gives the radius of pair i, number h + i its angle.
    """
    xp = namespace(raw)
    shape = tuple(raw.shape)
    size = math.prod(shape)
    pairs = (size + 1) // 2
    drawn = draw_uniform(raw, *random.dropout_stream().reserve(2 * pairs), (2, pairs))
    uniform = xp.astype(drawn, widened(xp, raw).dtype)
    radius = xp.sqrt(-2.0 * xp.log(1.0 - uniform[0, ...]))  # of a number above 0
    angle = (2.0 * math.pi) * uniform[1, ...]
    normal = xp.concat([radius * xp.cos(angle), radius * xp.sin(angle)], axis=0)[:size]
    return narrowed(xp, xp.reshape(normal, shape), raw)
