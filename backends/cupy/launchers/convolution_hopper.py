"""Convolutions by groups of warps and tensor copies (wgmma and TMA), on Hopper's devices: bfloat16 and float16."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..compiler import Kernel
from ..launch import MAX_INT32, Boxed, Machine, launch
from .column_sum import add_parts
from .geometry import Geometry, Three, three

ARCHITECTURE = "90a"
_NUMBERS = {"bfloat16": "bf16", "float16": "f16"}
_SLICE = 64  # channels that a row of a tile holds
_ROW = 2 * _SLICE  # bytes
_LONGEST = 256  # elements of an axis that a copy reaches over
_LARGEST_STEP = 8
# Bytes that a multiprocessor gets from the L2 cache in a microsecond while the others ask, too; microseconds to begin
# and end a tile; bytes that the memory takes in one.
_CACHE, _START, _MEMORY = 45_000, 1.5, 3_000_000
_MOST_PARTS, _MOST_SUMS = 64, 2**26  # of the sums for the gradient of the weights, and their elements


class Tile(NamedTuple):
    """What a block computes at a time, and how many steps of it are in shared memory."""

    rows: int
    columns: int
    stages: int

    @property
    def bytes(self) -> int:
        """Of a stage."""
        return (self.rows + self.columns) * _ROW

    @property
    def shared(self) -> int:
        """Of a block: the stages, and two barriers for each."""
        return self.stages * (self.bytes + 16)

    @property
    def step_time(self) -> float:
        """How long a step takes, in microseconds: what it needs comes from the L2 cache."""
        return self.bytes / _CACHE


# The larger a tile, the less has to come from the cache for a product; few places and few outputs want small ones.
TILES = (Tile(128, 256, 4), Tile(256, 128, 4), Tile(256, 64, 5), Tile(128, 64, 8))
WEIGHT_TILES = (Tile(128, 256, 4), Tile(64, 192, 6))


def _defines(dtype: str, tile: Tile, **more: Any) -> tuple[tuple[str, str], ...]:
    given = {"REAL": _NUMBERS[dtype], "COLUMNS": tile.columns, "STAGES": tile.stages, **more}
    return tuple((key, str(value)) for key, value in given.items())


def _convolve(dtype: str, tile: Tile, turned: bool) -> Kernel:
    defines = _defines(dtype, tile, STRIPS=tile.rows // 128, TURNED=str(turned).lower())
    return Kernel("convolution_hopper.cu", "convolve", defines, architectures=(ARCHITECTURE,))


def _gradient_of_weight(dtype: str, tile: Tile) -> Kernel:
    defines = _defines(dtype, tile, ROWS=tile.rows)
    return Kernel("convolution_hopper_weight.cu", "gradient_of_weight", defines, architectures=(ARCHITECTURE,))


CONVOLVE = {
    (dtype, tile, turned): _convolve(dtype, tile, turned)
    for dtype in _NUMBERS
    for tile in TILES
    for turned in (False, True)
}
GRADIENT_OF_WEIGHT = {(dtype, tile): _gradient_of_weight(dtype, tile) for dtype in _NUMBERS for tile in WEIGHT_TILES}
KERNELS = (*CONVOLVE.values(), *GRADIENT_OF_WEIGHT.values())


def refusal(g: Geometry, direction: str) -> str | None:
    """Return None if the kernels can do a convolution in a direction, else the reason why not."""
    if g.empty or g.groups != 1:
        return "it takes one group, and sizes that are not zero"
    if g.channels % 8 or g.outputs % 8:
        return "it takes channels and outputs that are multiples of 8"
    if max(g.stride) > (1 if direction == "input_gradient" else _LARGEST_STEP):
        return "its copies take every 8th element at most, and the gradient of the input needs stride 1"
    axes = zip(g.lengths, g.out, g.kernel, g.stride, g.before, g.dilation, strict=True)
    reach = max(n + o * s + abs(b) + d * k for n, o, k, s, b, d in axes) + _LONGEST * _LARGEST_STEP
    if reach > MAX_INT32 or max(g.places, g.batch * math.prod(g.lengths)) > MAX_INT32:
        return "it counts places in 32 bits"
    return None


def fits(machine: Machine, array: Any, g: Geometry, dtype: str, direction: str) -> bool:
    """Return whether this module is the one for a convolution: it can do it, and wastes no more than half of its tiles.

    Parameters
    ----------
    machine, array
        Where: an array of the convolution.
    g
        Its sizes.
    dtype
        Of its arrays.
    direction
        ``"forward"``, ``"input_gradient"`` or ``"weight_gradient"``.
    """
    fitting = dtype in _NUMBERS and min(g.channels, g.outputs) >= _SLICE // 2 and refusal(g, direction) is None
    return fitting and machine.architecture(array) == ARCHITECTURE


# ------------------------------------------------------------------ the three directions


def forward(machine: Machine, x: Any, weight: Any, bias: Any, g: Geometry, relu: bool = False) -> Any:
    """Return the output, of shape (batch, *out, outputs) with three axes of places."""
    return _run(machine, x, weight, bias, g, relu, turned=False)


def input_gradient(machine: Machine, grad: Any, weight: Any, g: Geometry) -> Any:
    """Return the gradient of the input, with three axes of places: the convolution of `grad` with turned weights."""
    before = three([d * (k - 1) - b for d, k, b in zip(g.dilation, g.kernel, g.before, strict=True)])
    turned = g._replace(lengths=g.out, out=g.lengths, channels=g.outputs, outputs=g.channels, before=before)
    return _run(machine, grad, weight, None, turned, relu=False, turned=True)


def _run(machine: Machine, x: Any, weight: Any, bias: Any, g: Geometry, relu: bool, turned: bool) -> Any:
    """The input has the channels of `g`; so have the weights, unless they are those of a turned convolution."""
    dtype, blocks_at_once = str(x.dtype), machine.multiprocessors(x)
    tile, box = choose_tile(g, blocks_at_once)
    out = machine.empty((g.batch, *g.out, g.outputs), dtype, x)
    tiles = _boxes(g, box) * -(-g.outputs // tile.columns)
    weights = (g.channels, *g.kernel, g.outputs) if turned else (g.outputs, *g.kernel, g.channels)
    arguments = (
        Boxed(_placed(machine, x, (g.batch, *g.lengths, g.channels)), (*box, _SLICE), (1, *g.stride, 1)),
        Boxed(_placed(machine, weight, weights), (_SLICE if turned else tile.columns, 1, 1, 1, _SLICE)),
        weight if bias is None else bias,
        out,
        *_sizes(g, box),
        -(-g.channels // _SLICE),
        g.outputs,
        tiles,
        bias is not None,
        relu,
    )
    launch(machine, CONVOLVE[dtype, tile, turned], min(tiles, blocks_at_once), arguments, tile.shared)
    return out


def weight_gradient(machine: Machine, x: Any, grad: Any, g: Geometry) -> Any:
    """Return the gradient of the weights, of shape (outputs, *kernel, channels) with three axes of taps."""
    dtype = str(x.dtype)
    tile, box, splits = choose_splits(g, machine.multiprocessors(x))
    parts = splits * (1 if tile.rows == 128 else 2)
    sums = machine.empty((parts, g.outputs * g.taps * g.channels), "float32", x)
    arguments = (
        Boxed(_placed(machine, x, (g.batch, *g.lengths, g.channels)), (*box, _SLICE), (1, *g.stride, 1)),
        Boxed(_placed(machine, grad, (g.batch, *g.out, g.outputs)), (*box, _SLICE)),
        sums,
        *_sizes(g, box),
        g.channels,
        g.outputs,
        _boxes(g, box),
    )
    grid = (*_weight_tiles(g, tile), splits)
    launch(machine, GRADIENT_OF_WEIGHT[dtype, tile], grid, arguments, tile.shared)
    return add_parts(machine, sums, dtype).reshape((g.outputs, *g.kernel, g.channels))


def _placed(machine: Machine, array: Any, shape: tuple[int, ...]) -> Any:
    """An array with five axes, in memory where a copy may begin."""
    held = array if machine.address(array) % 16 == 0 else array.copy()
    return held.reshape(shape)


def _sizes(g: Geometry, box: tuple[int, ...]) -> tuple[int, ...]:
    return (g.batch, *g.out, *box, *g.kernel, *g.stride, *g.before, *g.dilation)


# ------------------------------------------------------------------ which tiles


def _boxes(g: Geometry, box: tuple[int, ...]) -> int:
    return math.prod(-(-n // b) for n, b in zip((g.batch, *g.out), box, strict=True))


@functools.lru_cache(maxsize=1024)
def choose_box(batch: int, out: Three, kernel: Three, stride: Three, rows: int) -> tuple[int, int, int, int]:
    """Return the box of places, at most so many, of which the fewest cover an output of such sizes.

    Of several the one that looks at the fewest places of the input.
    """

    def lengths(n: int, step: int, most: int) -> Iterator[int]:
        """The shortest one for each number of parts that an axis can be cut into."""
        most = min(n, most, _LONGEST // step)
        yield from sorted({-(-n // parts) for parts in range(-(-n // most), n + 1)})

    def cost(box: tuple[int, ...]) -> tuple[int, int]:
        count = math.prod(-(-n // b) for n, b in zip((batch, *out), box, strict=True))
        looked_at = (b + max(k - s, 0) for b, k, s in zip(box[1:], kernel, stride, strict=True))
        return count, box[0] * math.prod(looked_at)

    best: tuple[int, int, int, int] | None = None
    for w in lengths(out[2], stride[2], rows):
        for h in lengths(out[1], stride[1], rows // w):
            for d in lengths(out[0], stride[0], rows // (w * h)):
                n = min(batch, rows // (w * h * d))
                box = (-(-batch // -(-batch // n)), d, h, w)
                if best is None or cost(box) < cost(best):
                    best = box
    assert best is not None
    return best


@functools.lru_cache(maxsize=1024)
def choose_tile(g: Geometry, blocks_at_once: int) -> tuple[Tile, tuple[int, int, int, int]]:
    """Return the tile for the outputs and places of a convolution, and its box of places."""
    steps = g.taps * -(-g.channels // _SLICE)

    def cost(choice: tuple[Tile, tuple[int, int, int, int]]) -> float:
        tile, box = choice
        rounds = -(-_boxes(g, box) * -(-g.outputs // tile.columns) // blocks_at_once)
        return rounds * (steps * tile.step_time + _START)

    sizes = (g.batch, g.out, g.kernel, g.stride)
    return min([(tile, choose_box(*sizes, tile.rows)) for tile in TILES], key=cost)


def _weight_tiles(g: Geometry, tile: Tile) -> tuple[int, int]:
    """How many there are of the columns, and of the rows."""
    blocks = g.taps * -(-g.channels // _SLICE)
    return -(-blocks // (tile.columns // _SLICE)), -(-g.outputs // tile.rows)


@functools.lru_cache(maxsize=1024)
def choose_splits(g: Geometry, blocks_at_once: int) -> tuple[Tile, tuple[int, int, int, int], int]:
    """Return the tile for the gradient of the weights, the box of places of a step, and how many blocks share those."""
    tile = WEIGHT_TILES[0 if g.outputs > 64 else 1]
    box = choose_box(g.batch, g.out, g.kernel, g.stride, _SLICE)
    steps, weights = _boxes(g, box), g.outputs * g.taps * g.channels
    tiles = math.prod(_weight_tiles(g, tile))

    def cost(splits: int) -> float:
        rounds = -(-tiles * splits // blocks_at_once)
        return rounds * (-(-steps // splits) * tile.step_time + _START) + splits * weights * 8 / _MEMORY

    most = max(1, min(steps, _MOST_PARTS * 2, _MOST_SUMS // weights))
    return tile, box, min(range(1, most + 1), key=cost)
