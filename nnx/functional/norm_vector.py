"""Divisions by a norm: of whole vectors, or of neighbouring channels."""

from __future__ import annotations

from typing import Any

from ..checks import number, positive_integer
from ..errors import ShapeError
from .arguments import axis_of, floating_namespace
from .norm import narrowed, widened
from .norm_checks import check_eps


def normalize(input: Any, p: float = 2.0, axis: int = -1, eps: float = 1e-12) -> Any:
    """Return the input divided by its p-norm along an axis, or by `eps` where the norm is smaller.

    Parameters
    ----------
    input
        Array with at least one axis.
    p
        The exponent of the norm; ``float("inf")`` for the largest absolute value.
    axis
        The axis of the vectors: the features, the last one. PyTorch's `dim` has them at 1.
    eps
        The smallest divisor, above 0.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.normalize(np.asarray([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    p, eps = number("normalize", "p", p, infinite=True), check_eps("normalize", eps)
    xp = floating_namespace("normalize", input)
    norm = xp.linalg.vector_norm(input, axis=axis_of("normalize", axis, input), keepdims=True, ord=p)
    return input / xp.clip(norm, min=eps)


def check_local_response_norm(
    operation: str, size: Any, alpha: Any, beta: Any, k: Any
) -> tuple[int, float, float, float]:
    """Return the arguments of a local response normalisation, or raise."""
    size = positive_integer(operation, "size", size)
    return (
        size,
        number(operation, "alpha", alpha),
        number(operation, "beta", beta),
        number(operation, "k", k),
    )


def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """Return the input divided by ``(k + alpha * m) ** beta``, m the mean square of `size` neighbouring channels [1]_.

    Parameters
    ----------
    input
        Array of shape (..., channels).
    size
        The number of neighbours, the channel itself among them; beyond the ends there are zeros. An even number has
        one more before the channel than after it.
    alpha, beta, k
        The factor, the exponent and the constant. (The paper multiplies the sum by alpha; PyTorch and nnx the mean.)

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit.

    References
    ----------
    .. [1] Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks",
       NeurIPS 2012

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.local_response_norm(np.asarray([[3.0, 4.0, 0.0]]), 3, alpha=3.0, beta=0.5, k=0.0)
    array([[0.6, 0.8, 0. ]])
    """
    size, alpha, beta, k = check_local_response_norm("local_response_norm", size, alpha, beta, k)
    xp = floating_namespace("local_response_norm", input)
    shape = tuple(input.shape)
    if not shape:
        raise ShapeError("local_response_norm: expected (..., channels), got (); add an axis for the channels.")
    if 0 in shape:
        return input
    channels, wide = shape[-1], widened(xp, input)
    before, after = min(size // 2, channels - 1), min((size - 1) // 2, channels - 1)
    zeros = xp.zeros_like(wide[..., :1])
    padded = xp.concat([zeros] * before + [wide * wide] + [zeros] * after, axis=-1)
    total = padded[..., :channels]
    for i in range(1, before + after + 1):
        total = total + padded[..., i : i + channels]
    return narrowed(xp, wide / (total * (alpha / size) + k) ** beta, input)
