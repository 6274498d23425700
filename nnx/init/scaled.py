"""Initialisers that keep the variance of activations or gradients: they scale with the number of inputs or outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import random
from ..checks import check_choice, number
from .arrays import born, checked_shape
from .plain import standard_truncated

_LINEAR = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
_GAINS = {**dict.fromkeys((*_LINEAR, "sigmoid"), 1.0), "tanh": 5.0 / 3.0, "relu": math.sqrt(2.0), "selu": 0.75}
_MODES = ("fan_in", "fan_out")
# The standard deviation of a standard normal distribution that is cut at -2 and 2.
_CUT_STD = 0.87962566103423978


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """Return how many inputs an output has, and how many outputs an input has.

    Parameters
    ----------
    shape
        (out, in), or (out, *kernel, in / groups). As in PyTorch, all outputs count also where there are groups. For the
        weights of transposed convolutions, (out / groups, *kernel, in), PyTorch exchanges the two.

    Examples
    --------
    >>> import nnx
    >>> nnx.init.fans((64, 3, 3, 16))
    (144, 576)
    """
    return _fans("fans", shape)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor on the standard deviation that goes with an activation.

    Parameters
    ----------
    nonlinearity
        "linear" or the name of a convolution (1), "sigmoid" (1), "tanh" (5/3), "relu" (sqrt(2)), "leaky_relu"
        (sqrt(2 / (1 + slope²))), "selu" (3/4).
    param
        The negative slope of "leaky_relu", 0.01 if it is None.

    Examples
    --------
    >>> import nnx
    >>> nnx.init.calculate_gain("leaky_relu", 1.0)
    1.0
    """
    return _gain("calculate_gain", nonlinearity, param)


def xavier_uniform(shape: Sequence[int], gain: float = 1.0, dtype: Any = "float32") -> Any:
    """Draw evenly from [-a, a), a = gain * sqrt(6 / (fan_in + fan_out)) [1]_; also known as Glorot's.

    References
    ----------
    .. [1] Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.

    Examples
    --------
    >>> import nnx
    >>> float(abs(nnx.init.xavier_uniform((100, 50))).max()) <= 0.2
    True
    """
    return _draw("xavier_uniform", shape, "uniform", _xavier_std("xavier_uniform", shape, gain), dtype)


def xavier_normal(shape: Sequence[int], gain: float = 1.0, dtype: Any = "float32") -> Any:
    """Draw from a normal distribution of standard deviation gain * sqrt(2 / (fan_in + fan_out)) [1]_.

    References
    ----------
    .. [1] Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.

    Examples
    --------
    >>> import nnx
    >>> nnx.init.xavier_normal((4, 3)).shape
    (4, 3)
    """
    return _draw("xavier_normal", shape, "normal", _xavier_std("xavier_normal", shape, gain), dtype)


def kaiming_uniform(
    shape: Sequence[int],
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    dtype: Any = "float32",
) -> Any:
    """Draw evenly from [-b, b), b = gain * sqrt(3 / fan) [1]_; also known as He's.

    Parameters
    ----------
    shape
        See `fans`.
    a
        The negative slope of the activation, for "leaky_relu".
    mode
        "fan_in" keeps the variance of activations, "fan_out" that of gradients.
    nonlinearity
        The activation that follows, see `calculate_gain`.
    dtype
        The name of the dtype.

    References
    ----------
    .. [1] He et al., "Delving Deep into Rectifiers", 2015, arXiv:1502.01852.

    Examples
    --------
    >>> import nnx
    >>> float(abs(nnx.init.kaiming_uniform((10, 600), nonlinearity="relu")).max()) <= 0.1
    True
    """
    std = _kaiming_std("kaiming_uniform", shape, a, mode, nonlinearity)
    return _draw("kaiming_uniform", shape, "uniform", std, dtype)


def kaiming_normal(
    shape: Sequence[int],
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    dtype: Any = "float32",
) -> Any:
    """Draw from a normal distribution of standard deviation gain / sqrt(fan); see `kaiming_uniform`.

    Examples
    --------
    >>> import nnx
    >>> nnx.init.kaiming_normal((16, 3, 3, 8), mode="fan_out", nonlinearity="relu").shape
    (16, 3, 3, 8)
    """
    std = _kaiming_std("kaiming_normal", shape, a, mode, nonlinearity)
    return _draw("kaiming_normal", shape, "normal", std, dtype)


