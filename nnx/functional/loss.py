"""Loss functions over a class axis, and the mean squared error."""

from __future__ import annotations

from typing import Any

from ..autodiff.namespace import namespace
from ..autodiff.primitive import primitive
from ..checks import integer, number
from ..dtypes import is_floating
from ..errors import DTypeError
from .checks import check_array, namespace_of
from .loss_checks import (
    as_indices,
    as_probabilities,
    check_alike,
    check_classes,
    check_indices,
    check_probabilities,
    check_reduction,
    reduce,
    weighted,
)


def mse_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """Return the squared difference of `input` and `target`.

    Parameters
    ----------
    input, target
        Arrays of the same shape and dtype.
    reduction
        ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.
    weight
        A weight for each element, in the shape of the input; the mean is then the weighted one.

    Raises
    ------
    ShapeError, DTypeError
        If the shapes or the dtypes differ.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.mse_loss(np.asarray([1.0, 3.0]), np.asarray([1.0, 1.0]))
    np.float64(2.0)
    """
    check_reduction("mse_loss", reduction)
    check_alike("mse_loss", input=input, target=target, weight=weight)
    xp = namespace(input, target, weight)
    difference = xp.subtract(input, target)  # no operator: a raw array on the left may refuse a tracked one
    return weighted(xp, difference * difference, weight, reduction)


@primitive("cross_entropy", arrays=3)
def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Return the cross-entropy between the softmax of `input` over its last axis and `target`.

    Parameters
    ----------
    input
        Unnormalised scores (logits) of shape (..., classes).
    target
        Class indices of shape (...); or probabilities of shape (..., classes) in the dtype of `input`; or one-hot
        vectors of that shape, integers or booleans, which count as probabilities.
    weight
        A weight for each class, of shape (classes,).
    ignore_index
        Samples with this class index do not count.
    reduction
        ``"mean"`` (over samples, weighted by the weight of their class), ``"sum"``, or ``"none"``.
    label_smoothing
        How much probability, from 0 to 1, to spread evenly over all classes [1]_.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit. Values are looked at where arrays live on the host: class indices outside
        [0, classes) raise IndexError there, and probabilities outside [0, 1] ValueError. On a device, where looking
        would stop the stream, such indices give a NaN loss. That probabilities sum to 1 is not checked.

    References
    ----------
    .. [1] Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", arXiv:1512.00567

    Examples
    --------
    >>> import numpy as np, nnx
    >>> round(float(nnx.functional.cross_entropy(np.asarray([[2.0, 0.0]]), np.asarray([0]))), 4)
    0.1269
    """
    check_reduction("cross_entropy", reduction)
    label_smoothing = number("cross_entropy", "label_smoothing", label_smoothing, 0.0, 1.0)
    ignore_index = integer("cross_entropy", "ignore_index", ignore_index)
    check_array("cross_entropy", "target", target)
    xp = namespace_of("cross_entropy", input=input, target=target, weight=weight)
    if not is_floating(target.dtype):
        vectors = is_floating(input.dtype) and tuple(target.shape) == tuple(input.shape)
        if vectors:
            target = as_probabilities("cross_entropy", xp, target, input)
        else:
            target = as_indices("cross_entropy", xp, target)
    check_classes("cross_entropy", input, target, weight)
    if is_floating(target.dtype):
        check_probabilities("cross_entropy", "target", target, "For logits, apply softmax; for class indices, cast.")
    else:
        check_indices("cross_entropy", target, input.shape[-1], ignore_index)
    logp = xp.special.log_softmax(input, axis=-1)
    classes = input.shape[-1]
    if is_floating(target.dtype):
        if label_smoothing:
            target = target * (1.0 - label_smoothing) + label_smoothing / classes
        terms = logp * target if weight is None else logp * target * weight
        losses = -xp.sum(terms, axis=-1)
        return reduce(xp, losses, reduction)
    losses, weights, counted, in_range = _picked(xp, logp, target, weight, ignore_index)
    if label_smoothing:
        spread = -xp.sum(logp if weight is None else logp * weight, axis=-1)
        spread = xp.where(counted, spread, xp.zeros_like(spread))
        losses = (1.0 - label_smoothing) * losses + (label_smoothing / classes) * spread
    return _mean_over_weights(xp, losses, weights, counted, in_range, reduction)


def nll_loss(input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> Any:
    """Return the negative log-likelihood of classes, of which the input holds the logarithms of the probabilities.

    Parameters
    ----------
    input
        Logarithms of probabilities, as `log_softmax` gives them, of shape (..., classes).
    target
        Class indices of shape (...).
    weight
        A weight for each class, of shape (classes,).
    ignore_index
        Samples with this class index do not count.
    reduction
        ``"mean"`` (over samples, weighted by the weight of their class), ``"sum"``, or ``"none"``.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit. Class indices outside [0, classes) raise IndexError where arrays live on the host;
        on a device they give a NaN loss.

    References
    ----------
    .. [1] Goodfellow, Bengio and Courville, "Deep Learning", 2016, section 6.2.1

    Examples
    --------
    >>> import numpy as np, nnx
    >>> round(float(nnx.functional.nll_loss(np.log([[0.25, 0.75]]), np.asarray([1]))), 4)
    0.2877
    """
    check_reduction("nll_loss", reduction)
    ignore_index = integer("nll_loss", "ignore_index", ignore_index)
    check_array("nll_loss", "target", target)
    xp = namespace_of("nll_loss", input=input, target=target, weight=weight)
    if is_floating(target.dtype):
        raise DTypeError(
            "nll_loss: expected integer class indices as target, got a floating-point dtype. Cast them, e.g. "
            "xp.astype(target, xp.int64), or take cross_entropy or kl_div for probabilities."
        )
    target = as_indices("nll_loss", xp, target)
    check_classes("nll_loss", input, target, weight)
    check_indices("nll_loss", target, input.shape[-1], ignore_index)
    return _mean_over_weights(xp, *_picked(xp, input, target, weight, ignore_index), reduction)


def _picked(xp: Any, logp: Any, target: Any, weight: Any, ignore_index: int) -> tuple[Any, Any, Any, Any]:
    """The weighted losses of the targets, the weights, which samples count, and which targets are classes."""
    counted = target != ignore_index
    in_range = (target >= 0) & (target < logp.shape[-1])
    index = xp.where(in_range, target, xp.zeros_like(target))
    picked = xp.take_along_axis(logp, xp.expand_dims(index, axis=-1), axis=-1)[..., 0]
    zero = xp.zeros_like(picked)
    if weight is None:
        weights = zero + 1.0
    else:
        weights = xp.reshape(xp.take(weight, xp.reshape(index, (-1,)), axis=0), index.shape)
    weights = xp.where(counted, weights, zero)
    return xp.where(counted, -picked, zero) * weights, weights, counted, in_range


def _mean_over_weights(xp: Any, losses: Any, weights: Any, counted: Any, in_range: Any, reduction: str) -> Any:
    losses = xp.where(in_range | ~counted, losses, xp.zeros_like(losses) + xp.nan)
    if reduction == "mean":
        return xp.sum(losses) / xp.sum(weights)
    return reduce(xp, losses, reduction)
