"""Dropout and its relatives as layers: what they do while training they leave in evaluation."""

from __future__ import annotations

from typing import Any

from ..checks import check_range, number
from ..functional.dropout import dropout, dropout1d, dropout2d, dropout3d
from ..functional.dropout_alpha import alpha_dropout, feature_alpha_dropout
from ..functional.dropout_noise import gaussian_dropout, gaussian_noise
from .module import Module


class _Dropout(Module):
    """A layer with a probability."""

    def __init__(self, p: float = 0.5) -> None:
        number(type(self).__name__, "p", p, 0.0, 1.0)
        self.p = p

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout(_Dropout):
    """Drop elements at random while training. See `nnx.functional.dropout`.

    Parameters
    ----------
    p
        The probability of an element to be set to 0.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Dropout(0.2).eval()(np.ones(3))
    array([1., 1., 1.])
    """

    def forward(self, input: Any) -> Any:
        return dropout(input, self.p, self.training)


class Dropout1d(_Dropout):
    """Drop whole channels of sequences (N, L, C) while training. See `nnx.functional.dropout1d`.

    Parameters
    ----------
    p
        The probability of a channel to be set to 0.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Dropout1d(0.2).eval()(np.ones((2, 5, 3))).shape
    (2, 5, 3)
    """

    def forward(self, input: Any) -> Any:
        return dropout1d(input, self.p, self.training)


class Dropout2d(_Dropout):
    """Drop whole channels of images (N, H, W, C) while training. See `nnx.functional.dropout2d`.

    Parameters
    ----------
    p
        The probability of a channel to be set to 0.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Dropout2d(0.2).eval()(np.ones((2, 5, 5, 3))).shape
    (2, 5, 5, 3)
    """

    def forward(self, input: Any) -> Any:
        return dropout2d(input, self.p, self.training)


class Dropout3d(_Dropout):
    """Drop whole channels of volumes (N, D, H, W, C) while training. See `nnx.functional.dropout3d`.

    Parameters
    ----------
    p
        The probability of a channel to be set to 0.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Dropout3d(0.2).eval()(np.ones((2, 4, 5, 5, 3))).shape
    (2, 4, 5, 5, 3)
    """

    def forward(self, input: Any) -> Any:
        return dropout3d(input, self.p, self.training)


class AlphaDropout(_Dropout):
    """Dropout for networks of SELUs, which keeps mean 0 and variance 1. See `nnx.functional.alpha_dropout`.

    Parameters
    ----------
    p
        The probability of an element to be dropped.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.AlphaDropout(0.2).eval()(np.ones((2, 3))).shape
    (2, 3)
    """

    def forward(self, input: Any) -> Any:
        return alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_Dropout):
    """Alpha dropout of whole channels of samples (N, ..., C). See `nnx.functional.feature_alpha_dropout`.

    Parameters
    ----------
    p
        The probability of a channel to be dropped.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.FeatureAlphaDropout(0.2).eval()(np.ones((2, 5, 3))).shape
    (2, 5, 3)
    """

    def forward(self, input: Any) -> Any:
        return feature_alpha_dropout(input, self.p, self.training)


class GaussianDropout(Module):
    """Multiply by normal numbers of mean 1 while training. See `nnx.functional.gaussian_dropout`.

    Parameters
    ----------
    rate
        The probability of the dropout that it stands for, from 0 to below 1.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.GaussianDropout(0.2).eval()(np.ones(3))
    array([1., 1., 1.])
    """

    def __init__(self, rate: float) -> None:
        check_range("GaussianDropout", "rate", rate, 0.0, 1.0)
        self.rate = rate

    def forward(self, input: Any) -> Any:
        return gaussian_dropout(input, self.rate, self.training)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


class GaussianNoise(Module):
    """Add normal numbers of mean 0 while training. See `nnx.functional.gaussian_noise`.

    Parameters
    ----------
    stddev
        The standard deviation, at least 0.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.GaussianNoise(0.2).eval()(np.ones(3))
    array([1., 1., 1.])
    """

    def __init__(self, stddev: float) -> None:
        check_range("GaussianNoise", "stddev", stddev, 0.0)
        self.stddev = stddev

    def forward(self, input: Any) -> Any:
        return gaussian_noise(input, self.stddev, self.training)

    def extra_repr(self) -> str:
        return f"stddev={self.stddev}"
