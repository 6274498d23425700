"""Losses for yes-or-no questions, one or many at once."""

from __future__ import annotations

from typing import Any

from ..autodiff.custom import custom_vjp
from ..autodiff.namespace import namespace
from ..checks import number
from .loss_checks import (
    check_alike,
    check_broadcasts,
    check_classes_axis,
    check_labels,
    check_probabilities,
    check_reduction,
    reduce,
)

_LOWEST_LOG = -100.0  # PyTorch's bound, so that a wrong answer given with certainty costs a finite loss
_LOWEST_VARIANCE = 9.999999960041972e-13  # PyTorch's bound of p (1 - p) in the gradient, 1e-12 rounded to float32


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """Return the cross-entropy between probabilities of yes and labels; logarithms are no lower than -100.

    `binary_cross_entropy_with_logits` is more accurate where logits are at hand. With the logarithms bounded, the
    gradient for the target is finite for probabilities of 0 and 1 too, where PyTorch's is infinite.

    Parameters
    ----------
    input
        Probabilities, of any shape.
    target
        Labels from 0 to 1, in the shape and dtype of the input.
    weight
        A factor for each element, of a shape that broadcasts to that of the input.
    reduction
        ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit; values outside [0, 1] are found where arrays live on the host.

    References
    ----------
    .. [1] Bishop, "Pattern Recognition and Machine Learning", 2006, equation 4.90

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.binary_cross_entropy(np.asarray([0.5, 0.0]), np.asarray([1.0, 1.0]), reduction="none").round(4)
    array([  0.6931, 100.    ])
    """
    check_reduction("binary_cross_entropy", reduction)
    check_alike("binary_cross_entropy", input=input, target=target)
    check_broadcasts("binary_cross_entropy", "weight", weight, input)
    check_probabilities(
        "binary_cross_entropy", "input", input, "For logits, take binary_cross_entropy_with_logits; else apply sigmoid."
    )
    check_labels("binary_cross_entropy", target)
    xp = namespace(input, target, weight)
    losses = _bounded_cross_entropy(input, target)
    return reduce(xp, losses if weight is None else losses * weight, reduction)


def _bounded_logs(xp: Any, p: Any) -> tuple[Any, Any]:
    """log p and log(1 - p), both no lower than the bound."""
    lowest = xp.zeros_like(p) + _LOWEST_LOG
    none, all_of_it = p <= 0, p >= 1
    log = xp.where(none, lowest, xp.log(xp.where(none, xp.ones_like(p), p)))
    other = xp.where(all_of_it, lowest, xp.log1p(-xp.where(all_of_it, xp.zeros_like(p), p)))
    return xp.where(log < lowest, lowest, log), xp.where(other < lowest, lowest, other)


@custom_vjp
def _bounded_cross_entropy(p: Any, target: Any) -> Any:
    xp = namespace(p, target)
    log, other = _bounded_logs(xp, p)
    return xp.subtract(xp.multiply(target, other - log), other)


def _bounded_forward(p: Any, target: Any) -> tuple:
    return _bounded_cross_entropy.f(p, target), (p, target)


def _bounded_backward(residuals: tuple, g: Any) -> tuple:
    """The slope does not vanish where the logarithms are bounded: a wrong answer given with certainty is unlearnt."""
    p, target = residuals
    xp = namespace(p, target, g)
    p, target, g = xp.asarray(p), xp.asarray(target), xp.asarray(g)
    variance = p * (1.0 - p)
    lowest = max(_LOWEST_VARIANCE, float(xp.finfo(p.dtype).smallest_normal))
    variance = xp.where(variance < lowest, xp.zeros_like(variance) + lowest, variance)
    log, other = _bounded_logs(xp, p)
    return g * (p - target) / variance, g * (other - log)


_bounded_cross_entropy.defvjp(_bounded_forward, _bounded_backward)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """Return the cross-entropy between the sigmoid of `input` and labels, without overflow.

    Parameters
    ----------
    input
        Logits, of any shape.
    target
        Labels from 0 to 1, in the shape and dtype of the input.
    weight
        A factor for each element, of a shape that broadcasts to that of the input.
    reduction
        ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.
    pos_weight
        A factor for the term of the label 1, of a shape that broadcasts to that of the input: above 1 it favours
        recall, below 1 precision.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit; labels outside [0, 1] are found where arrays live on the host.

    References
    ----------
    .. [1] Bishop, "Pattern Recognition and Machine Learning", 2006, equation 4.90

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x, y = np.asarray([0.0, -1000.0]), np.asarray([1.0, 1.0])
    >>> nnx.functional.binary_cross_entropy_with_logits(x, y, reduction="none").round(4)
    array([6.931e-01, 1.000e+03])
    """
    operation = "binary_cross_entropy_with_logits"
    check_reduction(operation, reduction)
    check_alike(operation, input=input, target=target)
    check_broadcasts(operation, "weight", weight, input)
    check_broadcasts(operation, "pos_weight", pos_weight, input)
    check_labels(operation, target)
    xp = namespace(input, target, weight, pos_weight)
    losses = _with_logits(xp, input, target, pos_weight)
    return reduce(xp, losses if weight is None else losses * weight, reduction)


