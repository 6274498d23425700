"""Max, average and power-average pooling of sequences, images and volumes, features last."""

from __future__ import annotations

import math
from typing import Any

from ..autodiff import stop_gradient
from ..checks import boolean, integer, number
from .checks import per_axis
from .pooling_primitives import avg_pool, max_pool, max_pool_places
from .windows import Sizes, check_windows, image_namespace, pooled_size


def max_pool_nd(
    where: Any,
    rank: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    return_indices: Any,
) -> Any:
    """Pool over `rank` spatial axes; `where` names the caller in errors. See `max_pool2d`."""
    image_namespace(where, input, rank)
    kernel, stride, padding, dilation = check_windows(where, rank, kernel_size, stride, padding, dilation)
    ceil_mode = boolean(where, "ceil_mode", ceil_mode)
    size = pooled_size(where, tuple(input.shape), kernel, stride, padding, dilation, ceil_mode)
    output = max_pool(input, kernel, stride, padding, dilation, size)
    if not boolean(where, "return_indices", return_indices):
        return output
    return output, max_pool_places(stop_gradient(input), kernel, stride, padding, dilation, size)


def avg_pool_nd(
    where: Any,
    rank: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: Any,
    count_include_pad: Any,
    divisor_override: Any,
) -> Any:
    """Pool over `rank` spatial axes; `where` names the caller in errors. See `avg_pool2d`."""
    image_namespace(where, input, rank)
    kernel, stride, padding, dilation = check_windows(where, rank, kernel_size, stride, padding)
    ceil_mode = boolean(where, "ceil_mode", ceil_mode)
    count_include_pad = boolean(where, "count_include_pad", count_include_pad)
    shape = tuple(input.shape)
    size = pooled_size(where, shape, kernel, stride, padding, dilation, ceil_mode)
    if divisor_override is not None:
        divisor = check_divisor(where, divisor_override)
        divisors: tuple[Sizes, ...] = ((divisor,) * size[0], *((1,) * n for n in size[1:]))
    else:
        along = zip(shape[1:-1], kernel, stride, padding, size, strict=True)
        divisors = tuple(_counts(*axis, count_include_pad) for axis in along)
    return avg_pool(input, kernel, stride, padding, size, divisors)


def check_divisor(where: Any, divisor: Any) -> int:
    """Return a divisor_override, or raise."""
    divisor = integer(where, "divisor_override", divisor)
    if divisor == 0:
        raise ValueError(f"{where}: expected divisor_override other than 0, got 0; None divides by the window's size.")
    return divisor


def _counts(length: int, kernel: int, stride: int, padding: int, size: int, with_padding: bool) -> Sizes:
    """The divisors along an axis: how many places of each window lie in the image, or in it and its padding."""
    low, high = (-padding, length + padding) if with_padding else (0, length)
    starts = [i * stride - padding for i in range(size)]
    return tuple(min(start + kernel, high) - max(start, low) for start in starts)


def lp_pool_nd(where: Any, rank: int, input: Any, norm_type: Any, kernel_size: Any, stride: Any, ceil_mode: Any) -> Any:
    """Pool over `rank` spatial axes; `where` names the caller in errors. See `lp_pool2d`."""
    xp = image_namespace(where, input, rank)
    p = check_norm(where, norm_type)
    mean = avg_pool_nd(where, rank, input**p, kernel_size, stride, 0, ceil_mode, True, None)
    total = mean * float(math.prod(per_axis(where, "kernel_size", kernel_size, rank)))
    empty = total == 0.0  # where the root has no derivative
    return xp.where(empty, 0.0, xp.where(empty, 1.0, total) ** (1.0 / p))


def check_norm(where: Any, norm_type: Any) -> float:
    """Return the exponent of lp_pool, or raise."""
    return number(where, "norm_type", norm_type, 0.0, above=True, fix="infinity is max pooling")


