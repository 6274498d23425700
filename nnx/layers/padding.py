"""Padding layers, one class per kind and number of spatial axes."""

from __future__ import annotations

from typing import Any

from ..checks import integer
from ..errors import ShapeError
from ..functional.checks import namespace_of
from ..functional.convolution_checks import layout
from ..functional.padding import checked_pad, padding_pairs
from .module import Module


class Padding(Module):
    """Padding of any kind and rank; its subclasses choose them.

    Parameters
    ----------
    padding
        An integer for all sides, or numbers (before, after) for the last spatial axis, then for the one before it, and
        so on: (left, right, top, bottom) for images. Negative numbers take elements away.
    """

    rank: int
    mode: str
    value: Any = None

    def __init__(self, padding: Any) -> None:
        label = type(self).__name__
        count = 2 * self.rank
        if not isinstance(padding, (tuple, list)):
            padding = (integer(label, "padding", padding),) * count
        if len(padding) != count:
            raise ValueError(f"{label}: expected padding to be an integer or {count} of them, got {padding!r}.")
        pairs = padding_pairs(label, "padding", padding)
        self.padding = tuple(n for pair in reversed(pairs) for n in pair)

    def forward(self, input: Any) -> Any:
        label = f"{type(self).__name__}({self.padding})"
        xp = namespace_of(label, input=input)
        shape = tuple(input.shape)
        if len(shape) != self.rank + 2:
            hint = ""
            if len(shape) == self.rank + 1:
                hint = " If the batch axis is missing, use x[None, ...]; if that of the channels, x[..., None]."
            raise ShapeError(f"{label}: expected {layout(self.rank, 'C')}, got {shape}.{hint}")
        return checked_pad(xp, label, input, padding_pairs(label, "padding", self.padding), self.mode, self.value)

    def extra_repr(self) -> str:
        return f"{self.padding}" if self.value is None else f"padding={self.padding}, value={self.value}"


class ConstantPadding(Padding):
    """Padding with a constant, of any rank."""

    mode = "constant"

    def __init__(self, padding: Any, value: Any) -> None:
        super().__init__(padding)
        if isinstance(value, str) or value is None:
            raise TypeError(f"{type(self).__name__}: expected value to be a number, got {value!r}.")
        self.value = value


class ZeroPad1d(Padding):
    """Put zeros around sequences (N, L, C).

    Parameters
    ----------
    padding
        An integer for all sides, or (left, right); negative numbers take elements away.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.asarray([[[1.0], [2.0], [3.0]]])
    >>> nnx.ZeroPad1d((2, 1))(x)[0, :, 0]
    array([0., 0., 1., 2., 3., 0.])
    """

    rank = 1
    mode = "constant"


class ZeroPad2d(Padding):
    """Put zeros around images (N, H, W, C).

    Parameters
    ----------
    padding
        An integer for all sides, or (left, right, top, bottom); negative numbers take elements away.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.ZeroPad2d((1, 2, 0, 3))(np.ones((8, 5, 4, 3))).shape
    (8, 8, 7, 3)
    """

    rank = 2
    mode = "constant"


class ZeroPad3d(Padding):
    """Put zeros around volumes (N, D, H, W, C).

    Parameters
    ----------
    padding
        An integer for all sides, or (left, right, top, bottom, front, back); negative numbers take elements away.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.ZeroPad3d(1)(np.ones((8, 5, 4, 3, 2))).shape
    (8, 7, 6, 5, 2)
    """

    rank = 3
    mode = "constant"


class ConstantPad1d(ConstantPadding):
    """Put a constant around sequences (N, L, C).

    Parameters
    ----------
    padding
        An integer for all sides, or (left, right); negative numbers take elements away.
    value
        The constant, of the input's kind.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.asarray([[[1.0], [2.0], [3.0]]])
    >>> nnx.ConstantPad1d((2, 1), 7.0)(x)[0, :, 0]
    array([7., 7., 1., 2., 3., 7.])
    """

    rank = 1


class ConstantPad2d(ConstantPadding):
    """Put a constant around images (N, H, W, C).

    Parameters
    ----------
    padding
        An integer for all sides, or (left, right, top, bottom); negative numbers take elements away.
    value
        The constant, of the input's kind.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.ConstantPad2d((1, 2, 0, 3), 7.0)(np.ones((8, 5, 4, 3))).shape
    (8, 8, 7, 3)
    """

    rank = 2


