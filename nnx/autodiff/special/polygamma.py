"""The derivatives of log(gamma): digamma, polygamma, and Hurwitz's zeta function that the latter is made
of."""

from __future__ import annotations

import math
from typing import Any

from nnx.autodiff.special.gamma import BERNOULLI, fraction
from nnx.autodiff.special.polynomials import Rational, horner, is_double, rational

# The positive zero of digamma, rounded to the dtype, and what the rounding left.
_ZERO_DOUBLE = (1.4616321449683622, 9.549995429965697e-17)
_ZERO_SINGLE = (1.4616321325302124, 1.2438149938918909e-08)

# digamma(x) / (x - zero), minimax fit on 1 <= x <= 8: relative error 1.3e-17.
_PSI_DOUBLE: Rational = (
    (
        74334052.58165585, 250719897.3680616, 254407208.58319306, 108576191.62597117, 21246626.2669171,
        1865424.0377925234, 64959.168759829925, 646.2086912349791, 0.3184854135871325,
    ),
    (
        1.0, 108649029.87181978, 229412339.323099, 167429786.60923666, 54414389.985701755,
        8306644.387034771, 571399.0018310624, 15327.72177561201, 109.55333504936777,
    ),
)  # fmt: skip
# The same: relative error 1.4e-8.
_PSI_SINGLE: Rational = (
    (
        501.901459, 1176.35632, 462.136353, 32.1645813, 0.0919731483,
    ),
    (
        1.0, 726.720398, 818.572571, 183.880066, 7.41908455,
    ),
)  # fmt: skip

# digamma(x) = log(x) - 1/(2x) - sum of B(2k) / (2k x^(2k))
_ASYMPTOTIC = tuple(number / (2 * k) for k, number in enumerate(BERNOULLI, start=1))


def _nearest_offset(xp: Any, x: Any) -> Any:
    """x minus the nearest integer, 0 where `x` is infinite or too large to have a fraction."""
    part = fraction(xp, xp.abs(x))
    offset = xp.where(part > 0.5, part - 1.0, part)
    return xp.where(x < 0.0, -offset, offset)


def _cotangent_pi(xp: Any, offset: Any) -> Any:
    """cot(pi x) for 0 < |x| <= 1/2, to full relative accuracy."""
    size = xp.abs(offset)
    near = size < 0.25
    tangent = xp.tan(math.pi * xp.where(near, size, 0.5 - size))
    value = xp.where(near, 1.0 / xp.where(near, tangent, 1.0), tangent)
    return xp.where(offset < 0.0, -value, value)


def digamma(xp: Any, x: Any) -> Any:
    """Digamma function, the derivative of log(gamma(x)).

    Parameters
    ----------
    xp : namespace
        Array API namespace of `x`.
    x : array
        Floating-point array of any shape.

    Returns
    -------
    array
        Same shape and dtype as `x`; -inf at 0 and inf at -0, nan at the negative integers and at -inf.

    Notes
    -----
    (x - zero) times a rational minimax fit on [1, 8], the asymptotic series above (Abramowitz & Stegun
    6.3.18), recurrence (6.3.5) on [0, 1), reflection (6.3.7) below. Relative accuracy near the positive zero,
    absolute near the negative ones.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> digamma(xp, xp.asarray([0.5, 1.0, 100.0]))
    array([-1.96351003, -0.57721566,  4.60016185])
    """
    double = is_double(xp, x)
    smallest = 5.6e-309 if double else 3.0e-39  # its reciprocal is still finite
    size = xp.abs(x)
    y = xp.where(x < 1.0, size + 1.0, x)
    near = xp.minimum(y, 8.0)
    high, low = _ZERO_DOUBLE if double else _ZERO_SINGLE
    small = ((near - high) - low) * rational(near, _PSI_DOUBLE if double else _PSI_SINGLE)
    far = xp.maximum(y, 8.0)
    inverse = 1.0 / far
    square = inverse * inverse
    series = square * horner(square, _ASYMPTOTIC[:9] if double else _ASYMPTOTIC[:3])
    core = xp.where(y < 8.0, small, xp.log(far) - 0.5 * inverse - series)
    offset = _nearest_offset(xp, x)
    cotangent = _cotangent_pi(xp, xp.where(xp.abs(offset) < smallest, 0.5, offset))
    shift = xp.where(x < 0.0, -math.pi * cotangent, -1.0 / xp.maximum(size, smallest))
    value = xp.where(x < 1.0, core + xp.where(x < 1.0, shift, 0.0), core)
    value = xp.where((x < 0.0) & (offset == 0.0), math.nan, value)
    return xp.where(size < smallest, -xp.copysign(xp.full_like(x, math.inf), x), value)


psi = digamma


def _hurwitz(xp: Any, s: Any, q: Any, rising: Any) -> Any:
    """Sum of (q + k)^-s over k >= 0 by Euler-Maclaurin, for q > 0 and s > 1 where q^-s does not overflow.

    `rising` is `s`, or a bounded copy of it where s(s + 1)... would overflow beside a vanishing power.
    """
    terms = 10
    far = q + float(terms)
    inverse = 1.0 / far
    square = inverse * inverse
    # Nested form of the sum of B(2j)/(2j)! s(s + 1)...(s + 2j - 2) far^(1 - 2j), without the common s / far.
    nested: Any = 0.0
    for j in range(len(BERNOULLI), 0, -1):
        following = nested * ((rising + (2 * j - 1)) * (rising + 2 * j)) * square
        nested = BERNOULLI[j - 1] / math.factorial(2 * j) + following
    total = xp.pow(far, 1.0 - s) * (1.0 / (s - 1.0) + inverse * (0.5 + rising * inverse * nested))
    for k in range(terms - 1, -1, -1):
        total = total + xp.pow(q + float(k), -s)
    return total


