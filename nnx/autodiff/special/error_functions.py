"""Error functions and the normal distribution: erf, erfc, erfcx, their inverses, ndtr, log_ndtr, ndtri.

Two kernels carry everything. `erf` is x·R(x²), one rational over the whole range where it differs from ±1,
with no exponential and no cases. `_erfcx_positive` is exp(x²)·erfc(x) for x >= 0, one rational in x;
multiplied by a carefully computed exp(-x²) it gives every tail (Cody's arrangement, Math. Comp. 23 (1969)
631, in one piece instead of three). The inverses are Wichura's algorithm AS 241, Applied Statistics 37 (1988)
477: PPND16 in float64, PPND7 in float32.
"""

from __future__ import annotations

import math
from typing import Any

from nnx.autodiff.special.polynomials import Rational, is_double, rational

_SQRT_HALF = math.sqrt(0.5)

# erf(x) / x as a function of x², minimax fit on 0 <= x² <= 35.1: relative error 3.6e-17.
_ERF_DOUBLE: Rational = (
    (
        1.1283791670955126, 0.22011083687847158, 0.06610889966803499, 0.006885828598516544,
        0.0008552493588445311, 5.689374062914405e-05, 3.896967327314989e-06, 1.692504416476066e-07,
        6.750169848468981e-09, 1.7161648084463336e-10, 3.3300761166458907e-12, 2.2238578546296418e-14,
        1.5696580004544348e-17,
    ),
    (
        1.0, 0.5284014835589732, 0.13472131475088084, 0.02197888707851986, 0.002563467302056815,
        0.0002259441011806856, 1.5485160399542107e-05, 8.340979314799548e-07, 3.5106369378094754e-08,
        1.1226330213288697e-09, 2.543863446640481e-11, 3.313836479885273e-13, 8.840608248970161e-16,
    ),
)  # fmt: skip
# The same on 0 <= x² <= 15.4: relative error 1.9e-8.
_ERF_SINGLE: Rational = (
    (
        1.12837911, 0.190389946, 0.0527435318, 0.00376435043, 0.000284749782, 2.0486375e-06,
    ),
    (
        1.0, 0.502061427, 0.114099614, 0.0149664246, 0.00116205588, 3.80702368e-05,
    ),
)  # fmt: skip

# exp(x²) erfc(x), minimax fit on 0 <= x < infinity: relative error 9.6e-18.
_ERFCX_DOUBLE: Rational = (
    (
        1.0, 2.426671588320737, 2.9092187984564553, 2.2329526850783825, 1.2053583599732518,
        0.4763818571672327, 0.13951984001411194, 0.029962083866167947, 0.004537766948371841,
        0.00044153571275851476, 2.129506884046934e-05,
    ),
    (
        1.0, 3.5550507554162523, 5.920664008835178, 6.1109086306703135, 4.354413148902843,
        2.2561139909573327, 0.8705267620047086, 0.25129509669531624, 0.053497711766980934,
        0.008061854765538942, 0.0007826016743911421, 3.774452677158794e-05,
    ),
)  # fmt: skip
# The same: relative error 4.2e-8.
_ERFCX_SINGLE: Rational = (
    (
        1.0, 1.34224176, 0.845267713, 0.285319626, 0.0452844724,
    ),
    (
        1.0, 2.47062469, 2.6330173, 1.5382731, 0.505717039, 0.0802646354,
    ),
)  # fmt: skip

# AS 241: the centre in 0.180625 - q², the near tail in r - 1.6 and the far tail in r - 5, r² = -log(tail).
_QUANTILE_DOUBLE: tuple[Rational, Rational, Rational] = (
    (
        (
            3.3871328727963666080e0, 1.3314166789178437745e2,
            1.9715909503065514427e3, 1.3731693765509461125e4,
            4.5921953931549871457e4, 6.7265770927008700853e4,
            3.3430575583588128105e4, 2.5090809287301226727e3,
        ),
        (
            1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
            2.1213794301586595867e4, 3.9307895800092710610e4,
            2.8729085735721942674e4, 5.2264952788528545610e3,
        ),
    ),
    (
        (
            1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
            3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
            2.27238449892691845833e-2, 7.74545014278341407640e-4,
        ),
        (
            1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
            1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
            1.05075007164441684324e-9,
        ),
    ),
    (
        (
            6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
            2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
            2.71155556874348757815e-5, 2.01033439929228813265e-7,
        ),
        (
            1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
            7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
            2.04426310338993978564e-15,
        ),
    ),
)  # fmt: skip
_QUANTILE_SINGLE: tuple[Rational, Rational, Rational] = (
    (
        (3.3871327179, 50.434271938, 159.29113202, 59.109374720),
        (1.0, 17.895169469, 78.757757664, 67.187563600),
    ),
    (
        (1.4234372777, 2.7568153900, 1.3067284816, 0.17023821103),
        (1.0, 0.73700164250, 0.12021132975),
    ),
    (
        (6.6579051150, 3.0812263860, 0.42868294337, 0.017337203997),
        (1.0, 0.24197894225, 0.012258202635),
    ),
)


