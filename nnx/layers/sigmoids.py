"""Sigmoids as layers, the smooth rectifiers made from them, and their piecewise linear copies."""

from __future__ import annotations

from typing import Any

from .. import init as initializers
from ..autodiff import Parameter
from ..checks import number, positive_integer
from ..errors import DTypeError, ShapeError
from ..functional.arguments import check_bounds, check_channels, check_softplus
from ..functional.sigmoids import (
    hardsigmoid,
    hardswish,
    hardtanh,
    logsigmoid,
    mish,
    sigmoid,
    silu,
    softplus,
    softsign,
    swish,
    tanh,
)
from .module import Module


class Sigmoid(Module):
    """The logistic function, 1 / (1 + exp(-x)). See `nnx.functional.sigmoid`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Sigmoid()(np.asarray([0.0]))
    array([0.5])
    """

    def forward(self, input: Any) -> Any:
        return sigmoid(input)


class LogSigmoid(Module):
    """The logarithm of the logistic function. See `nnx.functional.logsigmoid`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.LogSigmoid()(np.asarray([-1000.0]))
    array([-1000.])
    """

    def forward(self, input: Any) -> Any:
        return logsigmoid(input)


class Tanh(Module):
    """The hyperbolic tangent. See `nnx.functional.tanh`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Tanh()(np.asarray([0.0]))
    array([0.])
    """

    def forward(self, input: Any) -> Any:
        return tanh(input)


class Softsign(Module):
    """x / (1 + abs(x)). See `nnx.functional.softsign`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Softsign()(np.asarray([-1.0, 0.0, 3.0]))
    array([-0.5 ,  0.  ,  0.75])
    """

    def forward(self, input: Any) -> Any:
        return softsign(input)


class Softplus(Module):
    """log(1 + exp(beta x)) / beta, a smooth ReLU. See `nnx.functional.softplus`.

    Parameters
    ----------
    beta
        How sharp the bend is; not 0.
    threshold
        The value of beta x above which it is the line.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Softplus()(np.asarray([0.0, 30.0])).round(4)
    array([ 0.6931, 30.    ])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = check_softplus("Softplus", beta, threshold)

    def forward(self, input: Any) -> Any:
        return softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class SiLU(Module):
    """x times its logistic function. See `nnx.functional.silu`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.SiLU()(np.asarray([0.0]))
    array([0.])
    """

    def forward(self, input: Any) -> Any:
        return silu(input)


class Swish(Module):
    """x times sigmoid(beta x) with a learned beta. See `nnx.functional.swish`; `SiLU` has beta = 1 for good.

    Parameters
    ----------
    num_parameters
        1 for one beta, or the number of channels, the length of the last axis, for one each.
    init
        The value of beta at first.
    dtype
        The dtype of the parameter.

    Attributes
    ----------
    beta
        Of shape (num_parameters,).

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Swish(init=0.0)(np.asarray([-1.0, 2.0], dtype="float32"))
    array([-0.5,  1. ], dtype=float32)
    """

    def __init__(self, num_parameters: int = 1, init: float = 1.0, *, dtype: str = "float32") -> None:
        self.num_parameters = positive_integer("Swish", "num_parameters", num_parameters)
        self.init = number("Swish", "init", init)
        self.beta = Parameter(initializers.zeros((self.num_parameters,), dtype) + self.init)

    def forward(self, input: Any) -> Any:
        try:
            return swish(input, self.beta)
        except (ShapeError, DTypeError):
            check_channels(f"Swish({self.num_parameters})", "beta", self.beta, input)
            raise

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}, init={self.init}"


class Mish(Module):
    """x times tanh(softplus(x)). See `nnx.functional.mish`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Mish()(np.asarray([0.0]))
    array([0.])
    """

    def forward(self, input: Any) -> Any:
        return mish(input)


class Hardtanh(Module):
    """x, held between two bounds. See `nnx.functional.hardtanh`.

    Parameters
    ----------
    min_val, max_val
        The bounds.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Hardtanh()(np.asarray([-2.0, 0.5, 2.0]))
    array([-1. ,  0.5,  1. ])
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        self.min_val, self.max_val = check_bounds("Hardtanh", ("min_val", min_val), ("max_val", max_val))

    def forward(self, input: Any) -> Any:
        return hardtanh(input, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}"


class Hardsigmoid(Module):
    """(x + 3) / 6, held between 0 and 1. See `nnx.functional.hardsigmoid`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Hardsigmoid()(np.asarray([-4.0, 0.0, 1.5]))
    array([0.  , 0.5 , 0.75])
    """

    def forward(self, input: Any) -> Any:
        return hardsigmoid(input)


class Hardswish(Module):
    """x times its hard sigmoid. See `nnx.functional.hardswish`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Hardswish()(np.asarray([-4.0, -1.5, 4.0]))
    array([ 0.   , -0.375,  4.   ])
    """

    def forward(self, input: Any) -> Any:
        return hardswish(input)