def zeta(xp: Any, x: Any, q: Any) -> Any:
    """Zeta function of Hurwitz, the sum of (q + k)**-x over k >= 0.

    Parameters
    ----------
    xp : namespace
        Array API namespace of the arguments.
    x, q : array
        Floating-point arrays of one dtype that broadcast against each other.

    Returns
    -------
    array
        Of the broadcast shape; inf at x = 1 and where `q` is 0 or a negative integer, nan for x < 1 and other
        negative `q` (SciPy continues those for integer `x`).

    Notes
    -----
    Euler-Maclaurin summation after ten terms (Abramowitz & Stegun 23.2.23 for q = 1; the method of Cephes).

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> zeta(xp, xp.asarray([2.0, 3.0]), xp.asarray(1.0))
    array([1.64493407, 1.2020569 ])
    """
    # The logarithm of the largest number; an exponent at which 10^-exponent has vanished.
    largest, vanishing = (709.7, 400.0) if is_double(xp, x) else (88.7, 60.0)
    inside = (x > 1.0) & (x < math.inf) & (q > 0.0)
    exponent = xp.where(inside, x, 2.0)
    base = xp.where(inside, q, 1.0)
    fits = -xp.log(xp.minimum(base, 1.0)) < largest / exponent
    value = _hurwitz(xp, exponent, xp.where(fits, base, 1.0), xp.minimum(exponent, vanishing))
    pole = (x == 1.0) | ((x > 1.0) & (q <= 0.0) & (fraction(xp, xp.abs(q)) == 0.0))
    value = xp.where(inside, xp.where(fits, value, math.inf), math.nan)
    return xp.where(xp.isnan(x) | xp.isnan(q), math.nan, xp.where(pole, math.inf, value))


def _cotangent_polynomial(n: int) -> tuple[float, ...]:
    """Coefficients, lowest first, of the n-th derivative of cot as a polynomial in cot (cot' = -1 - cot²)."""
    polynomial = [0, 1]
    for _ in range(n):
        slope = [k * c for k, c in enumerate(polynomial)][1:]
        polynomial = [-a - b for a, b in zip([*slope, 0, 0], [0, 0, *slope], strict=True)]
    return tuple(float(c) for c in polynomial)


def polygamma(xp: Any, n: int, x: Any) -> Any:
    """Polygamma function, the derivative of order `n` of digamma.

    Parameters
    ----------
    xp : namespace
        Array API namespace of `x`.
    n : int
        Order, 0 to 100 (to 25 in float32, where the factorial and its sums would overflow).
    x : array
        Floating-point array of any shape.

    Returns
    -------
    array
        Same shape and dtype as `x`; (-1)**(n + 1) inf at 0 and at the negative integers for n >= 1.

    Raises
    ------
    ValueError
        If `n` is not an int in that range.

    Notes
    -----
    (-1)**(n + 1) n! zeta(n + 1, x) (Abramowitz & Stegun 6.4.10), reflection (6.4.7) for negative x.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> polygamma(xp, 1, xp.asarray([0.5, 1.0, -0.5]))
    array([4.9348022 , 1.64493407, 8.9348022 ])
    """
    double = is_double(xp, x)
    highest = 100 if double else 25
    if not isinstance(n, int) or not 0 <= n <= highest:
        dtype = "float64" if double else "float32"
        raise ValueError(f"polygamma: expected an int n from 0 to {highest} for {dtype}, got {n!r}.")
    if n == 0:
        return digamma(xp, x)
    factorial = float(math.factorial(n))
    sign = 1.0 if n % 2 else -1.0
    size = xp.abs(x)
    negative = x < 0.0
    # Closer than this to a pole, n! / offset^(n + 1) leaves the range of the dtype.
    closest = math.exp((math.log(factorial) - (709.7 if double else 88.7)) / (n + 1))
    closest = max(closest, 5.6e-309 if double else 3.0e-39)
    y = xp.where(negative, size + 1.0, x)
    core = (sign * factorial) * _hurwitz(xp, float(n + 1), xp.maximum(y, closest), float(n + 1))
    offset = xp.where(negative, _nearest_offset(xp, x), x)
    pole = (x < 0.5) & (xp.abs(offset) < closest)
    cotangent = _cotangent_pi(xp, xp.where(negative & ~pole, offset, 0.5))
    reflected = -(math.pi ** (n + 1)) * horner(cotangent, _cotangent_polynomial(n)) - sign * core
    value = xp.where(negative, reflected, core)
    # An even order changes sign across its poles; at a pole itself SciPy takes the limit from the right.
    value = xp.where(pole, math.inf if n % 2 else -math.inf, value)
    return value if n % 2 else xp.where(pole & (offset < 0.0), math.inf, value)
