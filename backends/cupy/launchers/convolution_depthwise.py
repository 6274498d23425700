"""Depthwise convolutions: as many groups as channels, and some outputs for each channel."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..compiler import Kernel
from ..launch import MAX_PLAIN_SHARED, Machine, launch, too_large
from .elements import FLOAT_SUMS, ITEMSIZE
from .geometry import Geometry, three

GATHER, WEIGHT, SUM = (
    {name: Kernel("convolution_depthwise.cu", kernel, (("REAL", cpp),)) for name, cpp in FLOAT_SUMS.items()}
    for kernel in ("depthwise", "depthwise_weight_gradient", "depthwise_weight_sum")
)
KERNELS = (*GATHER.values(), *WEIGHT.values(), *SUM.values())
_RUN, _TAPS = 4, 3  # columns and taps of a thread, as in the kernels
_LANES = 16  # threads side by side: with 16 bytes each, two lines of the cache
_STEPS = 4  # rows that a thread does one after the other, if there is work enough
_ENOUGH_BLOCKS = 1024


def fits(machine: Machine, array: Any, g: Geometry, dtype: str, direction: str) -> bool:
    """Whether these kernels do a convolution in a direction: forward, input_gradient or weight_gradient."""
    if dtype not in FLOAT_SUMS or g.empty or not 1 < g.groups == g.channels or g.outputs % g.channels:
        return False
    # The weights of a block's channels lie in shared memory: at least those of one thread have to.
    rows = g.taps * (g.outputs // g.channels) + 1
    return index_limit(g) is None and rows * _width(dtype) * 4 <= MAX_PLAIN_SHARED


def index_limit(g: Geometry) -> str | None:
    """Return None if 32 bits count every element and every place, else the reason."""
    planes = g.batch * g.out[0] * g.out[1] * g.out[2]
    inputs = g.batch * g.lengths[0] * g.lengths[1] * g.lengths[2]
    # A tile reaches beyond the last output by some columns, rounded up to its size.
    reach = [
        (out + 4096) * stride + before + dilation * kernel + length
        for length, out, kernel, stride, before, dilation in zip(
            g.lengths, g.out, g.kernel, g.stride, g.before, g.dilation, strict=True
        )
    ]
    return too_large(planes * g.outputs, inputs * g.channels, g.outputs * g.taps * (g.channels // g.groups), *reach)


class _Gather(NamedTuple):
    """Along each axis, tap k of an output at `o` meets the input at (o * step + shift + k * dilation) / part."""

    lengths: tuple[int, int, int]
    out: tuple[int, int, int]
    step: tuple[int, int, int]
    part: tuple[int, int, int]
    shift: tuple[int, int, int]


def forward(machine: Machine, x: Any, weight: Any, bias: Any, g: Geometry, relu: bool = False) -> Any:
    """Return the convolution, plus the bias if there is one, and without what is negative if `relu`."""
    axes = _Gather(g.lengths, g.out, g.stride, (1, 1, 1), three([-n for n in g.before]))
    out = machine.empty((g.batch, *g.out[5 - x.ndim :], g.outputs), str(x.dtype), x)
    _gather(machine, x, weight, bias, out, g, axes, (g.outputs // g.channels, 1), False, relu)
    return out


def input_gradient(machine: Machine, grad: Any, weight: Any, g: Geometry) -> Any:
    """Return the gradient of the input: a convolution with the taps in reverse, and the stride as a divisor."""
    before = zip(g.before, g.kernel, g.dilation, strict=True)
    shift = three([n - (k - 1) * d for n, k, d in before])
    axes = _Gather(g.out, g.lengths, (1, 1, 1), g.stride, shift)
    out = machine.empty((g.batch, *g.lengths[5 - grad.ndim :], g.channels), str(grad.dtype), grad)
    _gather(machine, grad, weight, None, out, g, axes, (1, g.outputs // g.channels), True, False)
    return out


def _gather(
    machine: Machine,
    x: Any,
    weight: Any,
    bias: Any,
    out: Any,
    g: Geometry,
    axes: _Gather,
    multiples: tuple[int, int],
    flipped: bool,
    relu: bool,
) -> None:
    name = str(x.dtype)
    kernel, channels = GATHER[name], out.shape[-1]
    vectors = multiples == (1, 1) and _aligned(machine, name, channels, x, out)
    width = _width(name) if vectors else 1
    rows = g.taps * multiples[1] + 1
    lanes = _lanes(channels, width, MAX_PLAIN_SHARED // (rows * width * 4), kernel)
    members = kernel.declaration.threads // lanes
    runs = -(-axes.out[2] // (_RUN * axes.part[2])) * axes.part[2]
    # About as many rows as columns, so that the rows and columns around a tile are few.
    tile_rows = min(axes.out[1], members // min(runs, _RUN, members))
    tile_runs = min(runs, members // tile_rows)
    across = -(-runs // tile_runs)
    tile_runs = -(-runs // across)
    others = g.batch * axes.out[0] * across * -(-channels // (lanes * width))
    steps = _STEPS
    while steps > 1 and others * -(-axes.out[1] // (tile_rows * steps)) < _ENOUGH_BLOCKS:
        steps //= 2
    blocks = others * -(-axes.out[1] // (tile_rows * steps))
    sizes = (*axes.lengths, *axes.out, *g.kernel, *axes.step, *axes.part, *axes.shift, *g.dilation)
    tile = (lanes, tile_runs, tile_rows, steps)
    flags = (flipped, bias is not None, relu, vectors)
    arguments = (x, weight, weight if bias is None else bias, out, *sizes, channels, *multiples, *tile, *flags)
    launch(machine, kernel, blocks, arguments, shared=rows * lanes * width * 4)


def weight_gradient(machine: Machine, x: Any, grad: Any, g: Geometry) -> Any:
    """Return the gradient of the weights, in two stages: sums over slices of the rows, then those of the slices."""
    name = str(x.dtype)
    kernel = WEIGHT[name]
    threads = kernel.declaration.threads
    vectors = g.outputs == g.channels and _aligned(machine, name, g.channels, x, grad)
    width = _width(name) if vectors else 1
    all_chunks = g.kernel[0] * g.kernel[1] * -(-g.kernel[2] // _TAPS)
    chunks = min(all_chunks, 32)
    lanes = _lanes(g.outputs, width, threads // chunks, kernel)
    row_lanes = threads // (lanes * chunks)
    across = -(-all_chunks // chunks) * -(-g.outputs // (lanes * width))
    rows = g.batch * g.out[0] * g.out[1]
    rows_of_slice, slices = cut(rows, min(256, max(1, _ENOUGH_BLOCKS // 2 // across)), row_lanes)
    partials = machine.empty((slices, g.outputs * g.taps), "float32", x)
    shift = [-n for n in g.before]
    sizes = (*g.lengths, *g.out, *g.kernel, *g.stride, *shift, *g.dilation)
    counts = (g.outputs, g.outputs // g.channels, rows, rows_of_slice, lanes, chunks, row_lanes)
    shared = 128 * _TAPS * width * 4
    launch(machine, kernel, across * slices, (x, grad, partials, *sizes, *counts, vectors), shared)
    out = machine.empty((g.outputs, *g.kernel[5 - x.ndim :], 1), name, x)
    launch(machine, SUM[name], -(-out.size // 32), (partials, out, out.size, slices))
    return out


def cut(n: int, wanted: int, least: int = 1) -> tuple[int, int]:
    """Return the size of slices of n things, at least `least` in each, and their number, about as many as wanted."""
    size = max(least, -(-n // wanted))
    return size, -(-n // size)


def _lanes(channels: int, width: int, most: int, kernel: Kernel) -> int:
    """Return how many threads lie side by side: about 16, so that few are left over behind the last channel."""
    vectors = -(-channels // width)
    wide = _LANES if width > 1 else 2 * _LANES
    most = max(1, min(wide, most, kernel.declaration.threads))
    return -(-vectors // -(-vectors // most))


def _width(dtype: str) -> int:
    return 16 // ITEMSIZE[dtype]


def _aligned(machine: Machine, dtype: str, channels: int, *arrays: Any) -> bool:
    """Whether 16 bytes can be read at once everywhere."""
    return channels % _width(dtype) == 0 and all(machine.address(array) % 16 == 0 for array in arrays)
