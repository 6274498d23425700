"""Bugs for the kernels of convolution: each is caught by a comparison with NumPy, or by the simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ml_dtypes
import numpy as np

import nnx
from nnx.functional.convolution import convolution
from tests.cuda.own_kernels import array, machine, module

gemm, own, sums = (module(f"cupy.launchers.{name}") for name in ("convolution_gemm", "convolution", "column_sum"))
SIZES = ((2, 1), ((1, 1), (0, 2)), (1, 2), 2)  # stride, padding, dilation, groups
X, WEIGHT = (2, 13, 6, 40), (80, 3, 2, 20)


class _Changed(dict):
    """A table of kernels, each of which is changed when it is needed."""

    def __init__(self, table: dict, changed: Callable) -> None:
        super().__init__(table)
        self._changed = changed

    def __getitem__(self, key: Any) -> Any:
        return self._changed(super().__getitem__(key))


@contextmanager
def using(changed: Callable, launchers: Any, *tables: str) -> Iterator[None]:
    """Let launchers run changed kernels of the named tables within a ``with`` block."""
    kept = {name: getattr(launchers, name) for name in tables}
    try:
        for name, table in kept.items():
            setattr(launchers, name, _Changed(table, changed))
        yield
    finally:
        for name, table in kept.items():
            setattr(launchers, name, table)


def close(found: Any, wanted: Any, error: float) -> bool:
    values = nnx.to_numpy(found).astype("f8").reshape(wanted.shape)
    return bool(np.abs(values - wanted).max() <= error * np.abs(wanted).max())


def drawn(dtype: Any, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def directions(dtype: Any, error: float, *names: str) -> bool:
    """Whether the named directions of a convolution with rests everywhere are right."""
    x, weight = drawn(dtype, X, WEIGHT)
    wide = [a.astype("f8") for a in (x, weight)]
    with nnx.use_kernels("off"):
        out, pull = nnx.vjp(lambda *a: convolution(*a, None, *SIZES), *wide)
        (grad,) = drawn(dtype, out.shape)
        of_x, of_weight = pull(grad.astype("f8"))
    g = own.geometry(X, WEIGHT, *SIZES)[0]
    x, weight, grad = map(array, (x, weight, grad))
    good = True
    if "forward" in names:
        good &= close(gemm.forward(machine(), x, weight, None, g), out, error)
    if "input" in names:
        good &= close(gemm.input_gradient(machine(), grad, weight, g), of_x, error)
    if "weight" in names:
        kept, gemm.split_steps = gemm.split_steps, lambda steps, *_: (2, -(-steps // 2))
        try:
            good &= close(gemm.weight_gradient(machine(), x, grad, g), of_weight, error)
        finally:
            gemm.split_steps = kept
    return good


def gathers(changed: Callable) -> bool:
    with using(changed, gemm, "GATHER"):
        return directions(ml_dtypes.bfloat16, 1e-2, "forward", "input")


def gathers_exactly(changed: Callable) -> bool:
    with using(changed, gemm, "GATHER"):
        return directions("f4", 1e-5, "forward")


def weighs(changed: Callable) -> bool:
    with using(changed, gemm, "WEIGHT_GRADIENT"):
        return directions("f2", 3e-3, "weight")


def weighs_exactly(changed: Callable) -> bool:
    with using(changed, gemm, "WEIGHT_GRADIENT"):
        return directions("f4", 1e-5, "weight")


def weighs_roughly(changed: Callable) -> bool:
    with using(changed, gemm, "WEIGHT_GRADIENT"), nnx.use_float32_precision("high"):
        return directions("f4", 1e-3, "weight")


def lays_out(changed: Callable) -> bool:
    with using(changed, gemm, "FILL_UP", "EXCHANGE"):
        return directions("f2", 3e-3, "forward", "input", "weight")


def adds_up(changed: Callable) -> bool:
    (matrix,) = drawn("f4", (1500, 37))
    with using(changed, sums, "PARTS", "OF_PARTS"):
        return close(sums.column_sum(machine(), array(matrix)), matrix.astype("f8").sum(0), 1e-5)


def finishes(changed: Callable) -> bool:
    """Whether bias, ReLU and the sums for a norm are right."""
    x, weight, bias = drawn("f2", (1, 9, 8, 8), (12, 1, 1, 8), (12,))
    sizes = ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    wanted = np.maximum(convolution(*[a.astype("f8") for a in (x, weight, bias)], *sizes).reshape(72, 12), 0)
    g = own.geometry(x.shape, weight.shape, *sizes)[0]
    with using(changed, gemm, "GATHER"):
        out, partial = gemm.forward(machine(), *map(array, (x, weight, bias)), g, relu=True, statistics=True)
    parts = np.stack([[v.sum(0), (v * v).sum(0)] for v in (wanted[:64], wanted[64:])])
    return close(out, wanted, 3e-3) and close(partial, parts, 3e-3)


HEADER, GATHER, WEIGHT_GRADIENT = "convolution_gemm.cuh", "convolution_gemm.cu", "convolution_gemm_weight.cu"
LAYOUT, SUM = "convolution_gemm_layout.cu", "column_sum.cu"
BUGS: list[tuple[Callable, str, str, str]] = [
    (gathers, HEADER, "+ by.of[i] + carry;", "+ by.of[i];"),
    (gathers, HEADER, "sum >= limits[i]", "sum > limits[i]"),
    (gathers, HEADER, "(u32)i < (u32)length", "i < length"),
    (gathers, HEADER, "by_row(top + lane % 16", "by_row(top + lane % 8"),
    (
        gathers,
        HEADER,
        "by_row(left + lane / 16 * 8 + lane % 8, step * 2 + lane / 8 % 2)",
        "by_row(left + lane % 16, 0)",
    ),
    (gathers, HEADER, "of_b[j / 2][j % 2 * 2 + 1]}", "of_b[j / 2][j % 2 + 1]}"),
    (gathers, HEADER, "i % 2 * 8 + lane / 4; }", "i % 2 * 8 + lane % 4; }"),
    (gathers_exactly, HEADER, "of_a.of[k] * of_b[j].of[k]", "of_a.of[k] * of_b[j].of[0]"),
    (gathers_exactly, HEADER, "top = warp_down * 4 + lane / 8;", "top = warp_down * 4 + lane % 4;"),
    (gathers_exactly, HEADER, "first + 16 * i :", "first + 8 * i :"),
    (weighs, HEADER, "term & 7 :", "term & 15 :"),
    (weighs, HEADER, "lane / 16 * 8 + lane % 8,\n", "lane / 8 % 2 * 8 + lane % 8,\n"),
    (weighs, HEADER, "(left + j * 16) / 8 + lane / 16)", "(left + j * 16) / 8 + lane / 8 % 2)"),
    (weighs_exactly, HEADER, "i / 4 * 64 + i % 4", "i / 4 * 64 + i % 2"),
    (weighs_roughly, HEADER, "e / 2 * 4 + lane % 4, at = top", "e % 2 * 4 + lane % 4, at = top"),
    (gathers, GATHER, "term.of[2] * reach_h", "term.of[1] * reach_h"),
    (gathers, GATHER, "is_inside(x[i] + dx, width)", "true"),
    (gathers, GATHER, "const bool is_term = term.of[3] < taps_d;", "const bool is_term = true;"),
    (gathers, GATHER, "term.of[1] * (u32)weight_w", "term.of[1] * (u32)weight_h"),
    (gathers, GATHER, "is_term && first_column + row < columns", "is_term"),
    (finishes, GATHER, "row < rows ? place : -1", "place"),
    (gathers, GATHER, "first_h + of.of[1] * put_h", "of.of[1] * put_h"),
    (gathers, GATHER, "        copy_wait<STAGES - 2>();\n", ""),
    (gathers, GATHER, "copy_wait<STAGES - 2>", "copy_wait<STAGES - 1>"),
    (gathers, GATHER, "        __syncthreads();  // the stage has come", "        // the stage has come"),
    (gathers, GATHER, "load(stage == 0 ? STAGES - 1 : stage - 1)", "load(stage)"),
    (finishes, GATHER, "    __syncthreads();\n\n    constexpr", "    constexpr"),
    (finishes, GATHER, "to_float(bias[before + column + k])", "to_float(bias[before + column])"),
    (finishes, GATHER, "value < 0.f ? 0.f : value", "value"),
    (finishes, GATHER, "place < 0 ? 0.f :", ""),
    (finishes, GATHER, "bit = 16; bit & ", "bit = 8; bit & "),
    (finishes, GATHER, "        __syncthreads();\n        const int column", "        const int column"),
    (finishes, GATHER, "warp < Sums<true>::WARPS_DOWN", "warp < Sums<true>::WARPS_DOWN - 1"),
    (weighs, WEIGHT_GRADIENT, "split * steps * DEPTH;", "split * (steps - 1) * DEPTH;"),
    (weighs, WEIGHT_GRADIENT, "left < steps * DEPTH ? left : steps * DEPTH", "left"),
    (weighs, WEIGHT_GRADIENT, "            advance(place[i], ahead, out_w, out_h, out_d);\n", ""),
    (weighs, WEIGHT_GRADIENT, "tap.of[1] * dilation_w", "tap.of[1] * dilation_h"),
    (weighs, WEIGHT_GRADIENT, "        copy_wait<STAGES - 2>();\n", ""),
    (weighs, WEIGHT_GRADIENT, "        __syncthreads();", "        __syncwarp();"),
    (weighs, WEIGHT_GRADIENT, "|| channel >= kept", ""),
    (weighs, WEIGHT_GRADIENT, "bool is_term = term[i] < terms", "bool is_term = true"),
    (weighs, WEIGHT_GRADIENT, "in_grad = is_term && output < outputs_held", "in_grad = is_term"),
    (lays_out, LAYOUT, "column < (u32)length ? from", "true ? from"),
    (lays_out, LAYOUT, "if (i >= n) return;", ""),
    (lays_out, LAYOUT, "    __syncthreads();\n", ""),
    (lays_out, LAYOUT, "tile[x][i];", "tile[i][x];"),
    (lays_out, LAYOUT, "output + i < outputs && channel", "channel"),
    (lays_out, LAYOUT, "blockIdx.x / across * 32", "blockIdx.x / across * 33"),
    (adds_up, SUM, "start + columns, REAL()", "start + columns + 8, REAL()"),
    (adds_up, SUM, "first + slot; row < last", "first + slot; row < rows"),
    (adds_up, SUM, "    __syncthreads();\n    for (int i", "    for (int i"),
    (adds_up, SUM, "other * across + at", "other * across"),
    (adds_up, SUM, "part < parts; part += 8", "part < parts; part += 9"),
    (adds_up, SUM, "    __syncthreads();\n    if (slot", "    if (slot"),
    (adds_up, SUM, "other < 8; ++other", "other < 7; ++other"),
]
