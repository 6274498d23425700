"""Pooling layers under PyTorch's names, features last."""

from __future__ import annotations

from typing import Any

from ..checks import boolean
from ..functional.pooling import avg_pool_nd, check_divisor, check_norm, lp_pool_nd, max_pool_nd
from ..functional.unpooling import max_unpool_nd
from ..functional.windows import check_windows
from .module import Module


class _MaxPool(Module):
    rank: int

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        name = type(self).__name__
        check_windows(name, self.rank, kernel_size, stride, padding, dilation)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = boolean(name, "return_indices", return_indices)
        self.ceil_mode = boolean(name, "ceil_mode", ceil_mode)

    def forward(self, input: Any) -> Any:
        return max_pool_nd(
            self,
            self.rank,
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class _AvgPool(Module):
    rank: int

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        name = type(self).__name__
        check_windows(name, self.rank, kernel_size, stride, padding)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = boolean(name, "ceil_mode", ceil_mode)
        self.count_include_pad = boolean(name, "count_include_pad", count_include_pad)
        self.divisor_override = None if divisor_override is None else check_divisor(name, divisor_override)

    def forward(self, input: Any) -> Any:
        return avg_pool_nd(
            self,
            self.rank,
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _LPPool(Module):
    rank: int

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> None:
        name = type(self).__name__
        check_windows(name, self.rank, kernel_size, stride)
        self.norm_type = check_norm(name, norm_type)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.ceil_mode = boolean(name, "ceil_mode", ceil_mode)

    def forward(self, input: Any) -> Any:
        return lp_pool_nd(self, self.rank, input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class _MaxUnpool(Module):
    rank: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        check_windows(type(self).__name__, self.rank, kernel_size, stride, padding)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding

    def forward(self, input: Any, indices: Any, output_size: tuple[int, ...] | None = None) -> Any:
        return max_unpool_nd(self, self.rank, input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool1d(_MaxPool):
    """The largest element of each window of a sequence (N, L, C). See `nnx.functional.max_pool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.MaxPool1d(2)(np.ones((4, 8, 3))).shape
    (4, 4, 3)
    """

    rank = 1


class MaxPool2d(_MaxPool):
    """The largest element of each window of a image (N, H, W, C). See `nnx.functional.max_pool2d`.

    Parameters
    ----------
    kernel_size, stride, padding, dilation
        Numbers, or one per spatial axis.
    return_indices
        Whether to return also where the elements are, for `MaxUnpool2d`.
    ceil_mode
        Whether a last window that reaches beyond the image counts, too.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.MaxPool2d(2)(np.ones((4, 8, 8, 3))).shape
    (4, 4, 4, 3)
    """

    rank = 2


class MaxPool3d(_MaxPool):
    """The largest element of each window of a volume (N, D, H, W, C). See `nnx.functional.max_pool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.MaxPool3d(2)(np.ones((4, 8, 8, 8, 3))).shape
    (4, 4, 4, 4, 3)
    """

    rank = 3


class AvgPool1d(_AvgPool):
    """The mean of each window of a sequence (N, L, C). See `nnx.functional.avg_pool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.AvgPool1d(2)(np.ones((4, 8, 3))).shape
    (4, 4, 3)
    """

    rank = 1

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)


class AvgPool2d(_AvgPool):
    """The mean of each window of a image (N, H, W, C). See `nnx.functional.avg_pool2d`.

    Parameters
    ----------
    kernel_size, stride, padding
        Numbers, or one per spatial axis.
    ceil_mode
        Whether a last window that reaches beyond the image counts, too.
    count_include_pad
        Whether the padding counts in the number of elements that a sum is divided by.
    divisor_override
        Divide every sum by this integer instead.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.AvgPool2d(2)(np.ones((4, 8, 8, 3))).shape
    (4, 4, 4, 3)
    """

    rank = 2


class AvgPool3d(_AvgPool):
    """The mean of each window of a volume (N, D, H, W, C). See `nnx.functional.avg_pool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.AvgPool3d(2)(np.ones((4, 8, 8, 8, 3))).shape
    (4, 4, 4, 4, 3)
    """

    rank = 3


class LPPool1d(_LPPool):
    """The power average of each window of a sequence (N, L, C). See `nnx.functional.lp_pool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.LPPool1d(2, kernel_size=2)(np.ones((4, 8, 3))).shape
    (4, 4, 3)
    """

    rank = 1


class LPPool2d(_LPPool):
    """The power average of each window of a image (N, H, W, C). See `nnx.functional.lp_pool2d`.

    Parameters
    ----------
    norm_type
        The exponent p.
    kernel_size, stride
        Numbers, or one per spatial axis.
    ceil_mode
        Whether a last window that reaches beyond the image counts, too.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.LPPool2d(2, kernel_size=2)(np.ones((4, 8, 8, 3))).shape
    (4, 4, 4, 3)
    """

    rank = 2


class LPPool3d(_LPPool):
    """The power average of each window of a volume (N, D, H, W, C). See `nnx.functional.lp_pool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.LPPool3d(2, kernel_size=2)(np.ones((4, 8, 8, 8, 3))).shape
    (4, 4, 4, 4, 3)
    """

    rank = 3


class MaxUnpool1d(_MaxUnpool):
    """The partial inverse of `MaxPool1d`, zeros between the elements. See `nnx.functional.max_unpool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> output, indices = nnx.MaxPool1d(2, return_indices=True)(np.ones((4, 8, 3)))
    >>> nnx.MaxUnpool1d(2)(output, indices).shape
    (4, 8, 3)
    """

    rank = 1


class MaxUnpool2d(_MaxUnpool):
    """The partial inverse of `MaxPool2d`, zeros between the elements. See `nnx.functional.max_unpool2d`.

    Call it with the output and the indices of the pooling, and the size of what was pooled if it cannot be told from
    them.

    Parameters
    ----------
    kernel_size, stride, padding
        Those of the pooling.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> output, indices = nnx.MaxPool2d(2, return_indices=True)(np.ones((4, 8, 8, 3)))
    >>> nnx.MaxUnpool2d(2)(output, indices).shape
    (4, 8, 8, 3)
    """

    rank = 2


class MaxUnpool3d(_MaxUnpool):
    """The partial inverse of `MaxPool3d`, zeros between the elements. See `nnx.functional.max_unpool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> output, indices = nnx.MaxPool3d(2, return_indices=True)(np.ones((4, 8, 8, 8, 3)))
    >>> nnx.MaxUnpool3d(2)(output, indices).shape
    (4, 8, 8, 8, 3)
    """

    rank = 3
