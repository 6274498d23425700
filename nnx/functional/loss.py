"""Loss functions."""

from __future__ import annotations

from typing import Any

from ..autodiff import Array
from ..autodiff.namespace import namespace
from ..autodiff.primitive import primitive
from ..backend import get_backend
from ..dtypes import dtype_name, is_floating
from ..errors import DTypeError, ShapeError
from .checks import check_dtype, check_fraction, namespace_of

_REDUCTIONS = ("none", "mean", "sum")
_INDEX_OR_FLOAT = ("int64", "float16", "bfloat16", "float32", "float64")


def check_reduction(operation: str, reduction: str) -> None:
    """Raise unless `reduction` is one of the three."""
    if reduction not in _REDUCTIONS:
        raise ValueError(f"{operation}: expected reduction='none', 'mean' or 'sum', got {reduction!r}.")


def reduce(xp: Any, values: Any, reduction: str) -> Any:
    """Return the mean, the sum, or the values themselves."""
    if reduction == "mean":
        return xp.mean(values)
    return xp.sum(values) if reduction == "sum" else values


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Return the squared difference of `input` and `target`.

    Parameters
    ----------
    input, target
        Arrays of the same shape and dtype.
    reduction
        ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.

    Raises
    ------
    ShapeError, DTypeError, MixedBackendsError
        If the shapes, the dtypes or the backends differ.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.mse_loss(np.asarray([1.0, 3.0]), np.asarray([1.0, 1.0]))
    np.float64(2.0)
    """
    check_reduction("mse_loss", reduction)
    xp = namespace_of("mse_loss", input=input, target=target)
    if input.shape != target.shape:
        raise ShapeError(
            f"mse_loss: expected input and target of one shape, got {tuple(input.shape)} and {tuple(target.shape)}. "
            "Reshape one of them, e.g. xp.reshape(target, input.shape)."
        )
    check_dtype("mse_loss", "target", target, input, "input")
    difference = xp.subtract(input, target)  # no operator: a raw array on the left may refuse a tracked one
    return reduce(xp, difference * difference, reduction)


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
        Class indices of shape (...), or probabilities of shape (..., classes) in the dtype of `input`.
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
    ShapeError, DTypeError, MixedBackendsError, ValueError
        If an argument does not fit. Class indices outside [0, classes) raise IndexError where arrays live on the host;
        on a device, where looking would stop the stream, they give a NaN loss.

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
    check_fraction("cross_entropy", "label_smoothing", label_smoothing)
    xp = namespace_of("cross_entropy", input=input, target=target, weight=weight)
    if dtype_name(target.dtype) not in _INDEX_OR_FLOAT:
        if dtype_name(target.dtype) == "bool":
            raise DTypeError("cross_entropy: expected integer class indices, got dtype bool; cast them to int64.")
        target = xp.astype(target, xp.int64)  # small integers cannot be compared with every class
    _check_targets(input, target, weight, ignore_index)
    logp = xp.special.log_softmax(input, axis=-1)
    classes = input.shape[-1]
    if is_floating(target.dtype):
        if label_smoothing:
            target = target * (1.0 - label_smoothing) + label_smoothing / classes
        terms = logp * target if weight is None else logp * target * weight
        losses = -xp.sum(terms, axis=-1)
        return reduce(xp, losses, reduction)
    counted = target != ignore_index
    in_range = (target >= 0) & (target < classes)
    index = xp.where(in_range, target, xp.zeros_like(target))
    zero = xp.zeros_like(logp[..., 0])
    picked = xp.take_along_axis(logp, xp.expand_dims(index, axis=-1), axis=-1)[..., 0]
    if weight is None:
        weights = zero + 1.0
    else:
        weights = xp.reshape(xp.take(weight, xp.reshape(index, (-1,)), axis=0), index.shape)
    weights = xp.where(counted, weights, zero)
    losses = -picked * weights
    if label_smoothing:
        spread = -xp.sum(logp if weight is None else logp * weight, axis=-1)
        spread = xp.where(counted, spread, zero)
        losses = (1.0 - label_smoothing) * losses + (label_smoothing / classes) * spread
    losses = xp.where(in_range | ~counted, losses, zero + xp.nan)
    if reduction == "mean":
        return xp.sum(losses) / xp.sum(weights)
    return reduce(xp, losses, reduction)


def _check_targets(input: Any, target: Any, weight: Any, ignore_index: int) -> None:
    if not is_floating(input.dtype):
        raise DTypeError(f"cross_entropy: expected floating-point logits, got dtype {dtype_name(input.dtype)}.")
    if len(input.shape) == 0 or input.shape[-1] == 0:
        raise ShapeError(f"cross_entropy: expected logits of shape (..., classes), got {tuple(input.shape)}.")
    classes = input.shape[-1]
    if weight is not None and tuple(weight.shape) != (classes,):
        raise ShapeError(f"cross_entropy: expected weight of shape ({classes},), got {tuple(weight.shape)}.")
    probabilities = is_floating(target.dtype)
    expected = tuple(input.shape) if probabilities else tuple(input.shape[:-1])
    if tuple(target.shape) != expected:
        kind, hint = "probabilities" if probabilities else "class indices", ""
        if len(input.shape) > 2 and tuple(target.shape) == (input.shape[0], *input.shape[2:]):
            hint = " This looks like classes in the second axis; use xp.moveaxis(input, 1, -1)."
        elif not probabilities and tuple(target.shape) == (*expected, 1):
            hint = " Drop the last axis, e.g. xp.squeeze(target, axis=-1)."
        raise ShapeError(
            f"cross_entropy: for logits of shape {tuple(input.shape)}, expected {kind} of shape {expected}, got "
            f"{tuple(target.shape)}.{hint}"
        )
    if probabilities:
        check_dtype("cross_entropy", "target", target, input, "input")
    if weight is not None:
        check_dtype("cross_entropy", "weight", weight, input, "input")
    raw = target._data if isinstance(target, Array) else target
    backend = get_backend(raw)
    if not probabilities and backend.on_host and raw.size:
        xp = namespace(raw)
        wrong = ((raw < 0) | (raw >= classes)) & (raw != ignore_index)
        if bool(xp.any(wrong)):
            raw = raw[raw != ignore_index]
            lowest, highest = int(xp.min(raw)), int(xp.max(raw))
            raise IndexError(
                f"cross_entropy: expected class indices from 0 to {classes - 1} for {classes} classes, got some from "
                f"{lowest} to {highest}. Check the labels, or give the last layer more outputs."
            )
