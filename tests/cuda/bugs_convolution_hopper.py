"""Bugs for the kernels of convolution_hopper*.cu: what is changed, into what."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.cuda import test_convolution_hopper as plain
from tests.cuda.own_kernels import module, running
from tests.cuda.test_convolution_hopper import HOPPER, geometry

SimulationError = module("simt.machine").SimulationError
# Few stages, so that they are used again; boxes that no axis is a multiple of, with fewer places than a tile has rows.
TILE, BOX = HOPPER.Tile(128, 128, 2), (2, 1, 5, 7)
WEIGHT_TILE, WEIGHT_BOX, SPLITS = HOPPER.Tile(64, 192, 2), (2, 1, 4, 5), 2


def _is_right(changed: Callable, direction: str, *lengths: int, stride: int = 1) -> bool:
    g = geometry(3, lengths, 72, 72, (2, 2), stride, padding=(1, 1), dilation=2)
    values = plain.values_for(g, "bfloat16")
    wanted = plain.wanted_of(g, values, direction)
    turned = direction == "input_gradient"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HOPPER, "choose_tile", lambda *_: (TILE, BOX))
        patch.setattr(HOPPER, "choose_splits", lambda *_: (WEIGHT_TILE, WEIGHT_BOX, SPLITS))
        if direction == "weight_gradient":
            kernel = changed(HOPPER._gradient_of_weight("bfloat16", WEIGHT_TILE))
            patch.setattr(HOPPER, "GRADIENT_OF_WEIGHT", {("bfloat16", WEIGHT_TILE): kernel})
        else:
            kernel = changed(HOPPER._convolve("bfloat16", TILE, turned))
            patch.setattr(HOPPER, "CONVOLVE", {("bfloat16", TILE, turned): kernel})
        for schedule in (0, 7):
            with running(schedule, of_device="90a"):
                got = plain.found(g, values, direction).astype(float)
            if not np.allclose(got, wanted, rtol=1.01 * 2.0**-8, atol=1e-5 * float(np.abs(wanted).max())):
                return False
    return True


def convolves(changed: Callable) -> bool:
    """Whether a convolution with more tiles than blocks, all of them ragged, is NumPy's."""
    return _is_right(changed, "forward", 12, 16, stride=2)


def turns(changed: Callable) -> bool:
    """The same for the gradient of an input."""
    return _is_right(changed, "input_gradient", 6, 8)


def weighs(changed: Callable) -> bool:
    """The same for that of the weights."""
    return _is_right(changed, "weight_gradient", 12, 16, stride=2)


SHARED, CONVOLVE, WEIGHT = "convolution_hopper.cuh", "convolution_hopper.cu", "convolution_hopper_weight.cu"
BUGS: list[tuple[Callable, str, str, str]] = [
    # Who waits for whom.
    (convolves, CONVOLVE, "    barrier_fence();\n", ""),
    (convolves, CONVOLVE, "    __syncthreads();\n", ""),
    (convolves, CONVOLVE, "barrier_wait(ring.empty(), ring.parity ^ 1);", ""),
    (convolves, CONVOLVE, "ring.empty(), ring.parity ^ 1", "ring.empty(), ring.parity"),
    (convolves, CONVOLVE, "barrier_wait(ring.full(), ring.parity);", ""),
    (convolves, CONVOLVE, "                products_fence();\n", ""),
    (convolves, CONVOLVE, "products_wait<1>();", ""),
    (convolves, CONVOLVE, "            products_wait<0>();\n", ""),
    (convolves, CONVOLVE, "if (before) give_back(before);", ""),
    (convolves, CONVOLVE, "            give_back(before);\n\n", ""),
    (convolves, CONVOLVE, "(filled + COLUMNS) * ROW)", "(128 * STRIPS + COLUMNS) * ROW)"),
    (convolves, SHARED, "        parity ^= 1;\n", ""),
    (convolves, SHARED, "    __syncwarp();\n", ""),
    (convolves, SHARED, "threadIdx.x % 32 == 0", "threadIdx.x % 32 < 2"),
    # What is copied and where it goes.
    (convolves, CONVOLVE, "clear_rows(memory + i * BYTES, filled, 128 * STRIPS);", ""),
    (convolves, CONVOLVE, "first.h * stride_h - before_h", "first.h - before_h"),
    (convolves, CONVOLVE, "k * dilation_w", "k"),
    (convolves, CONVOLVE, "column, i, j, k, slice * 64", "column, i, j, k, 0"),
    (convolves, CONVOLVE, "depth < 64", "depth < 48"),
    (convolves, CONVOLVE, "group * STRIPS * TILE", "0"),
    (convolves, CONVOLVE, "tile += gridDim.x) {\n            float", "tile += tiles) {\n            float"),
    (convolves, CONVOLVE, "if (places[half] < 0 || column >= outputs) continue;", "if (places[half] < 0) continue;"),
    (convolves, SHARED, "image < box.n && n < sizes.n", "image < box.n"),
    (convolves, SHARED, "image < box.n && ", ""),
    (convolves, SHARED, "&& w < sizes.w", ""),
    (convolves, SHARED, "tile /= over(sizes.w, box.w)", "tile /= over(sizes.w, box.w) + 1"),
    (convolves, SHARED, "odd ? values[i] : values[i | bit]", "odd ? values[i | bit] : values[i]"),
    (turns, CONVOLVE, "kernel_h - 1 - j", "j"),
    (turns, CONVOLVE, "column + c)", "column)"),
    (turns, CONVOLVE, "product<false, TURNED>", "product<false, false>"),
    (turns, CONVOLVE, "columns_descriptor(b + depth * ROW, TILE)", "columns_descriptor(b + depth * 2, TILE)"),
    # The weights.
    (weighs, WEIGHT, "    barrier_fence();\n", ""),
    (weighs, WEIGHT, "barrier_wait(ring.empty(), ring.parity ^ 1);", ""),
    (weighs, WEIGHT, "barrier_wait(ring.full(), ring.parity);", ""),
    (weighs, WEIGHT, "clear_rows(memory + i * TILE, filled, 64);", ""),
    (weighs, WEIGHT, "TILES * filled * ROW", "TILES * TILE"),
    (weighs, WEIGHT, "(blockIdx.z + 1) / gridDim.z", "blockIdx.z / gridDim.z + 1"),
    (weighs, WEIGHT, "(first_block + i) % slices * 64", "0"),
    (weighs, WEIGHT, "first.n, first.d, first.h, first.w,\n", "first.n, first.d, first.w, first.h,\n"),
    (weighs, WEIGHT, "tap % kernel_w * dilation_w", "tap % kernel_w"),
    (weighs, WEIGHT, "half_of_depth * 32 * ROW;\n            const u8* b", "0;\n            const u8* b"),
    (weighs, WEIGHT, "blockIdx.z * 2 + group", "blockIdx.z * 2"),
    (weighs, WEIGHT, "if (row >= outputs) continue;", ""),
    (weighs, WEIGHT, "if (tap >= taps) continue;", ""),
    (weighs, WEIGHT, "if (channel < channels) ", ""),
    (weighs, WEIGHT, "product<true, true>", "product<true, false>"),
]