def max_pool1d(
    input: Any,
    kernel_size: int,
    stride: int | None = None,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Return the largest element of each window of a sequence (N, L, C). See `max_pool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.reshape(np.asarray([1.0, 4.0, 2.0, 3.0]), (1, 4, 1))
    >>> output, indices = nnx.functional.max_pool1d(x, 2, return_indices=True)
    >>> output[0, :, 0], indices[0, :, 0]
    (array([4., 3.]), array([1, 3]))
    """
    return max_pool_nd("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Any,
    kernel_size: int | tuple[int, ...],
    stride: int | tuple[int, ...] | None = None,
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Return the largest element of each window of an image [1]_.

    Among equal elements the first, row by row, takes the derivative. A window that has NaN gives NaN. The padding never
    wins.

    Parameters
    ----------
    input
        Array of shape (N, H, W, C). The channels are pooled one by one.
    kernel_size
        Height and width of the windows: a number for both, or a pair.
    stride
        How far apart windows begin, by default `kernel_size`.
    padding
        How many places windows may reach beyond each edge; at most half of `kernel_size`.
    dilation
        How far apart the places of one window are.
    ceil_mode
        Whether a last window that reaches beyond the image counts, too.
    return_indices
        Whether to return also where the elements are: ``row * W + column``, for `max_unpool2d`.

    Returns
    -------
    array, or pair of arrays
        Of shape (N, H_out, W_out, C), with H_out = (H + 2 padding - dilation (kernel_size - 1) - 1) // stride + 1; the
        indices are int64.

    Raises
    ------
    ShapeError
        If the image is smaller than a window, or has other axes.
    DTypeError
        If it does not hold floating-point numbers.
    ValueError, TypeError
        If an argument is out of its range.

    References
    ----------
    .. [1] Ranzato, Boureau and LeCun, "Sparse Feature Learning for Deep Belief Networks", NIPS 2007

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.reshape(np.arange(16.0), (1, 4, 4, 1))
    >>> nnx.functional.max_pool2d(x, 2)[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """
    return max_pool_nd("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Any,
    kernel_size: int | tuple[int, ...],
    stride: int | tuple[int, ...] | None = None,
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Return the largest element of each window of a volume (N, D, H, W, C). See `max_pool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.max_pool3d(np.ones((1, 4, 6, 8, 3)), (2, 3, 4)).shape
    (1, 2, 2, 2, 3)
    """
    return max_pool_nd("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def avg_pool1d(
    input: Any,
    kernel_size: int,
    stride: int | None = None,
    padding: int = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """Return the mean of each window of a sequence (N, L, C). See `avg_pool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.reshape(np.asarray([1.0, 4.0, 2.0, 3.0]), (1, 4, 1))
    >>> nnx.functional.avg_pool1d(x, 2)[0, :, 0]
    array([2.5, 2.5])
    """
    return avg_pool_nd("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Any,
    kernel_size: int | tuple[int, ...],
    stride: int | tuple[int, ...] | None = None,
    padding: int | tuple[int, ...] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Return the mean of each window of an image [1]_.

    Parameters
    ----------
    input, kernel_size, stride, ceil_mode
        Those of `max_pool2d`.
    padding
        How many zeros surround the image at each edge; at most half of `kernel_size`.
    count_include_pad
        Whether the padding counts in the number of elements that a sum is divided by.
    divisor_override
        Divide every sum by this integer instead.

    Returns
    -------
    array
        Of shape (N, H_out, W_out, C).

    Raises
    ------
    ShapeError, DTypeError, ValueError, TypeError
        As `max_pool2d` does.

    References
    ----------
    .. [1] LeCun et al., "Gradient-Based Learning Applied to Document Recognition", Proceedings of the IEEE, 1998

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.reshape(np.arange(16.0), (1, 4, 4, 1))
    >>> nnx.functional.avg_pool2d(x, 2)[0, :, :, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """
    return avg_pool_nd(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool3d(
    input: Any,
    kernel_size: int | tuple[int, ...],
    stride: int | tuple[int, ...] | None = None,
    padding: int | tuple[int, ...] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Return the mean of each window of a volume (N, D, H, W, C). See `avg_pool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.avg_pool3d(np.ones((1, 4, 6, 8, 3)), (2, 3, 4)).shape
    (1, 2, 2, 2, 3)
    """
    return avg_pool_nd(
        "avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def lp_pool1d(
    input: Any,
    norm_type: float,
    kernel_size: int,
    stride: int | None = None,
    ceil_mode: bool = False,
) -> Any:
    """Return the power average of each window of a sequence (N, L, C). See `lp_pool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.reshape(np.asarray([3.0, 4.0]), (1, 2, 1))
    >>> nnx.functional.lp_pool1d(x, 2, kernel_size=2)[0, :, 0]
    array([5.])
    """
    return lp_pool_nd("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Any,
    norm_type: float,
    kernel_size: int | tuple[int, ...],
    stride: int | tuple[int, ...] | None = None,
    ceil_mode: bool = False,
) -> Any:
    """Return the power average (sum of x**p)**(1 / p) of each window of an image [1]_.

    The elements are taken as they are, not their absolute values: p is even, or the input not negative, or NaN may come
    out. With `ceil_mode`, a window that reaches beyond the image counts as if its mean filled the whole window. The
    derivative of a window of zeros is 0.

    Parameters
    ----------
    input, kernel_size, stride, ceil_mode
        Those of `max_pool2d`.
    norm_type
        The exponent p, above 0.

    Returns
    -------
    array
        Of shape (N, H_out, W_out, C).

    Raises
    ------
    ShapeError, DTypeError, ValueError, TypeError
        As `max_pool2d` does.

    References
    ----------
    .. [1] Gulcehre et al., "Learned-Norm Pooling for Deep Feedforward and Recurrent Neural Networks", arXiv:1311.1780

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.reshape(np.asarray([3.0, 0.0, 4.0, 0.0]), (1, 2, 2, 1))
    >>> nnx.functional.lp_pool2d(x, 2, kernel_size=2)[0, :, :, 0]
    array([[5.]])
    """
    return lp_pool_nd("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Any,
    norm_type: float,
    kernel_size: int | tuple[int, ...],
    stride: int | tuple[int, ...] | None = None,
    ceil_mode: bool = False,
) -> Any:
    """Return the power average of each window of a volume (N, D, H, W, C). See `lp_pool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.lp_pool3d(np.ones((1, 4, 6, 8, 3)), 2, (2, 3, 4)).shape
    (1, 2, 2, 2, 3)
    """
    return lp_pool_nd("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode)
