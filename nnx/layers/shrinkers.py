"""Shrinkers as layers: they pull the input towards zero."""

from __future__ import annotations

from typing import Any

from ..functional.arguments import check_lambd
from ..functional.shrinkers import hardshrink, softshrink, tanhshrink
from .module import Module


class Tanhshrink(Module):
    """x minus its hyperbolic tangent. See `nnx.functional.tanhshrink`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Tanhshrink()(np.asarray([0.0]))
    array([0.])
    """

    def forward(self, input: Any) -> Any:
        return tanhshrink(input)


class Softshrink(Module):
    """x moved towards 0 by `lambd`, and 0 within ±lambd. See `nnx.functional.softshrink`.

    Parameters
    ----------
    lambd
        Half the width of the part that becomes 0; at least 0.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Softshrink()(np.asarray([-2.0, 0.25, 1.0]))
    array([-1.5,  0. ,  0.5])
    """

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = check_lambd("Softshrink", lambd)

    def forward(self, input: Any) -> Any:
        return softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return f"lambd={self.lambd}"


class Hardshrink(Module):
    """x, and 0 within ±lambd. See `nnx.functional.hardshrink`.

    Parameters
    ----------
    lambd
        Half the width of the part that becomes 0; at least 0.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Hardshrink()(np.asarray([-2.0, 0.25, 1.0]))
    array([-2.,  0.,  1.])
    """

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = check_lambd("Hardshrink", lambd)

    def forward(self, input: Any) -> Any:
        return hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return f"lambd={self.lambd}"
