"""Normalisations of each sample by itself, over its last axes."""

from __future__ import annotations

from typing import Any

from ..autodiff.namespace import namespace
from ..autodiff.primitive import primitive
from ..dtypes import dtype_name
from .norm_checks import check_eps, check_normalized_shape, check_trailing


def layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Return the input with mean 0 and variance 1 over its last axes, times `weight`, plus `bias` [1]_.

    Parameters
    ----------
    input
        Array of shape (..., *normalized_shape).
    normalized_shape
        The lengths of the axes that are normalised together; an integer for the last axis alone.
    weight, bias
        Arrays of shape `normalized_shape`, or None.
    eps
        What is added to the variance (the biased one), above 0.

    Raises
    ------
    ShapeError, DTypeError, MixedBackendsError
        If the arrays do not fit together.

    References
    ----------
    .. [1] Ba, Kiros and Hinton, "Layer Normalization", arXiv:1607.06450

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.layer_norm(np.asarray([[1.0, 3.0], [20.0, 10.0]]), (2,)).round(3)
    array([[-1.,  1.],
           [ 1., -1.]])
    """
    lengths = check_normalized_shape("layer_norm", normalized_shape)
    eps = check_eps("layer_norm", eps)
    check_trailing("layer_norm", input, lengths, weight=weight, bias=bias)
    return _layer_norm(input, weight, bias, len(lengths), eps)


@primitive("layer_norm", arrays=3)
def _layer_norm(input: Any, weight: Any, bias: Any, axes: int, eps: float) -> Any:
    """Normalise over the last `axes` axes."""
    xp = namespace(input, weight, bias)
    output, _, _ = standardize(input, tuple(range(-axes, 0)), eps)
    return narrowed(xp, affine(xp, output, weight, bias), input)


def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """Return the input divided by its root mean square over its last axes, times `weight` [1]_.

    Parameters
    ----------
    input
        Array of shape (..., *normalized_shape).
    normalized_shape
        The lengths of the axes that are normalised together; an integer for the last axis alone.
    weight
        Array of shape `normalized_shape`, or None.
    eps
        What is added to the mean square, above 0; None for the machine epsilon of the input's dtype.

    Raises
    ------
    ShapeError, DTypeError, MixedBackendsError
        If the arrays do not fit together.

    References
    ----------
    .. [1] Zhang and Sennrich, "Root Mean Square Layer Normalization", NeurIPS 2019

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.rms_norm(np.asarray([[1.0, 7.0], [-3.0, 3.0]]), (2,)).round(3)
    array([[ 0.2,  1.4],
           [-1. ,  1. ]])
    """
    lengths = check_normalized_shape("rms_norm", normalized_shape)
    eps = None if eps is None else check_eps("rms_norm", eps)
    xp = check_trailing("rms_norm", input, lengths, weight=weight)
    return _rms_norm(input, weight, len(lengths), float(xp.finfo(input.dtype).eps) if eps is None else eps)


@primitive("rms_norm", arrays=2)
def _rms_norm(input: Any, weight: Any, axes: int, eps: float) -> Any:
    """Divide by the root mean square over the last `axes` axes."""
    own = namespace(input)  # not that of a tracked weight, whose arrays do not mix with a raw input
    wide = widened(own, input)
    square = own.mean(wide * wide, axis=tuple(range(-axes, 0)), keepdims=True)
    xp = namespace(input, weight)
    return narrowed(xp, affine(xp, wide / own.sqrt(square + eps), weight, None), input)


# ------------------------------------------------------------------ what every reference is made of


def standardize(input: Any, axes: tuple[int, ...], eps: float) -> tuple[Any, Any, Any]:
    """Return the input with mean 0 and variance 1 over some axes, the mean and the variance, with these axes kept.

    The variance is the mean of squared differences, never a difference of two means, which cancel.
    """
    xp = namespace(input)
    wide = widened(xp, input)
    mean = xp.mean(wide, axis=axes, keepdims=True)
    centred = wide - mean
    variance = xp.mean(centred * centred, axis=axes, keepdims=True)
    return centred / xp.sqrt(variance + eps), mean, variance


def affine(xp: Any, x: Any, weight: Any, bias: Any) -> Any:
    """Return x times weight plus bias, where there are any."""
    if weight is not None:
        x = xp.multiply(x, weight)  # no operators: a raw array on the left may refuse a tracked one
    return x if bias is None else xp.add(x, bias)


def widened(xp: Any, x: Any) -> Any:
    """Return an array that is good for sums: float32 instead of 16 bits, other dtypes as they are."""
    return xp.astype(x, xp.float32) if dtype_name(x.dtype) in ("float16", "bfloat16") else x


def narrowed(xp: Any, x: Any, like: Any) -> Any:
    """Return x in the dtype of the input that it comes from."""
    return x if x.dtype == like.dtype else xp.astype(x, like.dtype)
