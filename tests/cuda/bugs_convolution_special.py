"""Bugs for the kernels of depthwise convolutions and of those with few channels; a comparison finds each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tests.cuda.test_convolution_special import called, check, close, depthwise, drawn, narrow, reference, shapes, sizes


@contextmanager
def instead(launcher: Any, dtype: str, names: str, changed: Callable) -> Iterator[None]:
    """Launch changed kernels of the named tables; and few blocks, so that each of them does something twice."""
    few = {name: 0 for name in ("_ENOUGH_BLOCKS", "_BLOCKS") if hasattr(launcher, name)}
    few |= {"_TILES_OF_BLOCK": 100} if hasattr(launcher, "_TILES_OF_BLOCK") else {}
    before = {name: getattr(launcher, name) for name in few}
    found = [getattr(launcher, name) for name in names.split()]
    tables = [inner for table in found for inner in (table.values() if 16 in table else [table])]
    kernels = [table[dtype] for table in tables]
    try:
        for table in tables:
            table[dtype] = changed(table[dtype])
        for name, value in few.items():
            setattr(launcher, name, value)
        yield
    finally:
        for table, kernel in zip(tables, kernels, strict=True):
            table[dtype] = kernel
        for name, old in before.items():
            setattr(launcher, name, old)


def right(changed: Callable, launcher: Any, tables: str, dtype: str, direction: str, *geometries: Any) -> bool:
    try:
        with instead(launcher, dtype, tables, changed):
            for g in geometries:
                check(launcher, g, 2, dtype, direction)
    except AssertionError:
        return False
    return True


def keeps_nan(changed: Callable, launcher: Any, tables: str, dtype: str, direction: str, g: Any) -> bool:
    """Whether NaN goes where it has to, and nowhere else; forward with bias and ReLU."""
    x, weight, y = (drawn(shape, dtype, seed) for seed, shape in enumerate(shapes(g, 2)))
    x[:, -1] = np.nan  # no place has a tap there
    if direction == "forward":
        x[0, 4, 4, 1] = np.nan
    bias = drawn((g.outputs,), dtype, 7) if direction == "forward" else None
    given = (x, weight) if direction == "forward" else (x, y)
    wanted = reference(g, direction, *[v.astype("f8") for v in given])
    try:
        with instead(launcher, dtype, tables, changed):
            if bias is None:
                close(called(launcher, g, direction, given), wanted, dtype)
            else:
                wanted += bias.astype("f8")
                found = called(launcher, g, direction, given, bias=bias, relu=True)
                close(found, np.where(wanted < 0, 0, wanted), dtype)
    except AssertionError:
        return False
    return True


SAME = sizes(1, (10, 11), 20, 20, (3, 3), padding=1, groups=20)
BY_TWO = sizes(1, (9, 11), 20, 20, (3, 4), (2, 2), (1, 2), groups=20)
TWICE = sizes(1, (5, 7), 3, 6, (2, 3), 1, (0, 1), groups=3)
TALL = sizes(1, (14, 5), 64, 64, (1, 1), groups=64)
DEEP = sizes(1, (3, 4), 4, 4, (13, 7), 1, (6, 3), groups=4)
RGB = sizes(1, (18, 22), 3, 20, (3, 3), (1, 2), (1, 0), (2, 1))
WIDE = sizes(1, (3, 70), 2, 40, (3, 3), 1, 1)
FAR = {channels: sizes(1, (10, 12), channels, o, (2, 2), 3, groups=n) for channels, o, n in ((8, 8, 8), (3, 24, 1))}


def gathers(changed: Callable) -> bool:
    good = right(changed, depthwise, "GATHER", "float32", "forward", SAME, BY_TWO, TWICE, TALL)
    return good and keeps_nan(changed, depthwise, "GATHER", "float32", "forward", FAR[8])


def gathers_back(changed: Callable) -> bool:
    return right(changed, depthwise, "GATHER", "float32", "input_gradient", SAME, BY_TWO, TWICE)


def gathers_pairs(changed: Callable) -> bool:
    g = sizes(1, (4, 5), 24, 24, (3, 3), padding=1, groups=24)
    return right(changed, depthwise, "GATHER", "bfloat16", "forward", g)


def correlates(changed: Callable) -> bool:
    return right(changed, depthwise, "WEIGHT SUM", "float32", "weight_gradient", SAME, BY_TWO, TWICE, DEEP)


def sums_slices(changed: Callable) -> bool:
    g = sizes(10, (9, 9), 2, 5, (2, 2))
    try:
        with instead(narrow, "float32", "SUM", changed):
            narrow._BLOCKS = 512
            check(narrow, g, 2, "float32", "weight_gradient")
    except AssertionError:
        return False
    return True


def is_narrow(changed: Callable) -> bool:
    good = right(changed, narrow, "FORWARD", "float32", "forward", RGB, WIDE)
    return good and keeps_nan(changed, narrow, "FORWARD", "float32", "forward", FAR[3])


def correlates_narrow(changed: Callable) -> bool:
    good = right(changed, narrow, "WEIGHT", "float32", "weight_gradient", RGB)
    return good and keeps_nan(changed, narrow, "WEIGHT", "float32", "weight_gradient", FAR[3])


def back_to_few(changed: Callable) -> bool:
    return right(changed, narrow, "INPUT", "float32", "input_gradient", RGB)


def on_tensor_cores(changed: Callable) -> bool:
    good = right(changed, narrow, "TENSOR_FORWARD", "bfloat16", "forward", RGB)
    return good and keeps_nan(changed, narrow, "TENSOR_FORWARD", "bfloat16", "forward", FAR[3])


def correlates_on_tensor_cores(changed: Callable) -> bool:
    good = right(changed, narrow, "TENSOR_WEIGHT", "bfloat16", "weight_gradient", RGB)
    return good and keeps_nan(changed, narrow, "TENSOR_WEIGHT", "bfloat16", "weight_gradient", FAR[3])


RUNS = (gathers, gathers_back, gathers_pairs, correlates, sums_slices, is_narrow, correlates_narrow, back_to_few)
RUNS += (on_tensor_cores, correlates_on_tensor_cores)

BUGS: list[tuple[Callable, str, str, str]] = [
    (gathers_pairs, "convolution_special.cuh", "words.of[k] >> 16", "words.of[k]"),
    (gathers_pairs, "convolution_special.cuh", "piece * N + place", "piece + place"),
    (gathers_back, "convolution_special.cuh", "index * axis.part == place && ", ""),
    (correlates, "convolution_special.cuh", "        __syncthreads();\n        if (takes)", "        if (takes)"),
    (correlates, "convolution_special.cuh", "lane < half && lane + half < lanes", "lane < half"),
    (sums_slices, "convolution_special.cuh", "    __syncthreads();\n    if (lane != 0", "    if (lane != 0"),
    (sums_slices, "convolution_special.cuh", "slice += 8", "slice += 9"),
    (gathers, "convolution_depthwise.cu", "(i + r) % RUN", "(i + r + 1) % RUN"),
    (gathers, "convolution_depthwise.cu", "(u32)column < (u32)length", "column < length"),
    (gathers, "convolution_depthwise.cu", "    __syncthreads();\n\n    const int lane", "    const int lane"),
    (gathers, "convolution_depthwise.cu", "row += tile.rows", "row += 1"),
    (gathers, "convolution_depthwise.cu", "relu && sums[r][v] < 0", "relu && !(sums[r][v] > 0)"),
    (gathers_back, "convolution_depthwise.cu", "if (column * w.part != place) continue;", ""),
    (gathers_back, "convolution_depthwise.cu", "flipped ? row", "false ? row"),
    (correlates, "convolution_depthwise.cu", "(i + j) % TAPS", "(i + j + 1) % TAPS"),
    (correlates, "convolution_depthwise.cu", "blockIdx.x % chunk_blocks * chunks + member", "member"),
    (is_narrow, "convolution_patch.cuh", "(u32)row < (u32)h.in", "row < h.in"),
    (is_narrow, "convolution_patch.cuh", "tile % tiles.across * tiles.columns", "tile % tiles.across"),
    (is_narrow, "convolution_patch.cuh", "tap / w.taps % h.taps * h.dilation", "tap / w.taps % h.taps"),
    (is_narrow, "convolution_narrow.cu", "__syncthreads();  // for those who read the patch of the tile before", ""),
    (is_narrow, "convolution_narrow.cu", "relu && sums[i][o] < 0", "relu && !(sums[i][o] > 0)"),
    (is_narrow, "convolution_narrow.cu", "if (output + o < outputs) assign", "assign"),
    (correlates_narrow, "convolution_narrow.cu", "if (windows[place] < 0) continue;", ""),
    (correlates_narrow, "convolution_narrow.cu", "__syncthreads();  // the memory is used again", ""),
    (back_to_few, "convolution_narrow.cu", "int far = 4", "int far = 2"),
    (on_tensor_cores, "convolution_narrow_tensor.cu", "if (offset >= 0) pixels[j]", "pixels[j]"),
    (on_tensor_cores, "convolution_narrow_tensor.cu", "column / 2 * 4", "column / 2 * 2"),
    (on_tensor_cores, "convolution_narrow_tensor.cu", "low.of[k], high.of[k], low", "high.of[k], low.of[k], low"),
    (correlates_on_tensor_cores, "convolution_narrow_tensor.cu", "a >> 16 |", "a |"),
    (correlates_on_tensor_cores, "convolution_narrow_tensor.cu", "|| column + i >= w.out", ""),
    (correlates_on_tensor_cores, "convolution_narrow_tensor.cu", "k / 16 * 2 + k / 2 % 2", "k / 16 * 2"),
]
