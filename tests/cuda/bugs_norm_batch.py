"""Known bugs of the kernels of batch normalisation, for tests/cuda/test_kernel_mutations.py: each has to be caught."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.cuda.own_kernels import array, launch, machine, module, to_numpy

NORM = module("cupy.launchers.norm_batch")
ROWS, EPS = 530, 1e-3


def _matrix(channels: int, seed: int, mean: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((ROWS, channels)) * 0.5 + mean


def _empty(shape: tuple[int, ...], dtype: str = "float32") -> Any:
    return machine().empty(shape, dtype, array([0.0]))


def _moments(changed: Callable, x: np.ndarray, width: int) -> list[np.ndarray]:
    """Mean and variance, and the coefficients with a weight of 2 and no bias."""
    channels = x.shape[1]
    plan = NORM.layout(ROWS, channels, width, 4)
    partials = _empty((plan.slabs, 2, channels), "float64")
    sizes = (ROWS, channels, plan.lanes, plan.slab)
    launch(machine(), changed(NORM.COLUMN_MOMENTS["float32", width]), plan.grid, (array(x, "f4"), partials, *sizes))
    mean, variance, coefficients = _empty((channels,)), _empty((channels,)), _empty((5, channels))
    weight = array(np.full(channels, 2), "f4")
    arguments = (partials, weight, True, weight, False, EPS, mean, variance, coefficients, ROWS, channels)
    blocks = -(-channels // 8)
    launch(machine(), changed(NORM.FINISH_MOMENTS["float32"]), blocks, (*arguments, plan.slab, plan.slabs))
    return [to_numpy(a) for a in (mean, variance, coefficients)]


def counts(changed: Callable) -> bool:
    """Whether statistics are right: of channels that fill tiles, and of few that do not, far away from 0."""
    good = True
    for channels, width in ((12, 4), (3, 1)):
        x = _matrix(channels, 0, 1000.0).astype("f4").astype("f8")
        mean, variance, coefficients = _moments(changed, x, width)
        inverse = 1 / np.sqrt(x.var(0) + EPS)
        rest = x.mean(0) - mean
        wanted = [mean, 2 * inverse, -2 * rest * inverse, inverse, rest]
        good = good and np.allclose(mean, x.mean(0), rtol=1e-7, atol=0) and np.allclose(variance, x.var(0), rtol=3e-6)
        good = good and np.allclose(coefficients, wanted, rtol=3e-6, atol=1e-9)
    return good


def infinities(changed: Callable) -> bool:
    """Whether the mean of what is infinite is infinite, as in the reference."""
    x = _matrix(4, 0)
    x[0, 1] = np.inf
    mean, variance, _ = _moments(changed, x, 4)
    return bool(np.isposinf(mean[1]) and np.isnan(variance[1]) and np.isfinite(mean[[0, 2, 3]]).all())


def sums(changed: Callable) -> bool:
    """Whether statistics follow from partial sums, also where rounding would make a variance negative."""
    rng = np.random.default_rng(0)
    partials = rng.standard_normal((150, 2, 11))
    partials[:, 1] = np.abs(partials[:, 1]) + 3
    partials[:, 1, 3] = 0
    mean, variance = _empty((11,)), _empty((11,))
    launch(machine(), changed(NORM.MOMENTS_OF_SUMS), 2, (array(partials, "f4"), mean, variance, 300, 11, 150))
    total, square = partials.astype("f4").astype("f8").sum(0) / 300
    wanted = np.maximum(square - total**2, 0)
    return np.allclose(to_numpy(mean), total, atol=1e-6) and np.allclose(to_numpy(variance), wanted, rtol=1e-5)


def passes(changed: Callable) -> bool:
    """Whether output and gradients are right: a residual and ReLU, ReLU alone, and given statistics."""
    return all(
        _pass(changed, channels, width, residual, by_input)
        for channels, width, residual, by_input in ((12, 4, True, True), (3, 1, False, True), (12, 4, False, False))
    )


def _pass(changed: Callable, channels: int, width: int, with_residual: bool, by_input: bool) -> bool:
    x, g, added = (_matrix(channels, seed).astype("f4").astype("f8") for seed in (1, 2, 3))
    rng = np.random.default_rng(4)
    mean, variance, weight, bias = (rng.uniform(0.5, 1.5, channels).astype("f4").astype("f8") for _ in range(4))
    if by_input:
        mean, variance = x.mean(0), x.var(0)
    inverse = 1 / np.sqrt(variance + EPS)
    coefficients = _empty((5, channels))
    vectors = [array(v, "f4") for v in (mean, variance, weight, bias)]
    given = (*vectors[:3], True, vectors[3], True, EPS, coefficients, channels)
    launch(machine(), changed(NORM.COEFFICIENTS_OF["float32"]), 1, given)
    before = (x - mean) * inverse * weight + bias + (added if with_residual else 0)
    g = np.where(np.abs(before) < 1e-3, 0, g)  # where rounding decides
    passed = np.where(before > 0, g, 0)

    places = [array(v, "f4") for v in (x, g, added)]
    plan = NORM.layout(ROWS, channels, width, 4)
    sizes = (ROWS, channels, plan.lanes, plan.slab)
    y, kept, out = (_empty((ROWS, channels)) for _ in range(3))
    normalise = changed(NORM.NORMALISE["float32", width])
    launch(machine(), normalise, plan.grid, (places[0], coefficients, places[2], with_residual, True, y, *sizes))
    partials, results = _empty((plan.slabs, 2, channels), "float64"), _empty((4, channels))
    passing = 2 if with_residual else 1
    given = (places[1], places[0], y, coefficients, passing, kept, partials, *sizes)
    launch(machine(), changed(NORM.COLUMN_SUMS["float32", width]), plan.grid, given)
    given = (partials, coefficients, by_input, results, ROWS, channels, plan.slabs)
    launch(machine(), changed(NORM.FINISH_SUMS["float32"]), -(-channels // 8), given)
    grad, passing = (kept, 0) if with_residual else (places[1], 1)
    given = (grad, places[0], coefficients, results, passing, by_input, out, *sizes)
    launch(machine(), changed(NORM.INPUT_GRADIENT["float32", width]), plan.grid, given)

    total, along = passed.sum(0), (passed * (x - mean)).sum(0)
    slope = weight * inverse**3 * along
    of_input = passed * weight * inverse
    wanted = [along * inverse, total, -weight * inverse * total, -0.5 * slope]
    if by_input:
        of_input = of_input - ((x - mean) * slope + weight * inverse * total) / ROWS
        wanted[2:] = [slope / ROWS, -weight * inverse * total / ROWS]
    pairs = [(y, np.maximum(before, 0)), (out, of_input), (results, wanted)]
    pairs += [(kept, passed)] if with_residual else []
    return all(np.allclose(to_numpy(mine), theirs, rtol=1e-4, atol=3e-5) for mine, theirs in pairs)


_FILE = "norm_batch.cu"
_CASES: list[tuple[Callable, str, str]] = [
    # statistics
    (counts, "(SUM)(bias - rest * factor)", "bias"),
    (counts, "rest = mean - (double)(SUM)mean", "rest = 0"),
    (counts, "sum.of[k] + count * (origin.of[k] - origins[k][tile.lane])", "sum.of[k]"),
    (counts, "[tile.lane] = origin.of[k];\n    __syncthreads();", "[tile.lane] = origin.of[k];"),
    (counts, "squares[k][t] += squares[k][t + half] + distance", "squares[k][t] += distance"),
    (counts, " / (share + their_share)", " * (share + their_share)"),
    (counts, "counts[t] = n + others;", "counts[t] = n;"),
    (counts, "            counts[t] = n + others;\n        }\n        __syncthreads();", "counts[t] = n + others;}"),
    (counts, "t < half ? counts[t + half] : 0", "counts[(t + half) % 256]"),
    (counts, "half >= lanes; half /= 2) {\n        const int n", "half > lanes; half /= 2) {\n        const int n"),
    (counts, "(double)min(slab, rows - i * slab) * partials", "(double)slab * partials"),
    (counts, "for (int half = THREADS / 2; half >= 8;", "for (int half = THREADS / 2; half > 8;"),
    (counts, "min(first + slab, rows)", "first + slab"),
    (counts, "column < channels ? min", "true ? min"),
    (infinities, "first - first == 0 ? first : 0", "first"),
    # from partial sums
    (sums, "spread < 0 ? 0 : spread", "spread"),
    (sums, "i += 128", "i += 256"),
    (sums, "if (line || column >= channels) return;\n    mean", "if (line) return;\n    mean"),
    # output and gradients
    (passes, "if (has_residual) value += widened", "value += widened"),
    (passes, "is_relu && value <= 0 ? 0 : value", "value"),
    (passes, "passing != ALL && widened(output) <= 0", "passing == BY_INPUT && widened(output) <= 0"),
    (passes, "grad = widened(output) <= 0 ? 0 : grad;", ""),
    (passes, "sums[1][k][t] += sums[1][k][t + half];", ""),
    (passes, "sums[1][k][t] = along.of[k];\n    }\n    __syncthreads();", "sums[1][k][t] = along.of[k];\n    }"),
    (passes, "SUM value = factor.of[k] * grad;", "SUM value = grad;"),
    (passes, "(SUM)((slope * rest - factor * total) / rows)", "(SUM)((slope * rest - total) / rows)"),
    (passes, "(SUM)(-0.5 * slope)", "(SUM)(-slope)"),
    (passes, "const i64 i = thread_index();\n    if (i >= channels) return;", "const i64 i = thread_index();"),
]
BUGS = [(is_right, _FILE, before, after) for is_right, before, after in _CASES]
