"""Pooling to an output of a given size: adaptive and global, max and average."""

from __future__ import annotations

from typing import Any

from ..autodiff import stop_gradient
from ..checks import boolean, positive_integer
from ..errors import ShapeError
from .checks import per_axis
from .pooling_primitives import avg_pool, elements_at, max_pool, max_pool_places, places_of_largest, window_means
from .windows import Sizes, adaptive_windows, image_namespace


def check_output_size(where: Any, output_size: Any, rank: int) -> tuple[int | None, ...]:
    """Return an output_size as a tuple; None keeps the length of an axis."""
    values = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * rank
    if len(values) != rank or None not in values:
        return per_axis(where, "output_size", output_size, rank)
    return tuple(None if v is None else positive_integer(where, "output_size", v) for v in values)


def _sizes(where: Any, rank: int, input: Any, output_size: Any) -> tuple[Sizes, Sizes]:
    """The spatial lengths of the input and of the output, or an error."""
    image_namespace(where, input, rank)
    size = check_output_size(where, output_size, rank)
    lengths = tuple(input.shape[1:-1])
    if 0 in lengths:
        raise ShapeError(f"{where}: expected at least one place along each spatial axis, got {tuple(input.shape)}.")
    return lengths, tuple(n if k is None else k for n, k in zip(lengths, size, strict=True))