def _with_logits(xp: Any, input: Any, target: Any, pos_weight: Any = None) -> Any:
    input, target = xp.asarray(input), xp.asarray(target)
    log = xp.special.log_expit(input)
    if pos_weight is None:
        return (1.0 - target) * input - log
    return (1.0 - target) * input - (xp.subtract(pos_weight, 1.0) * target + 1.0) * log


def multilabel_soft_margin_loss(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """Return the binary cross-entropy with logits, averaged over the classes of each sample.

    Parameters
    ----------
    input
        Logits of shape (..., classes).
    target
        Labels from 0 to 1, in the shape and dtype of the input.
    weight
        A factor for each class, of a shape that broadcasts to that of the input.
    reduction
        ``"mean"`` or ``"sum"`` over samples, or ``"none"`` for the losses of shape (...).

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit; labels outside [0, 1] are found where arrays live on the host.

    References
    ----------
    .. [1] Bishop, "Pattern Recognition and Machine Learning", 2006, equation 4.90

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.multilabel_soft_margin_loss(np.zeros((1, 2)), np.asarray([[1.0, 0.0]])).round(4)
    np.float64(0.6931)
    """
    operation = "multilabel_soft_margin_loss"
    check_reduction(operation, reduction)
    check_alike(operation, input=input, target=target)
    check_classes_axis(operation, input)
    check_broadcasts(operation, "weight", weight, input)
    check_labels(operation, target)
    xp = namespace(input, target, weight)
    losses = _with_logits(xp, input, target)
    return reduce(xp, xp.mean(losses if weight is None else losses * weight, axis=-1), reduction)


def focal_loss(input: Any, target: Any, alpha: float | None = 0.25, gamma: float = 2.0, reduction: str = "mean") -> Any:
    """Return the binary cross-entropy with logits, turned down where the answer is right already [1]_.

    Parameters
    ----------
    input
        Logits, of any shape.
    target
        Labels from 0 to 1, in the shape and dtype of the input.
    alpha
        The weight of the label 1, from 0 to 1; label 0 has ``1 - alpha``. None gives both the weight 1.
    gamma
        How strongly easy examples are turned down: the loss of an answer given the probability p is multiplied by
        ``(1 - p) ** gamma``.
    reduction
        ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit; labels outside [0, 1] are found where arrays live on the host.

    References
    ----------
    .. [1] Lin et al., "Focal Loss for Dense Object Detection", arXiv:1708.02002

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.focal_loss(np.asarray([0.0, 5.0]), np.ones(2), reduction="none").round(6)
    array([0.043322, 0.      ])
    """
    alpha, gamma = check_focal("focal_loss", alpha, gamma)
    check_reduction("focal_loss", reduction)
    check_alike("focal_loss", input=input, target=target)
    check_labels("focal_loss", target)
    xp = namespace(input, target)
    input, target = xp.asarray(input), xp.asarray(target)
    losses = _with_logits(xp, input, target)
    if gamma:
        wrong = xp.special.expit(input) * (1.0 - target) + xp.special.expit(-input) * target
        some = wrong > 0  # a power below 1 is infinitely steep at 0, where the loss is 0 too
        factor = xp.where(some, wrong, xp.ones_like(wrong)) ** gamma
        losses = losses * xp.where(some, factor, xp.zeros_like(wrong))
    if alpha is not None:
        losses = losses * (alpha * target + (1.0 - alpha) * (1.0 - target))
    return reduce(xp, losses, reduction)


def check_focal(operation: str, alpha: float | None, gamma: float) -> tuple[float | None, float]:
    """Return the arguments of the focal loss, or raise unless they lie in their ranges."""
    if alpha is not None:
        alpha = number(operation, "alpha", alpha, 0.0, 1.0)
    return alpha, number(operation, "gamma", gamma, 0.0)
