"""Bugs in the kernels of pooling, each of which a comparison with the reference has to find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import nnx
from nnx import functional
from tests.cuda.own_kernels import array, module

pooling = module("cupy.launchers.pooling")


@contextmanager
def instead(tables: list[dict[str, Any]], changed: Callable) -> Iterator[None]:
    """Launch other kernels for float32."""
    before = [table["float32"] for table in tables]
    for table in tables:
        table["float32"] = changed(table["float32"])
    try:
        yield
    finally:
        for table, kernel in zip(tables, before, strict=True):
            table["float32"] = kernel


def same(changed: Callable, calls: list[tuple[Callable, np.ndarray]]) -> bool:
    """Whether the values and the gradients of functions are those of the reference."""
    tables = [v for v in vars(pooling).values() if isinstance(v, dict) and "float32" in v and v is not pooling.ELEMENTS]
    for function, x in calls:
        with nnx.use_kernels("off"):
            out, pullback = nnx.vjp(function, x)
            cotangent = np.random.default_rng(1).uniform(0.5, 1.5, out.shape).astype("f4")
            cotangent.reshape(-1)[5] = np.inf  # a factor of 0 would make NaN of it
            wanted = [out, pullback(cotangent)[0]]
        with instead(tables, changed), nnx.use_kernels("require"):
            out, pullback = nnx.vjp(function, array(x))
            found = [out, pullback(array(cotangent))[0]]
        for mine, theirs in zip(found, wanted, strict=True):
            if not np.allclose(nnx.to_numpy(mine), theirs, rtol=1e-5, atol=1e-5, equal_nan=True):
                return False
    return True


def image(*shape: int) -> np.ndarray:
    x = np.random.default_rng(0).integers(-3, 3, shape).astype("f4")
    x.reshape(-1)[::19] = np.nan
    x.reshape(-1)[1::17] = -np.inf
    return x


def finite(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-3, 3, shape).astype("f4")


def maxima(changed: Callable) -> bool:
    """Whether max pooling is right."""
    lowest = np.full((1, 3, 4, 4), -np.inf, "f4")
    return same(
        changed,
        [
            (lambda v: functional.max_pool2d(v, 3, 2, 1), image(2, 9, 8, 8)),
            (lambda v: functional.max_pool2d(v, (2, 3), 2, (0, 1), 2), image(1, 9, 10, 3)),
            (lambda v: functional.max_pool2d(v, 3, 2, 1), lowest),
            (lambda v: functional.max_pool3d(v, 2), image(1, 4, 4, 4, 4)),
        ],
    )


def wide_maxima(changed: Callable) -> bool:
    """Whether max pooling over windows of many places is right."""
    return same(changed, [(lambda v: functional.max_pool2d(v, (17, 16), 2), image(1, 19, 16, 12))])


def places(changed: Callable) -> bool:
    """Whether the places of the largest elements are right."""
    x = image(2, 9, 8, 8)
    with nnx.use_kernels("off"):
        wanted = functional.max_pool2d(x, 3, 2, 1, 2, return_indices=True)[1]
    with instead([pooling.PLACES], changed), nnx.use_kernels("require"):
        found = functional.max_pool2d(array(x), 3, 2, 1, 2, return_indices=True)[1]
    return np.array_equal(nnx.to_numpy(found), wanted)


def averages(changed: Callable) -> bool:
    """Whether average pooling is right."""
    return same(
        changed,
        [
            (lambda v: functional.avg_pool2d(v, 3, 2, 1, True, False), finite(2, 8, 9, 8)),
            (lambda v: functional.avg_pool2d(v, 3, 2, 1, True), finite(1, 6, 8, 3)),
            (functional.global_avg_pool, finite(2, 7, 9, 132)),
        ],
    )


BUGS: list[tuple[Callable, str, str, str]] = [
    (maxima, "channels.cuh", "63 - __clz", "62 - __clz"),
    (maxima, "windows.cuh", "start < 0 ? divided(-start, a.dilation) : 0", "0"),
    (maxima, "windows.cuh", "offset % a.dilation ? -1 : offset", "offset"),
    (maxima, "windows.cuh", "low + size_of(a.stride) - 1", "low"),
    (maxima, "windows.cuh", "stop < size_of(a.size) ? stop : size_of(a.size)", "stop"),
    (maxima, "pooling.cu", "!(value <= best) && best == best", "value > best"),
    (maxima, "pooling.cu", "!(value <= best) && best == best", "!(value <= best)"),
    (maxima, "pooling.cu", "!(value <= best) && best == best", "!(value < best) && best == best"),
    (maxima, "pooling.cu", "number_of(d.first, h.first, w.first);  //", "0;  //"),
    (maxima, "pooling.cu", "from += step", "from += channels"),
    (maxima, "pooling.cu", "== tap ? values.of[k] : (SUM)0", "== tap ? values.of[k] : values.of[k] * 0"),
    (places, "pooling.cu", "w.start + kw * of.w.dilation;\n    };", "w.start + kw;\n    };"),
    (wide_maxima, "pooling.cu", "tap < best_tap && !is_larger(best, value)", "false"),
    (wide_maxima, "pooling.cu", "(tap < best_tap && !is_larger(best, value))", "!is_larger(best, value)"),
    (wide_maxima, "pooling.cu", "        __syncthreads();\n", ""),
    (wide_maxima, "pooling.cu", "k * BLOCK + t + half * lanes", "k * BLOCK + t + half"),
    (averages, "pooling.cu", "margin < 0) return 1", "margin < 9) return 1"),
    (averages, "pooling.cu", "(start > -margin ? start : -margin)", "start"),
    (averages, "pooling.cu", "share.vector < size_of(vectors) ? (d.stop", "true ? (d.stop"),
    (averages, "pooling.cu", "if (counted) share", "if (!counted) share"),
    (averages, "pooling.cu", "if (i >= n) return;", ""),
]
