"""Winograd's convolution along the first spatial axis: half of the products, or six tenths, for kernels 2 to 5 high.

An output of m rows is a sum of six products instead of m * r, for a kernel r high and m = 7 - r: each of six sums
of input rows meets one sum of kernel rows, and each output row is a sum of the six results (Lavin and Gray, "Fast
algorithms for convolutional neural networks", 2015, arXiv:1509.09308, in one dimension; Winograd, "Arithmetic
complexity of computations", 1980). The sums run over whole rows in memory, as small matrix products. Along the other
axis the kernel is applied directly: features are last, so k neighbours are k * channels numbers in a row, and the
windows at one place of all rows are a matrix that is there already: nothing is copied, unless there are many channels.

Rows are stored with as many zeros behind them as either side is padded with, which so are the zeros before the next
row, too.

The sums amplify rounding a little: relative to the largest output, float32 errors are some 4e-6. Along both axes the
algorithm would need a quarter of the products, but more passes over the data, and errors would be four times as large.
An infinity or NaN spreads over the m rows of its tile.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from nnx.backend import each

from .bias import add_bias
from .geometry import Geometry, total
from .jobs import Job
from .products import bunches, cross_product, product
from .scratch import Scratch, scratch
from .winograd_plan import Form, N, Plan, Shape, Work, plan_of, shape_of

# An infinity becomes NaN without a warning, in whatever thread.
_quiet = partial(np.errstate, invalid="ignore")

_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0)  # and infinity
_PIECES = [slice(v, v + 1) for v in range(N)]  # to share the six products of a large block out
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


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, g: Geometry) -> Job:
    """Return the convolution of the input."""
    s = shape_of(g)
    kernel = weight.reshape(s.outputs, s.kernel[0], s.kernel[1] * s.channels)
    transform = transforms(s.kernel[0], x.dtype).kernel
    if s.large:  # BLAS turns it round as it repacks; a transposed copy would take longer
        turned = np.empty((s.outputs, N, kernel.shape[-1]), x.dtype)
        each(partial(_transform, transform, kernel, turned), s.outputs_cut())
        turned = turned.transpose(1, 2, 0)
    else:
        rows = kernel.transpose(1, 2, 0).reshape(s.kernel[0], -1)
        with _quiet():
            turned = np.matmul(transform, rows).reshape(N, -1, s.outputs)
    return _correlate(x, turned, bias, s, g.output_shape)


def input_gradient(grad: np.ndarray, weight: np.ndarray, g: Geometry) -> Job:
    """Return the gradient of the input: the convolution of `grad` with the kernel turned by half a turn."""
    s, transposed = shape_of(g), g.transposed()
    assert transposed is not None  # see `fits`
    height, width = s.kernel
    kernel = weight.reshape(s.outputs, height, width, s.channels)
    transform = np.ascontiguousarray(transforms(height, grad.dtype).kernel[:, ::-1])
    turned = np.empty((N, width, s.outputs, s.channels), grad.dtype)

    def turn(part: slice) -> None:
        with _quiet():
            for tap in range(width):
                np.matmul(transform, kernel[part, :, width - 1 - tap], out=turned[:, tap, part].swapaxes(0, 1))

    each(turn, s.outputs_cut())
    turned = turned.reshape(N, width * s.outputs, s.channels)
    return _correlate(grad, turned, None, shape_of(transposed), g.input_shape)


def weight_gradient(x: np.ndarray, grad: np.ndarray, g: Geometry) -> Job:
    """Return the gradient of the weight: every step of `forward` transposed."""
    s = shape_of(g)
    x = x.reshape(s.images, s.height, s.width, s.channels)
    grad = grad.reshape(s.images, s.out_height, s.out_width, s.outputs)
    kernel = transforms(s.kernel[0], x.dtype).kernel
    plan, width = plan_of(s, x.itemsize), s.kernel[1]
    tasks, buffers = plan.tasks, _buffers(s, plan, x.dtype)
    sums: list = [None] * len(tasks)

    def run(index: int) -> None:
        summed = np.empty((N, s.outputs, width * s.channels) if s.large else (N, width, s.outputs, s.channels), x.dtype)
        with _quiet(), buffers.one() as buffer:
            buffer.clear_gaps()
            for work in tasks[index]:
                buffer.fill(x, work)
                buffer.scatter(grad, work)
                buffer.cross(work, summed, work is not tasks[index][0])
        if s.large:
            found = np.empty((s.outputs, s.kernel[0], width * s.channels), x.dtype)
            each(partial(_transform, kernel.T, summed.swapaxes(0, 1), found), s.outputs_cut())
        else:
            with _quiet():
                found = np.matmul(kernel.T, summed.reshape(N, -1)).reshape(-1, *summed.shape[1:]).transpose(2, 0, 1, 3)
        sums[index] = found

    return Job(run, range(len(tasks)), lambda: np.ascontiguousarray(total(sums)).reshape(g.weight_shape))


def _transform(matrix: np.ndarray, weights: np.ndarray, out: np.ndarray, part: slice) -> None:
    with _quiet():
        np.matmul(matrix, weights[part], out=out[part])


def _correlate(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray | None, s: Shape, shape: tuple[int, ...]) -> Job:
    """Return the convolution; `kernel` is transformed, (6, width * channels, outputs)."""
    x = x.reshape(s.images, s.height, s.width, s.channels)
    out = np.empty((s.images, s.out_height, s.out_width, s.outputs), x.dtype)
    plan = plan_of(s, x.itemsize)
    buffers = _buffers(s, plan, x.dtype)

    def run(works: list[Work]) -> None:
        with _quiet(), buffers.one() as buffer:
            for work in works:
                buffer.fill(x, work)
                buffer.multiply(work, kernel)
                rows = buffer.gather(out, work)
                if bias is not None:
                    add_bias(rows, bias)

    return Job(run, plan.tasks, lambda: out.reshape(shape))


def _buffers(s: Shape, plan: Plan, dtype: np.dtype) -> Scratch[_Buffer]:
    return scratch((s, dtype), lambda: _Buffer(s, plan.tiles, dtype), plan.size, len(plan.tasks))


class _Rows(NamedTuple):
    """Sums over some of the rows of a block of the input or the output: the matrix, where the rows lie, the buffer."""

    matrix: np.ndarray
    shape: tuple[int, ...]
    offset: int
    strides: tuple[int, ...]
    buffer: np.ndarray

    def of(self, block: np.ndarray) -> np.ndarray:
        return np.ndarray(self.shape, block.dtype, block, self.offset, self.strides)


class _Views(NamedTuple):
    """The views that a form of block takes, made once: while Python makes one, no other thread can start its work."""

    inputs: list[_Rows]  # the sums of input rows
    outputs: list[_Rows]  # the six results, and the output rows that they give
    spread: list[_Rows]  # those that output rows give, in the weight gradient
    products: list[tuple[np.ndarray, np.ndarray]]  # windows and results


class _Buffer:
    """The sums of input rows of a block, (6, rows of tiles, pitch, channels), between zeros, and the six results."""

    def __init__(self, s: Shape, tiles: int, dtype: np.dtype) -> None:
        self._shape, self._tiles, self._dtype = s, tiles, dtype
        self._matrices = transforms(s.kernel[0], dtype)
        places = tiles * s.pitch
        self._lines = np.empty((N, s.left + places + s.kernel[1], s.channels), dtype)
        self._rows = self._lines[:, s.left : s.left + places].reshape(N, tiles, s.pitch, s.channels)
        # what lies before, between and behind the rows stays zero
        self._lines[:, : s.left] = 0
        self._lines[:, s.left + places :] = 0
        self._rows[:, :, s.width :] = 0
        self._results = np.empty((N, tiles * s.row, s.outputs), dtype)
        self._views: dict[Form, _Views] = {}

    def fill(self, x: np.ndarray, work: Work) -> None:
        """Take the sums of input rows."""
        if work.form.tiles < self._tiles:  # what a larger block has left may be seen by the last windows
            end = self._shape.left + work.form.tiles * self._shape.pitch
            self._lines[:, end : end + self._shape.kernel[1]] = 0
        rows = np.ascontiguousarray(x[work.images, work.rows])
        for part in self._of(work.form).inputs:
            np.matmul(part.matrix, part.of(rows), out=part.buffer)

    def multiply(self, work: Work, kernel: np.ndarray) -> None:
        """Give the six results."""
        s = self._shape
        if not s.large:
            kernel = kernel[:, None, None]
            for windows, results in self._of(work.form).products:
                np.matmul(windows, kernel, out=results)
            return
        results = self._results[:, : work.form.tiles * s.out_width]

        def run(piece: slice) -> None:
            with _quiet():
                product(self._windows(work, piece), kernel[piece], results[piece])

        each(run, _PIECES)

    def gather(self, out: np.ndarray, work: Work) -> np.ndarray:
        """Write and return the output rows of a block: sums of the six results."""
        rows = out[work.images, work.out_rows]
        for part in self._of(work.form).outputs:
            np.matmul(part.matrix, part.buffer, out=part.of(rows))
        return rows

    def scatter(self, grad: np.ndarray, work: Work) -> None:
        """Take what the gradient of the output gives to the six results."""
        rows = np.ascontiguousarray(grad[work.images, work.out_rows])
        for part in self._of(work.form).spread:
            np.matmul(part.matrix, part.of(rows), out=part.buffer)

    def clear_gaps(self) -> None:
        """Set the results between the rows to zero, which `scatter` leaves as they are, and `multiply` does not."""
        s = self._shape
        if s.row > s.out_width:
            self._results.reshape(N, self._tiles, s.row, s.outputs)[:, :, s.out_width :] = 0

    def cross(self, work: Work, summed: np.ndarray, add: bool) -> None:
        """Write or add to `summed` the products of results and windows, (6, outputs, width * channels), or if they are
        not large, of results and what each tap meets, (6, width, outputs, channels)."""
        s, tiles = self._shape, work.form.tiles

        def run(piece: slice) -> None:
            results = self._results[piece, : tiles * s.row]
            a, b = (results, self._windows(work, piece)) if s.large else (results[:, None], self._taps(work))
            with _quiet():
                products = cross_product(a, b, None if add else summed[piece])
                if add:
                    summed[piece] += products

        each(run, _PIECES if s.large else [slice(N)])

    def _windows(self, work: Work, piece: slice) -> np.ndarray:
        """Copy the windows of all places of the output: (-1, places, width * channels)."""
        s, tiles = self._shape, work.form.tiles
        line, place, item = self._lines.strides
        shape, strides = (N, tiles, s.out_width, s.kernel[1] * s.channels), (line, s.pitch * place, place, item)
        windows = np.ndarray(shape, self._dtype, self._lines, 0, strides)[piece]
        return windows.reshape(len(windows), tiles * s.out_width, -1)

    def _taps(self, work: Work) -> np.ndarray:
        """View what a tap of the kernel meets, at all places of the rows and between: (6, width, places, channels)."""
        s = self._shape
        line, place, item = self._lines.strides
        shape, strides = (N, s.kernel[1], work.form.tiles * s.pitch, s.channels), (line, place, place, item)
        return np.ndarray(shape, self._dtype, self._lines, 0, strides)

    def _of(self, form: Form) -> _Views:
        found = self._views.get(form)
        if found is None:
            inputs, spread = self._inputs(form), self._outputs(form, self._shape.row)
            outputs = [v._replace(matrix=v.matrix.T) for v in self._outputs(form, self._shape.out_width)]
            found = self._views[form] = _Views(inputs, outputs, spread, self._products(form))
        return found

    def _inputs(self, form: Form) -> list[_Rows]:
        s, matrix = self._shape, self._matrices.input
        item, length = self._dtype.itemsize, s.width * s.channels
        row = length * item
        into = self._rows[:, : form.tiles, : s.width].reshape(N, form.images, form.height, length)
        into = into.transpose(1, 2, 0, 3)
        image = form.rows * row
        found = []
        if form.stop > form.first:  # the tiles of which all rows exist in one go, those at the edges one by one
            whole, strides = (form.images, form.stop - form.first, N, length), (image, s.tile * row, row, item)
            found.append(_Rows(matrix, whole, form.offset * row, strides, into[:, form.first : form.stop]))
        edges = list(form.edges)
        while edges:
            tile, low, high, start = edges.pop(0)
            part: tuple[int, ...] = (form.images, high - low, length)
            if edges and edges[0][2] - edges[0][1] == high - low:  # the next sees as many: two in one go
                next_tile, next_low, next_high, next_start = edges.pop(0)
                two = np.stack([matrix[:, low:high], matrix[:, next_low:next_high]])
                part, strides = (form.images, 2, high - low, length), (image, (next_start - start) * row, row, item)
                pair = into[:, tile : next_tile + 1 : next_tile - tile]
                found.append(_Rows(two, part, start * row, strides, pair))
            else:
                found.append(_Rows(matrix[:, low:high], part, start * row, (image, row, item), into[:, tile]))
        return found

    def _outputs(self, form: Form, width: int) -> list[_Rows]:
        """With results in rows of a width; the matrices are those of `scatter`."""
        s, matrix = self._shape, self._matrices.output.T
        item, length = self._dtype.itemsize, s.out_width * s.outputs
        row = length * item
        results = self._results[:, : form.tiles * width].reshape(N, form.images, form.height, width * s.outputs)
        results = results[..., :length].transpose(1, 2, 0, 3)
        image = form.out_rows * row
        whole, rest = divmod(form.out_rows, s.tile)
        found = []
        if whole:
            tiles, strides = (form.images, whole, s.tile, length), (image, s.tile * row, row, item)
            found.append(_Rows(matrix, tiles, 0, strides, results[:, :whole]))
        if rest:
            part = (form.images, rest, length)
            found.append(_Rows(matrix[:, :rest], part, whole * s.tile * row, (image, row, item), results[:, whole]))
        return found

    def _products(self, form: Form) -> list[tuple[np.ndarray, np.ndarray]]:
        """The windows at one place of all rows do not overlap, and so are the rows of a matrix."""
        s = self._shape
        if s.large:
            return []
        line, place, item = self._lines.strides
        shape = (N, s.out_width, form.tiles, s.kernel[1] * s.channels)
        windows = np.ndarray(shape, self._dtype, self._lines, 0, (line, place, s.pitch * place, item))
        results = self._results[:, : form.tiles * s.out_width].reshape(N, form.tiles, s.out_width, s.outputs)
        return bunches(windows, results.swapaxes(1, 2))
