"""Max and average pooling."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from ..compiler import Kernel
from ..launch import MAX_INT32, Machine, blocks_for, launch, too_large
from .channels import channels_per_thread, prepared, refusal
from .elements import ELEMENTS, contiguous
from .geometry import Geometry, three

Sizes = tuple[int, ...]


def _of_every_dtype(name: str) -> dict[str, Kernel]:
    return {dtype: Kernel("pooling.cu", name, (("REAL", cpp_type),)) for dtype, cpp_type in ELEMENTS.items()}


MAX = _of_every_dtype("max_pool")
MAX_BACKWARD = _of_every_dtype("max_pool_backward")
MAX_WIDE = _of_every_dtype("max_pool_wide")
MAX_WIDE_BACKWARD = _of_every_dtype("max_pool_wide_backward")
PLACES = _of_every_dtype("max_pool_places")
AVERAGE = _of_every_dtype("avg_pool")
AVERAGE_BACKWARD = _of_every_dtype("avg_pool_backward")
AVERAGE_WIDE = _of_every_dtype("avg_pool_wide")
_EACH = (MAX, MAX_BACKWARD, MAX_WIDE, MAX_WIDE_BACKWARD, PLACES, AVERAGE, AVERAGE_BACKWARD, AVERAGE_WIDE)
KERNELS = tuple(kernel for kernels in _EACH for kernel in kernels.values())

_MOST_BYTE_TAPS = 255  # a byte tells which of them won
# From here on the threads of a block share a window. The 9 places of a usual window keep a thread's loads in flight by
# themselves; the 49 of the last feature maps of a ResNet, in few windows, do not.
_WIDE_AVERAGE = 32
_MOST_LANES = 32  # 32 vectors of 16 bytes are neighbours in memory: a warp reads 512 bytes at a time
_WINDOW_BITS = 21


# ------------------------------------------------------------------ sizes


@functools.lru_cache(maxsize=1024)
def _geometry(shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, size: Sizes) -> Geometry:
    channels = shape[-1]
    sizes = three(shape[1:-1]), channels, three(size), channels
    return Geometry(shape[0], *sizes, three(kernel), three(stride), three(padding, 0), three(dilation), channels)


@functools.lru_cache(maxsize=1024)
def _geometry_refusal(g: Geometry) -> str | None:
    """Why windows cannot be pooled by the kernels: numbers that are too large, or a window outside of the image."""
    if min(*g.out, *g.kernel, *g.stride, *g.dilation) < 1 or min(g.before) < 0:
        return "it takes sizes from 1 on"
    along = list(zip(g.lengths, g.out, g.kernel, g.stride, g.before, g.dilation, strict=True))
    if any(max(kernel, padding, dilation) >= 2**_WINDOW_BITS for _, _, kernel, _, padding, dilation in along):
        return f"it takes windows below 2**{_WINDOW_BITS} places"
    for length, out, kernel, stride, padding, dilation in along:
        starts = [i * stride - padding for i in range(out)]
        firsts = [start if start >= 0 else start % dilation for start in starts]  # the first place in the image
        if any(f >= min(length, start + kernel * dilation) for f, start in zip(firsts, starts, strict=True)):
            return "it takes windows that meet the image"
    reach = max(out * stride + length + kernel * dilation for length, out, kernel, stride, _, dilation in along)
    return too_large(g.places * g.channels, g.taps, reach)


@functools.lru_cache(maxsize=1024)
def _sizes(g: Geometry) -> tuple[int, ...]:
    """The sizes of the three axes as every kernel of pooling.cu takes them."""
    windows = zip(g.kernel, g.before, g.dilation, strict=True)
    packed = [k | p << _WINDOW_BITS | d << 2 * _WINDOW_BITS for k, p, d in windows]
    return (*map(prepared, (*g.lengths, *g.out, *g.stride)), *packed)


@functools.lru_cache(maxsize=1024)
def _divisors(g: Geometry, divisors: tuple[Sizes, ...]) -> tuple[int, int, int, int] | None:
    """What avg_pool divides by, as its kernels take it: a number and margins along the three axes; None if it is other.

    Along an axis all windows have one divisor, or it is the number of their places in the image, or that of those in
    the image and its padding. A margin of -1 says that they have one, which is a factor of the number.
    """
    number, margins = 1, []
    filled = ((1,),) * (3 - len(divisors)) + divisors
    for along, length, kernel, stride, padding in zip(filled, g.lengths, g.kernel, g.stride, g.before, strict=True):
        if len(set(along)) == 1:
            number *= along[0]
            margins.append(-1)
            continue
        starts = [i * stride - padding for i in range(len(along))]
        for margin in (0, padding):
            if all(
                min(start + kernel, length + margin) - max(start, -margin) == divisor
                for start, divisor in zip(starts, along, strict=True)
            ):
                margins.append(margin)
                break
        else:
            return None
    if abs(number) * g.taps > MAX_INT32:
        return None
    return number, margins[0], margins[1], margins[2]


# ------------------------------------------------------------------ launches


class _Pooling:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def _refusal(self, input: Any, *geometry: Sizes) -> str | None:
        reason = refusal(input, "pool")
        return reason or _geometry_refusal(_geometry(input.shape, *geometry)) or self._machine.refusal(input)

    def _empty(self, g: Geometry, size: Sizes, dtype: str, like: Any) -> Any:
        return self._machine.empty((g.batch, *size, g.channels), dtype, like)

    def _by_element(self, kernels: dict[str, Kernel], g: Geometry, arrays: Sequence[Any], of: Any, *more: int) -> None:
        """Launch a kernel with one thread for each vector of channels of an array."""
        reals = [array for array in arrays if array.dtype == arrays[0].dtype]
        each = channels_per_thread(self._machine, g.channels, *reals)
        kernel, n = kernels[str(arrays[0].dtype)], of.size // each
        vectors = prepared(g.channels // each)
        launch(self._machine, kernel, blocks_for(n, kernel), (*arrays, n, each > 1, vectors, *more, *_sizes(g)))

    def _by_window(self, kernels: dict[str, Kernel], g: Geometry, arrays: Sequence[Any], *more: int) -> None:
        """Launch a kernel whose blocks share the taps of a window."""
        each = channels_per_thread(self._machine, g.channels, *arrays[:2])
        vectors = g.channels // each
        lanes = min(_MOST_LANES, 1 << (vectors - 1).bit_length())
        parts = -(-vectors // lanes)
        numbers = (each > 1, prepared(vectors), lanes, prepared(parts), *more, *_sizes(g))
        launch(self._machine, kernels[str(arrays[0].dtype)], g.places * parts, (*arrays, *numbers))


class MaxPool(_Pooling):
    """Override of ``max_pool`` in `nnx.functional.pooling_primitives`: it keeps which tap of each window won."""

    def supports(self, input: Any, *geometry: Sizes) -> str | None:
        return self._refusal(input, *geometry)

    def forward(self, input: Any, *geometry: Sizes) -> tuple[Any, Any]:
        g, input = _geometry(input.shape, *geometry), contiguous(input)
        size = geometry[-1]
        output = self._empty(g, size, str(input.dtype), input)
        taps = self._empty(g, size, "uint8" if g.taps <= _MOST_BYTE_TAPS else "int32", input)
        if g.taps <= _MOST_BYTE_TAPS:
            self._by_element(MAX, g, (input, output, taps), output)
        else:
            self._by_window(MAX_WIDE, g, (input, output, taps))
        return output, (taps, g, input.shape)

    def backward(self, grad: Any, residuals: Any, needs: tuple) -> tuple:
        taps, g, shape = residuals
        grad = contiguous(grad)
        out = self._machine.empty(shape, str(grad.dtype), grad)
        kernels = MAX_BACKWARD if g.taps <= _MOST_BYTE_TAPS else MAX_WIDE_BACKWARD
        self._by_element(kernels, g, (grad, taps, out), out)
        return (out,)


class MaxPoolPlaces(_Pooling):
    """Override of ``max_pool_places``, which has no derivative."""

    def supports(self, input: Any, *geometry: Sizes) -> str | None:
        return self._refusal(input, *geometry)

    def forward(self, input: Any, *geometry: Sizes) -> tuple[Any, Any]:
        g, input = _geometry(input.shape, *geometry), contiguous(input)
        places = self._empty(g, geometry[-1], "int64", input)
        self._by_element(PLACES, g, (input, places), places)
        return places, None

    def backward(self, grad: Any, residuals: Any, needs: tuple) -> tuple:
        return (None,)


class AvgPool(_Pooling):
    """Override of ``avg_pool`` in `nnx.functional.pooling_primitives`."""

    def supports(
        self, input: Any, kernel: Sizes, stride: Sizes, padding: Sizes, size: Sizes, divisors: tuple[Sizes, ...]
    ) -> str | None:
        geometry = (kernel, stride, padding, (1,) * len(kernel), size)
        reason = self._refusal(input, *geometry)
        if reason is None and _divisors(_geometry(input.shape, *geometry), divisors) is None:
            return "it takes one divisor for all windows along an axis, or the number of their places"
        return reason

    def forward(
        self, input: Any, kernel: Sizes, stride: Sizes, padding: Sizes, size: Sizes, divisors: tuple[Sizes, ...]
    ) -> tuple[Any, Any]:
        g = _geometry(input.shape, kernel, stride, padding, (1,) * len(kernel), size)
        input, by = contiguous(input), _divisors(g, divisors) or ()
        output = self._empty(g, size, str(input.dtype), input)
        if g.taps < _WIDE_AVERAGE:
            self._by_element(AVERAGE, g, (input, output), output, *by)
        else:
            self._by_window(AVERAGE_WIDE, g, (input, output), *by)
        return output, (g, by, input.shape)

    def backward(self, grad: Any, residuals: Any, needs: tuple) -> tuple:
        g, by, shape = residuals
        grad = contiguous(grad)
        out = self._machine.empty(shape, str(grad.dtype), grad)
        self._by_element(AVERAGE_BACKWARD, g, (grad, out), out, *by)
        return (out,)
