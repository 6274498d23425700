"""Convolutions as products of matrices that are gathered on the way (implicit GEMM), on any device of nnx.

Numbers of 16 bits, and float32 where `use_float32_precision` allows for less, go to tensor cores. Channels are copied
by 16 bytes: where those of a group are no multiple of that, they are filled up with zeros first, which costs less than
to gather single elements at every tap.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

from nnx.backend import float32_precision

from ..compiler import Kernel
from ..launch import Machine, blocks_for, launch, too_large
from .column_sum import add_parts
from .elements import FLOAT_SUMS, ITEMSIZE
from .geometry import Geometry, Three

_REAL = {**FLOAT_SUMS, "tf32": "float"}
_STAGES = 3
_MULTIPROCESSORS = 132
_WORKSPACE = 2**24  # elements of split sums
_LIMIT = 2**30  # of a coordinate

# The tiles, those first that read least for a product. Exact float32 products are dear: few outputs get few columns.
TILES: dict[str, tuple[tuple[int, int], ...]] = {
    "float32": ((128, 128), (128, 64), (64, 64), (128, 32)),
    "tf32": ((128, 128), (128, 64), (64, 64)),
    "bfloat16": ((128, 128), (128, 64), (64, 64)),
    "float16": ((128, 128), (128, 64), (64, 64)),
}
WEIGHT_TILES = (128, 64)
BIAS, RELU, STATISTICS = 1, 2, 4


def _kernel(file: str, entry: str, name: str, rows: int, columns: int) -> Kernel:
    tile = (("TILE_ROWS", str(rows)), ("TILE_COLUMNS", str(columns)))
    return Kernel(file, entry, (("REAL", _REAL[name]), ("TENSOR", "0" if name == "float32" else "1"), *tile))


GATHER = {
    (name, tile): _kernel("convolution_gemm.cu", "convolution_gather", name, *tile)
    for name, tiles in TILES.items()
    for tile in tiles
}
WEIGHT_GRADIENT = {
    (name, tile): _kernel("convolution_gemm_weight.cu", "convolution_weight_gradient", name, tile, tile)
    for name in TILES
    for tile in WEIGHT_TILES
}
FILL_UP, EXCHANGE = (
    {dtype: Kernel("convolution_gemm_layout.cu", entry, (("REAL", cpp),)) for dtype, cpp in FLOAT_SUMS.items()}
    for entry in ("fill_up", "exchange")
)
KERNELS = (*GATHER.values(), *WEIGHT_GRADIENT.values(), *FILL_UP.values(), *EXCHANGE.values())


@functools.lru_cache(maxsize=1024)
def refusal(g: Geometry) -> str | None:
    """Return None if the kernels can count everything in 32 bits, else the reason why not."""
    channels, outputs = (_rounded(n // g.groups, 8) * g.groups for n in (g.channels, g.outputs))
    reach = max(
        b + n + d * k + s for b, n, d, k, s in zip(g.before, g.lengths, g.dilation, g.kernel, g.stride, strict=True)
    )
    if reach >= _LIMIT or g.groups > 65535 or g.taps > 65535:
        return "it takes coordinates below 2**30, and at most 65535 groups and taps"
    weights = max(channels * outputs // g.groups, channels, outputs) * g.taps
    return too_large(g.batch * math.prod(g.lengths) * channels, (g.places + 128) * outputs, weights)


def fits(machine: Machine, array: Any, g: Geometry, dtype: str, direction: str) -> bool:
    """Return whether this module does a convolution: every one that can be counted."""
    return dtype in FLOAT_SUMS and refusal(g) is None


# ------------------------------------------------------------------ the three directions


def forward(
    machine: Machine, x: Any, weight: Any, bias: Any, g: Geometry, relu: bool = False, statistics: bool | None = None
) -> Any:
    """Return the output, with all three axes: (batch, depth, height, width, outputs).

    With `statistics`, return also a float32 array of shape (tiles of rows, 2, outputs): for every tile of places the
    sums of each output and of its square, of the values as they are stored.
    """
    name = _name(x)
    chunk = 16 // ITEMSIZE[name]
    out = machine.empty((g.batch, *g.out, g.outputs), str(x.dtype), x)
    tile = choose_tile(name, g.places, g.outputs // g.groups, g.groups)
    partial = machine.empty((-(-g.places // tile[0]) if statistics else 0, 2, g.outputs), "float32", x)
    flags = BIAS * (bias is not None) + RELU * relu + STATISTICS * bool(statistics)
    held = filled_up(machine, x, g.groups, chunk)
    rows = filled_up(machine, weight, 1, chunk)
    _gather(machine, (name, tile), held, rows, bias, out, partial, flags, forward_plan(g, chunk), g.groups)
    return (out, partial) if statistics else out


def input_gradient(machine: Machine, grad: Any, weight: Any, g: Geometry, bias: Any = None) -> Any:
    """Return the gradient of the input, plus a bias: what a transposed convolution makes of `grad`."""
    name = _name(grad)
    chunk = 16 // ITEMSIZE[name]
    channels = g.channels // g.groups
    out = machine.empty((g.batch, *g.lengths, g.channels), str(grad.dtype), grad)
    partial = machine.empty((0,), "float32", grad)
    held = filled_up(machine, grad, g.groups, chunk)
    rows = _exchanged(machine, weight, g, chunk)
    for plan in input_plans(g, chunk):
        tile = choose_tile(name, plan[0], channels, g.groups)
        _gather(machine, (name, tile), held, rows, bias, out, partial, BIAS * (bias is not None), plan, g.groups)
    return out


def weight_gradient(machine: Machine, x: Any, grad: Any, g: Geometry) -> Any:
    """Return the gradient of the weights."""
    name = _name(x)
    chunk = 16 // ITEMSIZE[name]
    depth = 4 * chunk
    outputs, kept = g.outputs // g.groups, g.channels // g.groups
    channels = _rounded(kept, chunk)
    held, held_grad = filled_up(machine, x, g.groups, chunk), filled_up(machine, grad, g.groups, chunk)
    tile = weight_tile(outputs, g.taps * channels)
    blocks = -(-outputs // tile) * -(-g.taps * channels // tile)
    steps, splits = split_steps(-(-g.places // depth), blocks * g.groups, g.outputs * g.taps * kept)
    partial = machine.empty((splits, g.outputs * g.taps * kept), "float32", x)
    sizes = (*g.lengths, *g.out, *g.kernel, *g.stride, *g.before, *g.dilation)
    launch(
        machine,
        WEIGHT_GRADIENT[name, tile],
        (blocks, splits, g.groups),
        (held, held_grad, partial, g.places, outputs, channels, kept, steps, *sizes),
        shared=_STAGES * 2 * tile * 64,
    )
    done = splits == 1 and str(x.dtype) == "float32"
    return (partial if done else add_parts(machine, partial, str(x.dtype))).reshape((g.outputs, *g.kernel, kept))


# ------------------------------------------------------------------ what the kernels are told


def _name(array: Any) -> str:
    name = str(array.dtype)
    return "tf32" if name == "float32" and float32_precision() == "high" else name


def _rounded(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def choose_tile(name: str, rows: int, columns: int, groups: int) -> tuple[int, int]:
    """Return, of the tiles that waste fewest columns, the first with a block for each multiprocessor, or with most."""
    fewest = min(_rounded(columns, tile[1]) for tile in TILES[name])
    fitting = [tile for tile in TILES[name] if _rounded(columns, tile[1]) == fewest]
    blocks = [-(-rows // tile[0]) * (fewest // tile[1]) * groups for tile in fitting]
    enough = [tile for tile, n in zip(fitting, blocks, strict=True) if n >= _MULTIPROCESSORS]
    return enough[0] if enough else fitting[blocks.index(max(blocks))]


def weight_tile(outputs: int, columns: int) -> int:
    """Return the tile of a gradient of weights: splits make up for few tiles, so that only waste counts."""
    return WEIGHT_TILES[0] if outputs > 64 and columns > 64 else WEIGHT_TILES[1]


def split_steps(steps: int, blocks: int, results: int) -> tuple[int, int]:
    """Return how many steps of the sum a split has, and the number of splits: two blocks for each multiprocessor.

    A split has eight steps at least, and all of them together no more results than the workspace holds.
    """
    wanted = min(-(-2 * _MULTIPROCESSORS // blocks), -(-steps // 8), max(1, _WORKSPACE // results), 65535)
    each = -(-steps // max(1, wanted))
    return each, -(-steps // each)


@functools.lru_cache(maxsize=1024)
def forward_plan(g: Geometry, chunk: int) -> tuple[int, ...]:
    """Return what `convolution_gather` is told for the forward direction, from `rows` on."""
    channels, (_, kh, kw) = _rounded(g.channels // g.groups, chunk), g.kernel
    outputs, row = g.outputs // g.groups, g.taps * channels
    start = tuple(-n for n in g.before)
    taps = (*g.kernel, *g.dilation, 0, kh * kw * channels, kw * channels, channels, row, outputs * row)
    return (g.places, outputs, channels, *g.lengths, *g.out, *g.stride, *start, *taps, *g.out, 1, 1, 1, 0, 0, 0)


@functools.lru_cache(maxsize=1024)
def input_plans(g: Geometry, chunk: int) -> tuple[tuple[int, ...], ...]:
    """Return the same for the gradient of the input, for every residue class of the stride that the input has.

    At a place of the class, ``stride * row + first``, tap k has met the place ``(stride * row + first + before -
    dilation * k) / stride`` of the output wherever that is an integer: for every ``stride / gcd(stride, dilation)``-th
    tap from the first one on. The weights lie as (group, tap, channel, output).
    """
    outputs, channels = _rounded(g.outputs // g.groups, chunk), g.channels // g.groups
    pitch = channels * outputs
    pitches = (g.kernel[1] * g.kernel[2] * pitch, g.kernel[2] * pitch, pitch)
    plans = []
    for first in itertools.product(*(range(min(s, n)) for s, n in zip(g.stride, g.lengths, strict=True))):
        rows = tuple(-(-(n - f) // s) for n, f, s in zip(g.lengths, first, g.stride, strict=True))
        axes = [
            _taps_of(f + b, *rest) for f, b, *rest in zip(first, g.before, g.kernel, g.stride, g.dilation, strict=True)
        ]
        tap, every, counts, start, reach = (tuple(axis[i] for axis in axes) for i in range(5))
        if 0 in counts:
            counts = (0, 1, 1)
        of_first = sum(t * p for t, p in zip(tap, pitches, strict=True))
        steps = tuple(e * p for e, p in zip(every, pitches, strict=True))
        weights = (of_first, *steps, outputs, g.taps * pitch)
        head = (g.batch * math.prod(rows), channels, outputs, *g.out, *rows, 1, 1, 1, *start, *counts, *reach)
        plans.append((*head, *weights, *g.lengths, *g.stride, *first))
    return tuple(plans)


def _taps_of(place: int, kernel: int, stride: int, dilation: int) -> tuple[int, int, int, int, int]:
    """Of an axis, for a padded place: the first tap, from tap to tap, how many, where the first one has read, and the
    distance there from tap to tap."""
    common = math.gcd(stride, dilation)
    every = stride // common
    for tap in range(min(kernel, every)):
        if (place - dilation * tap) % stride == 0:
            return tap, every, -(-(kernel - tap) // every), (place - dilation * tap) // stride, -(dilation // common)
    return 0, 1, 0, 0, 0


def _gather(
    machine: Machine,
    which: tuple[str, tuple[int, int]],
    source: Any,
    weight: Any,
    bias: Any,
    out: Any,
    partial: Any,
    flags: int,
    plan: tuple[int, ...],
    groups: int,
) -> None:
    rows, columns = which[1]
    blocks = -(-plan[0] // rows) * -(-plan[1] // columns)
    shared = _STAGES * (rows + columns) * 64 + rows * 4
    arrays = (source, weight, weight if bias is None else bias, out, partial)
    launch(machine, GATHER[which], (blocks, 1, groups), (*arrays, flags, *plan), shared=shared)


# ------------------------------------------------------------------ arrays in the form that they take


def filled_up(machine: Machine, array: Any, groups: int, chunk: int) -> Any:
    """Return the array, or a copy in which the channels of each group are filled up to a multiple of `chunk`."""
    length = array.shape[-1] // groups
    held = _rounded(length, chunk)
    if held == length and machine.address(array) % 16 == 0:
        return array
    kernel = FILL_UP[str(array.dtype)]
    n = array.size // length * held
    out = machine.empty((n,), str(array.dtype), array)
    launch(machine, kernel, blocks_for(n, kernel), (array, out, length, held, n))
    return out


def _exchanged(machine: Machine, weight: Any, g: Geometry, chunk: int) -> Any:
    """Return the weights as (group, tap, channel, output), the outputs filled up."""
    outputs, channels = g.outputs // g.groups, g.channels // g.groups
    held = _rounded(outputs, chunk)
    out = machine.empty((g.groups, g.taps, channels, held), str(weight.dtype), weight)
    blocks: Three = (-(-outputs // 32) * -(-channels // 32), g.taps, g.groups)
    launch(machine, EXCHANGE[str(weight.dtype)], blocks, (weight, out, outputs, g.taps, channels, held))
    return out
