"""Regularisers: penalties on the size of parameters, to add to a loss."""

from __future__ import annotations

from typing import Any

from .autodiff.namespace import namespace
from .checks import check_range


class Regularizer:
    """A function from the array of a parameter to a number. See `Module.regularize`."""

    def __call__(self, parameter: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define __call__(self, parameter).")


class L1(Regularizer):
    """`strength` times the sum of absolute values: it drives parameters to zero.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> float(nnx.regularizers.L1(0.5)(np.asarray([1.0, -3.0])))
    2.0
    """

    def __init__(self, strength: float = 0.01) -> None:
        check_range("L1", "strength", strength, 0.0)
        self.strength = strength

    def __call__(self, parameter: Any) -> Any:
        xp = namespace(parameter)
        return self.strength * xp.sum(xp.abs(parameter))

    def __repr__(self) -> str:
        return f"L1({self.strength})"


class L2(Regularizer):
    """`strength` times the sum of squares: it keeps parameters small.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> float(nnx.regularizers.L2(0.5)(np.asarray([1.0, -3.0])))
    5.0
    """

    def __init__(self, strength: float = 0.01) -> None:
        check_range("L2", "strength", strength, 0.0)
        self.strength = strength

    def __call__(self, parameter: Any) -> Any:
        return self.strength * namespace(parameter).sum(parameter * parameter)

    def __repr__(self) -> str:
        return f"L2({self.strength})"