def _even(lengths: Sizes, size: Sizes) -> tuple[int, ...] | None:
    """The size of the windows if all are alike and do not overlap: then they are those of ordinary pooling."""
    if any(n % count for n, count in zip(lengths, size, strict=True)):
        return None
    return tuple(n // count for n, count in zip(lengths, size, strict=True))


def adaptive_max_pool_nd(where: Any, rank: int, input: Any, output_size: Any, return_indices: Any) -> Any:
    """Pool over `rank` spatial axes; `where` names the caller in errors. See `adaptive_max_pool2d`."""
    lengths, size = _sizes(where, rank, input, output_size)
    return_indices = boolean(where, "return_indices", return_indices)
    kernel = _even(lengths, size)
    if kernel is not None:
        geometry = (kernel, kernel, (0,) * rank, (1,) * rank, size)
        output = max_pool(input, *geometry)
        return (output, max_pool_places(stop_gradient(input), *geometry)) if return_indices else output
    places = places_of_largest(stop_gradient(input), adaptive_windows(lengths, size))
    output = elements_at(input, places)
    return (output, places) if return_indices else output


def adaptive_avg_pool_nd(where: Any, rank: int, input: Any, output_size: Any) -> Any:
    """Pool over `rank` spatial axes; `where` names the caller in errors. See `adaptive_avg_pool2d`."""
    lengths, size = _sizes(where, rank, input, output_size)
    kernel = _even(lengths, size)
    if kernel is not None:
        divisors = tuple((k,) * count for k, count in zip(kernel, size, strict=True))
        return avg_pool(input, kernel, kernel, (0,) * rank, size, divisors)
    windows = adaptive_windows(lengths, size)
    return window_means(input, windows, tuple(tuple(map(len, along)) for along in windows))


def _spatial_rank(operation: str, input: Any) -> int:
    shape = tuple(getattr(input, "shape", (1, 1, 1)))  # what is no array is told by the check that follows
    if not 3 <= len(shape) <= 5:
        raise ShapeError(f"{operation}: expected (N, *spatial, C) with 1 to 3 spatial axes, got {shape}.")
    return len(shape) - 2


def global_max_pool(input: Any) -> Any:
    """Return the largest element of each channel of a sequence, image or volume.

    Among equal elements the first, row by row, takes the derivative.

    Parameters
    ----------
    input
        Array of shape (N, *spatial, C) with one to three spatial axes.

    Returns
    -------
    array
        Of shape (N, C).

    Raises
    ------
    ShapeError
        If there are other axes, or one of length 0.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.global_max_pool(np.reshape(np.arange(12.0), (1, 2, 3, 2)))
    array([[10., 11.]])
    """
    output = adaptive_max_pool_nd("global_max_pool", _spatial_rank("global_max_pool", input), input, 1, False)
    return output[(slice(None), *(0,) * (len(output.shape) - 2), ...)]


def global_avg_pool(input: Any) -> Any:
    """Return the mean of each channel of a sequence, image or volume [1]_.

    Parameters
    ----------
    input
        Array of shape (N, *spatial, C) with one to three spatial axes.

    Returns
    -------
    array
        Of shape (N, C).

    Raises
    ------
    ShapeError
        If there are other axes, or one of length 0.

    References
    ----------
    .. [1] Lin, Chen and Yan, "Network In Network", arXiv:1312.4400

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.global_avg_pool(np.reshape(np.arange(12.0), (1, 2, 3, 2)))
    array([[5., 6.]])
    """
    output = adaptive_avg_pool_nd("global_avg_pool", _spatial_rank("global_avg_pool", input), input, 1)
    return output[(slice(None), *(0,) * (len(output.shape) - 2), ...)]


def adaptive_max_pool1d(input: Any, output_size: int, return_indices: bool = False) -> Any:
    """Return the largest element of each of `output_size` windows of a sequence (N, L, C). See `adaptive_max_pool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.adaptive_max_pool1d(np.ones((1, 7, 3)), 2).shape
    (1, 2, 3)
    """
    return adaptive_max_pool_nd("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool2d(
    input: Any, output_size: int | tuple[int | None, ...] | None, return_indices: bool = False
) -> Any:
    """Return the largest element of each of `output_size` windows, which cover an image evenly.

    Window i of n covers the rows from floor(i H / n) to below ceil((i + 1) H / n), and columns likewise; so an image of
    any size gives an output of one size. Among equal elements the first, row by row, takes the derivative.

    Parameters
    ----------
    input
        Array of shape (N, H, W, C).
    output_size
        Height and width of the output: a number for both, or a pair. None keeps the input's.
    return_indices
        Whether to return also where the elements are: ``row * W + column``, an int64 array.

    Returns
    -------
    array, or pair of arrays
        Of shape (N, *output_size, C).

    Raises
    ------
    ShapeError, DTypeError, ValueError, TypeError
        If the input is no such image, or an argument out of its range.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.reshape(np.arange(25.0), (1, 5, 5, 1))
    >>> nnx.functional.adaptive_max_pool2d(x, 2)[0, :, :, 0]
    array([[12., 14.],
           [22., 24.]])
    """
    return adaptive_max_pool_nd("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool3d(
    input: Any, output_size: int | tuple[int | None, ...] | None, return_indices: bool = False
) -> Any:
    """Return the largest element of each of `output_size` windows of a volume. See `adaptive_max_pool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.adaptive_max_pool3d(np.ones((1, 7, 8, 9, 3)), 2).shape
    (1, 2, 2, 2, 3)
    """
    return adaptive_max_pool_nd("adaptive_max_pool3d", 3, input, output_size, return_indices)


def adaptive_avg_pool1d(input: Any, output_size: int) -> Any:
    """Return the mean of each of `output_size` windows of a sequence (N, L, C). See `adaptive_avg_pool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.adaptive_avg_pool1d(np.ones((1, 7, 3)), 2).shape
    (1, 2, 3)
    """
    return adaptive_avg_pool_nd("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input: Any, output_size: int | tuple[int | None, ...] | None) -> Any:
    """Return the mean of each of `output_size` windows, which cover an image evenly.

    The windows are those of `adaptive_max_pool2d`.

    Parameters
    ----------
    input
        Array of shape (N, H, W, C).
    output_size
        Height and width of the output: a number for both, or a pair. None keeps the input's.

    Returns
    -------
    array
        Of shape (N, *output_size, C).

    Raises
    ------
    ShapeError, DTypeError, ValueError, TypeError
        If the input is no such image, or an argument out of its range.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.reshape(np.arange(16.0), (1, 4, 4, 1))
    >>> nnx.functional.adaptive_avg_pool2d(x, (2, 1))[0, :, :, 0]
    array([[ 3.5],
           [11.5]])
    """
    return adaptive_avg_pool_nd("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool3d(input: Any, output_size: int | tuple[int | None, ...] | None) -> Any:
    """Return the mean of each of `output_size` windows of a volume (N, D, H, W, C). See `adaptive_avg_pool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.adaptive_avg_pool3d(np.ones((1, 7, 8, 9, 3)), 2).shape
    (1, 2, 2, 2, 3)
    """
    return adaptive_avg_pool_nd("adaptive_avg_pool3d", 3, input, output_size)
