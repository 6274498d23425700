"""Dropout as a layer."""

from __future__ import annotations

from typing import Any

from ..functional.checks import check_fraction
from ..functional.dropout import dropout
from .module import Module


class Dropout(Module):
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

    def __init__(self, p: float = 0.5) -> None:
        check_fraction("Dropout", "a probability p", p)
        self.p = p

    def forward(self, input: Any) -> Any:
        return dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"
