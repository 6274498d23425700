"""Losses for regression; `mse_loss` stands in `loss`."""

from __future__ import annotations

import math
from typing import Any

from ..autodiff.namespace import namespace
from ..checks import number
from .loss_checks import check_alike, check_reduction, reduce, weighted


def l1_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """Return the absolute difference of `input` and `target`.

    Parameters
    ----------
    input, target
        Arrays of one shape and dtype.
    reduction
        ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.
    weight
        A weight for each element, in the shape of the input; the mean is then the weighted one.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit.

    References
    ----------
    .. [1] Bishop, "Pattern Recognition and Machine Learning", 2006, section 1.5.5

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.l1_loss(np.asarray([1.0, 3.0]), np.asarray([2.0, 0.0]))
    np.float64(2.0)
    """
    check_reduction("l1_loss", reduction)
    check_alike("l1_loss", input=input, target=target, weight=weight)
    xp = namespace(input, target, weight)
    return weighted(xp, xp.abs(xp.subtract(input, target)), weight, reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Return the absolute difference, rounded off to a parabola where it is below `beta` [1]_.

    Parameters
    ----------
    input, target
        Arrays of one shape and dtype.
    reduction
        ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.
    beta
        Where the parabola ends; 0 gives `l1_loss`.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit.

    References
    ----------
    .. [1] Girshick, "Fast R-CNN", arXiv:1504.08083

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.smooth_l1_loss(np.asarray([0.5, 3.0]), np.zeros(2), reduction="none")
    array([0.125, 2.5  ])
    """
    beta = number("smooth_l1_loss", "beta", beta, 0.0)
    check_reduction("smooth_l1_loss", reduction)
    check_alike("smooth_l1_loss", input=input, target=target)
    xp = namespace(input, target)
    difference = xp.subtract(input, target)
    size = xp.abs(difference)
    if beta == 0:
        return reduce(xp, size, reduction)
    inside = size < beta
    inner = xp.where(inside, difference, xp.zeros_like(size))  # squares of large differences may overflow
    return reduce(xp, xp.where(inside, inner * inner * (0.5 / beta), size - 0.5 * beta), reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    """Return half the squared difference where it is below `delta`, and a line of slope `delta` beyond [1]_.

    Parameters
    ----------
    input, target
        Arrays of one shape and dtype.
    reduction
        ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.
    delta
        Where the parabola ends, above 0.
    weight
        A factor for each element, in the shape of the input; the mean is over the number of elements, as in PyTorch.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit.

    References
    ----------
    .. [1] Huber, "Robust Estimation of a Location Parameter", Annals of Mathematical Statistics 35, 1964

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.huber_loss(np.asarray([0.5, 3.0]), np.zeros(2), reduction="none", delta=2.0)
    array([0.125, 4.   ])
    """
    delta = number("huber_loss", "delta", delta, 0.0, above=True)
    check_reduction("huber_loss", reduction)
    check_alike("huber_loss", input=input, target=target, weight=weight)
    xp = namespace(input, target, weight)
    difference = xp.subtract(input, target)
    size = xp.abs(difference)
    inside = size <= delta
    inner = xp.where(inside, difference, xp.zeros_like(size))
    losses = xp.where(inside, 0.5 * inner * inner, delta * (size - 0.5 * delta))
    return reduce(xp, losses if weight is None else losses * weight, reduction)


def quantile_loss(input: Any, target: Any, quantile: float = 0.5, reduction: str = "mean") -> Any:
    """Return the pinball loss, which the given quantile of the target minimises [1]_.

    Parameters
    ----------
    input, target
        Arrays of one shape and dtype.
    quantile
        Between 0 and 1. A target above the input costs `quantile` times the difference, one below it
        ``1 - quantile`` times.
    reduction
        ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit.

    References
    ----------
    .. [1] Koenker and Bassett, "Regression Quantiles", Econometrica 46, 1978

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.quantile_loss(np.zeros(2), np.asarray([1.0, -1.0]), 0.75, reduction="none")
    array([0.75, 0.25])
    """
    quantile = number("quantile_loss", "quantile", quantile, 0.0, 1.0, above=True, below=True)
    check_reduction("quantile_loss", reduction)
    check_alike("quantile_loss", input=input, target=target)
    xp = namespace(input, target)
    above = xp.subtract(target, input)
    return reduce(xp, xp.where(above < 0, (quantile - 1.0) * above, quantile * above), reduction)


def log_cosh_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Return the logarithm of the hyperbolic cosine of the difference [1]_.

    It is half the square of small differences, and the size of large ones less log 2.

    Parameters
    ----------
    input, target
        Arrays of one shape and dtype.
    reduction
        ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit.

    References
    ----------
    .. [1] Saleh and Saleh, "Statistical Properties of the log-cosh Loss Function Used in Machine Learning",
       arXiv:2208.04564

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.log_cosh_loss(np.asarray([0.0, 1000.0]), np.zeros(2), reduction="none").round(4)
    array([  0.    , 999.3069])
    """
    check_reduction("log_cosh_loss", reduction)
    check_alike("log_cosh_loss", input=input, target=target)
    xp = namespace(input, target)
    difference = xp.subtract(input, target)
    # cosh(d) = e^|d| (1 + e^-2|d|) / 2, whose logarithm never overflows. Where the sign turns either half is smooth, so
    # that `where` has the right derivatives of every order there, which `abs` has not.
    size = xp.where(difference < 0, -difference, difference)
    return reduce(xp, size - xp.special.log_expit(2.0 * size) - math.log(2.0), reduction)
