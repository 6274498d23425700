"""The primitives of pooling, of one to three spatial axes, and the sums and maxima over windows that define them."""

from __future__ import annotations

import math
from typing import Any

from ..autodiff import stop_gradient
from ..autodiff.namespace import namespace
from ..autodiff.primitive import primitive
from ..backend import device
from .windows import Sizes, Windows, tap_table, uniform_windows


@primitive("max_pool", arrays=1)
def max_pool(input: Any, kernel_size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, size: Sizes) -> Any:
    """Return the largest element of each window; the derivative goes to the first of them.

    Along each spatial axis there are `size` windows. The places of window i are ``i * stride - padding + k * dilation``
    for k from 0 to below `kernel_size`; those outside the image do not count. NaN is larger than any number.

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.functional.pooling_primitives import max_pool
    >>> max_pool(np.asarray([[[1.0], [4.0], [2.0], [3.0]]]), (2,), (2,), (0,), (1,), (2,))
    array([[[4.],
            [3.]]])
    """
    windows = uniform_windows(tuple(input.shape[1:-1]), kernel_size, stride, padding, dilation, size)
    return elements_at(input, places_of_largest(stop_gradient(input), windows))


@primitive("max_pool_places", arrays=1)
def max_pool_places(input: Any, kernel_size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, size: Sizes) -> Any:
    """Return where the elements are that `max_pool` takes, see `places_of_largest`. It takes raw arrays.

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.functional.pooling_primitives import max_pool_places
    >>> max_pool_places(np.asarray([[[1.0], [4.0], [2.0], [3.0]]]), (2,), (2,), (0,), (1,), (2,))
    array([[[1],
            [3]]])
    """
    return places_of_largest(
        input, uniform_windows(tuple(input.shape[1:-1]), kernel_size, stride, padding, dilation, size)
    )


@primitive("avg_pool", arrays=1)
def avg_pool(
    input: Any, kernel_size: Sizes, stride: Sizes, padding: Sizes, size: Sizes, divisors: tuple[Sizes, ...]
) -> Any:
    """Return the sum of each window over its divisor: the product of one number per spatial axis and window along it.

    The windows are those of `max_pool`.

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.functional.pooling_primitives import avg_pool
    >>> avg_pool(np.asarray([[[1.0], [4.0], [2.0], [3.0]]]), (2,), (2,), (0,), (2,), ((2, 2),))
    array([[[2.5],
            [2.5]]])
    """
    windows = uniform_windows(tuple(input.shape[1:-1]), kernel_size, stride, padding, (1,) * len(kernel_size), size)
    return window_means(input, windows, divisors)


def places_of_largest(input: Any, windows: Windows) -> Any:
    """Return where in its image the largest element of each window is: the first of them, NaN before any number.

    A place is counted in row-major order of the spatial axes, an int64. `input` is a raw array of shape
    (N, *spatial, C), and the result has the shape (N, *size, C).
    """
    xp = namespace(input)
    lengths = input.shape[1:-1]
    places = xp.arange(math.prod(lengths), dtype=xp.int64, device=device(input))
    places = xp.broadcast_to(xp.reshape(places, (1, *lengths, 1)), input.shape)
    # the last axis first, so that among equals the first row wins, and in it the first column
    for axis in range(len(lengths), 0, -1):
        best, best_places = None, None
        for along, _ in tap_table(windows[axis - 1]):
            index = xp.asarray(along, dtype=xp.int64, device=device(input))
            value, place = xp.take(input, index, axis=axis), xp.take(places, index, axis=axis)
            if best is None:
                best, best_places = value, place
            else:
                larger = (value > best) | (xp.isnan(value) & ~xp.isnan(best))
                best, best_places = xp.where(larger, value, best), xp.where(larger, place, best_places)
        input, places = best, best_places
    return places


def elements_at(input: Any, places: Any) -> Any:
    """Return the elements of (N, *spatial, C) at places of their images, see `places_of_largest`."""
    xp = namespace(input)
    n, *lengths, channels = input.shape
    listed = xp.reshape(places, (n, math.prod(places.shape[1:-1]), channels))
    images = xp.reshape(input, (n, math.prod(lengths), channels))
    return xp.reshape(xp.take_along_axis(images, listed, axis=1), places.shape)


def window_means(input: Any, windows: Windows, divisors: tuple[Sizes, ...]) -> Any:
    """Return the sum of each window divided by the product of its divisors, one axis after the other."""
    xp = namespace(input)
    place = device(input)
    rank = len(windows)
    for axis in range(1, rank + 1):
        column = (1,) * axis + (-1,) + (1,) * (rank + 1 - axis)
        total = None
        for along, present in tap_table(windows[axis - 1]):
            part = xp.take(input, xp.asarray(along, dtype=xp.int64, device=place), axis=axis)
            if not all(present):
                part = xp.where(xp.reshape(xp.asarray(present, device=place), column), part, 0.0)
            total = part if total is None else total + part
        divisor = xp.asarray(divisors[axis - 1], dtype=input.dtype, device=place)
        input = total / xp.reshape(divisor, column)
    return input
