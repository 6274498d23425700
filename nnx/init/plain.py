"""Initialisers that do not look at the shape: constants and distributions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy

from .. import random
from ..checks import number
from ..errors import ShapeError
from .arrays import born, checked_shape


def uniform(shape: Sequence[int], a: float = 0.0, b: float = 1.0, dtype: Any = "float32") -> Any:
    """Return numbers drawn evenly from [a, b).

    Examples
    --------
    >>> import nnx
    >>> nnx.init.uniform((2, 3)).shape
    (2, 3)
    """
    shape = checked_shape("uniform", shape)
    number("uniform", "a", a)
    number("uniform", "b", b)
    if b < a:
        raise ValueError(f"uniform: expected a to be at most b, got a={a!r}, b={b!r}; exchange them.")
    return born("uniform", random.init_generator().uniform(a, b, shape), dtype)


def normal(shape: Sequence[int], mean: float = 0.0, std: float = 1.0, dtype: Any = "float32") -> Any:
    """Return numbers drawn from the normal distribution with this mean and standard deviation.

    Examples
    --------
    >>> import nnx
    >>> nnx.init.normal((2, 3), std=0.02).shape
    (2, 3)
    """
    shape = checked_shape("normal", shape)
    number("normal", "mean", mean)
    number("normal", "std", std, 0.0)
    return born("normal", random.init_generator().normal(mean, std, shape), dtype)


def trunc_normal(
    shape: Sequence[int],
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    dtype: Any = "float32",
) -> Any:
    """Return numbers drawn from a normal distribution, again and again until they lie in [a, b].

    Parameters
    ----------
    shape
        The shape of the array.
    mean, std
        Of the distribution before it is cut; std is above 0.
    a, b
        The bounds: values, not multiples of std, as in PyTorch.
    dtype
        The name of the dtype.

    Examples
    --------
    >>> import nnx
    >>> float(abs(nnx.init.trunc_normal((1000,), std=0.02, a=-0.04, b=0.04)).max()) <= 0.04
    True
    """
    shape = checked_shape("trunc_normal", shape)
    for name, value in (("mean", mean), ("a", a), ("b", b)):
        number("trunc_normal", name, value)
    number("trunc_normal", "std", std, 0.0, above=True, fix="use constant for one value")
    if not a < b:
        raise ValueError(f"trunc_normal: expected a to be below b, got a={a!r}, b={b!r}; they are values, not widths.")
    unit = standard_truncated(shape, (a - mean) / std, (b - mean) / std)
    return born("trunc_normal", numpy.clip(mean + std * unit, a, b), dtype)


def standard_truncated(shape: tuple[int, ...], low: float, high: float) -> numpy.ndarray:
    """Draw from the standard normal distribution within [low, high], by rejection."""
    generator = random.init_generator()
    inside = (math.erf(high / math.sqrt(2.0)) - math.erf(low / math.sqrt(2.0))) / 2.0
    mode = min(max(low, 0.0), high)
    # Where the density is less than exp(-40) of its peak no draw of 53 bits lands.
    reach = math.sqrt(mode * mode + 80.0)
    low, high = max(low, -reach), min(high, reach)
    values = numpy.empty(math.prod(shape))
    pending = numpy.arange(values.size)
    while pending.size:
        if inside > 0.3:
            drawn = generator.standard_normal(pending.size)
            accepted = (drawn >= low) & (drawn <= high)
        else:  # few normal numbers would fall into a narrow interval or a tail
            drawn = generator.uniform(low, high, pending.size)
            accepted = generator.random(pending.size) < numpy.exp((mode * mode - drawn * drawn) / 2.0)
        values[pending[accepted]] = drawn[accepted]
        pending = pending[~accepted]
    return values.reshape(shape)


def constant(shape: Sequence[int], val: float, dtype: Any = "float32") -> Any:
    """Return an array full of one value.

    Examples
    --------
    >>> import nnx
    >>> nnx.init.constant((2,), 0.5)
    array([0.5, 0.5], dtype=float32)
    """
    shape = checked_shape("constant", shape)
    number("constant", "val", val)
    return born("constant", numpy.full(shape, float(val)), dtype)


def ones(shape: Sequence[int], dtype: Any = "float32") -> Any:
    """Return ones.

    Examples
    --------
    >>> import nnx
    >>> nnx.init.ones((2,))
    array([1., 1.], dtype=float32)
    """
    return born("ones", numpy.ones(checked_shape("ones", shape)), dtype)


def zeros(shape: Sequence[int], dtype: Any = "float32") -> Any:
    """Return zeros.

    Examples
    --------
    >>> import nnx
    >>> nnx.init.zeros((2,))
    array([0., 0.], dtype=float32)
    """
    return born("zeros", numpy.zeros(checked_shape("zeros", shape)), dtype)


def sparse(shape: Sequence[int], sparsity: float, std: float = 0.01, dtype: Any = "float32") -> Any:
    """Return normal numbers, of which the same part in every column is zero [1]_.

    Parameters
    ----------
    shape
        (out, in).
    sparsity
        The part of each column, rounded up, that is zero; from 0 to 1.
    std
        The standard deviation of the others.
    dtype
        The name of the dtype.

    References
    ----------
    .. [1] Martens, "Deep learning via Hessian-free optimization", ICML 2010.

    Examples
    --------
    >>> import nnx
    >>> (nnx.init.sparse((10, 3), sparsity=0.35) == 0).sum(axis=0)
    array([4, 4, 4])
    """
    shape = checked_shape("sparse", shape)
    if len(shape) != 2:
        raise ShapeError(f"sparse: expected a shape (out, in), got {shape}; use normal for others.")
    number("sparse", "sparsity", sparsity, 0.0, 1.0)
    number("sparse", "std", std, 0.0)
    generator = random.init_generator()
    values = generator.normal(0.0, std, shape)
    ranks = generator.permuted(numpy.tile(numpy.arange(shape[0])[:, None], (1, shape[1])), axis=0)
    values[ranks < math.ceil(sparsity * shape[0])] = 0.0
    return born("sparse", values, dtype)
