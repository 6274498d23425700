"""Activation functions with a line on the right of zero and something else on the left.

Each takes the unused side out of its formula before it computes it, so that the side that `where` drops can neither
overflow nor spoil the derivative. At a kink the derivative is PyTorch's. NaN stays NaN.
"""

from __future__ import annotations

from typing import Any

from .. import random
from ..autodiff import Array
from ..checks import number
from .arguments import check_bounds, check_celu, check_channels, floating_namespace
from .drawing import draw_uniform

_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def relu6(input: Any) -> Any:
    """Return min(max(input, 0), 6), elementwise [1]_; its derivative at 0 and at 6 is 0.

    References
    ----------
    .. [1] Krizhevsky, "Convolutional Deep Belief Networks on CIFAR-10", 2010

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.relu6(np.asarray([-1.0, 2.0, 7.0]))
    array([0., 2., 6.])
    """
    xp = floating_namespace("relu6", input)
    return xp.where(input <= 0, 0.0, xp.where(input >= 6, 6.0, input))


def leaky_relu(input: Any, negative_slope: float = 0.01) -> Any:
    """Return the input where it is positive, `negative_slope` times the input elsewhere [1]_.

    The derivative at 0 is `negative_slope`.

    References
    ----------
    .. [1] Maas, Hannun and Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models", ICML 2013

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.leaky_relu(np.asarray([-1.0, 2.0]), negative_slope=0.25)
    array([-0.25,  2.  ])
    """
    xp = floating_namespace("leaky_relu", input)
    return _sloped(xp, input, number("leaky_relu", "negative_slope", negative_slope))


def prelu(input: Any, weight: Any) -> Any:
    """Return the input where it is positive, `weight` times the input elsewhere: a leaky ReLU with learned slopes [1]_.

    Parameters
    ----------
    input
        Array of shape (..., channels).
    weight
        The slopes, of shape (1,) or (channels,). The channels are the last axis.

    Raises
    ------
    ShapeError, DTypeError
        If the weight does not fit the input.

    References
    ----------
    .. [1] He et al., "Delving Deep into Rectifiers", arXiv:1502.01852

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.prelu(np.asarray([[-1.0, -1.0], [1.0, 1.0]]), np.asarray([0.5, 2.0]))
    array([[-0.5, -2. ],
           [ 1. ,  1. ]])
    """
    xp = floating_namespace("prelu", input, weight)
    check_channels("prelu", "weight", weight, input)
    return _sloped(xp, input, weight if len(input.shape) else xp.reshape(weight, ()))


def rrelu(input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Any:
    """Return the input where it is positive, a random slope times the input elsewhere [1]_.

    While training, each element draws its slope evenly from [lower, upper), from the dropout stream (see `nnx.seed`):
    the same on every backend. Otherwise the slope is the mean of the two bounds.

    Parameters
    ----------
    input
        Array of any shape.
    lower, upper
        The bounds of the slope.
    training
        Whether the slope is random.

    References
    ----------
    .. [1] Xu et al., "Empirical Evaluation of Rectified Activations in Convolutional Network", arXiv:1505.00853

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.rrelu(np.asarray([-1.0, 2.0]), lower=0.25, upper=0.75)
    array([-0.5,  2. ])
    """
    xp = floating_namespace("rrelu", input)
    lower, upper = check_bounds("rrelu", ("lower", lower), ("upper", upper))
    if not training:
        return _sloped(xp, input, (lower + upper) / 2)
    raw = input._data if isinstance(input, Array) else input
    shape = tuple(raw.shape)
    size = 1
    for n in shape:
        size *= n
    uniform = xp.astype(draw_uniform(raw, *random.dropout_stream().reserve(size), shape), raw.dtype)
    return _sloped(xp, input, lower + (upper - lower) * uniform)


def _sloped(xp: Any, input: Any, slope: Any) -> Any:
    """Return the input where positive, `slope` (a float or an array) times the input elsewhere."""
    positive = input > 0
    left = xp.where(positive, 0.0, input)
    # no operator between arrays: a raw one on the left may refuse a tracked one
    return xp.where(positive, input, xp.multiply(slope, left) if hasattr(slope, "shape") else slope * left)


def elu(input: Any, alpha: float = 1.0) -> Any:
    """Return the exponential linear unit: the input where it is positive, alpha (exp(input) - 1) elsewhere [1]_.

    The derivative at 0 is `alpha`.

    References
    ----------
    .. [1] Clevert, Unterthiner and Hochreiter, "Fast and Accurate Deep Network Learning by Exponential Linear Units
       (ELUs)", arXiv:1511.07289

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.elu(np.asarray([-1.0, 2.0])).round(4)
    array([-0.6321,  2.    ])
    """
    xp = floating_namespace("elu", input)
    return _exponential(xp, input, number("elu", "alpha", alpha), 1.0)


def selu(input: Any) -> Any:
    """Return the scaled ELU, whose two constants keep the mean at 0 and the variance at 1 from layer to layer [1]_.

    References
    ----------
    .. [1] Klambauer et al., "Self-Normalizing Neural Networks", arXiv:1706.02515

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.selu(np.asarray([-1.0, 2.0])).round(4)
    array([-1.1113,  2.1014])
    """
    xp = floating_namespace("selu", input)
    return _SELU_SCALE * _exponential(xp, input, _SELU_ALPHA, 1.0)


def celu(input: Any, alpha: float = 1.0) -> Any:
    """Return the ELU that has derivative 1 at 0 for every alpha: alpha (exp(input / alpha) - 1) left of 0 [1]_.

    Raises
    ------
    ValueError
        If alpha is not above 0; PyTorch takes negative ones too, for which this is no rectifier.

    References
    ----------
    .. [1] Barron, "Continuously Differentiable Exponential Linear Units", arXiv:1704.07483

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.celu(np.asarray([-1.0, 2.0]), alpha=0.5).round(4)
    array([-0.4323,  2.    ])
    """
    xp = floating_namespace("celu", input)
    alpha = check_celu("celu", alpha)
    return _exponential(xp, input, alpha, alpha)


def _exponential(xp: Any, input: Any, height: float, width: float) -> Any:
    """Return the input where positive, height (exp(input / width) - 1) elsewhere."""
    negative = input <= 0
    left = xp.where(negative, input, 0.0)
    return xp.where(negative, height * xp.expm1(left / width), input)


def threshold(input: Any, threshold: float, value: float) -> Any:
    """Return the input where it is above `threshold`, `value` elsewhere; the derivative there is 0.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.threshold(np.asarray([0.05, 2.0]), threshold=0.1, value=20.0)
    array([20.,  2.])
    """
    xp = floating_namespace("threshold", input)
    value = number("threshold", "value", value, infinite=True)
    return xp.where(input <= number("threshold", "threshold", threshold, infinite=True), value, input)