class ConstantPad3d(ConstantPadding):
    """Put a constant around volumes (N, D, H, W, C).

    Parameters
    ----------
    padding
        An integer for all sides, or (left, right, top, bottom, front, back); negative numbers take elements away.
    value
        The constant, of the input's kind.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.ConstantPad3d(1, 7.0)(np.ones((8, 5, 4, 3, 2))).shape
    (8, 7, 6, 5, 2)
    """

    rank = 3


class ReflectionPad1d(Padding):
    """Mirror sequences (N, L, C) at their outermost elements, which are not repeated.

    Parameters
    ----------
    padding
        An integer for all sides, or (left, right); negative numbers take elements away.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.asarray([[[1.0], [2.0], [3.0]]])
    >>> nnx.ReflectionPad1d((2, 1))(x)[0, :, 0]
    array([3., 2., 1., 2., 3., 2.])
    """

    rank = 1
    mode = "reflect"


class ReflectionPad2d(Padding):
    """Mirror images (N, H, W, C) at their outermost elements, which are not repeated.

    Parameters
    ----------
    padding
        An integer for all sides, or (left, right, top, bottom); negative numbers take elements away.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.ReflectionPad2d((1, 2, 0, 3))(np.ones((8, 5, 4, 3))).shape
    (8, 8, 7, 3)
    """

    rank = 2
    mode = "reflect"


class ReflectionPad3d(Padding):
    """Mirror volumes (N, D, H, W, C) at their outermost elements, which are not repeated.

    Parameters
    ----------
    padding
        An integer for all sides, or (left, right, top, bottom, front, back); negative numbers take elements away.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.ReflectionPad3d(1)(np.ones((8, 5, 4, 3, 2))).shape
    (8, 7, 6, 5, 2)
    """

    rank = 3
    mode = "reflect"


class ReplicationPad1d(Padding):
    """Repeat the outermost elements of sequences (N, L, C).

    Parameters
    ----------
    padding
        An integer for all sides, or (left, right); negative numbers take elements away.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.asarray([[[1.0], [2.0], [3.0]]])
    >>> nnx.ReplicationPad1d((2, 1))(x)[0, :, 0]
    array([1., 1., 1., 2., 3., 3.])
    """

    rank = 1
    mode = "replicate"


class ReplicationPad2d(Padding):
    """Repeat the outermost elements of images (N, H, W, C).

    Parameters
    ----------
    padding
        An integer for all sides, or (left, right, top, bottom); negative numbers take elements away.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.ReplicationPad2d((1, 2, 0, 3))(np.ones((8, 5, 4, 3))).shape
    (8, 8, 7, 3)
    """

    rank = 2
    mode = "replicate"


class ReplicationPad3d(Padding):
    """Repeat the outermost elements of volumes (N, D, H, W, C).

    Parameters
    ----------
    padding
        An integer for all sides, or (left, right, top, bottom, front, back); negative numbers take elements away.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.ReplicationPad3d(1)(np.ones((8, 5, 4, 3, 2))).shape
    (8, 7, 6, 5, 2)
    """

    rank = 3
    mode = "replicate"


class CircularPad1d(Padding):
    """Go on with the other end of sequences (N, L, C).

    Parameters
    ----------
    padding
        An integer for all sides, or (left, right); negative numbers take elements away.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.asarray([[[1.0], [2.0], [3.0]]])
    >>> nnx.CircularPad1d((2, 1))(x)[0, :, 0]
    array([2., 3., 1., 2., 3., 1.])
    """

    rank = 1
    mode = "circular"


class CircularPad2d(Padding):
    """Go on with the other end of images (N, H, W, C).

    Parameters
    ----------
    padding
        An integer for all sides, or (left, right, top, bottom); negative numbers take elements away.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.CircularPad2d((1, 2, 0, 3))(np.ones((8, 5, 4, 3))).shape
    (8, 8, 7, 3)
    """

    rank = 2
    mode = "circular"


class CircularPad3d(Padding):
    """Go on with the other end of volumes (N, D, H, W, C).

    Parameters
    ----------
    padding
        An integer for all sides, or (left, right, top, bottom, front, back); negative numbers take elements away.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.CircularPad3d(1)(np.ones((8, 5, 4, 3, 2))).shape
    (8, 7, 6, 5, 2)
    """

    rank = 3
    mode = "circular"
