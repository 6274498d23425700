"""Fully connected layers."""

from __future__ import annotations

import math
from typing import Any

from .. import init
from ..autodiff import Parameter
from ..checks import positive_integer
from ..errors import ShapeError
from ..functional.bilinear import bilinear, check_bilinear
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


class Bilinear(Module):
    """A bilinear layer of two inputs: ``x1 @ weight[o] @ x2 + bias[o]`` for every output o.

    Parameters
    ----------
    in1_features, in2_features
        The lengths of the last axes of the two inputs.
    out_features
        The length of the last axis of the output.
    bias
        Whether to add a learned bias.
    dtype
        The dtype of the parameters, or its name.

    Attributes
    ----------
    weight
        Of shape (out_features, in1_features, in2_features), initially uniform in ±1/sqrt(in1_features).
    bias
        Of shape (out_features,), initially the same.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Bilinear(3, 4, 2)(np.ones((5, 3), dtype="float32"), np.ones((5, 4), dtype="float32")).shape
    (5, 2)
    """

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, bias: bool = True, *, dtype: Any = "float32"
    ) -> None:
        self.in1_features = positive_integer("Bilinear", "in1_features", in1_features)
        self.in2_features = positive_integer("Bilinear", "in2_features", in2_features)
        self.out_features = positive_integer("Bilinear", "out_features", out_features)
        dtype = init.floating_dtype("Bilinear", dtype)
        bound = 1 / math.sqrt(in1_features)
        shape = (self.out_features, self.in1_features, self.in2_features)
        self.weight = Parameter(init.uniform(shape, -bound, bound, dtype))
        self.bias: Any = Parameter(init.uniform((self.out_features,), -bound, bound, dtype)) if bias else None

    def forward(self, input1: Any, input2: Any) -> Any:
        try:
            return bilinear(input1, input2, self.weight, self.bias)
        except (ShapeError, TypeError):
            label = f"Bilinear({self.in1_features}, {self.in2_features}, {self.out_features})"
            check_bilinear(label, input1, input2, self.weight, self.bias)
            raise

    def extra_repr(self) -> str:
        sizes = f"in1_features={self.in1_features}, in2_features={self.in2_features}"
        return f"{sizes}, out_features={self.out_features}, bias={self.bias is not None}"
