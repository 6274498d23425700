"""Convolutions with one to four channels and one group: the first layer of a network."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

from nnx.backend import float32_precision

from ..compiler import Kernel
from ..launch import Machine, launch
from .convolution_depthwise import cut, index_limit
from .elements import FLOAT_SUMS, ITEMSIZE
from .geometry import Geometry

_MAX_CHANNELS = 4
_PER_THREAD = 8  # outputs, and places or terms, as in the kernels
_PLACES = 256  # of a tile on tensor cores
_MAX_SHARED = 96 * 1024  # what every architecture has
_BLOCKS, _TILES_OF_BLOCK = 512, 8


def _kernels(file: str, name: str, dtypes: tuple[str, ...]) -> dict[str, Kernel]:
    return {dtype: Kernel(f"convolution_{file}.cu", name, (("REAL", FLOAT_SUMS[dtype]),)) for dtype in dtypes}


_EACH = tuple(FLOAT_SUMS)
# Plain products are for float32 alone.
FORWARD = _kernels("narrow", "narrow_forward", ("float32",))
WEIGHT = _kernels("narrow", "narrow_weight_gradient", ("float32",))
INPUT = _kernels("narrow", "narrow_input_gradient", _EACH)
SUM = _kernels("narrow", "narrow_weight_sum", _EACH)
# On tensor cores, by the outputs that a block has at least; float32 as tf32, where `use_float32_precision` allows it.
TENSOR_FORWARD = {n: _kernels("narrow_tensor", f"narrow_tensor_forward_{n}", _EACH) for n in (16, 64)}
TENSOR_WEIGHT = {n: _kernels("narrow_tensor", f"narrow_tensor_weight_gradient_{n}", _EACH) for n in (16, 64)}
_TABLES = (FORWARD, WEIGHT, INPUT, SUM, *TENSOR_FORWARD.values(), *TENSOR_WEIGHT.values())
KERNELS = tuple(itertools.chain.from_iterable(table.values() for table in _TABLES))


def fits(machine: Machine, array: Any, g: Geometry, dtype: str, direction: str) -> bool:
    """Whether these kernels do a convolution in a direction: forward, input_gradient or weight_gradient."""
    if dtype not in FLOAT_SUMS or g.empty or g.groups != 1 or g.channels > _MAX_CHANNELS or index_limit(g):
        return False
    if direction == "forward":
        return _forward_plan(g, dtype) is not None
    return direction == "input_gradient" or _weight_plan(g, dtype) is not None


class _Plan(NamedTuple):
    """The kernel, the places of a tile, what a block has of the outputs, and its shared memory in bytes."""

    kernel: Kernel
    rows: int
    columns: int
    outputs: int
    shared: int
    lanes: int = 0  # threads along the outputs
    others: int = 0  # threads along the terms, groups of taps, or how far apart the weights of outputs lie


def forward(machine: Machine, x: Any, weight: Any, bias: Any, g: Geometry, relu: bool = False) -> Any:
    """Return the convolution, plus the bias if there is one, and without what is negative if `relu`."""
    plan = _forward_plan(g, str(x.dtype))
    assert plan is not None
    out = machine.empty((g.batch, *g.out[5 - x.ndim :], g.outputs), str(x.dtype), x)
    tiles = _tiles(g, plan)
    vectors = g.outputs % 4 == 0 and machine.address(out) % 16 == 0
    own = (plan.rows, plan.columns, tiles, plan.others) if plan.others else (plan.lanes, plan.rows, plan.columns, tiles)
    arrays = (x, weight, weight if bias is None else bias, out)
    arguments = (*arrays, *_sizes(g), g.channels, g.outputs, *own, bias is not None, relu, vectors)
    # With a few tiles for each block, staging the weights costs little.
    across = min(tiles, max(_BLOCKS, -(-tiles // _TILES_OF_BLOCK)))
    launch(machine, plan.kernel, (across, -(-g.outputs // plan.outputs)), arguments, plan.shared)
    return out


def input_gradient(machine: Machine, grad: Any, weight: Any, g: Geometry) -> Any:
    """Return the gradient of the input."""
    kernel = INPUT[str(grad.dtype)]
    out = machine.empty((g.batch, *g.lengths[5 - grad.ndim :], g.channels), str(grad.dtype), grad)
    pixels = out.size // g.channels
    sizes = (*g.lengths, *g.out, *g.kernel, *g.stride, *g.before, *g.dilation)
    launch(machine, kernel, -(-pixels // 32), (grad, weight, out, *sizes, g.channels, g.outputs, pixels))
    return out


def weight_gradient(machine: Machine, x: Any, grad: Any, g: Geometry) -> Any:
    """Return the gradient of the weights, in two stages: sums over slices of the places, then those of the slices."""
    name = str(x.dtype)
    plan = _weight_plan(g, name)
    assert plan is not None
    tiles = _tiles(g, plan)
    outputs = -(-g.outputs // plan.outputs)
    if plan.lanes:
        terms = -(-g.taps * g.channels // (plan.others * _PER_THREAD))
    else:
        terms = -(-g.taps // (plan.others * 8))
    size, slices = cut(tiles, max(1, _BLOCKS // (outputs * terms)))
    partials = machine.empty((slices, g.outputs * g.taps * g.channels), "float32", x)
    counts = (plan.others, plan.rows, plan.columns, tiles, size)
    if plan.lanes:
        own: tuple[Any, ...] = (plan.lanes, *counts)
    else:
        # A thread reads the outputs of four places: 2 or 8 neighbours of 16 bits, 2 or 4 floats.
        own = (*counts, g.outputs % 8 == 0 and machine.address(grad) % 16 == 0)
    arguments = (x, grad, partials, *_sizes(g), g.channels, g.outputs, *own)
    launch(machine, plan.kernel, (slices, outputs, terms), arguments, plan.shared)
    out = machine.empty((g.outputs, *g.kernel[5 - x.ndim :], g.channels), name, x)
    launch(machine, SUM[name], -(-out.size // 32), (partials, out, out.size, slices))
    return out


# ------------------------------------------------------------------ how a convolution is cut


def _on_tensor_cores(dtype: str) -> bool:
    return dtype != "float32" or float32_precision() == "high"


def _forward_plan(g: Geometry, dtype: str) -> _Plan | None:
    """Return a plan whose weights and patch fit into shared memory, or None."""
    terms = g.taps * g.channels
    if not _on_tensor_cores(dtype):
        most = 8 if g.outputs > 32 else 4 if g.outputs > 16 else 2 if g.outputs > 8 else 1
        for lanes in (most, 16, 8, 4, 2, 1):
            outputs = lanes * _PER_THREAD
            fixed = ((terms + 1) * outputs + terms) * 4
            found = _tile(g, 256 // lanes * _PER_THREAD, fixed, 4 * g.channels, 0)
            if found:
                return _Plan(FORWARD[dtype], *found[:2], outputs, found[2], lanes)
        return None
    pitch = 4 * (-(-g.taps // 4) | 1)
    pixel = 4 * ITEMSIZE[dtype]
    for outputs in (64, 16) if g.outputs > 16 else (16,):
        fixed = outputs * pitch * pixel + (outputs + pitch) * 4
        found = _tile(g, _PLACES, fixed, pixel, 0)
        if found:
            return _Plan(TENSOR_FORWARD[outputs][dtype], *found[:2], outputs, found[2], 0, pitch)
    return None


def _weight_plan(g: Geometry, dtype: str) -> _Plan | None:
    if _on_tensor_cores(dtype):
        wide = 64 if g.outputs > 16 else 16
        outputs = 32 if dtype == "float32" and wide == 64 else wide
        groups = min(8, -(-g.taps // 8))
        sums = outputs * 128 * 4 if groups <= 4 else 0  # where the sums of several warps are added up
        found = _tile(g, _PLACES, 0, 4 * ITEMSIZE[dtype], 0)
        return found and _Plan(TENSOR_WEIGHT[wide][dtype], *found[:2], outputs, max(found[2], sums), 0, groups)
    lanes = 8 if g.outputs > 32 else 4 if g.outputs > 16 else 2 if g.outputs > 8 else 1
    threads = WEIGHT[dtype].declaration.threads
    columns = min(-(-g.taps * g.channels // _PER_THREAD), threads // lanes)
    outputs = lanes * _PER_THREAD
    shared_out = 2 * lanes * columns <= threads  # several threads have the same sums, which are added up at the end
    sums = _PER_THREAD * _PER_THREAD * 128 * 4 if shared_out else 0
    found = _tile(g, 128, 0, 4 * g.channels, (outputs + 1) * 4)
    return found and _Plan(WEIGHT[dtype], *found[:2], outputs, max(found[2], sums), lanes, columns)


def _tile(g: Geometry, most: int, fixed: int, pixel: int, place: int) -> tuple[int, int, int] | None:
    """Return the rows and columns of a tile of at most `most` places, and the bytes of shared memory; None if too many.

    Every pixel of the patch that a tile meets takes some bytes, every place of it, too, and there are fixed ones. The
    numbers of rows and columns are powers of two, that of columns at least 4.
    """
    columns = min(_power(g.out[2], 4), 1 << (most.bit_length() // 2))
    rows = min(_power(g.out[1]), most // columns)
    columns = min(_power(g.out[2], 4), most // rows)
    while True:
        reach = [
            (n - 1) * s + (k - 1) * d + 1
            for n, s, k, d in zip((rows, columns), g.stride[1:], g.kernel[1:], g.dilation[1:], strict=True)
        ]
        shared = fixed + g.kernel[0] * math.prod(reach) * pixel + rows * columns * place
        if shared <= _MAX_SHARED:
            return rows, columns, shared
        if rows * columns <= 16:
            return None
        rows, columns = (rows // 2, columns) if rows >= columns or columns == 4 else (rows, columns // 2)


def _power(n: int, least: int = 1) -> int:
    """Return the least power of two that is not less."""
    return max(least, 1 << (n - 1).bit_length())


def _tiles(g: Geometry, plan: _Plan) -> int:
    return g.batch * g.out[0] * -(-g.out[1] // plan.rows) * -(-g.out[2] // plan.columns)


def _sizes(g: Geometry) -> tuple[int, ...]:
    return (*g.lengths, *g.out, *g.kernel, *g.stride, *[-n for n in g.before], *g.dilation)
