"""Dropout as functions: of elements, and of whole channels."""

from __future__ import annotations

from typing import Any

from .. import random
from ..autodiff import Array
from ..autodiff.namespace import namespace
from ..autodiff.primitive import primitive
from ..backend import get_backend
from ..checks import number
from ..dtypes import dtype_name, is_floating
from ..errors import DTypeError, ShapeError
from .drawing import draw_mask


def dropout(input: Any, p: float = 0.5, training: bool = True) -> Any:
    """Set each element to 0 with probability `p` and divide the others by 1 - p [1]_; nothing if not training.

    The mask comes from the dropout stream (see `nnx.seed`): the same bits on every backend.

    Parameters
    ----------
    input
        Array of any shape.
    p
        The probability of an element to be dropped, from 0 to 1.
    training
        Whether to drop at all.

    References
    ----------
    .. [1] Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.dropout(np.ones(3), p=0.5, training=False)
    array([1., 1., 1.])
    """
    number("dropout", "p", p, 0.0, 1.0)
    if not training or p == 0.0:
        return input
    raw = raw_floating("dropout", input)
    p = float(p)  # a NumPy scalar would promote
    return masked_scale(input, keep_mask(raw, tuple(raw.shape), p), 1.0 / (1.0 - p) if p < 1.0 else 0.0)


@primitive("masked_scale", arrays=2)
def masked_scale(input: Any, mask: Any, scale: float) -> Any:
    """Return `input` times `scale` where `mask` holds, times 0 elsewhere (so that NaN stays NaN)."""
    return input * (namespace(input).astype(mask, input.dtype) * scale)


def dropout1d(input: Any, p: float = 0.5, training: bool = True) -> Any:
    """Drop whole channels of sequences: arrays of shape (N, L, C) or (L, C), channels last. See `dropout2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.dropout1d(np.ones((4, 2)), training=False).shape
    (4, 2)
    """
    return _channel_dropout("dropout1d", input, p, training, "L, C")


def dropout2d(input: Any, p: float = 0.5, training: bool = True) -> Any:
    """Set each channel of each sample to 0 with probability `p` and divide the others by 1 - p [1]_.

    Neighbours in an image are alike, so that elements dropped one by one are known all the same.

    Parameters
    ----------
    input
        Array of shape (N, H, W, C) or (H, W, C), channels last.
    p
        The probability of a channel to be dropped, from 0 to 1.
    training
        Whether to drop at all.

    Raises
    ------
    ShapeError, DTypeError
        If the input has another number of axes, or no floating-point numbers.

    References
    ----------
    .. [1] Tompson et al., "Efficient Object Localization Using Convolutional Networks", arXiv:1411.4280

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.seed(0)
    >>> nnx.functional.dropout2d(np.ones((1, 1, 2, 4)))[0, 0]
    array([[2., 2., 0., 0.],
           [2., 2., 0., 0.]])
    """
    return _channel_dropout("dropout2d", input, p, training, "H, W, C")


def dropout3d(input: Any, p: float = 0.5, training: bool = True) -> Any:
    """Drop whole channels of volumes: arrays of shape (N, D, H, W, C) or (D, H, W, C), channels last. See `dropout2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.dropout3d(np.ones((2, 2, 2, 4)), training=False).shape
    (2, 2, 2, 4)
    """
    return _channel_dropout("dropout3d", input, p, training, "D, H, W, C")


def _channel_dropout(operation: str, input: Any, p: float, training: bool, axes: str) -> Any:
    number(operation, "p", p, 0.0, 1.0)
    raw = raw_floating(operation, input)
    shape = tuple(raw.shape)
    rank = axes.count(",") + 1
    if len(shape) not in (rank, rank + 1):
        raise ShapeError(f"{operation}: expected (N, {axes}) or ({axes}), got {shape}.")
    if not training or p == 0.0:
        return input
    p = float(p)
    mask = keep_mask(raw, channel_shape(shape, batched=len(shape) > rank), p)
    factor = namespace(mask).astype(mask, raw.dtype) * (1.0 / (1.0 - p) if p < 1.0 else 0.0)
    return namespace(input).multiply(input, factor)


# ------------------------------------------------------------------ masks


def raw_floating(operation: str, input: Any) -> Any:
    """Return the raw array behind an input of floating-point numbers, or raise."""
    raw = input._data if isinstance(input, Array) else input
    get_backend(raw)  # raises if it is no array
    if not is_floating(raw.dtype):
        raise DTypeError(
            f"{operation}: expected a floating-point array, got dtype {dtype_name(raw.dtype)}; cast it first."
        )
    return raw


def keep_mask(raw: Any, shape: tuple[int, ...], p: float) -> Any:
    """Draw which elements stay, as booleans where `raw` lives; each is dropped with probability p."""
    size = 1
    for n in shape:
        size *= n
    key, counter = random.dropout_stream().reserve(size)
    return draw_mask(raw, key, counter, shape, 1.0 - p)


def channel_shape(shape: tuple[int, ...], batched: bool) -> tuple[int, ...]:
    """Return the shape of a mask with one element for each channel, of each sample."""
    return tuple(n if i == len(shape) - 1 or (batched and i == 0) else 1 for i, n in enumerate(shape))
