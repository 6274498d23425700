"""Activations along an axis as layers: softmax and its kin, GLU, Maxout."""

from __future__ import annotations

from typing import Any

from ..checks import positive_integer
from ..errors import ShapeError
from ..functional.activation import log_softmax, softmax
from ..functional.along_axis import glu, maxout, softmin, sparsemax
from ..functional.arguments import whole_axis
from .module import Module


class Softmax(Module):
    """exp(x) divided by its sum along an axis. See `nnx.functional.softmax`.

    Parameters
    ----------
    axis
        The axis along which it looks; PyTorch's `dim`, but -1, the features, if not given.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Softmax()(np.zeros(4))
    array([0.25, 0.25, 0.25, 0.25])
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = whole_axis("Softmax", axis)

    def forward(self, input: Any) -> Any:
        return softmax(input, self.axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class Softmax2d(Module):
    """The softmax over the channels, which come last, of images (N, H, W, C) or (H, W, C).

    See `nnx.functional.softmax`.

    Raises
    ------
    ShapeError
        When called with an array of other than 3 or 4 axes.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Softmax2d()(np.zeros((1, 1, 2, 4)))
    array([[[[0.25, 0.25, 0.25, 0.25],
             [0.25, 0.25, 0.25, 0.25]]]])
    """

    def forward(self, input: Any) -> Any:
        if len(input.shape) not in (3, 4):
            raise ShapeError(
                f"Softmax2d: expected images (N, H, W, C) or (H, W, C), got {tuple(input.shape)}; use nnx.Softmax()."
            )
        return softmax(input, -1)


class LogSoftmax(Module):
    """The logarithm of the softmax, without overflow. See `nnx.functional.log_softmax`.

    Parameters
    ----------
    axis
        The axis along which it looks; PyTorch's `dim`, but -1, the features, if not given.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.LogSoftmax()(np.asarray([[0.0, 1000.0]]))
    array([[-1000.,     0.]])
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = whole_axis("LogSoftmax", axis)

    def forward(self, input: Any) -> Any:
        return log_softmax(input, self.axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class Softmin(Module):
    """The softmax of -x. See `nnx.functional.softmin`.

    Parameters
    ----------
    axis
        The axis along which it looks; PyTorch's `dim`, but -1, the features, if not given.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Softmin()(np.asarray([0.0, 1000.0]))
    array([1., 0.])
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = whole_axis("Softmin", axis)

    def forward(self, input: Any) -> Any:
        return softmin(input, self.axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class Sparsemax(Module):
    """The nearest point of the probability simplex: a softmax that can be exactly 0. See `nnx.functional.sparsemax`.

    Parameters
    ----------
    axis
        The axis that sums to 1.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Sparsemax()(np.asarray([0.5, 1.0, -1.0]))
    array([0.25, 0.75, 0.  ])
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = whole_axis("Sparsemax", axis)

    def forward(self, input: Any) -> Any:
        return sparsemax(input, self.axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class GLU(Module):
    """The first half of x times the logistic function of the second half. See `nnx.functional.glu`.

    Parameters
    ----------
    axis
        The axis that is halved.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.GLU()(np.asarray([[1.0, 2.0, 0.0, 1000.0]]))
    array([[0.5, 2. ]])
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = whole_axis("GLU", axis)

    def forward(self, input: Any) -> Any:
        return glu(input, self.axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class Maxout(Module):
    """The largest element of each group of neighbours. See `nnx.functional.maxout`.

    Parameters
    ----------
    pool_size
        The number of elements in a group.
    axis
        The axis that becomes shorter: its length is a multiple of `pool_size`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> net = nnx.Sequential(nnx.Linear(3, 2 * 4), nnx.Maxout(2))
    >>> net(np.ones((5, 3), dtype="float32")).shape
    (5, 4)
    """

    def __init__(self, pool_size: int, axis: int = -1) -> None:
        self.pool_size = positive_integer("Maxout", "pool_size", pool_size)
        self.axis = whole_axis("Maxout", axis)

    def forward(self, input: Any) -> Any:
        return maxout(input, self.pool_size, self.axis)

    def extra_repr(self) -> str:
        return f"pool_size={self.pool_size}, axis={self.axis}"
