"""A block of the input with its padding, and the windows that the kernel of a convolution sees of it."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .geometry import Block, Geometry


class PaddedBlock:
    """A buffer that holds one block at a time of those that it is made for; `planar` if its channels lie apart."""

    def __init__(self, g: Geometry, blocks: list[Block], dtype: np.dtype, planar: bool = False) -> None:
        self._geometry = g
        *places, channels = _shape(g, blocks)
        if planar:
            self._buffer = np.moveaxis(np.zeros((channels, *places), dtype), 0, -1)
        else:
            self._buffer = np.zeros((*places, channels), dtype)
        self._whole = all(block.height == g.out[0] for block in blocks)
        # views of equal blocks, made once: while Python makes one, no other thread can start its work
        self._views: dict[tuple[int, int, int, int], tuple[np.ndarray, np.ndarray]] = {}

    def windows(self, x: np.ndarray, block: Block) -> np.ndarray:
        """Copy a block of the input and view it as (images, *places, *taps, channels); equal blocks give one view."""
        g = self._geometry
        span = _span(g, block.height)
        first = block.rows.start * g.stride[0] - g.padding[0][0]
        low = min(max(first, 0), g.lengths[0])
        high = max(low, min(first + span, g.lengths[0]))
        form = (block.n, block.height, low - first, high - first)
        views = self._views.get(form)
        if views is None:
            views = self._views[form] = self._view(*form)
        inner, windows = views
        inner[...] = x[block.images, low:high]
        if not self._whole:  # otherwise the padding is where it was
            padded = self._buffer[: block.n, :span]
            padded[:, : low - first] = 0
            padded[:, high - first :] = 0
        return windows

    def _view(self, images: int, height: int, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
        """Where the rows of the input go, and the windows."""
        g = self._geometry
        inner: tuple[slice, ...] = tuple(
            slice(p, p + n) for n, (p, _) in zip(g.lengths[1:], g.padding[1:], strict=True)
        )
        image, *steps, channel = self._buffer.strides
        places = (step * s for step, s in zip(steps, g.stride, strict=True))
        taps = (step * d for step, d in zip(steps, g.dilation, strict=True))
        shape = (images, height, *g.out[1:], *g.kernel, g.channels)
        windows = as_strided(self._buffer, shape, (image, *places, *taps, channel), writeable=False)
        return self._buffer[(slice(images), slice(low, high), *inner)], windows

    @staticmethod
    def bytes(g: Geometry, blocks: list[Block], itemsize: int) -> int:
        """How much it holds."""
        return itemsize * math.prod(_shape(g, blocks))


def _shape(g: Geometry, blocks: list[Block]) -> tuple[int, ...]:
    rest = (length + before + after for length, (before, after) in zip(g.lengths[1:], g.padding[1:], strict=True))
    return (max(b.n for b in blocks), _span(g, max(b.height for b in blocks)), *rest, g.channels)


def _span(g: Geometry, height: int) -> int:
    """How many input rows that many output rows see."""
    return (height - 1) * g.stride[0] + (g.kernel[0] - 1) * g.dilation[0] + 1
