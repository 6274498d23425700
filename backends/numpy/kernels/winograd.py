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
from .geometry import Block, Geometry, total
from .products import cross_product, product
from .scratch import Scratch, scratch
from .winograd_plan import N, Plan, Shape, Work, plan_of, shape_of

_R = TypeVar("_R")

_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0)  # and infinity
_FEW = 3  # channels up to which the products are slow, and those over whole windows better


class Transforms(NamedTuple):
    """The matrices for a kernel of some height: of input rows (6, 6), of kernel rows (6, r), of results (m, 6)."""

    input: np.ndarray
    kernel: np.ndarray
    output: np.ndarray


@lru_cache(maxsize=16)
def transforms(height: int, dtype: np.dtype) -> Transforms:
    """Return the matrices for kernels of a height from 2 to 5, by polynomial interpolation (Toom and Cook)."""
    points = np.asarray(_POINTS)
    powers = np.zeros((N, N))
    powers[:-1] = points[:, None] ** np.arange(N)
    powers[-1, -1] = 1.0
    factors = np.asarray([np.prod(points[i] - np.delete(points, i)) for i in range(N - 1)] + [1.0])
    interpolation = np.linalg.inv(powers).T * factors[:, None]
    kernel = powers[:, :height] / factors[:, None]
    kernel[-1] = np.eye(height)[-1]
    tile = N + 1 - height
    output = powers[:, :tile].T.copy()
    output[:, -1] = np.eye(tile)[-1]
    found = [np.ascontiguousarray(np.round(interpolation, 12), dtype), kernel.astype(dtype), output.astype(dtype)]
    for matrix in found:
        matrix.flags.writeable = False
    return Transforms(*found)


def fits(g: Geometry, backwards: bool = False) -> bool:
    """Whether a convolution, or the gradient of its input, can be done this way and is worth it."""
    if g.channels <= _FEW and not backwards:
        return False
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
    s = shape_of(g)
    kernel = weight.reshape(s.outputs, s.kernel[0], s.kernel[1] * s.channels)
    matrices = transforms(s.kernel[0], x.dtype)
    if s.large:  # BLAS turns it round as it repacks; a transposed copy would take longer
        turned = np.empty((s.outputs, N, kernel.shape[-1]), x.dtype)
        each(partial(_transform, matrices.kernel, kernel, turned), s.outputs_cut())
        turned = turned.transpose(1, 2, 0)
    else:
        rows = kernel.transpose(1, 2, 0).reshape(s.kernel[0], -1)
        turned = np.matmul(matrices.kernel, rows).reshape(N, -1, s.outputs)
    return _correlate(x, turned, bias, s).reshape(g.output_shape)


@_quiet
def input_gradient(grad: np.ndarray, weight: np.ndarray, g: Geometry) -> np.ndarray:
    """Return the gradient of the input: the convolution of `grad` with the kernel turned by half a turn."""
    s, transposed = shape_of(g), g.transposed()
    assert transposed is not None  # see `fits`
    height, width = s.kernel
    kernel = weight.reshape(s.outputs, height, width, s.channels)
    transform = np.ascontiguousarray(transforms(height, grad.dtype).kernel[:, ::-1])
    turned = np.empty((N, width, s.outputs, s.channels), grad.dtype)

    @_quiet
    def turn(part: slice) -> None:
        for tap in range(width):
            np.matmul(transform, kernel[part, :, width - 1 - tap], out=turned[:, tap, part].swapaxes(0, 1))

    each(turn, s.outputs_cut())
    turned = turned.reshape(N, width * s.outputs, s.channels)
    return _correlate(grad, turned, None, shape_of(transposed)).reshape(g.input_shape)


@_quiet
def weight_gradient(x: np.ndarray, grad: np.ndarray, g: Geometry) -> np.ndarray:
    """Return the gradient of the weight: every step of `forward` transposed."""
    s = shape_of(g)
    x = x.reshape(s.images, s.height, s.width, s.channels)
    grad = grad.reshape(s.images, s.out_height, s.out_width, s.outputs)
    matrices = transforms(s.kernel[0], x.dtype)
    plan, pieces, width = plan_of(s, x.itemsize), s.pieces(), s.kernel[1]
    tasks, buffers = plan.tasks, _buffers(s, plan, x.dtype)
    sums: list = [None] * len(tasks)

    @_quiet
    def run(index: int) -> None:
        summed = np.empty((N, s.outputs, width, s.channels), x.dtype)
        with buffers.one() as (lines, results):
            results[:, : plan.tiles * s.row].reshape(N, plan.tiles, s.row, s.outputs)[:, :, s.out_width :] = 0
            for work in tasks[index]:
                lines.fill(x, work, matrices.input)
                _scatter(grad, results, work.block, s, matrices.output)
                each(partial(_cross, lines, results, work.tiles, summed, work is not tasks[index][0]), pieces)
        products = summed.reshape(N, s.outputs, -1).swapaxes(0, 1)
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


