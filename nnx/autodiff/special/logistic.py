"""Sigmoids, stable exponential sums, entropies, and x log(y) with its conventions at zero."""

from __future__ import annotations

import math
from typing import Any

from nnx.autodiff.special.polynomials import is_double

Axis = int | tuple[int, ...] | None


def _reduced_size(x: Any, axis: Axis) -> int:
    """Number of elements that a reduction of `x` over `axis` takes together."""
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    return math.prod(x.shape[k] for k in axes)


def expit(xp: Any, x: Any) -> Any:
    """Logistic sigmoid, 1 / (1 + exp(-x)).

    Parameters
    ----------
    xp : namespace
        Array API namespace of `x`.
    x : array
        Floating-point array of any shape.

    Returns
    -------
    array
        Same shape and dtype as `x`, within [0, 1]; accurate in the lower tail.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> expit(xp, xp.asarray([-1000.0, 0.0, 2.0]))
    array([0.        , 0.5       , 0.88079708])
    """
    decay = xp.exp(-xp.abs(x))
    return xp.where(x < 0.0, decay, 1.0) / (1.0 + decay)


def logit(xp: Any, x: Any) -> Any:
    """Logarithm of the odds, log(x / (1 - x)), the inverse of `expit`.

    Parameters
    ----------
    xp : namespace
        Array API namespace of `x`.
    x : array
        Probabilities, a floating-point array of any shape.

    Returns
    -------
    array
        Same shape and dtype as `x`; -inf at 0, inf at 1, nan outside [0, 1].

    Notes
    -----
    2 atanh(2x - 1) around 1/2, where 2x - 1 is exact, log(x) - log1p(-x) elsewhere.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> logit(xp, xp.asarray([0.0, 0.5, 0.75]))
    array([      -inf, 0.        , 1.09861229])
    """
    inside = (x > 0.0) & (x < 1.0)
    safe = xp.where(inside, x, 0.5)
    middle = (safe > 0.25) & (safe < 0.75)
    near = 2.0 * xp.atanh(xp.where(middle, 2.0 * safe - 1.0, 0.0))
    value = xp.where(middle, near, xp.log(safe) - xp.log1p(-safe))
    border = xp.where(x == 0.0, -math.inf, xp.where(x == 1.0, xp.full_like(x, math.inf), math.nan))
    return xp.where(inside, value, border)


def log_expit(xp: Any, x: Any) -> Any:
    """Logarithm of the logistic sigmoid.

    Parameters
    ----------
    xp : namespace
        Array API namespace of `x`.
    x : array
        Floating-point array of any shape.

    Returns
    -------
    array
        Same shape and dtype as `x`, never positive.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> log_expit(xp, xp.asarray([-1000.0, 0.0, 40.0]))
    array([-1.00000000e+03, -6.93147181e-01, -4.24835426e-18])
    """
    return xp.minimum(x, 0.0) - xp.log1p(xp.exp(-xp.abs(x)))


