"""Depthwise convolutions: every channel has kernels of its own.

There is no matrix product in them, and NumPy's elementwise functions would pass over the data twice per tap. `einsum`
multiplies and adds in one pass, over runs of numbers in the cache: at stride 1 a whole row of places and channels, with
the weights repeated for every place. What bounds it are two loads and a store per multiplication, to and from the
first-level cache, where a compiled loop would keep the sum over all taps in a register.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from .bias import add_bias
from .geometry import TASKS, Block, Geometry, cut, parts, reach, shares, total
from .jobs import Job
from .padded import PaddedBlock
from .scratch import Scratch, scratch

_CACHE = 2**18  # bytes of the input of a block


def fits(g: Geometry) -> bool:
    """Whether every channel is a group."""
    return g.groups == g.channels > 1


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, g: Geometry) -> Job:
    """Return the convolution of the input."""
    out = np.empty(g.output_shape, x.dtype)
    per_channel = g.outputs // g.channels
    indices = _Indices(g)
    blocks = _blocks(g, x.itemsize)
    kernels = [_repeated(weight[k::per_channel], g, blocks) for k in range(per_channel)]
    tasks = shares(blocks)
    buffers = _buffers(g, blocks, x.dtype, len(tasks))

    def run(share: list[Block]) -> None:
        with buffers.one() as padded:
            for block in share:
                windows = _runs(padded.windows(x, block), g)
                found = out[block.images, block.rows]
                shape = indices.shape(block)
                for k, kernel in enumerate(kernels):
                    sums = np.empty(shape, x.dtype) if per_channel > 1 else found.reshape(shape)
                    operands = (windows, indices.windows, kernel[..., : shape[-1]], indices.taps)
                    np.einsum(*operands, indices.places, out=sums)
                    if per_channel > 1:
                        found[..., k::per_channel] = sums.reshape(*found.shape[:-1], g.channels)
                if bias is not None:
                    add_bias(found, bias)

    return Job(run, tasks, lambda: out)


def weight_gradient(x: np.ndarray, grad: np.ndarray, g: Geometry) -> Job:
    """Return the gradient of the weight."""
    per_channel = g.outputs // g.channels
    blocks = _blocks(g, x.itemsize)
    tasks = shares(blocks)
    sums: list = [None] * len(tasks)
    indices = _Indices(g)

    buffers = _buffers(g, blocks, x.dtype, len(tasks))

    def run(index: int) -> None:
        found = np.zeros((g.channels, per_channel, *g.kernel), x.dtype)
        with buffers.one() as padded:
            for block in tasks[index]:
                windows = _runs(padded.windows(x, block), g)
                for k in range(per_channel):
                    part = np.ascontiguousarray(grad[block.images, block.rows, ..., k::per_channel])
                    part = part.reshape(indices.shape(block))
                    taps = np.einsum(windows, indices.windows, part, indices.places, indices.taps)
                    taps = np.add.reduce(taps.reshape(*g.kernel, -1, g.channels), axis=-2)
                    found[:, k] += np.moveaxis(taps, -1, 0)
        sums[index] = found

    return Job(run, range(len(tasks)), lambda: total(sums).reshape(g.weight_shape))


def input_gradient(grad: np.ndarray, weight: np.ndarray, g: Geometry) -> Job:
    """Return the gradient of the input: `forward` with the kernel turned by half a turn, if no stride is in the way."""
    back = g.transposed()
    if back is not None and g.outputs == g.channels:
        flip = (slice(None), *(slice(None, None, -1) for _ in g.kernel))
        return forward(grad, weight[flip], None, back)
    out = np.zeros(g.input_shape, grad.dtype)
    per_channel, rows = g.outputs // g.channels, _rows(g, grad.itemsize)

    def run(images: slice) -> None:
        for block in cut(images.stop - images.start, g.out[0], rows, images.start):
            before = [pair[0] for pair in g.padding]
            before[0] -= block.rows.start * g.stride[0]
            sizes = (block.height, *g.out[1:])
            axes = zip(g.kernel, sizes, g.lengths, g.stride, before, g.dilation, strict=True)
            source, target = grad[block.images, block.rows], out[block.images]
            for meetings in itertools.product(*(enumerate(reach(*axis)) for axis in axes)):
                outputs = source[(slice(None), *(o for _, (o, _) in meetings))]
                inputs = target[(slice(None), *(i for _, (_, i) in meetings))]
                for k in range(per_channel):
                    key: Any = (slice(k, None, per_channel), *(tap for tap, _ in meetings), 0)
                    inputs += outputs[..., k::per_channel] * weight[key]

    return Job(run, parts(g.batch, TASKS), lambda: out)


def _buffers(g: Geometry, blocks: list[Block], dtype: np.dtype, tasks: int) -> Scratch[PaddedBlock]:
    size = PaddedBlock.bytes(g, blocks, dtype.itemsize)
    return scratch((g, dtype), lambda: PaddedBlock(g, blocks, dtype), size, tasks)


class _Indices:
    """How `einsum` is told the axes: places, then taps, then the run of numbers that are side by side."""

    def __init__(self, g: Geometry) -> None:
        rank = len(g.kernel)
        self._geometry = g
        self._merged = g.stride[-1] == 1  # a run is a row of places and channels; otherwise the channels of a place
        places = list(range(rank + 1 - self._merged))
        taps = list(range(len(places), len(places) + rank))
        run = [len(places) + rank]
        self.windows, self.places, self.taps = places + taps + run, places + run, taps + run

    def shape(self, block: Block) -> tuple[int, ...]:
        """The shape of the output of a block."""
        sizes = (block.n, block.height, *self._geometry.out[1:])
        channels = self._geometry.channels
        return (*sizes[:-1], sizes[-1] * channels) if self._merged else (*sizes, channels)


def _runs(windows: np.ndarray, g: Geometry) -> np.ndarray:
    """View windows (images, *places, *taps, channels) by the axes of `_Indices`."""
    if g.stride[-1] != 1:
        return windows
    rank = len(g.kernel)
    moved = np.moveaxis(windows, rank, -2)
    return moved.reshape(*moved.shape[:-2], -1)


def _repeated(kernel: np.ndarray, g: Geometry, blocks: list[Block]) -> np.ndarray:
    """The kernel of every channel, (*taps, channels), repeated for every place of a row of a block."""
    kernel = np.moveaxis(kernel[..., 0], 0, -1)
    places = g.out[-1] if len(g.out) > 1 else max(block.height for block in blocks)
    return np.tile(kernel, places) if g.stride[-1] == 1 else np.ascontiguousarray(kernel)


def _blocks(g: Geometry, itemsize: int) -> list[Block]:
    return cut(g.batch, g.out[0], _rows(g, itemsize))


def _rows(g: Geometry, itemsize: int) -> int:
    """How many rows of the output a block has."""
    return _CACHE // (math.prod(g.lengths[1:]) * g.channels * itemsize * g.stride[0])
