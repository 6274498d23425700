"""The simulator runs right kernels rightly: whatever the order of blocks, warps, lanes and copies, checked or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.cuda import own_kernels
from tests.cuda.own_kernels import array, launch, machine, own

SCHEDULES = range(8)
TILED = own("tiled.cu", "tiled")
SOFTMAX = own("warps.cu", "softmax")
SUM = own("warps.cu", "running_sum")
COUNT = own("warps.cu", "count_positive")
BF16 = own("pipeline.cu", "pipeline", ("PRODUCT", "mma_bf16"))
F16 = own("pipeline.cu", "pipeline", ("PRODUCT", "mma_f16"))
WARPGROUP = own("warpgroup.cu", "warpgroup", architectures=("90a",))
ROUND, TF32, TRANSPOSE = (own("formats.cu", name) for name in ("round_all", "product_tf32", "transpose"))

RUNS: dict[str, tuple[Callable, Any, list[tuple[int, ...]], float]] = {
    "tiled": (own_kernels.run_tiled, TILED, [(1, 1, 1), (64, 64, 16), (65, 70, 37)], 1e-5),
    "softmax": (own_kernels.run_softmax, SOFTMAX, [(1, 1), (5, 33), (9, 100)], 1e-6),
    "running_sum": (own_kernels.run_sum, SUM, [(1,), (32,), (33,), (256,)], 0),
    "count": (own_kernels.run_count, COUNT, [(1,), (255,), (256,)], 0),
    "bf16": (own_kernels.run_pipeline, BF16, [(1, 1, 8), (64, 64, 32), (70, 65, 104)], 1e-6),
    "f16": (own_kernels.run_pipeline, F16, [(3, 9, 40), (65, 64, 72)], 1e-6),
    "warpgroup": (own_kernels.run_warpgroup, WARPGROUP, [(64, 64, 64), (128, 64, 320)], 1e-6),
}
KERNELS = {name: kernel for name, (_, kernel, _, _) in RUNS.items()} | {"formats": ROUND}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_gives_the_reference(name: str, schedule: int) -> None:
    run, kernel, sizes, tolerance = RUNS[name]
    for checked in (True, False):
        for size in sizes:
            with machine().running(schedule, checked):
                found, wanted = run(kernel, *size)
            largest = float(np.abs(wanted).max())
            np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * largest)


def test_numbers_are_rounded_as_by_a_gpu() -> None:
    rng = np.random.default_rng(0)
    special = [0.0, -0.0, np.inf, -np.inf, 65519.0, 65520.0, 2.0**-24, 2.0**-25, 3 * 2.0**-26, 6.1e-5]
    near_f16 = np.ldexp(rng.standard_normal(4000), rng.integers(-28, 17, 4000))
    any_bits = rng.integers(0, 2**32, 4000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    values = np.concatenate([np.asarray([*special, *near_f16], "f4"), any_bits[~np.isnan(any_bits)]])
    x = array(values)
    bf16, f16, tf32 = (machine().empty(x.shape, "uint32", x) for _ in range(3))
    launch(machine(), ROUND, -(-x.size // 256), (x, bf16, f16, tf32, x.size))
    values = np.asarray(x)
    np.testing.assert_array_equal(np.asarray(bf16) & 0xFFFF, own_kernels.to_bf16(values))
    np.testing.assert_array_equal(np.asarray(bf16) >> 16, own_kernels.to_bf16(-values))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(np.asarray(f16) & 0xFFFF, values.astype(np.float16).view(np.uint16))
    finite = np.isfinite(values) & (np.abs(values) < 3e38)
    rounded = np.asarray(tf32).view(np.float32)[finite]
    # 10 bits of mantissa, the nearest: exact in float64.
    mantissa, exponent = np.frexp(values[finite].astype(np.float64))
    nearest = np.ldexp(np.copysign(np.floor(np.abs(mantissa) * 2.0**11 + 0.5), mantissa), exponent - 11)
    normal = np.abs(values[finite]) >= 2.0**-126
    np.testing.assert_array_equal(rounded[normal], nearest[normal])


def test_a_product_of_tf32() -> None:
    rng = np.random.default_rng(1)
    a, b = (array(rng.integers(-9, 9, shape), "f4") for shape in ((16, 8), (8, 8)))
    c = machine().empty((16, 8), "float32", a)
    launch(machine(), TF32, 1, (a, b, c))
    np.testing.assert_array_equal(c, np.asarray(a) @ np.asarray(b))


def test_matrices_are_loaded_transposed() -> None:
    x = array(np.arange(256).reshape(8, 32), "u2")
    y = machine().empty((32, 8), "uint16", x)
    launch(machine(), TRANSPOSE, 1, (x, y))
    np.testing.assert_array_equal(y, np.asarray(x).T)


def test_the_launched_kernels_are_told() -> None:
    with machine().running() as launched:
        own_kernels.run_sum(SUM, 7)
    assert launched == [SUM]