def _correlate(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray | None, s: Shape) -> np.ndarray:
    """Return the convolution; `kernel` is transformed, (6, width * channels, outputs)."""
    x = x.reshape(s.images, s.height, s.width, s.channels)
    out = np.empty((s.images, s.out_height, s.out_width, s.outputs), x.dtype)
    matrices = transforms(s.kernel[0], x.dtype)
    plan, pieces = plan_of(s, x.itemsize), s.pieces()
    buffers = _buffers(s, plan, x.dtype)

    @_quiet
    def run(works: list[Work]) -> None:
        with buffers.one() as (lines, results):
            for work in works:
                lines.fill(x, work, matrices.input)
                each(partial(_multiply, lines, kernel, results, work.tiles), pieces)
                _gather(results, out, work.block, s, matrices.output)
                if bias is not None:
                    rows = work.block.rows
                    add_bias(out[work.block.images, rows.start * s.tile : rows.stop * s.tile], bias)

    each(run, plan.tasks)
    return out


def _buffers(s: Shape, plan: Plan, dtype: np.dtype) -> Scratch[tuple[_Lines, np.ndarray]]:
    """Buffers for the sums of input rows and for the six results."""
    places = -(-plan.tiles * s.row // s.kernel[1]) * s.kernel[1]

    def make() -> tuple[_Lines, np.ndarray]:
        return _Lines(s, plan.tiles, dtype), np.empty((N, places, s.outputs), dtype)

    return scratch((s, dtype), make, plan.size, len(plan.tasks))


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

    def __init__(self, s: Shape, tiles: int, dtype: np.dtype) -> None:
        width, channels, places = s.kernel[1], s.channels, tiles * s.pitch
        self.shape = s
        rows = -(-places // width)
        buffer = np.empty((N, s.left + (rows + 1) * width, channels), dtype)
        self._lines = buffer[:, s.left : s.left + places].reshape(N, tiles, s.pitch * channels)
        self._buffer, self._tiles = buffer, tiles
        # what lies before, between and behind the rows stays zero
        buffer[:, : s.left] = 0
        buffer[:, s.left + places :] = 0
        self._lines[:, :, s.width * channels :] = 0
        line, place, item = buffer.strides

        def view(*axes: tuple[int, int]) -> np.ndarray:
            shape, strides = zip((N, line), *axes, strict=True)
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

    def fill(self, x: np.ndarray, work: Work, transform: np.ndarray) -> None:
        s, length, block = self.shape, self.shape.width * self.shape.channels, work.block
        into = self._lines[:, : work.tiles, :length].reshape(N, block.n, block.height, length).transpose(1, 2, 0, 3)
        if work.tiles < self._tiles:  # the last windows reach a little further
            end = s.left + work.tiles * s.pitch
            self._buffer[:, end : end + 2 * s.kernel[1]] = 0
        rows = np.ascontiguousarray(x[block.images, work.rows])
        rows = rows.reshape(block.n, rows.shape[1], length)
        # the tiles of which all rows exist in one go, those at the edges one by one
        number = work.whole.stop - work.whole.start
        if number:
            image, row, item = rows.strides
            shape, strides = (block.n, number, N, length), (image, s.tile * row, row, item)
            tiles = np.ndarray(shape, x.dtype, rows, work.offset * row, strides)
            np.matmul(transform, tiles, out=into[:, work.whole])
        for tile, among, seen in work.edges:
            np.matmul(transform[:, among], rows[:, seen], out=into[:, tile])


def _gather(results: np.ndarray, out: np.ndarray, block: Block, s: Shape, transform: np.ndarray) -> None:
    """Write the output rows of a block: sums of the six results."""
    for found, rows, height in _pairs(results, out, block, s):
        np.matmul(transform[:height], found, out=rows)


def _scatter(grad: np.ndarray, results: np.ndarray, block: Block, s: Shape, transform: np.ndarray) -> None:
    """Write what the gradient of the output gives to the six results."""
    for found, rows, height in _pairs(results, grad, block, s):
        np.matmul(transform[:height].T, rows, out=found)


def _pairs(
    results: np.ndarray, out: np.ndarray, block: Block, s: Shape
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Yield six results with the rows of the output that belong to them, and how many these are: of the whole tiles, of
    the last."""
    length = s.out_width * s.outputs
    found = results[:, : block.n * block.height * s.row].reshape(N, block.n, block.height, s.row * s.outputs)
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
