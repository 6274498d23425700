"""Dropout as a function."""

from __future__ import annotations

from typing import Any

from .. import random
from ..autodiff import Array
from ..autodiff.namespace import namespace
from ..autodiff.primitive import primitive
from ..backend import device, get_backend
from ..dtypes import dtype_name, is_floating
from ..errors import DTypeError
from .checks import check_fraction


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
    check_fraction("dropout", "a probability p", p)
    if not training or p == 0.0:
        return input
    raw = input._data if isinstance(input, Array) else input
    backend = get_backend(raw)
    if not is_floating(raw.dtype):
        raise DTypeError(f"dropout: expected a floating-point array, got dtype {dtype_name(raw.dtype)}; cast it first.")
    shape = tuple(raw.shape)
    size = 1
    for n in shape:
        size *= n
    p = float(p)  # a NumPy scalar would promote
    key, counter = random.dropout_stream().reserve(size)
    mask = random.bernoulli_mask(key, counter, shape, 1.0 - p)
    return masked_scale(input, backend.asarray(mask, device=device(raw)), 1.0 / (1.0 - p) if p < 1.0 else 0.0)


@primitive("masked_scale", arrays=2)
def masked_scale(input: Any, mask: Any, scale: float) -> Any:
    """Return `input` times `scale` where `mask` holds, times 0 elsewhere (so that NaN stays NaN)."""
    return input * (namespace(input).astype(mask, input.dtype) * scale)
