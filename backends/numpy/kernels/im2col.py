"""Any convolution as one matrix product: the inputs of every output, side by side, times the weights.

The matrix has a row per output place and a column per tap and channel, kernel-area times as much as the input. It is
written block by block. Chellapilla, Puri and Simard, "High performance
convolutional neural networks for document processing", 2006. With groups it is a stack of such products.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from .bias import add_bias
from .geometry import BLOCK, TASKS, Block, Geometry, block_places, cut, cut_for_threads, parts, reach, shares, total
from .jobs import Job
from .padded import PaddedBlock
from .products import cross_product, product
from .scratch import Scratch, scratch

_LARGE = 2**15  # from so many weights on, products want many rows
_ROWS = 256
_SHORT = 16  # numbers in a row below which copying them run by run is slow
_FEW = 4  # channels up to which adding them up run by run is slow


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, g: Geometry) -> Job:
    """Return the convolution of the input."""
    out = np.empty(g.output_shape, x.dtype)
    matrix = np.swapaxes(_matrices(weight, g), 1, 2)
    if matrix[0].size < _LARGE:  # BLAS turns larger ones round as it repacks them
        matrix = np.ascontiguousarray(matrix)
    blocks = _blocks(g, x.itemsize)
    tasks = shares(blocks, columns_bytes(g, blocks, x.itemsize))
    buffers = _buffers(g, blocks, x.dtype, _reads_by_place(g), len(tasks))

    def run(share: list[Block]) -> None:
        with buffers.one() as columns:
            for block in share:
                found = out[block.images, block.rows]
                product(columns.read(x, block), matrix, by_group(found, g.groups))
                if bias is not None:
                    add_bias(found, bias)

    return Job(run, tasks, lambda: out)


def weight_gradient(x: np.ndarray, grad: np.ndarray, g: Geometry) -> Job:
    """Return the gradient of the weight."""
    blocks = _blocks(g, x.itemsize)
    tasks = shares(blocks, columns_bytes(g, blocks, x.itemsize) + math.prod(g.weight_shape) * x.itemsize)
    sums: list = [None] * len(tasks)
    buffers = _buffers(g, blocks, x.dtype, _reads_by_place(g), len(tasks))

    def run(index: int) -> None:
        with buffers.one() as columns:
            for block in tasks[index]:
                # the other way round BLAS takes up to half as long again
                part = cross_product(columns.read(x, block), by_group(grad[block.images, block.rows], g.groups))
                sums[index] = part if sums[index] is None else np.add(sums[index], part, out=sums[index])

    return Job(run, range(len(tasks)), lambda: np.swapaxes(total(sums), 1, 2).reshape(g.weight_shape))


def input_gradient(grad: np.ndarray, weight: np.ndarray, g: Geometry) -> Job:
    """Return the gradient of the input: the gradient of the matrix, added up where its elements came from."""
    out = np.zeros(g.input_shape, grad.dtype)
    matrix = _matrices(weight, g)
    blocks = _blocks(g, grad.itemsize)
    most = max(b.n * b.height for b in blocks)
    tasks = len(shares(list(range(TASKS)), columns_bytes(g, blocks, grad.itemsize)))

    buffers = _buffers(g, blocks, grad.dtype, g.channels // g.groups <= _FEW, tasks)

    def run(images: slice) -> None:  # blocks of one image meet: they are of one task
        with buffers.one() as columns:
            for block in cut(images.stop - images.start, g.out[0], most, images.start):
                product(by_group(grad[block.images, block.rows], g.groups), matrix, columns.matrix(block))
                columns.add_to(out, block)

    return Job(run, parts(g.batch, tasks), lambda: out)


def by_group(x: np.ndarray, groups: int) -> np.ndarray:
    """View (..., channels) as (groups, places, channels of a group); a copy if the memory does not allow it."""
    return x.reshape(-1, groups, x.shape[-1] // groups).transpose(1, 0, 2)


def _reads_by_place(g: Geometry) -> bool:
    return g.kernel[-1] * (g.channels // g.groups) < _SHORT


def _matrices(weight: np.ndarray, g: Geometry) -> np.ndarray:
    return weight.reshape(g.groups, g.outputs // g.groups, -1)


def _blocks(g: Geometry, itemsize: int) -> list[Block]:
    depth = max(g.taps, math.prod(g.stride)) * g.channels  # of the matrix, or of the padded input
    places = block_places(BLOCK // (depth * itemsize), g.batch * math.prod(g.out))
    if depth * g.outputs >= _LARGE * g.groups:
        places = max(places, min(_ROWS, 8 * places))
    return cut_for_threads(g.batch, g.out[0], places // math.prod(g.out[1:]))


def columns_bytes(g: Geometry, blocks: list[Block], itemsize: int) -> int:
    """How much a `Columns` holds."""
    places = max(b.n * b.height for b in blocks) * math.prod(g.out[1:])
    return places * g.taps * g.channels * itemsize + PaddedBlock.bytes(g, blocks, itemsize)


def _buffers(g: Geometry, blocks: list[Block], dtype: np.dtype, by_place: bool, tasks: int) -> Scratch[Columns]:
    size = columns_bytes(g, blocks, dtype.itemsize)
    return scratch((g, dtype, by_place), lambda: Columns(g, blocks, dtype, by_place), size, tasks)


class Columns:
    """The matrix of a block: (groups, places, taps * channels of a group).

    In memory its rows lie side by side, or `by_place` its columns: the longer runs where there are few channels.
    """

    def __init__(self, g: Geometry, blocks: list[Block], dtype: np.dtype, by_place: bool) -> None:
        self.geometry = g
        places = max(b.n * b.height for b in blocks) * math.prod(g.out[1:])
        self._buffer = np.empty(places * g.taps * g.channels, dtype)
        self._blocks = blocks
        self._padded: PaddedBlock | None = None
        self._by_place = by_place
        self._views: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}  # for each view of windows

    def matrix(self, block: Block) -> np.ndarray:
        """Return the matrix to write to."""
        g = self.geometry
        places, depth = block.n * block.height * math.prod(g.out[1:]), g.taps * g.channels // g.groups
        buffer = self._buffer[: g.groups * places * depth]
        if self._by_place:
            return buffer.reshape(g.groups, depth, places).swapaxes(1, 2)
        return buffer.reshape(g.groups, places, depth)

    def read(self, x: np.ndarray, block: Block) -> np.ndarray:
        """Return the matrix, filled with what the outputs of a block see of the input."""
        if self._padded is None:
            self._padded = PaddedBlock(self.geometry, self._blocks, x.dtype, self._by_place)
        windows = self._padded.windows(x, block)
        views = self._views.get(id(windows))
        if views is None:
            by_group = np.moveaxis(windows.reshape(*windows.shape[:-1], self.geometry.groups, -1), -2, 0)
            views = self._views[id(windows)] = (self._by_axes(block), by_group, self.matrix(block))
        into, read, matrix = views
        np.copyto(into, read)
        return matrix

    def add_to(self, out: np.ndarray, block: Block) -> None:
        """Add the elements of the matrix to those of the input that they stand for."""
        g = self.geometry
        columns = self._by_axes(block)
        images = out[block.images].reshape(block.n, *g.lengths, g.groups, g.channels // g.groups)
        images = np.moveaxis(images, -2, 0)
        before = [pair[0] for pair in g.padding]
        before[0] -= block.rows.start * g.stride[0]
        sizes = (block.height, *g.out[1:])
        axes = zip(g.kernel, sizes, g.lengths, g.stride, before, g.dilation, strict=True)
        for meetings in itertools.product(*(enumerate(reach(*axis)) for axis in axes)):
            taps = (tap for tap, _ in meetings)
            places: Any = (slice(None), slice(None), *(outputs for _, (outputs, _) in meetings), *taps)
            seen: Any = (slice(None), slice(None), *(inputs for _, (_, inputs) in meetings))
            source, target = columns[places], images[seen]
            if self._by_place:
                for channel in range(source.shape[-1]):
                    target[..., channel] += source[..., channel]
            else:
                target += source

    def _by_axes(self, block: Block) -> np.ndarray:
        """View the matrix as (groups, images, *places, *taps, channels of a group)."""
        g = self.geometry
        places, columns = (block.n, block.height, *g.out[1:]), (*g.kernel, g.channels // g.groups)
        buffer = self._buffer[: g.groups * math.prod(places) * math.prod(columns)]
        if not self._by_place:
            return buffer.reshape(g.groups, *places, *columns)
        split = 1 + len(columns)
        axes = range(split + len(places))
        return buffer.reshape(g.groups, *columns, *places).transpose(0, *axes[split:], *axes[1:split])
