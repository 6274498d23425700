"""Losses of scores that should be right by a margin."""

from __future__ import annotations

from typing import Any

from ..autodiff.namespace import namespace
from ..checks import number
from ..dtypes import dtype_name, is_floating
from ..errors import DTypeError, ShapeError
from .checks import check_array, namespace_of
from .loss_checks import (
    as_indices,
    as_signs,
    check_classes,
    check_classes_axis,
    check_floating,
    check_indices,
    check_reduction,
    check_shape,
    clamp_min,
    on_host,
    reduce,
)


def _signed(operation: str, input: Any, target: Any, reduction: str) -> tuple[Any, Any, Any]:
    """Check a loss of scores and signs; return the namespace and both arrays."""
    check_reduction(operation, reduction)
    check_array(operation, "input", input)
    check_array(operation, "target", target)
    check_floating(operation, "input", input)
    check_shape(operation, "input", input, "target", target)
    xp = namespace(input, target)
    return xp, xp.asarray(input), as_signs(operation, xp, target, input)


def hinge_loss(input: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    """Return ``max(0, margin - target * input)``, the loss of support vector machines [1]_.

    Parameters
    ----------
    input
        Scores, of any shape.
    target
        Labels -1 and 1, in the shape of the input; integers, or its dtype.
    margin
        The score that suffices, at least 0.
    reduction
        ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit; other labels are found where arrays live on the host.

    References
    ----------
    .. [1] Cortes and Vapnik, "Support-Vector Networks", Machine Learning 20, 1995

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.hinge_loss(np.asarray([0.5, 0.5]), np.asarray([1, -1]), reduction="none")
    array([0.5, 1.5])
    """
    margin = number("hinge_loss", "margin", margin, 0.0)
    xp, input, target = _signed("hinge_loss", input, target, reduction)
    return reduce(xp, clamp_min(xp, margin - target * input), reduction)


def squared_hinge_loss(input: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    """Return ``max(0, margin - target * input) ** 2`` [1]_.

    Parameters
    ----------
    input
        Scores, of any shape.
    target
        Labels -1 and 1, in the shape of the input; integers, or its dtype.
    margin
        The score that suffices, at least 0.
    reduction
        ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit; other labels are found where arrays live on the host.

    References
    ----------
    .. [1] Tang, "Deep Learning using Linear Support Vector Machines", arXiv:1306.0239

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.squared_hinge_loss(np.asarray([0.5, 0.5]), np.asarray([1, -1]), reduction="none")
    array([0.25, 2.25])
    """
    margin = number("squared_hinge_loss", "margin", margin, 0.0)
    xp, input, target = _signed("squared_hinge_loss", input, target, reduction)
    missing = clamp_min(xp, margin - target * input)
    return reduce(xp, missing * missing, reduction)


def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Return ``log(1 + exp(-target * input))``, the logistic loss, without overflow [1]_.

    Parameters
    ----------
    input
        Scores, of any shape.
    target
        Labels -1 and 1, in the shape of the input; integers, or its dtype.
    reduction
        ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit; other labels are found where arrays live on the host.

    References
    ----------
    .. [1] Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", 2009, section 10.5

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.soft_margin_loss(np.asarray([0.0, 1000.0]), np.asarray([1, -1]), reduction="none").round(4)
    array([6.931e-01, 1.000e+03])
    """
    xp, input, target = _signed("soft_margin_loss", input, target, reduction)
    return reduce(xp, -xp.special.log_expit(target * input), reduction)


def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    """Return the distances of pairs that are alike, and ``max(0, margin - distance)`` for the others [1]_.

    Parameters
    ----------
    input
        Distances, of any shape.
    target
        1 for pairs that are alike and -1 for the others, in the shape of the input; integers, or its dtype.
    margin
        The distance that suffices, at least 0.
    reduction
        ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit; other labels are found where arrays live on the host.

    References
    ----------
    .. [1] Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", CVPR 2006

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.hinge_embedding_loss(np.asarray([0.25, 0.25]), np.asarray([1, -1]), reduction="none")
    array([0.25, 0.75])
    """
    margin = number("hinge_embedding_loss", "margin", margin, 0.0)
    xp, input, target = _signed("hinge_embedding_loss", input, target, reduction)
    return reduce(xp, xp.where(target > 0, input, clamp_min(xp, margin - input)), reduction)


def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Any:
    """Return how far other classes come within a margin of the right one: the multi-class hinge loss [1]_.

    Parameters
    ----------
    input
        Scores of shape (..., classes).
    target
        Class indices of shape (...).
    p
        The power of each shortfall, 1 or 2; the loss of a sample is their sum over the number of classes.
    margin
        By how much the right class should lead, at least 0.
    weight
        A factor for each class, of shape (classes,).
    reduction
        ``"mean"`` or ``"sum"`` over samples, or ``"none"``.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit. Class indices outside [0, classes) raise IndexError where arrays live on the host.

    References
    ----------
    .. [1] Crammer and Singer, "On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines", JMLR 2001

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.multi_margin_loss(np.asarray([[1.0, 0.5]]), np.asarray([0]))
    np.float64(0.25)
    """
    check_power("multi_margin_loss", p)
    margin = number("multi_margin_loss", "margin", margin, 0.0)
    check_reduction("multi_margin_loss", reduction)
    check_array("multi_margin_loss", "target", target)
    xp = namespace_of("multi_margin_loss", input=input, target=target, weight=weight)
    if is_floating(target.dtype):
        raise DTypeError(
            f"multi_margin_loss: expected integer class indices as target, got dtype {dtype_name(target.dtype)}. Cast "
            "them, e.g. xp.astype(target, xp.int64)."
        )
    input, target = xp.asarray(input), as_indices("multi_margin_loss", xp, xp.asarray(target))
    check_classes("multi_margin_loss", input, target, weight)
    classes = input.shape[-1]
    check_indices("multi_margin_loss", target, classes)
    index = xp.expand_dims(target, axis=-1)
    right = xp.take_along_axis(input, index, axis=-1)
    missing = clamp_min(xp, margin - right + input)
    missing = xp.where(_class_numbers(xp, target, classes) == index, xp.zeros_like(missing), missing)
    if p == 2:
        missing = missing * missing
    losses = xp.sum(missing, axis=-1) / classes
    if weight is not None:
        losses = losses * xp.reshape(xp.take(weight, xp.reshape(target, (-1,)), axis=0), target.shape)
    return reduce(xp, losses, reduction)


def check_power(operation: str, p: int) -> None:
    """Raise unless `p` is 1 or 2."""
    if isinstance(p, bool) or p not in (1, 2):
        raise ValueError(f"{operation}: expected p=1 or p=2, got {p!r}.")


def multilabel_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Return how far classes that are absent come within 1 of those that are present.

    The memory grows with the square of the number of classes.

    Parameters
    ----------
    input
        Scores of shape (..., classes).
    target
        The indices of the classes that are present, in the shape of the input; those from the first -1 on do not count.
    reduction
        ``"mean"`` or ``"sum"`` over samples, or ``"none"``.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit. Indices outside [-1, classes) raise IndexError where arrays live on the host.

    References
    ----------
    .. [1] Elisseeff and Weston, "A kernel method for multi-labelled classification", NIPS 2001

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.asarray([[0.1, 0.2, 0.4, 0.8]])
    >>> round(float(nnx.functional.multilabel_margin_loss(x, np.asarray([[3, 0, -1, 1]]))), 4)
    0.85
    """
    operation = "multilabel_margin_loss"
    check_reduction(operation, reduction)
    check_array(operation, "input", input)
    check_array(operation, "target", target)
    check_floating(operation, "input", input)
    check_classes_axis(operation, input)
    if tuple(input.shape) != tuple(target.shape):
        raise ShapeError(
            f"{operation}: expected target of shape {tuple(input.shape)}, that of the input, got "
            f"{tuple(target.shape)}. Fill the list of indices up with -1."
        )
    if is_floating(target.dtype):
        raise DTypeError(
            f"{operation}: expected integer class indices as target, got dtype {dtype_name(target.dtype)}. For labels "
            "0 and 1, take multilabel_soft_margin_loss."
        )
    xp = namespace(input, target)
    input, target = xp.asarray(input), as_indices(operation, xp, xp.asarray(target))
    classes = input.shape[-1]
    _check_padded(operation, target, classes)
    ended = xp.cumulative_sum(xp.astype(target < 0, xp.int64), axis=-1)
    listed = ended == 0
    index = xp.where(listed, target, xp.zeros_like(target))
    right = xp.take_along_axis(input, index, axis=-1)
    numbers = _class_numbers(xp, target, classes)
    hits = (xp.expand_dims(index, axis=-1) == numbers) & xp.expand_dims(listed, axis=-1)  # (..., position, class)
    absent = ~xp.any(hits, axis=-2, keepdims=True)
    missing = clamp_min(xp, 1.0 - xp.expand_dims(right, axis=-1) + xp.expand_dims(input, axis=-2))
    pairs = xp.expand_dims(listed, axis=-1) & absent
    losses = xp.sum(xp.where(pairs, missing, xp.zeros_like(missing)), axis=(-2, -1)) / classes
    return reduce(xp, losses, reduction)


def _class_numbers(xp: Any, target: Any, classes: int) -> Any:
    return xp.arange(classes, dtype=target.dtype, device=target.device)


def _check_padded(operation: str, target: Any, classes: int) -> None:
    raw = on_host(target)
    if raw is None:
        return
    xp = namespace(raw)
    lowest, highest = int(xp.min(raw)), int(xp.max(raw))
    if lowest < -1 or highest >= classes:
        raise IndexError(
            f"{operation}: expected class indices from 0 to {classes - 1}, and -1 after the last, got some from "
            f"{lowest} to {highest}. Check the labels, or give the last layer more outputs."
        )
