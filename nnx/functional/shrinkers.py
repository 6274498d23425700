"""Activation functions that pull the input towards zero."""

from __future__ import annotations

from typing import Any

from .arguments import check_lambd, floating_namespace


def tanhshrink(input: Any) -> Any:
    """Return the input minus its hyperbolic tangent.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.tanhshrink(np.asarray([0.0, 1.0])).round(4)
    array([0.    , 0.2384])
    """
    xp = floating_namespace("tanhshrink", input)
    return input - xp.tanh(input)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """Return the input moved towards 0 by `lambd`, and 0 within ±lambd: soft thresholding [1]_.

    The derivative at ±lambd is 0.

    Raises
    ------
    ValueError
        If lambd is negative.

    References
    ----------
    .. [1] Donoho, "De-noising by soft-thresholding", IEEE Transactions on Information Theory 41, 1995

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.softshrink(np.asarray([-2.0, 0.25, 1.0]))
    array([-1.5,  0. ,  0.5])
    """
    xp = floating_namespace("softshrink", input)
    lambd = check_lambd("softshrink", lambd)
    moved = xp.where(input < 0, input + lambd, input - lambd)
    return xp.where((input >= -lambd) & (input <= lambd), 0.0, moved)


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """Return the input, and 0 within ±lambd: hard thresholding [1]_. The derivative at ±lambd is 0.

    Raises
    ------
    ValueError
        If lambd is negative.

    References
    ----------
    .. [1] Donoho and Johnstone, "Ideal spatial adaptation by wavelet shrinkage", Biometrika 81, 1994

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.hardshrink(np.asarray([-2.0, 0.25, 1.0]))
    array([-2.,  0.,  1.])
    """
    xp = floating_namespace("hardshrink", input)
    lambd = check_lambd("hardshrink", lambd)
    return xp.where((input >= -lambd) & (input <= lambd), 0.0, input)
