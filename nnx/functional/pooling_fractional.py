"""Max pooling over windows at random places [1]_.

.. [1] Graham, "Fractional Max-Pooling", arXiv:1412.6071
"""

from __future__ import annotations

import itertools
from typing import Any

from .. import random
from ..autodiff import stop_gradient
from ..autodiff.namespace import namespace
from ..backend import device
from ..checks import boolean, number
from ..errors import ShapeError
from .checks import per_axis
from .drawing import draw_uniform
from .pooling_primitives import elements_at
from .windows import Sizes, channels_first_hint, image_namespace


def check_fractional(
    where: Any, rank: int, kernel_size: Any, output_size: Any, output_ratio: Any
) -> tuple[Sizes, tuple[float, ...]]:
    """Return kernel_size, and the one of output_size and output_ratio that is given, as tuples, or raise."""
    kernel = per_axis(where, "kernel_size", kernel_size, rank)
    if (output_size is None) == (output_ratio is None):
        got = "neither" if output_size is None else "both"
        raise ValueError(f"{where}: expected either output_size or output_ratio, got {got}.")
    if output_size is not None:
        return kernel, per_axis(where, "output_size", output_size, rank)
    ratios = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * rank
    if len(ratios) != rank:
        raise ValueError(f"{where}: expected output_ratio to be 1 or {rank} numbers, got {output_ratio!r}.")
    for ratio in ratios:
        number(where, "output_ratio", ratio, 0.0, 1.0)
    return kernel, tuple(float(ratio) for ratio in ratios)


def fractional_max_pool_nd(
    where: Any,
    rank: int,
    input: Any,
    kernel_size: Any,
    output_size: Any,
    output_ratio: Any,
    return_indices: Any,
    samples: Any,
) -> Any:
    """Pool over `rank` spatial axes; `where` names the caller in errors. See `fractional_max_pool2d`."""
    image_namespace(where, input, rank)
    kernel, wanted = check_fractional(where, rank, kernel_size, output_size, output_ratio)
    return_indices = boolean(where, "return_indices", return_indices)
    shape = tuple(input.shape)

    def size_of(lengths: Sizes) -> Sizes:
        if output_ratio is None:
            return tuple(map(int, wanted))
        return tuple(int(n * ratio) for n, ratio in zip(lengths, wanted, strict=True))

    def fits(lengths: Sizes) -> bool:
        return all(0 < out <= n - k + 1 for out, n, k in zip(size_of(lengths), lengths, kernel, strict=True))

    size = size_of(shape[1:-1])
    if not fits(shape[1:-1]):
        name = "output_size" if output_ratio is None else "output_ratio"
        raise ShapeError(
            f"{where}: expected an output size from 1 to the image's less kernel_size plus 1, got {size} with "
            f"kernel_size={kernel} for {shape}; use a smaller kernel_size or another {name}."
            f"{channels_first_hint(shape, fits)}"
        )
    raw = stop_gradient(input)
    drawn_shape = (shape[0], shape[-1], rank)
    if samples is None:
        count = shape[0] * shape[-1] * rank
        drawn = draw_uniform(raw, *random.dropout_stream().reserve(count), drawn_shape)
        samples = namespace(raw).astype(drawn, raw.dtype)
    elif tuple(samples.shape) != drawn_shape:
        raise ShapeError(f"{where}: expected _random_samples of shape {drawn_shape}, got {tuple(samples.shape)}.")
    places = _places(raw, kernel, size, stop_gradient(samples))
    output = elements_at(input, places)
    return (output, places) if return_indices else output


def _places(input: Any, kernel: Sizes, size: Sizes, samples: Any) -> Any:
    """The place of the largest element of each window, where each image and channel has windows of its own."""
    xp = namespace(input)
    rank = len(kernel)
    n, *lengths, channels = input.shape
    firsts = []
    for axis in range(rank):
        # two axes are drawn last one first, as PyTorch does
        sample = samples[:, :, rank - 1 - axis if rank == 2 else axis, ...]
        first = _starts(xp, sample, lengths[axis], size[axis], kernel[axis])  # (N, size, C)
        column = [1] * rank
        column[axis] = size[axis]
        firsts.append(xp.reshape(first, (n, *column, channels)))
    best, best_places = None, None
    for tap in itertools.product(*map(range, kernel)):
        place = None
        for first, k, length in zip(firsts, tap, lengths, strict=True):
            place = first + k if place is None else place * length + (first + k)
        value = elements_at(input, place)
        if best is None:
            best, best_places = value, place
        else:
            larger = (value > best) | (xp.isnan(value) & ~xp.isnan(best))
            best, best_places = xp.where(larger, value, best), xp.where(larger, place, best_places)
    return best_places


def _starts(xp: Any, sample: Any, length: int, count: int, kernel: int) -> Any:
    """Where windows begin along an axis, of shape (N, count, C): steps of two sizes, the last window at the end."""
    place = device(sample)
    last = xp.full((sample.shape[0], 1, sample.shape[1]), length - kernel, dtype=xp.int64, device=place)
    if count == 1:
        return last
    alpha = (length - kernel) / (count - 1)
    i = xp.reshape(xp.arange(count - 1, dtype=sample.dtype, device=place), (1, count - 1, 1))
    sample = xp.expand_dims(sample, axis=1)
    starts = xp.floor((i + sample) * alpha) - xp.floor(sample * alpha)
    return xp.concat([xp.astype(starts, xp.int64), last], axis=1)


def fractional_max_pool2d(
    input: Any,
    kernel_size: int | tuple[int, ...],
    output_size: int | tuple[int, ...] | None = None,
    output_ratio: float | tuple[float, ...] | None = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """Return the largest element of each of `output_size` windows of an image that begin at random places.

    Each image and channel has windows of its own; they overlap, and the last one ends with the image. The numbers come
    from the dropout stream (see `nnx.seed`): the same on every backend.

    Parameters
    ----------
    input
        Array of shape (N, H, W, C).
    kernel_size
        Height and width of the windows: a number for both, or a pair.
    output_size
        Height and width of the output, likewise.
    output_ratio
        Instead of `output_size`: the size of the output relative to the input, from 0 to 1.
    return_indices
        Whether to return also where the elements are: ``row * W + column``, an int64 array.
    _random_samples
        Numbers from [0, 1) to use instead of drawing them, of shape (N, C, 2).

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
    >>> nnx.functional.fractional_max_pool2d(np.ones((1, 7, 8, 3)), 2, output_ratio=0.7).shape
    (1, 4, 5, 3)
    """
    return fractional_max_pool_nd(
        "fractional_max_pool2d", 2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


def fractional_max_pool3d(
    input: Any,
    kernel_size: int | tuple[int, ...],
    output_size: int | tuple[int, ...] | None = None,
    output_ratio: float | tuple[float, ...] | None = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """Return the largest element of each of `output_size` random windows of a volume. See `fractional_max_pool2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.fractional_max_pool3d(np.ones((1, 7, 8, 9, 3)), 2, output_size=(4, 5, 6)).shape
    (1, 4, 5, 6, 3)
    """
    return fractional_max_pool_nd(
        "fractional_max_pool3d", 3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )
