"""Evaluation of the polynomials and rational functions that the special functions are made of."""

from __future__ import annotations

from typing import Any

Coefficients = tuple[float, ...]
# Numerator and denominator, lowest power first; an empty denominator stands for 1.
Rational = tuple[Coefficients, Coefficients]


def horner(x: Any, coefficients: Coefficients) -> Any:
    """Evaluate ``c[0] + c[1] x + ... + c[n] x**n`` by Horner's rule.

    Parameters
    ----------
    x : array
        Floating-point array of any shape.
    coefficients : tuple of float
        Lowest power first, at least two of them.

    Returns
    -------
    array
        Same shape and dtype as `x`.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> horner(xp.asarray([0.0, 2.0]), (1.0, 0.0, 3.0))
    array([ 1., 13.])
    """
    result: Any = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        result = result * x + coefficient
    return result


def rational(x: Any, function: Rational) -> Any:
    """Evaluate a ratio of two polynomials at `x`."""
    numerator, denominator = function
    if not denominator:
        return horner(x, numerator)
    return horner(x, numerator) / horner(x, denominator)


def is_double(xp: Any, x: Any) -> bool:
    """Tell whether `x` needs the long tables (float64) or the short ones will do (float32 and below)."""
    return x.dtype == xp.float64