def logsumexp(xp: Any, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Logarithm of the sum of exponentials, shifted by the maximum.

    Parameters
    ----------
    xp : namespace
        Array API namespace of `x`.
    x : array
        Floating-point array of any shape.
    axis : int, tuple of int or None, optional
        Axes to reduce; None reduces all.
    keepdims : bool, optional
        Keep the reduced axes with length 1.

    Returns
    -------
    array
        Reduced array of the dtype of `x`; -inf where everything is -inf or nothing is summed, inf where any
        element is inf.

    Notes
    -----
    Error of a few units in the last place of the larger of the maximum and the result (Blanchard, Higham &
    Higham, IMA J. Numer. Anal. 41 (2021) 2311).

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> logsumexp(xp, xp.asarray([[1000.0, 1000.0], [0.0, -xp.inf]]), axis=1)
    array([1000.69314718,    0.        ])
    """
    if _reduced_size(x, axis) == 0:
        # The maximum of nothing does not exist; the sum of nothing has the right shape and is 0.
        return xp.sum(x, axis=axis, keepdims=keepdims) - math.inf
    top = xp.max(x, axis=axis, keepdims=True)
    # Beside an inf or a nan a large shift, so that the finite elements do not overflow.
    shift = xp.where(xp.isfinite(top), top, 1e300 if is_double(xp, x) else 1e38)
    total = xp.sum(xp.exp(x - shift), axis=axis, keepdims=True)
    value = xp.where(total == 0.0, -math.inf, shift + xp.log(xp.where(total == 0.0, 1.0, total)))
    if keepdims:
        return value
    # Of length 1 along every reduced axis, so the sum only drops the axes.
    return xp.sum(value, axis=axis)


def _finite_maximum(xp: Any, x: Any, axis: Axis) -> Any:
    """Maximum along `axis`, nan where it is infinite: subtracting that makes the row nan, as in SciPy."""
    top = xp.max(x, axis=axis, keepdims=True)
    return xp.where(xp.isfinite(top), top, math.nan)


def softmax(xp: Any, x: Any, /, *, axis: Axis = None) -> Any:
    """Exponentials divided by their sum.

    Parameters
    ----------
    xp : namespace
        Array API namespace of `x`.
    x : array
        Floating-point array of any shape.
    axis : int, tuple of int or None, optional
        Axes over which the result sums to 1; None takes all.

    Returns
    -------
    array
        Same shape and dtype as `x`; nan along a row of -inf, or with an inf.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> softmax(xp, xp.asarray([[0.0, 0.0], [1000.0, -xp.inf]]), axis=1)
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    if _reduced_size(x, axis) == 0:
        return xp.exp(x)
    weights = xp.exp(x - _finite_maximum(xp, x, axis))
    return weights / xp.sum(weights, axis=axis, keepdims=True)


def log_softmax(xp: Any, x: Any, /, *, axis: Axis = None) -> Any:
    """Logarithm of `softmax`.

    Parameters
    ----------
    xp : namespace
        Array API namespace of `x`.
    x : array
        Floating-point array of any shape.
    axis : int, tuple of int or None, optional
        Axes over which the exponential of the result sums to 1; None takes all.

    Returns
    -------
    array
        Same shape and dtype as `x`; nan along a row of -inf, or with an inf.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> log_softmax(xp, xp.asarray([0.0, 0.0, -1000.0]))
    array([-6.93147181e-01, -6.93147181e-01, -1.00069315e+03])
    """
    if _reduced_size(x, axis) == 0:
        return xp.exp(x)
    shifted = x - _finite_maximum(xp, x, axis)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


def _times_logarithm(xp: Any, x: Any, inside: Any, pole: Any, logarithm: Any) -> Any:
    """x times a logarithm that holds `inside`, is -inf at its pole and nan elsewhere."""
    value = xp.where(inside, logarithm, xp.where(pole, -math.inf, xp.full_like(logarithm, math.nan)))
    # Infinity times 0 is nan as well, but would warn.
    value = xp.where((value == 0.0) & (xp.abs(x) == math.inf), math.nan, value)
    return x * value


def xlogy(xp: Any, x1: Any, x2: Any) -> Any:
    """x1 log(x2), and 0 where `x1` is 0 and `x2` is not nan.

    Parameters
    ----------
    xp : namespace
        Array API namespace of the arguments.
    x1, x2 : array
        Floating-point arrays of one dtype that broadcast against each other.

    Returns
    -------
    array
        Of the broadcast shape.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> xlogy(xp, xp.asarray([0.0, 2.0]), xp.asarray([0.0, 0.5]))
    array([ 0.        , -1.38629436])
    """
    zero = (x1 == 0.0) & ~xp.isnan(x2)
    inside = (x2 > 0.0) | zero
    logarithm = xp.log(xp.where((x2 > 0.0) & ~zero, x2, 1.0))
    return _times_logarithm(xp, x1, inside, x2 == 0.0, logarithm)


def xlog1py(xp: Any, x1: Any, x2: Any) -> Any:
    """x1 log(1 + x2), and 0 where `x1` is 0 and `x2` is not nan.

    Parameters
    ----------
    xp : namespace
        Array API namespace of the arguments.
    x1, x2 : array
        Floating-point arrays of one dtype that broadcast against each other.

    Returns
    -------
    array
        Of the broadcast shape.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> xlog1py(xp, xp.asarray([0.0, 2.0]), xp.asarray([-1.0, 1e-20]))
    array([0.e+00, 2.e-20])
    """
    zero = (x1 == 0.0) & ~xp.isnan(x2)
    inside = (x2 > -1.0) | zero
    logarithm = xp.log1p(xp.where((x2 > -1.0) & ~zero, x2, 0.0))
    return _times_logarithm(xp, x1, inside, x2 == -1.0, logarithm)


def entr(xp: Any, x: Any) -> Any:
    """Summand of the entropy, -x log(x).

    Parameters
    ----------
    xp : namespace
        Array API namespace of `x`.
    x : array
        Floating-point array of any shape.

    Returns
    -------
    array
        Same shape and dtype as `x`; 0 at 0, -inf for negative `x`.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> entr(xp, xp.asarray([0.0, 0.5, -1.0]))
    array([0.        , 0.34657359,       -inf])
    """
    # At and above the largest number over 800 the product would overflow.
    overflow = 2.5e305 if is_double(xp, x) else 3.9e36
    inside = (x > 0.0) & (x < overflow)
    safe = xp.where(inside, x, 1.0)
    value = xp.where(inside, -safe * xp.log(safe), -math.inf)
    return xp.where(x == 0.0, 0.0, xp.where(xp.isnan(x), math.nan, value))


def rel_entr(xp: Any, x: Any, y: Any) -> Any:
    """Summand of the relative entropy, x log(x / y).

    Parameters
    ----------
    xp : namespace
        Array API namespace of the arguments.
    x, y : array
        Floating-point arrays of one dtype that broadcast against each other.

    Returns
    -------
    array
        Of the broadcast shape; 0 where `x` is 0 and y >= 0, inf where either is negative or only `y` is 0.

    Notes
    -----
    log1p((x - y)/y) for a ratio near 1, the logarithm of the ratio elsewhere, the difference of the
    logarithms where the ratio would leave the range of the dtype.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> rel_entr(xp, xp.asarray([0.0, 1.0, 1.0]), xp.asarray([1.0, 0.5, 0.0]))
    array([0.        , 0.69314718,        inf])
    """
    smallest, largest = (1e-300, 1e300) if is_double(xp, x) else (1e-35, 1e35)
    inside = (x > 0.0) & (y > 0.0) & (x < math.inf) & (y < math.inf)
    p, q = xp.where(inside, x, 1.0), xp.where(inside, y, 1.0)
    plain = (p < largest * xp.minimum(q, 1.0)) & (p > smallest * xp.maximum(q, 1.0))
    r, s = xp.where(plain, p, 1.0), xp.where(plain, q, 1.0)
    near = (r > 0.5 * s) & (0.5 * r < s)
    logarithm = xp.where(near, xp.log1p(xp.where(near, r - s, 0.0) / s), xp.log(xp.where(near, 1.0, r / s)))
    logarithm = xp.where(plain, logarithm, xp.log(p) - xp.log(q))
    outside = xp.where((x == 0.0) & (y >= 0.0), xp.zeros_like(logarithm), math.inf)
    outside = xp.where((x > 0.0) & (x < math.inf) & (y == math.inf), -math.inf, outside)
    outside = xp.where(xp.isnan(x) | xp.isnan(y) | ((x == math.inf) & (y == math.inf)), math.nan, outside)
    return xp.where(inside, p * logarithm, outside)


def kl_div(xp: Any, x: Any, y: Any) -> Any:
    """Summand of the Kullback-Leibler divergence, x log(x / y) - x + y.

    Parameters
    ----------
    xp : namespace
        Array API namespace of the arguments.
    x, y : array
        Floating-point arrays of one dtype that broadcast against each other.

    Returns
    -------
    array
        Of the broadcast shape; `y` where `x` is 0 and y >= 0, inf where either is negative or only `y` is 0.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> kl_div(xp, xp.asarray([0.0, 1.0, 1.0]), xp.asarray([1.0, 0.5, 0.0]))
    array([1.        , 0.19314718,        inf])
    """
    infinite = ((x == math.inf) & (y > 0.0)) | ((y == math.inf) & (x > 0.0))
    p, q = xp.where(x == math.inf, 1.0, x), xp.where(infinite, 1.0, y)
    # A negative y has an infinite relative entropy, which must not meet an infinite y of the other sign.
    return xp.where(infinite, math.nan, rel_entr(xp, p, q) - p + xp.maximum(q, 0.0))


def sinc(xp: Any, x: Any) -> Any:
    """sin(pi x) / (pi x), and 1 at 0.

    Parameters
    ----------
    xp : namespace
        Array API namespace of `x`.
    x : array
        Floating-point array of any shape.

    Returns
    -------
    array
        Same shape and dtype as `x`; exactly 0 at the other integers, nan at ±inf.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> sinc(xp, xp.asarray([0.0, 0.5, 2.0]))
    array([1.        , 0.63661977, 0.        ])
    """
    finite = xp.isfinite(x)
    size = xp.where(finite, xp.abs(x), 0.0)
    nearest = xp.round(size)
    # sin(pi x) keeps its relative accuracy if the whole turns are taken off before the multiplication.
    sine = xp.sin(math.pi * (size - nearest)) * (1.0 - 2.0 * xp.remainder(nearest, xp.full_like(x, 2.0)))
    zero = size == 0.0
    value = xp.where(zero, 1.0, sine / math.pi / xp.where(zero, 1.0, size))
    return xp.where(finite, value, math.nan)