def lecun_uniform(shape: Sequence[int], dtype: Any = "float32") -> Any:
    """Draw evenly from [-a, a), a = sqrt(3 / fan_in) [1]_.

    References
    ----------
    .. [1] LeCun et al., "Efficient BackProp", 1998.

    Examples
    --------
    >>> import nnx
    >>> float(abs(nnx.init.lecun_uniform((10, 300))).max()) <= 0.1
    True
    """
    return _draw("lecun_uniform", shape, "uniform", _fan("lecun_uniform", shape, "fan_in") ** -0.5, dtype)


def lecun_normal(shape: Sequence[int], dtype: Any = "float32") -> Any:
    """Draw from a normal distribution of standard deviation 1 / sqrt(fan_in), as SELU needs it [1]_.

    It is not cut; `variance_scaling` with its defaults is the cut one of other libraries.

    References
    ----------
    .. [1] Klambauer et al., "Self-Normalizing Neural Networks", 2017, arXiv:1706.02515.

    Examples
    --------
    >>> import nnx
    >>> nnx.init.lecun_normal((4, 3)).shape
    (4, 3)
    """
    return _draw("lecun_normal", shape, "normal", _fan("lecun_normal", shape, "fan_in") ** -0.5, dtype)


def variance_scaling(
    shape: Sequence[int],
    scale: float = 1.0,
    mode: str = "fan_in",
    distribution: str = "truncated_normal",
    dtype: Any = "float32",
) -> Any:
    """Draw from a distribution of variance scale / fan: what the others are cases of. Keras' arguments.

    Parameters
    ----------
    shape
        See `fans`.
    scale
        The variance times the fan, at least 0.
    mode
        "fan_in", "fan_out" or "fan_avg", their mean.
    distribution
        "uniform", "normal" ("untruncated_normal" in Keras) or "truncated_normal", which is cut at two standard
        deviations of the distribution before the cut, chosen so that the variance after it is right.
    dtype
        The name of the dtype.

    Examples
    --------
    >>> import nnx
    >>> nnx.init.variance_scaling((4, 3), scale=2.0, mode="fan_avg").shape
    (4, 3)
    """
    label = "variance_scaling"
    number(label, "scale", scale, 0.0)
    check_choice(label, "mode", mode, (*_MODES, "fan_avg"))
    check_choice(label, "distribution", distribution, ("uniform", "normal", "truncated_normal"))
    fan = sum(_fans(label, shape)) / 2.0 if mode == "fan_avg" else _fan(label, shape, mode)
    return _draw(label, shape, distribution, math.sqrt(scale / max(fan, 1.0)), dtype)


def _fans(label: str, shape: Sequence[int]) -> tuple[int, int]:
    out, *kernel, inputs = checked_shape(label, shape, "a shape (out, in) or (out, *kernel, in / groups)", 2)
    field = math.prod(kernel)
    return inputs * field, out * field


def _fan(label: str, shape: Sequence[int], mode: str) -> int:
    """The fan of this mode; an empty array has nothing to scale, so that any positive number will do for it."""
    return max(_fans(label, shape)[_MODES.index(mode)], 1)


def _xavier_std(label: str, shape: Sequence[int], gain: float) -> float:
    number(label, "gain", gain, 0.0)
    return gain * math.sqrt(2.0 / max(sum(_fans(label, shape)), 1))


def _kaiming_std(label: str, shape: Sequence[int], a: float, mode: str, nonlinearity: str) -> float:
    check_choice(label, "mode", mode, _MODES)
    return _gain(label, nonlinearity, a, "a") / math.sqrt(_fan(label, shape, mode))


def _gain(label: str, nonlinearity: str, param: float | None, name: str = "param") -> float:
    check_choice(label, "nonlinearity", nonlinearity, (*_GAINS, "leaky_relu"))
    if nonlinearity != "leaky_relu":
        return _GAINS[nonlinearity]
    slope = 0.01 if param is None else param
    number(label, name, slope)
    return math.sqrt(2.0 / (1.0 + slope**2))


def _draw(label: str, shape: Sequence[int], distribution: str, std: float, dtype: Any) -> Any:
    """Draw with mean 0 and this standard deviation."""
    lengths, generator = tuple(shape), random.init_generator()
    if distribution == "uniform":
        bound = math.sqrt(3.0) * std
        values = generator.uniform(-bound, bound, lengths)
    elif distribution == "normal":
        values = generator.normal(0.0, std, lengths)
    else:
        values = standard_truncated(lengths, -2.0, 2.0) * (std / _CUT_STD)
    return born(label, values, dtype)
