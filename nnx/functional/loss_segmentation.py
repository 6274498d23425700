"""Losses for masks: how little two of them overlap."""

from __future__ import annotations

from typing import Any

from ..autodiff.namespace import namespace
from ..checks import number
from ..errors import ShapeError
from .loss_checks import check_alike, check_labels, check_probabilities, check_reduction, reduce


def dice_loss(input: Any, target: Any, smooth: float = 1.0, reduction: str = "mean") -> Any:
    """Return one minus the Dice coefficient ``(2 sum(x y) + smooth) / (sum(x) + sum(y) + smooth)`` [1]_.

    The sums run over the positions of one sample and one class.

    Parameters
    ----------
    input
        Probabilities of shape (N, ..., classes), as softmax or sigmoid gives them.
    target
        Masks from 0 to 1, in the shape and dtype of the input.
    smooth
        What keeps the fraction defined for empty masks, above 0.
    reduction
        ``"mean"`` or ``"sum"`` over samples and classes, or ``"none"`` for the losses of shape (N, classes).

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit; values outside [0, 1] are found where arrays live on the host.

    References
    ----------
    .. [1] Sudre et al., "Generalised Dice overlap as a deep learning loss function for highly unbalanced
       segmentations", arXiv:1707.03237

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x, y = np.asarray([1.0, 1.0, 0.0, 0.0]), np.asarray([1.0, 0.0, 0.0, 0.0])
    >>> nnx.functional.dice_loss(x.reshape(1, 2, 2, 1), y.reshape(1, 2, 2, 1))
    np.float64(0.25)
    """
    return _overlap("dice_loss", input, target, 0.5, 0.5, smooth, 0.5, reduction)


def tversky_loss(
    input: Any, target: Any, alpha: float = 0.3, beta: float = 0.7, smooth: float = 1.0, reduction: str = "mean"
) -> Any:
    """Return one minus the Tversky index ``(TP + smooth) / (TP + alpha FP + beta FN + smooth)`` [1]_.

    True positives, false positives and false negatives are summed over the positions of one sample and one class.

    Parameters
    ----------
    input
        Probabilities of shape (N, ..., classes), as softmax or sigmoid gives them.
    target
        Masks from 0 to 1, in the shape and dtype of the input.
    alpha, beta
        The weights of false positives and of false negatives, at least 0.
    smooth
        What keeps the fraction defined for empty masks, above 0.
    reduction
        ``"mean"`` or ``"sum"`` over samples and classes, or ``"none"`` for the losses of shape (N, classes).

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit; values outside [0, 1] are found where arrays live on the host.

    References
    ----------
    .. [1] Salehi, Erdogmus and Gholipour, "Tversky loss function for image segmentation using 3D fully convolutional
       deep networks", arXiv:1706.05721

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x, y = np.asarray([1.0, 1.0, 0.0, 0.0]), np.asarray([1.0, 0.0, 0.0, 0.0])
    >>> nnx.functional.tversky_loss(x.reshape(1, 2, 2, 1), y.reshape(1, 2, 2, 1), alpha=0.5, beta=0.5)
    np.float64(0.2)
    """
    return _overlap("tversky_loss", input, target, alpha, beta, smooth, 1.0, reduction)


def check_overlap(operation: str, smooth: float, alpha: float = 0.5, beta: float = 0.5) -> tuple[float, float, float]:
    """Return the arguments of an overlap loss, or raise unless they lie in their ranges."""
    alpha, beta = number(operation, "alpha", alpha, 0.0), number(operation, "beta", beta, 0.0)
    return number(operation, "smooth", smooth, 0.0, above=True), alpha, beta


def _overlap(
    operation: str, input: Any, target: Any, alpha: float, beta: float, smooth: float, share: float, reduction: str
) -> Any:
    smooth, alpha, beta = check_overlap(operation, smooth, alpha, beta)
    check_reduction(operation, reduction)
    check_alike(operation, input=input, target=target)
    if len(input.shape) < 3:
        raise ShapeError(
            f"{operation}: expected input of shape (N, ..., classes) with an axis of positions, got "
            f"{tuple(input.shape)}. For masks of one class, add an axis: xp.expand_dims(input, axis=-1)."
        )
    check_probabilities(operation, "input", input, "Apply softmax or sigmoid first.")
    check_labels(operation, target)
    xp = namespace(input, target)
    input, target = xp.asarray(input), xp.asarray(target)
    axes = tuple(range(1, len(input.shape) - 1))
    both = xp.sum(input * target, axis=axes)
    false_positives = xp.sum(input * (1.0 - target), axis=axes)
    false_negatives = xp.sum((1.0 - input) * target, axis=axes)
    wrong = alpha * false_positives + beta * false_negatives
    return reduce(xp, wrong / (both + wrong + share * smooth), reduction)  # one minus the index, without cancellation
