"""Weight constraints: what an optimizer's step may leave of a weight. See `Module.constrain`.

The norms are by default those of each output unit's incoming weights. Weights of nnx hold the outputs in their first
axis, (out, ..., in), so that these norms run over every axis but the first. Keras holds them in the last one: its
``axis=0`` for a dense layer and ``axis=[0, 1, 2]`` for a convolution are nnx's default, ``axis=None``.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from .autodiff.namespace import namespace
from .checks import number
from .dtypes import dtype_name, is_complex
from .errors import DTypeError, ShapeError

__all__ = ["Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"]

_NARROW = ("float16", "bfloat16")  # a sum of squares leaves their range where a norm passes 256


class Constraint:
    """A function from the array of a parameter to a new one that satisfies the constraint, to subclass.

    Any other function will do. See `Module.constrain`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> class ZeroMean(nnx.constraints.Constraint):
    ...     def __call__(self, weight):
    ...         return weight - nnx.namespace(weight).mean(weight)
    >>> layer = nnx.Linear(2, 2).constrain(ZeroMean(), "weight")
    >>> ZeroMean()(np.asarray([1.0, 3.0]))
    array([-1.,  1.])
    """

    def __call__(self, weight: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define __call__(self, weight).")


class NonNeg(Constraint):
    """No negative weights: they become 0.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.constraints.NonNeg()(np.asarray([-1.0, 2.0]))
    array([0., 2.])
    """

    def __call__(self, weight: Any) -> Any:
        if is_complex(weight.dtype):
            raise DTypeError(
                f"NonNeg: expected a real weight, got dtype {dtype_name(weight.dtype)}. Constrain another one."
            )
        xp = namespace(weight)
        return xp.where(weight < 0, xp.zeros_like(weight), weight)

    def __repr__(self) -> str:
        return "NonNeg()"


class _NormConstraint(Constraint):
    """Scales the weights of each unit so that their Euclidean norm becomes another one."""

    def __init__(self, axis: int | Sequence[int] | None) -> None:
        self.axis = _checked_axis(type(self).__name__, axis)

    def wanted(self, xp: Any, norm: Any) -> Any:
        """Return the norms to have for the norms that there are."""
        raise NotImplementedError

    def __call__(self, weight: Any) -> Any:
        xp = namespace(weight)
        axes = self._axes(tuple(weight.shape))
        wide = xp.astype(weight, xp.float32) if dtype_name(weight.dtype) in _NARROW else weight
        if 0 in weight.shape:
            return weight
        size = xp.abs(wide)
        largest = xp.max(size, axis=axes, keepdims=True)
        largest = xp.where((largest > 0) & xp.isfinite(largest), largest, xp.ones_like(largest))
        share = size / largest  # whose squares neither overflow nor vanish
        root = xp.sqrt(xp.sum(share * share, axis=axes, keepdims=True))
        norm = root * largest
        wanted = self.wanted(xp, norm)
        # A unit whose weights are all 0 has no direction to scale along; and one that is right keeps its bits.
        changed = (norm > 0) & (wanted != norm)
        scale = wanted / xp.where(changed, root, xp.ones_like(root))
        return xp.astype(xp.where(changed, wide / largest * scale, wide), weight.dtype, copy=False)

    def _axes(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        where, ndim = type(self).__name__, len(shape)
        if self.axis is None:
            if ndim < 2:
                raise ShapeError(
                    f"{where}: expected a weight of two or more axes, (out, ..., in), got shape {shape}. Choose the "
                    f"weights by a pattern, such as '*.weight', or pass axis=0 for the norm of a whole vector."
                )
            return tuple(range(1, ndim))
        if any(not -ndim <= axis < ndim for axis in self.axis):
            raise ShapeError(
                f"{where}: expected axes from {-ndim} to {ndim - 1} for a weight of shape {shape}, got "
                f"axis={self.axis}. The first axis counts the outputs; leave axis out to sum over all others."
            )
        return tuple(dict.fromkeys(axis % ndim for axis in self.axis))

    def _repr(self, *arguments: str) -> str:
        axis = [] if self.axis is None else [f"axis={self.axis}"]
        return f"{type(self).__name__}({', '.join([*arguments, *axis])})"


class MaxNorm(_NormConstraint):
    """No unit's incoming weights have a norm above `max_value`; longer ones are scaled down to it [1]_.

    Shorter ones keep their values to the last bit.

    Parameters
    ----------
    max_value
        The largest norm, above 0.
    axis
        The axis or axes to take the norm over. By default all but the first, (out, ..., in): the incoming weights of
        each output unit, or, in the weight of an embedding, each vector.

    References
    ----------
    .. [1] Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.constraints.MaxNorm(2.0)(np.asarray([[3.0, 4.0], [1.0, 0.0]]))
    array([[1.2, 1.6],
           [1. , 0. ]])
    """

    def __init__(self, max_value: float = 2.0, axis: int | Sequence[int] | None = None) -> None:
        super().__init__(axis)
        self.max_value = number("MaxNorm", "max_value", max_value, 0.0, above=True)

    def wanted(self, xp: Any, norm: Any) -> Any:
        return xp.clip(norm, max=self.max_value)

    def __repr__(self) -> str:
        return self._repr(str(self.max_value))


class UnitNorm(_NormConstraint):
    """Every unit's incoming weights have the norm 1; weights that are all 0 stay 0.

    Parameters
    ----------
    axis
        The axis or axes to take the norm over; by default all but the first. See `MaxNorm`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.constraints.UnitNorm()(np.asarray([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])
    """

    def __init__(self, axis: int | Sequence[int] | None = None) -> None:
        super().__init__(axis)

    def wanted(self, xp: Any, norm: Any) -> Any:
        return xp.ones_like(norm)

    def __repr__(self) -> str:
        return self._repr()


class MinMaxNorm(_NormConstraint):
    """The norm of every unit's incoming weights lies between two bounds; weights that are all 0 stay 0.

    The names and defaults are those of Keras.

    Parameters
    ----------
    min_value, max_value
        The bounds: at least 0, and at least `min_value` and above 0.
    rate
        How far a norm outside moves to its bound in one step, above 0 and up to 1, which is all the way.
    axis
        The axis or axes to take the norm over; by default all but the first. See `MaxNorm`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.constraints.MinMaxNorm(1.0, 2.0)(np.asarray([[3.0, 4.0], [0.3, 0.4], [0.0, 1.5]]))
    array([[1.2, 1.6],
           [0.6, 0.8],
           [0. , 1.5]])
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__(axis)
        self.max_value = number("MinMaxNorm", "max_value", max_value, 0.0, above=True)
        fix = "max_value is the upper end; swap them or pass other ones"
        self.min_value = number("MinMaxNorm", "min_value", min_value, 0.0, self.max_value, fix=fix)
        self.rate = number("MinMaxNorm", "rate", rate, 0.0, 1.0, above=True, fix="1 goes all the way")

    def wanted(self, xp: Any, norm: Any) -> Any:
        bound = xp.clip(norm, self.min_value, self.max_value)
        # As a step from the norm, so that one within the bounds stays what it is.
        return bound if self.rate == 1 else norm + self.rate * (bound - norm)

    def __repr__(self) -> str:
        return self._repr(*map(str, (self.min_value, self.max_value, self.rate)))


def _checked_axis(where: str, axis: Any) -> tuple[int, ...] | None:
    if axis is None:
        return None
    several = axis if isinstance(axis, Sequence) else (axis,)
    try:
        axes = tuple(operator.index(one) for one in several if not isinstance(one, bool))
    except TypeError:
        axes = ()
    if not axes or len(axes) < len(several):
        raise TypeError(
            f"{where}: expected axis to be an integer, a sequence of them, or None, got {axis!r}. None sums over all "
            "axes but the first."
        )
    return axes
