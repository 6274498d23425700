"""The gamma function, its logarithm, and what is built on that: gamma, gammaln, betaln, multigammaln.

`gammaln` is (x - 1)(x - 2) R(x) up to 8, exact in its two zeros, and Stirling's series above; Euler's
reflection gives the negative axis.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from nnx.autodiff.special.polynomials import Rational, horner, is_double, rational

_HALF_LOG_TAU = 0.5 * math.log(2.0 * math.pi)
_LOG_PI = math.log(math.pi)

# log(gamma(x)) / ((x - 1)(x - 2)), minimax fit on 0.5 <= x <= 8: relative error 2.5e-17.
_LGAMMA_DOUBLE: Rational = (
    (
        2.799562176114649, 132.42722872566168, 1393.2669981032127, 5222.534499427538, 8344.256062406213,
        6121.477341000105, 2110.938373914224, 334.5661304261736, 22.50581914629731, 0.5352051087374777,
        0.0028010667582894716,
    ),
    (
        1.0, 76.200117017285, 1145.7904652833215, 5902.737700171246, 12828.458218902375,
        12972.461820459732, 6387.459144649243, 1537.0829996085324, 173.98249128374334,
        8.412694883849282, 0.14089182246016116, 0.00046944531616270846,
    ),
)  # fmt: skip
# The same: relative error 8.8e-9.
_LGAMMA_SINGLE: Rational = (
    (
        2.15408921, 20.206295, 31.5355701, 10.7425613, 0.705474019, 0.00221046782,
    ),
    (
        1.0, 18.7161503, 52.4549255, 34.8646088, 5.9715519, 0.202095419,
    ),
)  # fmt: skip

# Bernoulli numbers B(2), B(4), ...; the series of Stirling divides them by 2k(2k - 1).
_BERNOULLI = "1/6 -1/30 1/42 -1/30 5/66 -691/2730 7/6 -3617/510 43867/798 -174611/330"
BERNOULLI = tuple(float(Fraction(number)) for number in _BERNOULLI.split())
_STIRLING = tuple(number / (2 * k * (2 * k - 1)) for k, number in enumerate(BERNOULLI, start=1))

# From here on every float64 is an integer.
_INTEGRAL = 2.0**53

# Where the functions leave the range of the dtype, float64 and float32.
_GAMMALN_LARGEST = (2.5599e305, 4.0850e36)
_GAMMA_LARGEST = (171.6243769563027, 35.0400981)


def _stirling_correction(xp: Any, x: Any) -> Any:
    """log(gamma(x)) minus (x - 1/2) log(x) - x + log(2 pi)/2, for x >= 8."""
    inverse = 1.0 / x
    return inverse * horner(inverse * inverse, _STIRLING[:9] if is_double(xp, x) else _STIRLING[:3])


def fraction(xp: Any, size: Any) -> Any:
    """size - floor(size) of a non-negative array, 0 where it is infinite or too large to have a fraction."""
    bounded = xp.minimum(size, _INTEGRAL)
    return bounded - xp.floor(bounded)


def _sine_pi(xp: Any, size: Any) -> Any:
    """|sin(pi x)| of a non-negative array, exact in its zeros."""
    part = fraction(xp, size)
    return xp.sin(math.pi * xp.minimum(part, 1.0 - part))


def _small_gammaln(xp: Any, x: Any) -> Any:
    """log(gamma(x)) for 0.5 <= x <= 8, any finite value elsewhere."""
    x = xp.minimum(x, 8.0)
    return (1.0 - x) * (2.0 - x) * rational(x, _LGAMMA_DOUBLE if is_double(xp, x) else _LGAMMA_SINGLE)


def _small_gamma(xp: Any, x: Any) -> Any:
    """gamma(x) for 0.5 <= x <= 8, exact at the integers; any finite value elsewhere."""
    x = xp.minimum(x, 8.0)
    product = xp.ones_like(x)
    for _ in range(6):
        above = x >= 2.0
        x = xp.where(above, x - 1.0, x)
        product = xp.where(above, product * x, product)
    return product * xp.exp(_small_gammaln(xp, x))


def _positive_gammaln(xp: Any, x: Any) -> Any:
    """log(gamma(x)) for x >= 0.5."""
    largest = _GAMMALN_LARGEST[0 if is_double(xp, x) else 1]
    z = xp.minimum(xp.maximum(x, 8.0), largest)
    logarithm = xp.log(z)
    stirling = z * (logarithm - 1.0) - 0.5 * logarithm + (_HALF_LOG_TAU + _stirling_correction(xp, z))
    return xp.where(x < 8.0, _small_gammaln(xp, x), xp.where(x > largest, math.inf, stirling))


def gammaln(xp: Any, x: Any) -> Any:
    """Logarithm of the absolute value of the gamma function.

    Parameters
    ----------
    xp : namespace
        Array API namespace of `x`.
    x : array
        Floating-point array of any shape.

    Returns
    -------
    array
        Same shape and dtype as `x`; inf at 0, at the negative integers and at ±inf.

    Notes
    -----
    A rational minimax fit up to 8, Stirling's series above (Abramowitz & Stegun 6.1.41), one step of the
    recurrence below 1/2, reflection (6.1.17) for negative x. Relative accuracy near the zeros at 1 and 2;
    near those on the negative axis accuracy is absolute. At -inf, SciPy has -inf; this is C's lgamma and
    PyTorch's.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> gammaln(xp, xp.asarray([0.5, 1.0, 5.0, -1.0]))
    array([0.57236494, 0.        , 3.17805383,        inf])
    """
    size = xp.abs(x)
    shifted = size < 0.5
    core = _positive_gammaln(xp, xp.where(shifted, size + 1.0, size))
    # gamma(x) = gamma(1 + x) / x and gamma(-x) = -pi / (sin(pi x) x gamma(x)): one logarithm serves both.
    factor = xp.where(x < 0.0, _sine_pi(xp, size) * xp.where(shifted, 1.0, xp.minimum(size, _INTEGRAL)), size)
    pole = (factor == 0.0) | (x == -math.inf)
    logarithm = xp.log(xp.where((x < 0.5) & ~pole, factor, 1.0))
    value = xp.where(x < 0.0, (_LOG_PI - logarithm) - xp.where(pole, 0.0, core), core - logarithm)
    return xp.where(pole, math.inf, value)


def gamma(xp: Any, x: Any) -> Any:
    """Gamma function.

    Parameters
    ----------
    xp : namespace
        Array API namespace of `x`.
    x : array
        Floating-point array of any shape.

    Returns
    -------
    array
        Same shape and dtype as `x`; inf at 0 and -inf at -0, nan at the negative integers and at -inf.

    Notes
    -----
    The recurrence down to [1/2, 2) and exp(gammaln) there; above 8 Stirling's formula, with x**(x - 1/2) as
    the square of a power that does not overflow; reflection for negative x.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> gamma(xp, xp.asarray([0.5, 5.0, -0.5]))
    array([ 1.77245385, 24.        , -3.5449077 ])
    """
    double = is_double(xp, x)
    largest, smallest = _GAMMA_LARGEST[0 if double else 1], 5.6e-309 if double else 3.0e-39
    size = xp.abs(x)
    shifted = size < 0.5
    y = xp.where(shifted, size + 1.0, size)
    z = xp.minimum(xp.maximum(y, 8.0), largest)
    power = xp.pow(z, 0.5 * z - 0.25)
    scale = xp.exp(_HALF_LOG_TAU + _stirling_correction(xp, z))
    large = xp.where(y > largest, math.inf, scale * power * xp.exp(-z) * power)
    core = xp.where(y < 8.0, _small_gamma(xp, y), large)
    positive = core / xp.where(shifted, xp.maximum(size, smallest), 1.0)
    # gamma(-x) = -pi / (sin(pi x) x gamma(x)), where sin(pi x) alternates with the integer part of x.
    pole = fraction(xp, size) == 0.0
    reflected = math.pi / xp.where(pole | (size < smallest), 1.0, _sine_pi(xp, size))
    reflected = reflected / xp.where(shifted, 1.0, size) / core
    odd = fraction(xp, 0.5 * xp.floor(xp.minimum(size, _INTEGRAL))) != 0.0
    negative = xp.where(pole, math.nan, xp.where(odd, reflected, -reflected))
    value = xp.where(x < 0.0, negative, positive)
    return xp.where(size < smallest, xp.copysign(xp.full_like(x, math.inf), x), value)


def betaln(xp: Any, a: Any, b: Any) -> Any:
    """Logarithm of the absolute value of the beta function.

    Parameters
    ----------
    xp : namespace
        Array API namespace of the arguments.
    a, b : array
        Floating-point arrays of one dtype that broadcast against each other.

    Returns
    -------
    array
        gammaln(a) + gammaln(b) - gammaln(a + b), of the broadcast shape; inf where one argument is 0, nan
        where one is negative.

    Notes
    -----
    Where an argument exceeds 8, the large terms are cancelled by hand (Didonato & Morris, TOMS 708, ACM
    Trans. Math. Softw. 18 (1992) 360: BETALN, ALGDIV, BCORR).

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> betaln(xp, xp.asarray([1.0, 2.0]), xp.asarray([1.0, 1e10]))
    array([  0.        , -46.05170186])
    """
    small, large = xp.minimum(a, b), xp.maximum(a, b)
    inside = (small > 0.0) & (large < math.inf)
    # Each formula sees only arguments of its own range: both below 8, one, none.
    u, v = xp.where(inside, small, 1.0), xp.where(inside, large, 1.0)
    s, t = xp.maximum(u, 8.0), xp.maximum(v, 8.0)
    below = gammaln(xp, xp.minimum(u, 8.0))
    neither = below + gammaln(xp, xp.minimum(v, 8.0)) - gammaln(xp, xp.minimum(u + v, 16.0))
    one = below - (u + t - 0.5) * xp.log1p(u / t) - u * (xp.log(t) - 1.0)
    one = one + (_stirling_correction(xp, t) - _stirling_correction(xp, u + t))
    correction = _stirling_correction(xp, s) + (_stirling_correction(xp, t) - _stirling_correction(xp, s + t))
    both = (0.5 - s) * xp.log1p(t / s) - t * xp.log1p(s / t) - 0.5 * xp.log(t) + (_HALF_LOG_TAU + correction)
    value = xp.where(u >= 8.0, both, xp.where(v >= 8.0, one, neither))
    outside = xp.where((small == 0.0) & (large < math.inf), xp.full_like(value, math.inf), math.nan)
    outside = xp.where((small > 0.0) & (large == math.inf), -math.inf, outside)
    return xp.where(inside, value, outside)


def multigammaln(xp: Any, a: Any, d: int) -> Any:
    """Logarithm of the multivariate gamma function of dimension `d`.

    Parameters
    ----------
    xp : namespace
        Array API namespace of `a`.
    a : array
        Floating-point array of any shape, greater than (d - 1)/2.
    d : int
        Dimension, at least 1.

    Returns
    -------
    array
        Same shape and dtype as `a`; nan where `a` is not greater than (d - 1)/2.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> multigammaln(xp, xp.asarray([2.0, 3.5]), 2)
    array([0.45158271, 2.46648573])
    """
    inside = a > 0.5 * (d - 1)
    safe = xp.where(inside, a, 0.5 * d)
    total = gammaln(xp, safe) + 0.25 * d * (d - 1) * _LOG_PI
    for step in range(1, d):
        total = total + gammaln(xp, safe - 0.5 * step)
    return xp.where(inside, total, math.nan)
