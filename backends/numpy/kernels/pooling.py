"""Pooling: tap by tap over strided views, in blocks that stay in a core's cache, without padded copies.

Maxima and sums are taken along one axis after the other, the rows first: there the inner loops are long. The forward
pass of max pooling notes nothing: which element won is found in the backward pass, by comparing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from nnx.backend import each

_BLOCK = 2**19  # bytes of the input in a block
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_BITS = {4: np.int32, 8: np.int64}  # integers as wide as the floats

Tap = tuple[slice, slice]  # which windows have it in the image, and its places there


class Axis(NamedTuple):
    """The windows along one spatial axis: see ``max_pool`` in `nnx.functional`."""

    length: int
    kernel: int
    stride: int
    padding: int
    dilation: int
    size: int

    @property
    def disjoint(self) -> bool:
        """Whether no place is in two windows."""
        return self.stride >= self.dilation * (self.kernel - 1) + 1

    @property
    def covers(self) -> bool:
        """Whether every place is in a window, given that they are disjoint."""
        return self.stride == self.kernel and self.size * self.stride >= self.length + self.padding

    @property
    def whole(self) -> bool:
        """Whether there is one window, of everything."""
        return self.size == self.dilation == 1 and self.kernel == self.length and not self.padding


@lru_cache(maxsize=1024)
def _taps(axis: Axis, first: int, stop: int) -> tuple[Tap, ...]:
    """Return the taps of the windows from `first` to below `stop`; window `first` has number 0."""
    found = []
    for k in range(axis.kernel):
        offset = k * axis.dilation - axis.padding
        low = max(first, -(offset // axis.stride))
        high = min(stop, (axis.length - 1 - offset) // axis.stride + 1)
        if low < high:
            places = slice(low * axis.stride + offset, (high - 1) * axis.stride + offset + 1, axis.stride)
            found.append((slice(low - first, high - first), places))
    return tuple(found)


@lru_cache(maxsize=1024)
def _taps_of_all_first(axis: Axis, first: int, stop: int) -> tuple[int, tuple[Tap, ...]]:
    """Return how many taps every window has in the image, and all taps, those first."""
    everywhere = slice(0, stop - first)
    taps = sorted(_taps(axis, first, stop), key=lambda tap: tap[0] != everywhere)
    return sum(windows == everywhere for windows, _ in taps), tuple(taps)


@lru_cache(maxsize=256)
def _axes(lengths: tuple[int, ...], *arguments: tuple[int, ...]) -> tuple[Axis, ...]:
    return tuple(Axis(*along) for along in zip(lengths, *arguments, strict=True))


@lru_cache(maxsize=256)
def _blocks(shape: tuple[int, ...], itemsize: int, rows: int) -> tuple[tuple[slice, list[tuple[int, int]]], ...]:
    """Split the work on an input: for each group of images, parts of the rows of windows."""
    if 0 in shape:
        return ()
    image = math.prod(shape[1:]) * itemsize
    images = max(1, _BLOCK // image)
    step = max(1, min(rows, rows * _BLOCK // image))
    parts = [(first, min(first + step, rows)) for first in range(0, rows, step)]
    return tuple((slice(first, first + images), parts) for first in range(0, shape[0], images))


# ------------------------------------------------------------------ values


def _fold(ufunc: np.ufunc, initial: float, x: np.ndarray, axes: Sequence[Axis], rows: tuple, out: np.ndarray) -> None:
    """Write the ufunc over the windows of `rows`, along the first spatial axis, of a group of images to `out`."""
    for number, axis in enumerate(axes, start=1):
        first, stop = rows if number == 1 else (0, axis.size)
        shape = (*x.shape[:number], stop - first, *x.shape[number + 1 :])
        target = out if number == len(axes) else np.empty(shape, x.dtype)
        if axis.whole:
            ufunc.reduce(x, axis=number, keepdims=True, out=target)
        else:
            _fold_along(ufunc, initial, x, number, _taps_of_all_first(axis, first, stop), target)
        x = target


def _fold_along(
    ufunc: np.ufunc, initial: float, x: np.ndarray, axis: int, plan: tuple[int, tuple[Tap, ...]], out: np.ndarray
) -> None:
    before = (slice(None),) * axis
    common, taps = plan
    if common > 1:
        ufunc(x[(*before, taps[0][1])], x[(*before, taps[1][1])], out=out)
    elif common:
        out[...] = x[(*before, taps[0][1])]
    else:
        out.fill(initial)
    for windows, places in taps[min(common, 2) :]:
        part = out[(*before, windows)]
        ufunc(part, x[(*before, places)], out=part)


def _folded(ufunc: np.ufunc, initial: float, input: np.ndarray, axes: Sequence[Axis], divisor: Any) -> np.ndarray:
    output = np.empty((len(input), *(axis.size for axis in axes), input.shape[-1]), input.dtype)

    def run(block: tuple[slice, list[tuple[int, int]]]) -> None:
        images, parts = block
        for first, stop in parts:
            part = output[images, first:stop]
            _fold(ufunc, initial, input[images], axes, (first, stop), part)
            if divisor is not None:
                np.divide(part, divisor if divisor.ndim == 0 else divisor[:, first:stop], out=part)

    each(run, _blocks(input.shape, input.itemsize, axes[0].size))
    return output


# ------------------------------------------------------------------ max pooling


def _winners(x: np.ndarray, output: np.ndarray, axes: Sequence[Axis], rows: tuple) -> Iterator[tuple]:
    """For each tap in order: the key of its windows, its places along each axis, and which windows it is largest in.

    `x` is a group of images, `output` the maxima of the windows of `rows`. The first of several equals wins.
    """
    nan = np.isnan(output) if np.isnan(np.max(output)) else None
    free = np.ones(output.shape, np.bool_)
    along = [_taps(axis, *(rows if number == 0 else (0, axis.size))) for number, axis in enumerate(axes)]
    everything = (slice(None), *(slice(0, n) for n in output.shape[1:-1]))
    *others, last = itertools.product(*along)
    for taps in (*others, last):
        key = (slice(None), *(windows for windows, _ in taps))
        places = tuple(places for _, places in taps)
        if taps is last and key == everything:  # the windows that are left
            yield key, places, free
            return
        values = x[(slice(None), *places)]
        hit = np.equal(values, output[key])
        if nan is not None:
            hit |= nan[key] & np.isnan(values)
        left = free[key]
        hit &= left
        left ^= hit
        yield key, places, hit


def _first_largest(x: np.ndarray, output: np.ndarray) -> np.ndarray:
    """The place of the largest element of each whole image, of shape (N, 1, C); the first of several, NaN above all."""
    images, best = x.reshape(len(x), -1, x.shape[-1]), output.reshape(len(x), 1, x.shape[-1])
    hit = np.equal(images, best)
    if np.isnan(np.max(best)):
        hit |= np.isnan(images) & np.isnan(best)
    return np.argmax(hit, axis=1, keepdims=True)  # argmax over the numbers themselves is slow


class MaxPool:
    """Override of ``max_pool``."""

    def supports(self, input: np.ndarray, *geometry: Any) -> str | None:
        return None if input.dtype in _FLOATS else "it takes float32 or float64 arrays"

    def forward(self, input: np.ndarray, *geometry: Any) -> tuple[np.ndarray, tuple]:
        axes = _axes(input.shape[1:-1], *geometry)
        output = _folded(np.maximum, -np.inf, input, axes, None)
        return output, (input, output, axes)

    def backward(self, grad: np.ndarray, residuals: tuple, needs: tuple) -> tuple:
        input, output, axes = residuals
        if all(axis.whole for axis in axes):
            result = np.zeros(input.shape, input.dtype)
            if result.size:
                images = result.reshape(len(input), -1, input.shape[-1])
                np.put_along_axis(images, _first_largest(input, output), grad.reshape(len(input), 1, -1), axis=1)
            return (result,)
        disjoint = all(axis.disjoint for axis in axes)
        covers = disjoint and all(axis.covers for axis in axes)
        result = np.empty(input.shape, input.dtype) if covers else np.zeros(input.shape, input.dtype)
        bits = _BITS[input.itemsize]
        grad = grad.view(bits)

        def run(block: tuple[slice, list[tuple[int, int]]]) -> None:
            images, parts = block
            for first, stop in parts:
                g = grad[images, first:stop]
                for key, places, hit in _winners(input[images], output[images, first:stop], axes, (first, stop)):
                    # all bits or none: quicker than a product, and infinity stays alone
                    mask = np.negative(hit.view(np.int8)).astype(bits)
                    target = result[(images, *places)]
                    if disjoint:
                        np.bitwise_and(g[key], mask, out=target.view(bits))
                    else:
                        target += np.bitwise_and(g[key], mask, out=mask).view(result.dtype)

        each(run, _blocks(input.shape, input.itemsize, axes[0].size))
        return (result,)


class MaxPoolPlaces:
    """Override of ``max_pool_places``, which has no derivative."""

    def supports(self, input: np.ndarray, *geometry: Any) -> str | None:
        return None if input.dtype in _FLOATS else "it takes float32 or float64 arrays"

    def forward(self, input: np.ndarray, *geometry: Any) -> tuple[np.ndarray, None]:
        axes = _axes(input.shape[1:-1], *geometry)
        output = _folded(np.maximum, -np.inf, input, axes, None)
        if input.size and all(axis.whole for axis in axes):
            return _first_largest(input, output).reshape(output.shape), None
        numbers = np.arange(math.prod(input.shape[1:-1])).reshape(1, *input.shape[1:-1], 1)
        result = np.empty(output.shape, np.int64)

        def run(block: tuple[slice, list[tuple[int, int]]]) -> None:
            images, parts = block
            for rows in parts:
                found = result[images, slice(*rows)]
                for key, places, hit in _winners(input[images], output[images, slice(*rows)], axes, rows):
                    np.copyto(found[key], numbers[(slice(None), *places)], where=hit)

        each(run, _blocks(input.shape, input.itemsize, axes[0].size))
        return result, None

    def backward(self, grad: np.ndarray, residuals: None, needs: tuple) -> tuple:
        return (None,)


# ------------------------------------------------------------------ average pooling


class AvgPool:
    """Override of ``avg_pool``."""

    def supports(self, input: np.ndarray, *arguments: Any) -> str | None:
        return None if input.dtype in _FLOATS else "it takes float32 or float64 arrays"

    def forward(
        self,
        input: np.ndarray,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int],
        size: Sequence[int],
        divisors: Sequence[Sequence[int]],
    ) -> tuple[np.ndarray, tuple]:
        axes = _axes(input.shape[1:-1], kernel, stride, padding, (1,) * len(kernel), size)
        divisor = _divisor(divisors, input.dtype)
        return _folded(np.add, 0.0, input, axes, divisor), (input.shape, axes, divisor)

    def backward(self, grad: np.ndarray, residuals: tuple, needs: tuple) -> tuple:
        shape, axes, divisor = residuals
        result = np.empty(shape, grad.dtype)

        def run(block: tuple[slice, Any]) -> None:
            images, _ = block
            g = grad[images] / divisor
            for number in range(len(axes), 0, -1):
                axis = axes[number - 1]
                wide = (*g.shape[:number], axis.length, *g.shape[number + 1 :])
                target = result[images] if number == 1 else np.empty(wide, g.dtype)
                _spread_along(g, number, axis, target)
                g = target

        each(run, _blocks(shape, grad.itemsize, 1))
        return (result,)


def _divisor(divisors: Sequence[Sequence[int]], dtype: np.dtype) -> np.ndarray:
    """The divisors of all windows: a number if they are the same, else an array that fits the output."""
    if all(len(set(along)) == 1 for along in divisors):
        return np.asarray(math.prod(along[0] for along in divisors), dtype)
    product = np.ones((1,) * (len(divisors) + 2), dtype)
    for number, along in enumerate(divisors, start=1):
        product = product * np.reshape(np.asarray(along, dtype), (-1,) + (1,) * (len(divisors) + 1 - number))
    return product


def _spread_along(g: np.ndarray, axis: int, windows: Axis, out: np.ndarray) -> None:
    """Write to every place along an axis the sum of `g` over the windows that it is in."""
    before = (slice(None),) * axis
    if windows.whole:
        out[...] = g
        return
    if not (windows.disjoint and windows.covers):
        out.fill(0)
    for which, places in _taps(windows, 0, windows.size):
        target = out[(*before, places)]
        if windows.disjoint:
            target[...] = g[(*before, which)]
        else:
            target += g[(*before, which)]


# ------------------------------------------------------------------ unpooling


class PutAtPlaces:
    """Override of ``put_at_places``."""

    def supports(self, values: np.ndarray, places: Any, count: int) -> str | None:
        return None if values.dtype in _FLOATS else "it takes float32 or float64 arrays"

    def forward(self, values: np.ndarray, places: np.ndarray, count: int) -> tuple[np.ndarray, tuple]:
        output = np.zeros((len(values), count, values.shape[-1]), values.dtype)
        places = np.ascontiguousarray(places)  # NumPy writes in the order of their memory
        if values.size:
            np.put_along_axis(output, places, values, axis=1)  # the last of several for one place stays
        return output, (places, output.shape)

    def backward(self, grad: np.ndarray, residuals: tuple, needs: tuple) -> tuple:
        places, shape = residuals
        if not places.size:
            return np.zeros(places.shape, grad.dtype), None
        numbers = np.arange(places.shape[1])[:, np.newaxis]
        last = np.empty(shape, np.intp)  # read only where written
        np.put_along_axis(last, places, np.broadcast_to(numbers, places.shape), axis=1)
        stays = np.take_along_axis(last, places, axis=1) == numbers
        return np.where(stays, np.take_along_axis(grad, places, axis=1), grad.dtype.type(0)), None
