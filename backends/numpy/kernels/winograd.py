"""Winograd's convolution along the first spatial axis: half of the products, or six tenths, for kernels 2 to 5 high.

An output of m rows is a sum of six products instead of m * r, for a kernel r high and m = 7 - r: each of six sums
of input rows meets one sum of kernel rows, and each output row is a sum of the six results (Lavin and Gray, "Fast
algorithms for convolutional neural networks", 2015, arXiv:1509.09308, in one dimension; Winograd, "Arithmetic
complexity of computations", 1980). The sums run over whole rows in memory, as small matrix products. Along the other
axis the kernel is applied directly: features are last, so k neighbours are k * channels numbers in a row, and every
k-th window is a row of a matrix that is there already: nothing is copied, unless there are many channels.

Rows are stored with as many zeros behind them as either side is padded with, which so are the zeros before the next
row, too.

The sums amplify rounding a little: relative to the largest output, float32 errors are some 4e-6. Along both axes the
algorithm would need a quarter of the products, but more passes over the data, and errors would be four times as large.
An infinity or NaN spreads over the m rows of its tile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial, wraps
from typing import Any, NamedTuple, TypeVar

import numpy as np

from nnx.backend import each

from .bias import add_bias
from .geometry import BLOCK, TASKS, Block, Geometry, block_places, cut, parts, shares, total
from .products import cross_product, product
from .scratch import Scratch

_R = TypeVar("_R")

_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0)  # and infinity
_N = 6
_LARGE = 2**15  # from so many weights per row of the kernel on, products want many rows, and are worth a task each
_ROWS = 768  # how many they want; beyond, they gain little
_FEW = 8  # numbers in a window below which products are slow, and windows of all rows of the kernel better


class Transforms(NamedTuple):
    """The matrices for a kernel of some height: of input rows (6, 6), of kernel rows (6, r), of results (m, 6)."""

    input: np.ndarray
    kernel: np.ndarray
    output: np.ndarray


@lru_cache(maxsize=16)
def transforms(height: int, dtype: np.dtype) -> Transforms:
    """Return the matrices for kernels of a height from 2 to 5, by polynomial interpolation (Toom and Cook)."""
    points = np.asarray(_POINTS)
    powers = np.zeros((_N, _N))
    powers[:-1] = points[:, None] ** np.arange(_N)
    powers[-1, -1] = 1.0
    factors = np.asarray([np.prod(points[i] - np.delete(points, i)) for i in range(_N - 1)] + [1.0])
    interpolation = np.linalg.inv(powers).T * factors[:, None]
    kernel = powers[:, :height] / factors[:, None]
    kernel[-1] = np.eye(height)[-1]
    tile = _N + 1 - height
    output = powers[:, :tile].T.copy()
    output[:, -1] = np.eye(tile)[-1]
    found = [np.ascontiguousarray(np.round(interpolation, 12), dtype), kernel.astype(dtype), output.astype(dtype)]
    for matrix in found:
        matrix.flags.writeable = False
    return Transforms(*found)


class _Shape(NamedTuple):
    """A convolution of one or two spatial axes with stride 1, as Winograd's algorithm sees it."""

    images: int
    height: int
    width: int
    channels: int
    out_height: int
    out_width: int
    outputs: int
    kernel: tuple[int, int]
    top: int
    left: int
    pitch: int  # a row with its zeros

    @property
    def tile(self) -> int:
        return _N + 1 - self.kernel[0]

    @property
    def tiles(self) -> int:
        """Of an image, along its height."""
        return -(-self.out_height // self.tile)

    def blocks(self) -> list[Block]:
        """Blocks of rows of tiles, which give large products if there are many weights."""
        most = BLOCK // (4 * _N * (self.channels + self.outputs))
        places = block_places(most, self.images * self.tiles * self.pitch)
        if self.large:
            places = max(places, min(_ROWS, 16 * places))
        return cut(self.images, self.tiles, max(1, places // self.pitch))

    def pieces(self) -> list[slice]:
        """How to share the six products of a block out if there is but one task: not at all if they are small."""
        return [slice(v, v + 1) for v in range(_N)] if self.large else [slice(0, _N)]

    def outputs_cut(self) -> list[slice]:
        """How to share the transforms of the weights out."""
        return parts(self.outputs, TASKS if self.large else 1)

    def held(self, tiles: int) -> int:
        """How many numbers the buffers for so many rows of tiles hold, roughly."""
        windows = self.kernel[1] * self.channels if self.large else 0
        return tiles * self.pitch * (_N * (self.channels + self.outputs) + windows)

    @property
    def row(self) -> int:
        """The places of a row among the results."""
        return self.out_width if self.large else self.pitch

    @property
    def large(self) -> bool:
        """Whether there are so many weights that copying windows costs little beside multiplying them."""
        return self.kernel[1] * self.channels * self.outputs >= _LARGE


def fits(g: Geometry, backwards: bool = False) -> bool:
    """Whether a convolution, or the gradient of its input, can be done this way and is worth it."""
    if g.channels * g.kernel[-1] < _FEW and not backwards:
        return False  # products over so few numbers are slow
    single = len(g.kernel) <= 2 and g.groups == 1 and set(g.dilation) == {1}
    return single and 2 <= g.kernel[0] <= 5 and g.out[0] >= 3 and g.transposed() is not None


def _quiet(function: Callable[..., _R]) -> Callable[..., _R]:
    """Let a function make NaN of an infinity without a warning, in whatever thread it runs."""

    @wraps(function)
    def run(*args: Any) -> _R:
        with np.errstate(invalid="ignore"):
            return function(*args)

    return run


@_quiet
def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, g: Geometry) -> np.ndarray:
    """Return the convolution of the input."""
    s = _shape(g)
    kernel = weight.reshape(s.outputs, s.kernel[0], s.kernel[1] * s.channels)
    matrices = transforms(s.kernel[0], x.dtype)
    if s.large:  # BLAS turns it round as it repacks; a transposed copy would take longer
        turned = np.empty((s.outputs, _N, kernel.shape[-1]), x.dtype)
        each(partial(_transform, matrices.kernel, kernel, turned), s.outputs_cut())
        turned = turned.transpose(1, 2, 0)
    else:
        rows = kernel.transpose(1, 2, 0).reshape(s.kernel[0], -1)
        turned = np.matmul(matrices.kernel, rows).reshape(_N, -1, s.outputs)
    return _correlate(x, turned, bias, s).reshape(g.output_shape)


@_quiet
def input_gradient(grad: np.ndarray, weight: np.ndarray, g: Geometry) -> np.ndarray:
    """Return the gradient of the input: the convolution of `grad` with the kernel turned by half a turn."""
    s, transposed = _shape(g), g.transposed()
    assert transposed is not None  # see `fits`
    height, width = s.kernel
    kernel = weight.reshape(s.outputs, height, width, s.channels)
    transform = np.ascontiguousarray(transforms(height, grad.dtype).kernel[:, ::-1])
    turned = np.empty((_N, width, s.outputs, s.channels), grad.dtype)

    @_quiet
    def turn(part: slice) -> None:
        for tap in range(width):
            np.matmul(transform, kernel[part, :, width - 1 - tap], out=turned[:, tap, part].swapaxes(0, 1))

    each(turn, s.outputs_cut())
    turned = turned.reshape(_N, width * s.outputs, s.channels)
    return _correlate(grad, turned, None, _shape(transposed)).reshape(g.input_shape)


@_quiet
def weight_gradient(x: np.ndarray, grad: np.ndarray, g: Geometry) -> np.ndarray:
    """Return the gradient of the weight: every step of `forward` transposed."""
    s = _shape(g)
    x = x.reshape(s.images, s.height, s.width, s.channels)
    grad = grad.reshape(s.images, s.out_height, s.out_width, s.outputs)
    matrices = transforms(s.kernel[0], x.dtype)
    blocks, pieces, width = s.blocks(), s.pieces(), s.kernel[1]
    most = max(b.n * b.height for b in blocks)
    tasks = shares(blocks, x.itemsize * (s.held(most) + _N * width * s.outputs * s.channels))
    sums: list = [None] * len(tasks)

    def make() -> tuple[_Lines, np.ndarray]:
        results = np.empty((_N, most, s.row, s.outputs), x.dtype)
        results[:, :, s.out_width :] = 0  # between the rows they stay zero
        return _Lines(s, most, x.dtype), results.reshape(_N, most * s.row, s.outputs)

    scratch = Scratch(make)

    @_quiet
    def run(index: int) -> None:
        summed = np.empty((_N, s.outputs, width, s.channels), x.dtype)
        with scratch.one() as (lines, results):
            for block in tasks[index]:
                lines.fill(x, block, matrices.input)
                _scatter(grad, results, block, s, matrices.output)
                add = block != tasks[index][0]
                each(partial(_cross, lines, results, block.n * block.height, summed, add), pieces)
        products = summed.reshape(_N, s.outputs, -1).swapaxes(0, 1)
        found = sums[index] = np.empty((s.outputs, s.kernel[0], products.shape[-1]), x.dtype)
        each(partial(_transform, matrices.kernel.T, products, found), s.outputs_cut())

    each(run, range(len(tasks)))
    return total(sums).reshape(g.weight_shape)


@_quiet
def _transform(matrix: np.ndarray, weights: np.ndarray, out: np.ndarray, part: slice) -> None:
    np.matmul(matrix, weights[part], out=out[part])


@_quiet
def _cross(lines: _Lines, results: np.ndarray, tiles: int, summed: np.ndarray, add: bool, piece: slice) -> None:
    s = lines.shape
    results = results[piece, : tiles * s.row]
    if s.large:
        products = cross_product(results, lines.near(piece, tiles)).reshape(summed[piece].shape)
    else:
        products = cross_product(results[:, None], lines.taps[piece, :, : tiles * s.row]).swapaxes(1, 2)
    if add:
        summed[piece] += products
    else:
        summed[piece] = products


def _shape(g: Geometry) -> _Shape:
    height, width = (*g.lengths, 1)[:2]
    out_height, out_width = (*g.out, 1)[:2]
    (top, _), (left, right) = (*g.padding, (0, 0))[:2]
    kernel = (g.kernel[0], (*g.kernel, 1)[1])
    pitch = width + max(left, right)
    return _Shape(g.batch, height, width, g.channels, out_height, out_width, g.outputs, kernel, top, left, pitch)


def _correlate(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray | None, s: _Shape) -> np.ndarray:
    """Return the convolution; `kernel` is transformed, (6, width * channels, outputs)."""
    x = x.reshape(s.images, s.height, s.width, s.channels)
    out = np.empty((s.images, s.out_height, s.out_width, s.outputs), x.dtype)
    matrices = transforms(s.kernel[0], x.dtype)
    blocks, pieces = s.blocks(), s.pieces()
    most = max(b.n * b.height for b in blocks)
    places = -(-most * s.row // s.kernel[1]) * s.kernel[1]
    scratch = Scratch(lambda: (_Lines(s, most, x.dtype), np.empty((_N, places, s.outputs), x.dtype)))

    @_quiet
    def run(share: list[Block]) -> None:
        with scratch.one() as (lines, results):
            for block in share:
                lines.fill(x, block, matrices.input)
                each(partial(_multiply, lines, kernel, results, block.n * block.height), pieces)
                _gather(results, out, block, s, matrices.output)
                if bias is not None:
                    part = out[block.images, block.rows.start * s.tile : block.rows.stop * s.tile]
                    add_bias(part, bias)

    each(run, shares(blocks, x.itemsize * s.held(most)))
    return out


@_quiet
def _multiply(lines: _Lines, kernel: np.ndarray, results: np.ndarray, tiles: int, piece: slice) -> None:
    s, kernel, results = lines.shape, kernel[piece], results[piece]
    if s.large:
        product(lines.near(piece, tiles), kernel, results[:, : tiles * s.row])
    else:
        phases = s.kernel[1]
        rows = -(-tiles * s.row // phases)
        into = results.reshape(len(results), -1, phases, s.outputs)[:, :rows].swapaxes(1, 2)
        product(lines.windows[piece, :, :rows], kernel[:, None], into)


class _Lines:
    """The sums of input rows of a block, (6, rows of tiles, pitch, channels), between zeros."""

    def __init__(self, s: _Shape, tiles: int, dtype: np.dtype) -> None:
        width, channels, places = s.kernel[1], s.channels, tiles * s.pitch
        self.shape = s
        rows = -(-places // width)
        buffer = np.empty((_N, s.left + (rows + 1) * width, channels), dtype)
        self._lines = buffer[:, s.left : s.left + places].reshape(_N, tiles, s.pitch * channels)
        self._buffer, self._tiles = buffer, tiles
        # what lies before, between and behind the rows stays zero
        buffer[:, : s.left] = 0
        buffer[:, s.left + places :] = 0
        self._lines[:, :, s.width * channels :] = 0
        line, place, item = buffer.strides

        def view(*axes: tuple[int, int]) -> np.ndarray:
            shape, strides = zip((_N, line), *axes, strict=True)
            return np.ndarray(shape, dtype, buffer, 0, strides)

        window = (width * channels, item)
        # every window: those of a phase lie side by side, and so are the rows of a matrix
        self.windows = view((width, place), (rows, width * place), window)
        self.taps = view((width, place), (places, place), (channels, item))
        self._near = view((tiles, s.pitch * place), (s.out_width, place), window)

    def near(self, piece: slice, tiles: int) -> np.ndarray:
        """Copy the windows of all places of the output: (-1, places, width * channels)."""
        windows = self._near[piece, :tiles]
        return windows.reshape(len(windows), tiles * self.shape.out_width, -1)

    def fill(self, x: np.ndarray, block: Block, transform: np.ndarray) -> None:
        s, length = self.shape, self.shape.width * self.shape.channels
        into = self._lines[:, : block.n * block.height, :length].reshape(_N, block.n, block.height, length)
        into = into.transpose(1, 2, 0, 3)
        if block.n * block.height < self._tiles:  # the last windows reach a little further
            end = s.left + block.n * block.height * s.pitch
            self._buffer[:, end : end + 2 * s.kernel[1]] = 0
        top = block.rows.start * s.tile - s.top  # the first input row of the first tile
        start, stop = max(top, 0), min(top + (block.height - 1) * s.tile + _N, s.height)
        rows = np.ascontiguousarray(x[block.images, start:stop]).reshape(block.n, stop - start, length)
        # the tiles of which all rows exist in one go, those at the edges one by one
        first = -(top // s.tile) if top < 0 else 0
        last = max(first, min(block.height, (s.height - top - _N) // s.tile + 1))
        if last > first:
            image, row, item = rows.strides
            shape, strides = (block.n, last - first, _N, length), (image, s.tile * row, row, item)
            tiles = np.ndarray(shape, x.dtype, rows, (top + first * s.tile - start) * row, strides)
            np.matmul(transform, tiles, out=into[:, first:last])
        for tile in (*range(min(first, block.height)), *range(last, block.height)):
            begin = top + tile * s.tile
            low, high = max(begin, 0), min(begin + _N, s.height)
            np.matmul(transform[:, low - begin : high - begin], rows[:, low - start : high - start], out=into[:, tile])


def _gather(results: np.ndarray, out: np.ndarray, block: Block, s: _Shape, transform: np.ndarray) -> None:
    """Write the output rows of a block: sums of the six results."""
    for found, rows, height in _pairs(results, out, block, s):
        np.matmul(transform[:height], found, out=rows)


def _scatter(grad: np.ndarray, results: np.ndarray, block: Block, s: _Shape, transform: np.ndarray) -> None:
    """Write what the gradient of the output gives to the six results."""
    for found, rows, height in _pairs(results, grad, block, s):
        np.matmul(transform[:height].T, rows, out=found)


def _pairs(
    results: np.ndarray, out: np.ndarray, block: Block, s: _Shape
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Yield six results with the rows of the output that belong to them, and how many these are: of the whole tiles, of
    the last."""
    length = s.out_width * s.outputs
    found = results[:, : block.n * block.height * s.row].reshape(_N, block.n, block.height, s.row * s.outputs)
    found = found[..., :length].transpose(1, 2, 0, 3)
    rows = np.ascontiguousarray(out[block.images, block.rows.start * s.tile : block.rows.stop * s.tile])
    rows = rows.reshape(block.n, rows.shape[1], length)
    whole, rest = divmod(rows.shape[1], s.tile)
    if whole:
        image, row, item = rows.strides
        shape, strides = (block.n, whole, s.tile, length), (image, s.tile * row, row, item)
        yield found[:, :whole], np.ndarray(shape, out.dtype, rows, 0, strides), s.tile
    if rest:
        yield found[:, whole], rows[:, whole * s.tile :], rest
