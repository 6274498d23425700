"""Losses of embeddings and ranks: what belongs together should be close, the rest apart."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..autodiff.namespace import namespace
from ..checks import boolean, number
from ..errors import ShapeError
from .checks import check_array
from .loss_checks import as_signs, check_alike, check_reduction, check_shape, clamp_min, reduce

_EPS = 9.999999960041972e-13  # PyTorch's 1e-12, rounded to float32: vectors of zeros have the cosine 0


def cosine_embedding_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    """Return one minus the cosine of pairs that are alike, and ``max(0, cosine - margin)`` for the others.

    Parameters
    ----------
    input1, input2
        Vectors of shape (..., features) and of one dtype.
    target
        1 for pairs that are alike and -1 for the others, of shape (...); integers, or the dtype of the inputs.
    margin
        The cosine that is small enough, from -1 to 1.
    reduction
        ``"mean"`` or ``"sum"`` over pairs, or ``"none"``.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit; other labels are found where arrays live on the host.

    References
    ----------
    .. [1] Chopra, Hadsell and LeCun, "Learning a Similarity Metric Discriminatively", CVPR 2005

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x, y = np.asarray([[1.0, 0.0], [1.0, 0.0]]), np.asarray([[0.0, 2.0], [3.0, 0.0]])
    >>> nnx.functional.cosine_embedding_loss(x, y, np.asarray([1, -1]), reduction="none").round(4)
    array([1., 1.])
    """
    margin = number("cosine_embedding_loss", "margin", margin, -1.0, 1.0)
    check_reduction("cosine_embedding_loss", reduction)
    check_alike("cosine_embedding_loss", input1=input1, input2=input2)
    check_array("cosine_embedding_loss", "target", target)
    if len(input1.shape) == 0 or tuple(target.shape) != tuple(input1.shape[:-1]):
        raise ShapeError(
            f"cosine_embedding_loss: for inputs of shape (..., features), expected target of shape (...), got "
            f"{tuple(input1.shape)} and {tuple(target.shape)}. Give one label for each pair of vectors."
        )
    xp = namespace(input1, input2, target)
    target = as_signs("cosine_embedding_loss", xp, target, input1)
    input1, input2 = xp.asarray(input1), xp.asarray(input2)
    eps = max(_EPS, float(xp.finfo(input1.dtype).smallest_normal))
    squares1, squares2 = xp.sum(input1 * input1, axis=-1) + eps, xp.sum(input2 * input2, axis=-1) + eps
    cosine = xp.sum(input1 * input2, axis=-1) / (xp.sqrt(squares1) * xp.sqrt(squares2))
    return reduce(xp, xp.where(target > 0, 1.0 - cosine, clamp_min(xp, cosine - margin)), reduction)


def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    """Return ``max(0, margin - target * (input1 - input2))``: who should rank higher, and by how much [1]_.

    Parameters
    ----------
    input1, input2
        Scores, of one shape and dtype.
    target
        1 where the first should be larger and -1 where the second should, in their shape; integers, or their dtype.
    margin
        The lead that suffices, at least 0.
    reduction
        ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit; other labels are found where arrays live on the host.

    References
    ----------
    .. [1] Joachims, "Optimizing Search Engines using Clickthrough Data", KDD 2002

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.margin_ranking_loss(np.asarray([1.0]), np.asarray([3.0]), np.asarray([1]))
    np.float64(2.0)
    """
    margin = number("margin_ranking_loss", "margin", margin, 0.0)
    check_reduction("margin_ranking_loss", reduction)
    check_alike("margin_ranking_loss", input1=input1, input2=input2)
    check_array("margin_ranking_loss", "target", target)
    check_shape("margin_ranking_loss", "input1", input1, "target", target)
    xp = namespace(input1, input2, target)
    target = as_signs("margin_ranking_loss", xp, target, input1)
    return reduce(xp, clamp_min(xp, margin - target * xp.subtract(input1, input2)), reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """Return how far an anchor is from being closer, by a margin, to its like than to its unlike [1]_.

    Parameters
    ----------
    anchor, positive, negative
        Vectors of shape (..., features), of one shape and dtype.
    margin
        The difference of distances that suffices, above 0.
    p
        The norm of the distances, above 0; infinity takes the largest difference.
    eps
        What is added to each difference, so that no distance is 0.
    swap
        Whether the distance of the positive to the negative counts too, where it is the smaller one [1]_.
    reduction
        ``"mean"`` or ``"sum"`` over triplets, or ``"none"``.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit.

    References
    ----------
    .. [1] Balntas et al., "Learning local feature descriptors with triplets and shallow convolutional neural networks",
       BMVC 2016

    Examples
    --------
    >>> import numpy as np, nnx
    >>> a, b, c = np.asarray([[0.0]]), np.asarray([[3.0]]), np.asarray([[2.0]])
    >>> round(float(nnx.functional.triplet_margin_loss(a, b, c)), 4)
    2.0
    """
    p = number("triplet_margin_loss", "p", p, 0.0, above=True, infinite=True)
    eps = number("triplet_margin_loss", "eps", eps, 0.0)
    distance = functools.partial(_distance, p=p, eps=eps)
    return _triplet("triplet_margin_loss", anchor, positive, negative, distance, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """Return `triplet_margin_loss` under a distance of your own [1]_.

    Parameters
    ----------
    anchor, positive, negative
        Arrays of one shape and dtype.
    distance_function
        A function of two of them that returns their distances; by default the Euclidean ones of vectors in the last
        axis, with 1e-6 added to each difference.
    margin
        The difference of distances that suffices, above 0.
    swap
        Whether the distance of the positive to the negative counts too, where it is the smaller one.
    reduction
        ``"mean"`` or ``"sum"`` over triplets, or ``"none"``.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit.

    References
    ----------
    .. [1] Schroff, Kalenichenko and Philbin, "FaceNet: A Unified Embedding for Face Recognition and Clustering",
       arXiv:1503.03832

    Examples
    --------
    >>> import numpy as np, nnx
    >>> a, b, c = np.asarray([[0.0]]), np.asarray([[3.0]]), np.asarray([[2.0]])
    >>> def distance(x, y):
    ...     return nnx.namespace(x, y).sum((x - y) ** 2, axis=-1)
    >>> float(nnx.functional.triplet_margin_with_distance_loss(a, b, c, distance_function=distance))
    6.0
    """
    operation = "triplet_margin_with_distance_loss"
    check_distance(operation, distance_function)
    distance = _distance if distance_function is None else distance_function
    return _triplet(operation, anchor, positive, negative, distance, margin, swap, reduction)


def check_distance(operation: str, distance_function: Any) -> None:
    """Raise unless a distance is a function, or None."""
    if distance_function is not None and not callable(distance_function):
        raise TypeError(
            f"{operation}: expected distance_function to be a function of two arrays, or None, got "
            f"{distance_function!r}; pass such as lambda x, y: nnx.namespace(x, y).sum(abs(x - y), axis=-1)."
        )


def _distance(a: Any, b: Any, p: float = 2.0, eps: float = 1e-6) -> Any:
    xp = namespace(a, b)
    return xp.linalg.vector_norm(xp.subtract(a, b) + eps, axis=-1, ord=p)


def _measured(operation: str, distance: Callable, a: Any, b: Any) -> Any:
    found = distance(a, b)
    if not hasattr(found, "dtype"):
        raise TypeError(
            f"{operation}: expected distance_function to return an array of distances, got {type(found).__name__}. "
            "Compute it with the functions of nnx.namespace(x, y), without float() or .item()."
        )
    return found


def _triplet(
    operation: str,
    anchor: Any,
    positive: Any,
    negative: Any,
    distance: Callable,
    margin: float,
    swap: bool,
    reduction: str,
) -> Any:
    margin = number(operation, "margin", margin, 0.0, above=True)
    boolean(operation, "swap", swap)
    check_reduction(operation, reduction)
    check_alike(operation, anchor=anchor, positive=positive, negative=negative)
    if len(anchor.shape) == 0:
        raise ShapeError(f"{operation}: expected vectors of shape (..., features), got (). Add an axis of features.")
    xp = namespace(anchor, positive, negative)
    anchor, positive, negative = xp.asarray(anchor), xp.asarray(positive), xp.asarray(negative)
    near, far = _measured(operation, distance, anchor, positive), _measured(operation, distance, anchor, negative)
    if swap:
        far = xp.minimum(far, _measured(operation, distance, positive, negative))
    return reduce(xp, clamp_min(xp, margin + near - far), reduction)
