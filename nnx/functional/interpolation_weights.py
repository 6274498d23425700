"""Resampling along one axis: which elements of the input make each element of the output, with which weights.

All is computed in Python's floats, once for each pair of lengths. The formulas are PyTorch's [1]_.

.. [1] ATen/native/UpSample.h and ATen/native/cpu/UpSampleKernel.cpp of PyTorch
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

Taps = tuple[tuple[tuple[int, ...], tuple[float, ...]], ...]  # for each tap: an index and a weight per output

_CUBIC = -0.75  # of the cubic convolution; -0.5 where it smooths


@dataclass(frozen=True, eq=False)
class Resampling:
    """How an axis is resampled. There is one object for one way, so that what is made of it can be kept with it.

    Attributes
    ----------
    length, count
        Of the input and the output.
    taps
        What `resampling_taps` returns.
    times
        If each element is only repeated, how many times; else None.
    """

    length: int
    count: int
    taps: Taps
    times: int | None


@functools.lru_cache(maxsize=256)
def resampling(
    method: str, length: int, count: int, align_corners: bool, factor: float | None, antialias: bool
) -> Resampling:
    """Return how `length` elements become `count` ones; the arguments are those of `resampling_taps`.

    Examples
    --------
    >>> from nnx.functional.interpolation_weights import resampling
    >>> resampling("nearest", 3, 6, False, None, False).times
    2
    """
    taps = resampling_taps(method, length, count, align_corners, factor, antialias)
    repeats = method == "nearest" and count % length == 0 and factor in (None, count // length)
    return Resampling(length, count, taps, count // length if repeats else None)


@functools.lru_cache(maxsize=256)
def resampling_taps(
    method: str, length: int, count: int, align_corners: bool, factor: float | None, antialias: bool
) -> Taps:
    """Return the taps that turn `length` elements into `count` ones.

    Parameters
    ----------
    method
        "nearest", "nearest-exact", "linear" or "cubic".
    length, count
        Of the input and the output.
    align_corners
        Whether the centres of the first and of the last elements coincide, or the outer edges do.
    factor
        How many times larger the output is, if not count / length.
    antialias
        Whether to widen the filter where the output is smaller.

    Examples
    --------
    >>> from nnx.functional.interpolation_weights import resampling_taps
    >>> resampling_taps("linear", 2, 4, True, None, False)[1]
    ((1, 1, 1, 1), (0.0, 0.3333333333333333, 0.6666666666666666, 0.0))
    """
    if align_corners:
        scale = (length - 1) / (count - 1) if count > 1 else 0.0
    else:
        scale = length / count if factor is None else 1.0 / factor
    if method in ("nearest", "nearest-exact"):
        shift = 0.5 if method == "nearest-exact" else 0.0
        return ((tuple(min(_floor((i + shift) * scale), length - 1) for i in range(count)), (1.0,) * count),)
    if antialias:
        return _antialiased(method, length, count, scale)
    centres = [scale * i if align_corners else scale * (i + 0.5) - 0.5 for i in range(count)]
    if method == "linear":
        return _linear(centres, length, count)
    return _cubic(centres, length)


def _floor(x: float) -> int:
    """The floor of x rounded to float32 or so: 49 * (1 / 49) is less than 1."""
    return math.floor(x * (1.0 + 2.0**-24))


def _linear(centres: list[float], length: int, count: int) -> Taps:
    if count == length:  # whatever the scale, as in PyTorch
        centres = [float(i) for i in range(length)]
    centres = [min(max(c, 0.0), length - 1.0) for c in centres]
    left = tuple(int(c) for c in centres)
    right = tuple(min(i + 1, length - 1) for i in left)
    far = tuple(c - i for c, i in zip(centres, left, strict=True))
    return ((left, tuple(1.0 - f for f in far)), (right, far))


def _cubic(centres: list[float], length: int) -> Taps:
    base = [math.floor(c) for c in centres]
    taps = []
    for k in (-1, 0, 1, 2):
        index = tuple(min(max(b + k, 0), length - 1) for b in base)
        taps.append((index, tuple(cubic_filter(c - b - k, _CUBIC) for c, b in zip(centres, base, strict=True))))
    return tuple(taps)


def cubic_filter(x: float, a: float) -> float:
    """Return Keys' cubic convolution filter at `x`, "Cubic convolution interpolation", IEEE TASSP 29, 1981."""
    x = abs(x)
    if x < 1.0:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    return (((x - 5.0) * x + 8.0) * x - 4.0) * a if x < 2.0 else 0.0


def _triangle(x: float) -> float:
    return max(1.0 - abs(x), 0.0)


def _antialiased(method: str, length: int, count: int, scale: float) -> Taps:
    """A filter as wide as an element of the output, its weights normalised; Pillow's way."""
    reach = 1.0 if method == "linear" else 2.0
    shape: Callable[[float], float] = _triangle if method == "linear" else lambda x: cubic_filter(x, -0.5)
    width = max(scale, 1.0)
    found = []
    for i in range(count):
        centre = scale * (i + 0.5)
        first = max(int(centre - reach * width + 0.5), 0)
        stop = min(int(centre + reach * width + 0.5), length)
        weights = [shape((j - centre + 0.5) / width) for j in range(first, stop)]
        total = sum(weights)
        found.append((first, [w / total for w in weights]))
    taps = []
    for k in range(max(len(weights) for _, weights in found)):
        index = tuple(min(first + k, length - 1) for first, _ in found)
        taps.append((index, tuple(weights[k] if k < len(weights) else 0.0 for _, weights in found)))
    return tuple(taps)
