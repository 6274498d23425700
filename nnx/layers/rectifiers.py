"""Rectifiers as layers: a line on the right of zero, something else on the left."""

from __future__ import annotations

from typing import Any

from .. import init as initializers
from ..autodiff import Parameter
from ..checks import number, positive_integer
from ..errors import DTypeError, ShapeError
from ..functional.arguments import check_bounds, check_celu, check_channels
from ..functional.rectifiers import celu, elu, leaky_relu, prelu, relu6, rrelu, selu, threshold
from .module import Module


class ReLU6(Module):
    """min(max(x, 0), 6), elementwise. See `nnx.functional.relu6`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.ReLU6()(np.asarray([-1.0, 2.0, 7.0]))
    array([0., 2., 6.])
    """

    def forward(self, input: Any) -> Any:
        return relu6(input)


class LeakyReLU(Module):
    """x where it is positive, `negative_slope` times x elsewhere. See `nnx.functional.leaky_relu`.

    Parameters
    ----------
    negative_slope
        The slope left of 0.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.LeakyReLU(0.25)(np.asarray([-1.0, 2.0]))
    array([-0.25,  2.  ])
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = number("LeakyReLU", "negative_slope", negative_slope)

    def forward(self, input: Any) -> Any:
        return leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class PReLU(Module):
    """x where it is positive, a learned slope times x elsewhere. See `nnx.functional.prelu`.

    Parameters
    ----------
    num_parameters
        1 for one slope, or the number of channels, the length of the last axis, for one each.
    init
        The slopes at first.
    dtype
        The dtype of the parameter.

    Attributes
    ----------
    weight
        The slopes, of shape (num_parameters,).

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.PReLU(2)(np.asarray([[-1.0, 2.0]], dtype="float32"))
    array([[-0.25,  2.  ]], dtype=float32)
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, *, dtype: str = "float32") -> None:
        self.num_parameters = positive_integer("PReLU", "num_parameters", num_parameters)
        self.init = number("PReLU", "init", init)
        self.weight = Parameter(initializers.zeros((self.num_parameters,), dtype) + self.init)

    def forward(self, input: Any) -> Any:
        try:
            return prelu(input, self.weight)
        except (ShapeError, DTypeError):
            check_channels(f"PReLU({self.num_parameters})", "weight", self.weight, input)
            raise

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}, init={self.init}"


class RReLU(Module):
    """x where it is positive, elsewhere a random slope times x, or the mean slope in evaluation.

    See `nnx.functional.rrelu`.

    Parameters
    ----------
    lower, upper
        The bounds of the slope.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.RReLU(0.25, 0.75).eval()(np.asarray([-1.0, 2.0]))
    array([-0.5,  2. ])
    """

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3) -> None:
        self.lower, self.upper = check_bounds("RReLU", ("lower", lower), ("upper", upper))

    def forward(self, input: Any) -> Any:
        return rrelu(input, self.lower, self.upper, self.training)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}"


class ELU(Module):
    """The exponential linear unit. See `nnx.functional.elu`.

    Parameters
    ----------
    alpha
        Minus the limit far left.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.ELU()(np.asarray([-1.0, 2.0])).round(4)
    array([-0.6321,  2.    ])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = number("ELU", "alpha", alpha)

    def forward(self, input: Any) -> Any:
        return elu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class SELU(Module):
    """The scaled ELU, which normalises itself. See `nnx.functional.selu`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.SELU()(np.asarray([0.0]))
    array([0.])
    """

    def forward(self, input: Any) -> Any:
        return selu(input)


class CELU(Module):
    """The ELU that is smooth for every alpha. See `nnx.functional.celu`.

    Parameters
    ----------
    alpha
        Minus the limit far left; above 0.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.CELU(0.5)(np.asarray([-1.0, 2.0])).round(4)
    array([-0.4323,  2.    ])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = check_celu("CELU", alpha)

    def forward(self, input: Any) -> Any:
        return celu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class Threshold(Module):
    """x where it is above a threshold, a constant elsewhere. See `nnx.functional.threshold`.

    Parameters
    ----------
    threshold
        Where the constant ends.
    value
        The constant.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Threshold(0.1, 20.0)(np.asarray([0.05, 2.0]))
    array([20.,  2.])
    """

    def __init__(self, threshold: float, value: float) -> None:
        self.threshold = number("Threshold", "threshold", threshold, infinite=True)
        self.value = number("Threshold", "value", value, infinite=True)

    def forward(self, input: Any) -> Any:
        return threshold(input, self.threshold, self.value)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}"
