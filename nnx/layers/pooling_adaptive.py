"""Pooling to an output of a given size, as layers: adaptive, fractional and global."""

from __future__ import annotations

from typing import Any

from ..checks import boolean
from ..functional.pooling_adaptive import (
    adaptive_avg_pool_nd,
    adaptive_max_pool_nd,
    check_output_size,
    global_avg_pool,
    global_max_pool,
)
from ..functional.pooling_fractional import check_fractional, fractional_max_pool_nd
from .module import Module


class _AdaptiveMaxPool(Module):
    rank: int

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        name = type(self).__name__
        check_output_size(name, output_size, self.rank)
        self.output_size = output_size
        self.return_indices = boolean(name, "return_indices", return_indices)

    def forward(self, input: Any) -> Any:
        return adaptive_max_pool_nd(self, self.rank, input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveAvgPool(Module):
    rank: int

    def __init__(self, output_size: Any) -> None:
        check_output_size(type(self).__name__, output_size, self.rank)
        self.output_size = output_size

    def forward(self, input: Any) -> Any:
        return adaptive_avg_pool_nd(self, self.rank, input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _FractionalMaxPool(Module):
    rank: int

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> None:
        name = type(self).__name__
        check_fractional(name, self.rank, kernel_size, output_size, output_ratio)
        self.kernel_size = kernel_size
        self.output_size = output_size
        self.output_ratio = output_ratio
        self.return_indices = boolean(name, "return_indices", return_indices)
        self._random_samples = _random_samples

    def forward(self, input: Any) -> Any:
        return fractional_max_pool_nd(
            self,
            self.rank,
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            self._random_samples,
        )

    def extra_repr(self) -> str:
        size = f"output_ratio={self.output_ratio}" if self.output_size is None else f"output_size={self.output_size}"
        return f"kernel_size={self.kernel_size}, {size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest element of each of `output_size` windows of a sequence. See `nnx.functional.adaptive_max_pool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.AdaptiveMaxPool1d(4)(np.ones((4, 8, 3))).shape
    (4, 4, 3)
    """

    rank = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest element of each of `output_size` windows of a image. See `nnx.functional.adaptive_max_pool2d`.

    Parameters
    ----------
    output_size
        A number, or one per spatial axis; None keeps the length of the input.
    return_indices
        Whether to return also where the elements are.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.AdaptiveMaxPool2d(4)(np.ones((4, 8, 8, 3))).shape
    (4, 4, 4, 3)
    """

    rank = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest element of each of `output_size` windows of a volume. See `nnx.functional.adaptive_max_pool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.AdaptiveMaxPool3d(4)(np.ones((4, 8, 8, 8, 3))).shape
    (4, 4, 4, 4, 3)
    """

    rank = 3


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The mean of each of `output_size` windows of a sequence. See `nnx.functional.adaptive_avg_pool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.AdaptiveAvgPool1d(4)(np.ones((4, 8, 3))).shape
    (4, 4, 3)
    """

    rank = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The mean of each of `output_size` windows of a image. See `nnx.functional.adaptive_avg_pool2d`.

    Parameters
    ----------
    output_size
        A number, or one per spatial axis; None keeps the length of the input.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.AdaptiveAvgPool2d(4)(np.ones((4, 8, 8, 3))).shape
    (4, 4, 4, 3)
    """

    rank = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """The mean of each of `output_size` windows of a volume. See `nnx.functional.adaptive_avg_pool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.AdaptiveAvgPool3d(4)(np.ones((4, 8, 8, 8, 3))).shape
    (4, 4, 4, 4, 3)
    """

    rank = 3


class FractionalMaxPool2d(_FractionalMaxPool):
    """The largest element of windows at random places of a image. See `nnx.functional.fractional_max_pool2d`.

    Parameters
    ----------
    kernel_size
        A number, or one per spatial axis.
    output_size, output_ratio
        The size of the output, or its ratio to that of the input: one of the two.
    return_indices
        Whether to return also where the elements are, for `MaxUnpool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.FractionalMaxPool2d(2, output_ratio=0.5)(np.ones((4, 8, 8, 3))).shape
    (4, 4, 4, 3)
    """

    rank = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """The largest element of windows at random places of a volume. See `nnx.functional.fractional_max_pool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.FractionalMaxPool3d(2, output_ratio=0.5)(np.ones((4, 8, 8, 8, 3))).shape
    (4, 4, 4, 4, 3)
    """

    rank = 3


class GlobalMaxPool(Module):
    """The largest element of each channel: (N, *spatial, C) to (N, C). See `nnx.functional.global_max_pool`.

    It is `AdaptiveMaxPool2d(1)` and `Flatten` in one, for any number of spatial axes.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.GlobalMaxPool()(np.ones((4, 8, 8, 3))).shape
    (4, 3)
    """

    def forward(self, input: Any) -> Any:
        return global_max_pool(input)


class GlobalAvgPool(Module):
    """The mean of each channel: (N, *spatial, C) to (N, C). See `nnx.functional.global_avg_pool`.

    It is `AdaptiveAvgPool2d(1)` and `Flatten` in one, for any number of spatial axes.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.GlobalAvgPool()(np.ones((4, 8, 8, 3))).shape
    (4, 3)
    """

    def forward(self, input: Any) -> Any:
        return global_avg_pool(input)