def _erfcx_positive(xp: Any, x: Any) -> Any:
    """exp(x²) erfc(x) for x >= 0, kept below 1e8 (float64) or 1e4 (float32), where the powers still fit."""
    return rational(x, _ERFCX_DOUBLE if is_double(xp, x) else _ERFCX_SINGLE)


def _exp_square(xp: Any, x: Any, factor: float) -> Any:
    """exp(factor x²) for finite x >= 0 and a power of two as factor, without the rounding error of x².

    x² of 700 rounded to 53 bits is off by up to 6e-14, and that is the relative error of its exponential. So
    x is split at a multiple of 1/16, the square of which is exact: x² = h² + (x - h)(x + h).
    """
    high = xp.trunc(x * 16.0) * 0.0625
    return xp.exp(factor * (high * high)) * xp.exp(factor * ((x - high) * (x + high)))


def erf(xp: Any, x: Any) -> Any:
    """Error function, 2/sqrt(pi) times the integral of exp(-t²) from 0 to `x`.

    Parameters
    ----------
    xp : namespace
        Array API namespace of `x`.
    x : array
        Floating-point array of any shape.

    Returns
    -------
    array
        Same shape and dtype as `x`, within [-1, 1].

    Notes
    -----
    One rational minimax fit of erf(x)/x in x², over the whole range where the result differs from ±1.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> erf(xp, xp.asarray([0.0, 1.0, -10.0]))
    array([ 0.        ,  0.84270079, -1.        ])
    """
    limit, table = (6.3, _ERF_DOUBLE) if is_double(xp, x) else (4.3, _ERF_SINGLE)
    bounded = xp.minimum(xp.maximum(x, -limit), limit)
    # Past the end of its interval the fit rises slowly above 1, by some 30 eps at the limit, so that clipping
    # the value gives exactly 1 from there on.
    value = bounded * rational(bounded * bounded, table)
    return xp.minimum(xp.maximum(value, -1.0), 1.0)


def erfc(xp: Any, x: Any) -> Any:
    """Complementary error function, 1 - erf(x), accurate in its tail.

    Parameters
    ----------
    xp : namespace
        Array API namespace of `x`.
    x : array
        Floating-point array of any shape.

    Returns
    -------
    array
        Same shape and dtype as `x`, within [0, 2].

    Notes
    -----
    exp(-x²) times the rational minimax fit of erfcx, and 2 - erfc(-x) for negative x (after Cody 1969).

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> erfc(xp, xp.asarray([-10.0, 0.0, 10.0]))
    array([2.00000000e+00, 1.00000000e+00, 2.08848758e-45])
    """
    size = xp.minimum(xp.abs(x), 27.3 if is_double(xp, x) else 10.1)  # erfc underflows just below
    tail = _exp_square(xp, size, -1.0) * _erfcx_positive(xp, size)
    return xp.where(x < 0.0, 2.0 - tail, tail)


def erfcx(xp: Any, x: Any) -> Any:
    """Scaled complementary error function, exp(x²) erfc(x).

    Parameters
    ----------
    xp : namespace
        Array API namespace of `x`.
    x : array
        Floating-point array of any shape.

    Returns
    -------
    array
        Same shape and dtype as `x`; inf below about -26.6 (float64) or -9.4 (float32).

    Notes
    -----
    One rational minimax fit over 0 <= x < infinity; 1/(x sqrt(pi)) where x² is beyond the precision;
    erfcx(-x) = 2 exp(x²) - erfcx(x).

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> erfcx(xp, xp.asarray([0.0, 10.0, 1e300]))
    array([1.00000000e+000, 5.61409927e-002, 5.64189584e-301])
    """
    far, lowest = (1e8, 26.62873571) if is_double(xp, x) else (1e4, 9.38241)
    size = xp.abs(x)
    near = _erfcx_positive(xp, xp.minimum(size, far))
    positive = xp.where(size > far, (1.0 / math.sqrt(math.pi)) / xp.maximum(size, far), near)
    negative = 2.0 * _exp_square(xp, xp.minimum(size, lowest), 1.0) - positive
    return xp.where(x < 0.0, xp.where(size > lowest, math.inf, negative), positive)


