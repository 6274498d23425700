"""Activations as layers."""

from __future__ import annotations

from typing import Any

from ..functional.activation import gelu, relu
from .module import Module


class ReLU(Module):
    """max(x, 0), elementwise.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.ReLU()(np.asarray([-1.0, 2.0]))
    array([0., 2.])
    """

    def forward(self, input: Any) -> Any:
        return relu(input)


class GELU(Module):
    """The Gaussian error linear unit. See `nnx.functional.gelu`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.GELU(approximate="tanh")(np.asarray([0.0]))
    array([0.])
    """

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: expected approximate='none' or 'tanh', got {approximate!r}.")
        self.approximate = approximate

    def forward(self, input: Any) -> Any:
        return gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"
