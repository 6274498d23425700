"""Modified Bessel functions of the first kind, order 0 and 1: i0, i0e, i1, i1e.

Near the origin I0(x) and I1(x)/x are functions of x²; far out both are exp(x)/sqrt(x) times a function of 1/x
(Abramowitz & Stegun 9.7.1). Each part is a minimax fit; the border is 12 in float64 and 8 in float32.
"""

from __future__ import annotations

import math
from typing import Any

from nnx.autodiff.special.polynomials import Rational, is_double, rational

# I0(x) as a function of x², 0 <= x <= 12: relative error 3.2e-17.
_I0_DOUBLE: Rational = (
    (
        1.0, 0.24341949533440133, 0.014000108347477511, 0.00033622868314471695, 4.232435790074667e-06,
        3.139977680315321e-08, 1.4637522426662277e-10, 4.4124349179614107e-13, 8.54898783374193e-16,
        1.000481674506034e-18, 5.656533897533271e-22,
    ),
    (
        1.0, -0.006580504665598413, 2.0234513876798376e-05, -3.733770214999196e-08,
        4.372514699755484e-11, -3.086883520852898e-14, 1.027005102754187e-17,
    ),
)  # fmt: skip
# The same, 0 <= x <= 8: relative error 8.7e-9.
_I0_SINGLE: Rational = (
    (
        1.0, 0.25000006, 0.0156249478, 0.000434044196, 6.77927528e-06, 6.80070258e-08, 4.62289623e-10,
        2.6352657e-12, 5.80576753e-15, 5.71979048e-17,
    ),
    (),
)  # fmt: skip
# I1(x) / x as a function of x², 0 <= x <= 12: relative error 5.0e-18.
_I1_DOUBLE: Rational = (
    (
        0.5, 0.05941427929794774, 0.0022273265720869494, 3.9276105622870206e-05, 3.8767701007011113e-07,
        2.3516191414542295e-09, 9.227006752793285e-12, 2.3912257263595227e-14, 4.0468610078794316e-17,
        4.1865636228376846e-20, 2.1091458464183856e-23,
    ),
    (
        1.0, -0.006171441404104478, 1.774998635359124e-05, -3.0557513179339296e-08,
        3.330771538091201e-11, -2.184318412767177e-14, 6.741158585459748e-18,
    ),
)  # fmt: skip
# The same, 0 <= x <= 8: relative error 2.0e-9.
_I1_SINGLE: Rational = (
    (
        0.5, 0.0625000075, 0.00260416255, 5.42545822e-05, 6.78021252e-07, 5.66211744e-09,
        3.31826719e-11, 1.61782426e-13, 3.50473514e-16, 2.75031288e-18,
    ),
    (),
)  # fmt: skip
# sqrt(x) exp(-x) I0(x) as a function of 1/x, x >= 12: relative error 5.5e-17.
_I0_TAIL_DOUBLE: Rational = (
    (
        0.39894228040143265, 0.049867785050302, 0.02805062897844561, 0.029219445829985577,
        0.044734583015469245, 0.09146293957861368, 0.16571173351273552, 3.783169788055221,
        -103.5921075352591, 2552.758157984963, -42294.92047514718, 474335.7807373252,
        -3314811.798846834, 11903330.11772545, -5105692.101751819, -65603129.659836546,
    ),
    (),
)  # fmt: skip
# The same, x >= 8: relative error 8.6e-9.
_I0_TAIL_SINGLE: Rational = (
    (
        0.398942292, 0.0498695821, 0.0278990977, 0.0337787829, -0.0137948412, 0.387793571,
    ),
    (),
)  # fmt: skip
# sqrt(x) exp(-x) I1(x) as a function of 1/x, x >= 12: relative error 5.8e-17.
_I1_TAIL_DOUBLE: Rational = (
    (
        0.3989422804014327, -0.14960335515066636, -0.04675104836715667, -0.04090720961722762,
        -0.057517791364601466, -0.11162496196846533, -0.20548017172182476, -3.9603955687336434,
        105.08366678604551, -2578.691511822735, 42277.41803409732, -466879.7078987591,
        3167078.4816419776, -10446449.77035849, -2486689.2457675533, 82067776.01302868,
    ),
    (),
)  # fmt: skip
# The same, x >= 8: relative error 1.0e-8.
_I1_TAIL_SINGLE: Rational = (
    (
        0.398942292, -0.149605438, -0.04657612, -0.0461488403, 0.00963299721, -0.452173859,
    ),
    (),
)  # fmt: skip

