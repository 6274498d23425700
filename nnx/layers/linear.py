"""Fully connected layers."""

from __future__ import annotations

import math
from typing import Any

from .. import init
from ..autodiff import Parameter
from ..checks import positive_integer
from ..errors import ShapeError
from ..functional.linear import check_linear, linear
from .module import Module


class Linear(Module):
    """A fully connected layer: ``x @ weight.T + bias``.

    Parameters
    ----------
    in_features, out_features
        The lengths of the last axis before and after.
    bias
        Whether to add a learned bias.
    dtype
        The dtype of the parameters, or its name.

    Attributes
    ----------
    weight
        Of shape (out_features, in_features), initially uniform in ±1/sqrt(in_features) [1]_.
    bias
        Of shape (out_features,), initially the same.

    References
    ----------
    .. [1] LeCun et al., "Efficient BackProp", 1998; the bounds are PyTorch's.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Linear(3, 2)(np.ones((5, 3), dtype="float32")).shape
    (5, 2)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, dtype: Any = "float32") -> None:
        self.in_features = positive_integer("Linear", "in_features", in_features)
        self.out_features = positive_integer("Linear", "out_features", out_features)
        dtype = init.floating_dtype("Linear", dtype)
        bound = 1 / math.sqrt(in_features)
        self.weight = Parameter(init.uniform((out_features, in_features), -bound, bound, dtype))
        self.bias: Any = Parameter(init.uniform((out_features,), -bound, bound, dtype)) if bias else None

    def forward(self, input: Any) -> Any:
        try:
            return linear(input, self.weight, self.bias)
        except (ShapeError, TypeError):  # of a wrong dtype, of two backends, or no arrays at all
            check_linear(f"Linear({self.in_features}, {self.out_features})", input, self.weight, self.bias)
            raise

    def extra_repr(self) -> str:
        bias = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={bias}"
