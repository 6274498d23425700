"""Activation functions shaped like an S, the smooth rectifiers made from them, and their piecewise linear copies.

All are written so that no intermediate result overflows, however large the input. NaN stays NaN, and at a kink the
derivative is PyTorch's.
"""

from __future__ import annotations

from typing import Any

from ..checks import is_number, number
from .arguments import check_bounds, check_channels, check_softplus, floating_namespace


def sigmoid(input: Any) -> Any:
    """Return the logistic function, 1 / (1 + exp(-input)).

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.sigmoid(np.asarray([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    return floating_namespace("sigmoid", input).special.expit(input)


def logsigmoid(input: Any) -> Any:
    """Return the logarithm of the logistic function, without overflow.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.logsigmoid(np.asarray([-1000.0, 0.0])).round(4)
    array([-1.000e+03, -6.931e-01])
    """
    return floating_namespace("logsigmoid", input).special.log_expit(input)


def tanh(input: Any) -> Any:
    """Return the hyperbolic tangent.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.tanh(np.asarray([0.0, 1.0])).round(4)
    array([0.    , 0.7616])
    """
    return floating_namespace("tanh", input).tanh(input)


def softsign(input: Any) -> Any:
    """Return input / (1 + abs(input)) [1]_.

    References
    ----------
    .. [1] Bergstra et al., "Quadratic Polynomials Learn Better Image Features", 2009

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.softsign(np.asarray([-1.0, 0.0, 3.0]))
    array([-0.5 ,  0.  ,  0.75])
    """
    xp = floating_namespace("softsign", input)
    return input / (1.0 + xp.abs(input))


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """Return log(1 + exp(beta input)) / beta, a smooth ReLU [1]_; the input where beta input exceeds a threshold.

    Parameters
    ----------
    input
        Array of any shape.
    beta
        How sharp the bend is; not 0.
    threshold
        Where it turns into the line. It is not needed for safety here, but part of PyTorch's definition.

    References
    ----------
    .. [1] Dugas et al., "Incorporating Second-Order Functional Knowledge for Better Option Pricing", NIPS 2000

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.softplus(np.asarray([-1.0, 0.0, 1000.0])).round(4)
    array([3.133e-01, 6.931e-01, 1.000e+03])
    """
    xp = floating_namespace("softplus", input)
    beta, threshold = check_softplus("softplus", beta, threshold)
    scaled = beta * input
    return xp.where(scaled > threshold, input, -xp.special.log_expit(-scaled) / beta)


def silu(input: Any) -> Any:
    """Return the input times its logistic function, the sigmoid linear unit [1]_, also called swish.

    References
    ----------
    .. [1] Elfwing, Uchibe and Doya, "Sigmoid-Weighted Linear Units for Neural Network Function Approximation in
       Reinforcement Learning", arXiv:1702.03118

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.silu(np.asarray([-1.0, 0.0, 1.0])).round(4)
    array([-0.2689,  0.    ,  0.7311])
    """
    xp = floating_namespace("silu", input)
    return input * xp.special.expit(input)


def swish(input: Any, beta: Any = 1.0) -> Any:
    """Return the input times sigmoid(beta input) [1]_: input / 2 at beta = 0, `silu` at 1, the ReLU in the limit.

    Parameters
    ----------
    input
        Array of shape (..., channels).
    beta
        A number, or an array of shape (1,) or (channels,) of learned values.

    Raises
    ------
    ShapeError, DTypeError
        If an array beta does not fit the input.

    References
    ----------
    .. [1] Ramachandran, Zoph and Le, "Searching for Activation Functions", arXiv:1710.05941

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.swish(np.asarray([-1.0, 0.0, 1.0]), beta=2.0).round(4)
    array([-0.1192,  0.    ,  0.8808])
    """
    if is_number(beta) or not hasattr(beta, "dtype"):
        xp = floating_namespace("swish", input)
        return input * xp.special.expit(number("swish", "beta", beta) * input)
    xp = floating_namespace("swish", input, beta)
    check_channels("swish", "beta", beta, input)
    beta = beta if len(input.shape) else xp.reshape(beta, ())
    return xp.multiply(input, xp.special.expit(xp.multiply(beta, input)))


def mish(input: Any) -> Any:
    """Return the input times tanh(softplus(input)) [1]_.

    References
    ----------
    .. [1] Misra, "Mish: A Self Regularized Non-Monotonic Neural Activation Function", arXiv:1908.08681

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.mish(np.asarray([-1.0, 0.0, 1.0])).round(4)
    array([-0.3034,  0.    ,  0.8651])
    """
    xp = floating_namespace("mish", input)
    return input * xp.tanh(-xp.special.log_expit(-input))


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """Return the input, held between two bounds; its derivative at the bounds is 0.

    Raises
    ------
    ValueError
        If min_val is above max_val.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.hardtanh(np.asarray([-2.0, 0.5, 2.0]))
    array([-1. ,  0.5,  1. ])
    """
    xp = floating_namespace("hardtanh", input)
    low, high = check_bounds("hardtanh", ("min_val", min_val), ("max_val", max_val))
    return xp.where(input <= low, low, xp.where(input >= high, high, input))


def hardsigmoid(input: Any) -> Any:
    """Return (input + 3) / 6, held between 0 and 1 [1]_; its derivative at -3 and at 3 is 0.

    References
    ----------
    .. [1] Courbariaux, Bengio and David, "BinaryConnect", arXiv:1511.00363; the slope 1/6 is that of [2]_.
    .. [2] Howard et al., "Searching for MobileNetV3", arXiv:1905.02244

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.hardsigmoid(np.asarray([-4.0, 0.0, 1.5]))
    array([0.  , 0.5 , 0.75])
    """
    xp = floating_namespace("hardsigmoid", input)
    return xp.where(input <= -3, 0.0, xp.where(input >= 3, 1.0, (input + 3.0) / 6.0))


def hardswish(input: Any) -> Any:
    """Return the input times its `hardsigmoid` [1]_; its derivative is 0 at -3 and 1 at 3.

    References
    ----------
    .. [1] Howard et al., "Searching for MobileNetV3", arXiv:1905.02244

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.hardswish(np.asarray([-4.0, -1.5, 0.0, 4.0]))
    array([ 0.   , -0.375,  0.   ,  4.   ])
    """
    xp = floating_namespace("hardswish", input)
    inside = (input > -3) & (input < 3)
    bent = xp.where(inside, input, 0.0)  # the square of a large input would overflow
    return xp.where(inside, bent * (bent + 3.0) / 6.0, xp.where(input <= -3, 0.0, input))
