"""The inverse of max pooling: the elements go back to where they were, between zeros."""

from __future__ import annotations

import math
from typing import Any

from ..autodiff import stop_gradient
from ..autodiff.namespace import namespace
from ..autodiff.primitive import primitive
from ..backend import device
from ..dtypes import dtype_name
from ..errors import DTypeError, ShapeError
from .checks import namespace_of
from .loss_checks import on_host
from .windows import Sizes, check_windows, image_namespace


def max_unpool_nd(
    where: Any, rank: int, input: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> Any:
    """Unpool over `rank` spatial axes; `where` names the caller in errors. See `max_unpool2d`."""
    image_namespace(where, input, rank)
    xp = namespace_of(where, input=input, indices=indices)
    kernel, stride, padding, _ = check_windows(where, rank, kernel_size, stride, padding)
    indices = stop_gradient(indices)
    if tuple(indices.shape) != tuple(input.shape):
        raise ShapeError(
            f"{where}: expected indices of the shape of the input, {tuple(input.shape)}, got {tuple(indices.shape)}; "
            "pass what the max pooling returned with return_indices=True."
        )
    if indices.dtype != xp.int64:
        raise DTypeError(f"{where}: expected indices of dtype int64, got {dtype_name(indices.dtype)}; cast them.")
    n, *lengths, channels = input.shape
    size = _output_lengths(where, tuple(input.shape), kernel, stride, padding, output_size)
    listed = (n, math.prod(lengths), channels)
    _check_places(where, indices, math.prod(size))
    values, places = xp.reshape(input, listed), namespace(indices).reshape(indices, listed)
    return xp.reshape(put_at_places(values, places, math.prod(size)), (n, *size, channels))


def _check_places(where: Any, indices: Any, count: int) -> None:
    """Raise if an index lies outside the output; only on the host, where looking costs nothing."""
    raw = on_host(indices)
    if raw is None:
        return
    low, high = int(namespace(raw).min(raw)), int(namespace(raw).max(raw))
    if low < 0 or high >= count:
        raise ShapeError(
            f"{where}: expected indices from 0 to {count - 1}, the places of the output, got some from {low} to "
            f"{high}; pass what the max pooling returned, or a larger output_size."
        )


@primitive("put_at_places", arrays=2)
def put_at_places(values: Any, places: Any, count: int) -> Any:
    """Return images of `count` places, listed, with the values at their places and 0 elsewhere.

    Both arrays have the shape (N, length, C). Of several values for one place, the last is taken: windows that overlap
    may have chosen one place twice.

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.functional.unpooling import put_at_places
    >>> put_at_places(np.asarray([[[5.0], [6.0]]]), np.asarray([[[2], [0]]]), 3)[0, :, 0]
    array([6., 0., 5.])
    """
    xp = namespace(values)
    n, _, channels = values.shape
    values = xp.where(_is_last(places), values, 0.0)
    return xp.indexing.take_along_axis_transpose(values, places, 1, (n, count, channels))


def _is_last(places: Any) -> Any:
    """Whether no later element along axis 1 has the same place."""
    xp = namespace(places)
    n, length, channels = places.shape
    order = xp.argsort(places, axis=1, stable=True)
    ordered = xp.take_along_axis(places, order, axis=1)
    end = xp.ones((n, min(length, 1), channels), dtype=xp.bool, device=device(places))
    last = xp.concat([ordered[:, :-1, :] != ordered[:, 1:, :], end], axis=1)
    return xp.take_along_axis(last, xp.argsort(order, axis=1), axis=1)


def _output_lengths(where: Any, shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, output_size: Any) -> Sizes:
    """The spatial lengths of the output: the smallest that pooling makes the input of, or those asked for."""
    rank = len(kernel)
    smallest = tuple((n - 1) * s - 2 * p + k for n, s, p, k in zip(shape[1:-1], stride, padding, kernel, strict=True))
    if output_size is None:
        return smallest
    size = tuple(output_size)
    if len(size) == rank + 2:
        size = size[1:-1]
    near = len(size) == rank and all(abs(a - b) < s for a, b, s in zip(size, smallest, stride, strict=True))
    if not near:
        raise ValueError(
            f"{where}: expected output_size to be the spatial lengths of what was pooled, less than a stride from "
            f"{smallest}, got {tuple(output_size)}."
        )
    return size


def max_unpool1d(
    input: Any,
    indices: Any,
    kernel_size: int,
    stride: int | None = None,
    padding: int = 0,
    output_size: tuple[int, ...] | None = None,
) -> Any:
    """Return a sequence with the elements of `input` at `indices` and zeros elsewhere. See `max_unpool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> output, indices = nnx.functional.max_pool1d(np.ones((1, 4, 3)), 2, return_indices=True)
    >>> nnx.functional.max_unpool1d(output, indices, 2).shape
    (1, 4, 3)
    """
    return max_unpool_nd("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Any,
    indices: Any,
    kernel_size: int | tuple[int, ...],
    stride: int | tuple[int, ...] | None = None,
    padding: int | tuple[int, ...] = 0,
    output_size: tuple[int, ...] | None = None,
) -> Any:
    """Return an image with the elements of `input` at `indices` and zeros elsewhere: a partial inverse of `max_pool2d`.

    Where several elements have one place, the last is written.

    Parameters
    ----------
    input
        Array of shape (N, H, W, C).
    indices
        Where each element belongs, ``row * W_out + column``: what `max_pool2d` returned.
    kernel_size, stride, padding
        Those of the pooling.
    output_size
        The size of what was pooled, if (H - 1) stride - 2 padding + kernel_size is not it: (H_out, W_out), or the whole
        shape.

    Returns
    -------
    array
        Of shape (N, H_out, W_out, C).

    Raises
    ------
    ShapeError, DTypeError, ValueError, TypeError
        If the arrays do not fit together, or an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.reshape(np.arange(16.0), (1, 4, 4, 1))
    >>> output, indices = nnx.functional.max_pool2d(x, 2, return_indices=True)
    >>> nnx.functional.max_unpool2d(output, indices, 2)[0, :, :, 0]
    array([[ 0.,  0.,  0.,  0.],
           [ 0.,  5.,  0.,  7.],
           [ 0.,  0.,  0.,  0.],
           [ 0., 13.,  0., 15.]])
    """
    return max_unpool_nd("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Any,
    indices: Any,
    kernel_size: int | tuple[int, ...],
    stride: int | tuple[int, ...] | None = None,
    padding: int | tuple[int, ...] = 0,
    output_size: tuple[int, ...] | None = None,
) -> Any:
    """Return a volume with the elements of `input` at `indices` and zeros elsewhere. See `max_unpool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> output, indices = nnx.functional.max_pool3d(np.ones((1, 4, 6, 8, 3)), 2, return_indices=True)
    >>> nnx.functional.max_unpool3d(output, indices, 2).shape
    (1, 4, 6, 8, 3)
    """
    return max_unpool_nd("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)