# Border between the parts and the last argument with a finite value, float64 and float32.
_DOUBLE = (12.0, 713.9869)
_SINGLE = (8.0, 91.90076)


def _scaled(xp: Any, size: Any, near: Rational, far: Rational, order: int) -> Any:
    """exp(-x) I(x) for x >= 0."""
    border = (_DOUBLE if is_double(xp, size) else _SINGLE)[0]
    small = xp.minimum(size, border)
    value = rational(small * small, near) * xp.exp(-small)
    inverse = 1.0 / xp.maximum(size, border)
    value = small * value if order else value
    return xp.where(size < border, value, rational(inverse, far) * xp.sqrt(inverse))


def _unscaled(xp: Any, size: Any, near: Rational, far: Rational, order: int) -> Any:
    """I(x) for x >= 0."""
    border, largest = _DOUBLE if is_double(xp, size) else _SINGLE
    small = xp.minimum(size, border)
    value = rational(small * small, near)
    bounded = xp.minimum(xp.maximum(size, border), largest)
    inverse = 1.0 / bounded
    # exp(x) overflows before exp(x) / sqrt(x) does, so it goes in as two halves.
    root = xp.exp(0.5 * bounded)
    large = (rational(inverse, far) * xp.sqrt(inverse) * root) * root
    large = xp.where(size > largest, math.inf, large)
    return xp.where(size < border, small * value if order else value, large)


def i0(xp: Any, x: Any) -> Any:
    """Modified Bessel function of the first kind of order 0.

    Parameters
    ----------
    xp : namespace
        Array API namespace of `x`.
    x : array
        Floating-point array of any shape.

    Returns
    -------
    array
        Same shape and dtype as `x`, at least 1; inf above about 714 (float64) or 92 (float32).

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> i0(xp, xp.asarray([0.0, 1.0, -10.0]))
    array([1.00000000e+00, 1.26606588e+00, 2.81571663e+03])
    """
    if is_double(xp, x):
        return _unscaled(xp, xp.abs(x), _I0_DOUBLE, _I0_TAIL_DOUBLE, 0)
    return _unscaled(xp, xp.abs(x), _I0_SINGLE, _I0_TAIL_SINGLE, 0)


def i0e(xp: Any, x: Any) -> Any:
    """Exponentially scaled Bessel function, exp(-|x|) i0(x).

    Parameters
    ----------
    xp : namespace
        Array API namespace of `x`.
    x : array
        Floating-point array of any shape.

    Returns
    -------
    array
        Same shape and dtype as `x`, within [0, 1].

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> i0e(xp, xp.asarray([0.0, 1.0, -1e4]))
    array([1.        , 0.46575961, 0.00398947])
    """
    if is_double(xp, x):
        return _scaled(xp, xp.abs(x), _I0_DOUBLE, _I0_TAIL_DOUBLE, 0)
    return _scaled(xp, xp.abs(x), _I0_SINGLE, _I0_TAIL_SINGLE, 0)


def i1(xp: Any, x: Any) -> Any:
    """Modified Bessel function of the first kind of order 1, an odd function.

    Parameters
    ----------
    xp : namespace
        Array API namespace of `x`.
    x : array
        Floating-point array of any shape.

    Returns
    -------
    array
        Same shape and dtype as `x`; ±inf beyond about 714 (float64) or 92 (float32).

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> i1(xp, xp.asarray([0.0, 1.0, -1.0]))
    array([ 0.        ,  0.5651591, -0.5651591])
    """
    if is_double(xp, x):
        value = _unscaled(xp, xp.abs(x), _I1_DOUBLE, _I1_TAIL_DOUBLE, 1)
    else:
        value = _unscaled(xp, xp.abs(x), _I1_SINGLE, _I1_TAIL_SINGLE, 1)
    return xp.where(x < 0.0, -value, value)


def i1e(xp: Any, x: Any) -> Any:
    """Exponentially scaled Bessel function, exp(-|x|) i1(x).

    Parameters
    ----------
    xp : namespace
        Array API namespace of `x`.
    x : array
        Floating-point array of any shape.

    Returns
    -------
    array
        Same shape and dtype as `x`, within (-1/4, 1/4).

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> i1e(xp, xp.asarray([0.0, 1.0, -1e4]))
    array([ 0.        ,  0.20791042, -0.00398927])
    """
    if is_double(xp, x):
        value = _scaled(xp, xp.abs(x), _I1_DOUBLE, _I1_TAIL_DOUBLE, 1)
    else:
        value = _scaled(xp, xp.abs(x), _I1_SINGLE, _I1_TAIL_SINGLE, 1)
    return xp.where(x < 0.0, -value, value)