def ndtr(xp: Any, x: Any) -> Any:
    """Cumulative distribution function of the standard normal distribution.

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

    Notes
    -----
    exp(-x²/2) erfcx(|x|/sqrt(2)) / 2, with the exponent taken from `x` itself rather than from the rounded
    quotient.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> ndtr(xp, xp.asarray([-10.0, 0.0, 1.0]))
    array([7.61985302e-24, 5.00000000e-01, 8.41344746e-01])
    """
    size = xp.minimum(xp.abs(x), 38.6 if is_double(xp, x) else 14.3)  # the tail underflows just below
    tail = 0.5 * _exp_square(xp, size, -0.5) * _erfcx_positive(xp, size * _SQRT_HALF)
    return xp.where(x < 0.0, tail, 1.0 - tail)


def log_ndtr(xp: Any, x: Any) -> Any:
    """Logarithm of the cumulative distribution function of the standard normal distribution.

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

    Notes
    -----
    log(erfcx(-x/sqrt(2))/2) - x²/2 for negative x, two terms of one sign; log1p of minus the upper tail for
    positive x.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> log_ndtr(xp, xp.asarray([-100.0, 0.0, 10.0]))
    array([-5.00552421e+03, -6.93147181e-01, -7.61985302e-24])
    """
    double = is_double(xp, x)
    far, underflow, overflow = (1e8, 38.6, 1.89e154) if double else (1e4, 14.3, 2.6e19)
    size = xp.abs(x)
    half_scaled = 0.5 * _erfcx_positive(xp, xp.minimum(size, far) * _SQRT_HALF)
    square = xp.minimum(size, overflow)
    lower = xp.log(half_scaled) - square * (0.5 * square)
    upper = xp.log1p(-_exp_square(xp, xp.minimum(size, underflow), -0.5) * half_scaled)
    return xp.where(x < 0.0, xp.where(size > overflow, -math.inf, lower), upper)


def _normal_quantile(xp: Any, centred: Any, tail: Any) -> Any:
    """Quantile at probability p, given p - 1/2 and min(p, 1 - p), both of which the callers know exactly."""
    centre, near, far = _QUANTILE_DOUBLE if is_double(xp, centred) else _QUANTILE_SINGLE
    size = xp.minimum(xp.abs(centred), 0.425)
    middle = size * rational(0.180625 - size * size, centre)
    inside = tail > 0.0
    r = xp.sqrt(-xp.log(xp.where(inside, xp.minimum(tail, 0.5), 0.25)))
    outer = xp.where(r > 5.0, rational(xp.maximum(r, 5.0) - 5.0, far), rational(xp.minimum(r, 5.0) - 1.6, near))
    outer = xp.where(inside, outer, xp.where(tail == 0.0, math.inf, xp.full_like(tail, math.nan)))
    value = xp.where(xp.abs(centred) <= 0.425, middle, outer)
    return xp.where(centred < 0.0, -value, value)


def ndtri(xp: Any, y: Any) -> Any:
    """Quantile function of the standard normal distribution, the inverse of `ndtr`.

    Parameters
    ----------
    xp : namespace
        Array API namespace of `y`.
    y : array
        Probabilities, a floating-point array of any shape.

    Returns
    -------
    array
        Same shape and dtype as `y`; -inf at 0, inf at 1, nan outside [0, 1].

    Notes
    -----
    Wichura's AS 241 (1988).

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> ndtri(xp, xp.asarray([0.0, 0.5, 0.975]))
    array([      -inf, 0.        , 1.95996398])
    """
    return _normal_quantile(xp, y - 0.5, xp.minimum(y, 1.0 - y))


def erfinv(xp: Any, y: Any) -> Any:
    """Inverse of the error function.

    Parameters
    ----------
    xp : namespace
        Array API namespace of `y`.
    y : array
        Floating-point array of any shape.

    Returns
    -------
    array
        Same shape and dtype as `y`; ±inf at ±1, nan outside [-1, 1].

    Notes
    -----
    Wichura's AS 241 (1988), entered with y/2 and (1 - |y|)/2, both of which are exact where they are used.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> erfinv(xp, xp.asarray([-1.0, 0.0, 0.5]))
    array([      -inf, 0.        , 0.47693628])
    """
    return _SQRT_HALF * _normal_quantile(xp, 0.5 * y, 0.5 * (1.0 - xp.abs(y)))


def erfcinv(xp: Any, y: Any) -> Any:
    """Inverse of the complementary error function.

    Parameters
    ----------
    xp : namespace
        Array API namespace of `y`.
    y : array
        Floating-point array of any shape.

    Returns
    -------
    array
        Same shape and dtype as `y`; inf at 0, -inf at 2, nan outside [0, 2].

    Notes
    -----
    Wichura's AS 241 (1988), entered with (1 - y)/2 and min(y, 2 - y)/2.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> erfcinv(xp, xp.asarray([0.0, 1e-100, 1.0]))
    array([       inf, 15.0655747,  0.       ])
    """
    return _SQRT_HALF * _normal_quantile(xp, 0.5 * (1.0 - y), 0.5 * xp.minimum(y, 2.0 - y))
