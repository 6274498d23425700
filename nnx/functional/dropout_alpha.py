"""Dropout that keeps mean 0 and variance 1, for networks of SELUs."""

from __future__ import annotations

import math
from typing import Any

from ..autodiff.namespace import namespace
from ..checks import number
from ..errors import ShapeError
from .dropout import channel_shape, keep_mask, raw_floating

_LIMIT = -1.7580993408473766  # of SELU far left: -scale * alpha


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False) -> Any:
    """Set elements at random to the limit of SELU on the left, then scale and shift all of them [1]_.

    Numbers of mean 0 and variance 1 keep both. The mask comes from the dropout stream (see `nnx.seed`).

    Parameters
    ----------
    input
        Array of any shape.
    p
        The probability of an element to be dropped, from 0 to 1; with 1 everything becomes 0.
    training
        Whether to drop at all.

    References
    ----------
    .. [1] Klambauer et al., "Self-Normalizing Neural Networks", NeurIPS 2017

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.alpha_dropout(np.ones(3), p=0.5)
    array([1., 1., 1.])
    """
    number("alpha_dropout", "p", p, 0.0, 1.0)
    raw = raw_floating("alpha_dropout", input)
    return _masked(input, raw, tuple(raw.shape), p) if training else input


def feature_alpha_dropout(input: Any, p: float = 0.5, training: bool = False) -> Any:
    """Do what `alpha_dropout` does to whole channels of samples: each keeps its numbers or gets one.

    Parameters
    ----------
    input
        Array of shape (N, ..., channels).
    p
        The probability of a channel to be dropped, from 0 to 1; with 1 everything becomes 0.
    training
        Whether to drop at all.

    Raises
    ------
    ShapeError, DTypeError
        If the input has less than two axes, or no floating-point numbers.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.feature_alpha_dropout(np.ones((1, 3)), p=0.5)
    array([[1., 1., 1.]])
    """
    number("feature_alpha_dropout", "p", p, 0.0, 1.0)
    raw = raw_floating("feature_alpha_dropout", input)
    shape = tuple(raw.shape)
    if len(shape) < 2:
        raise ShapeError(
            f"feature_alpha_dropout: expected (N, ..., channels), got {shape}; the batch is the first axis."
        )
    return _masked(input, raw, channel_shape(shape, batched=True), p) if training else input


def _masked(input: Any, raw: Any, shape: tuple[int, ...], p: float) -> Any:
    if p == 0.0:
        return input
    p = float(p)  # a NumPy scalar would promote
    xp = namespace(input)
    mask = keep_mask(raw, shape, p)
    kept = namespace(mask).astype(mask, raw.dtype)
    if p == 1.0:
        return xp.multiply(input, kept)
    scale = 1.0 / math.sqrt((1.0 - p) * (1.0 + p * _LIMIT * _LIMIT))
    shift = -scale * p * _LIMIT
    return xp.add(xp.multiply(input, kept * scale), (1.0 - kept) * (scale * _LIMIT) + shift)
