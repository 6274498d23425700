"""On a GPU: the same kernels as in the simulator, with the same results. What the simulator assumes is checked here."""

from __future__ import annotations

import numpy as np
import pytest

import nnx
from nnx import random
from nnx.functional.drawing import draw_mask, draw_uniform
from tests.cuda import own_kernels, test_layers, test_simulator
from tests.cuda.own_kernels import array, machine, module, on
from tests.tolerances import TOLERANCES

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("gpu")]


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 2049, 3_000_001])
@pytest.mark.parametrize(("key", "counter"), [((0, 3), 0), ((2**64 - 1, 3), 2**63)])
def test_random_numbers_are_the_bits_of_numpy(size: int, key: tuple[int, int], counter: int) -> None:
    like = array([0.0])
    words = module("cupy.launchers.random").draw_words(machine(), key, counter, size, like)
    np.testing.assert_array_equal(nnx.to_numpy(words), random.random_words(key, counter, size))
    with nnx.use_kernels("require"):
        uniform = nnx.to_numpy(draw_uniform(like, key, counter, (size,)))
        mask = nnx.to_numpy(draw_mask(like, key, counter, (size,), 0.3))
    np.testing.assert_array_equal(uniform, random.uniform(key, counter, size))
    np.testing.assert_array_equal(mask, random.bernoulli_mask(key, counter, size, 0.3))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout_is_that_of_numpy(dtype: str) -> None:
    values = np.random.default_rng(0).standard_normal((130, 173)).astype(dtype)
    results = []
    for x in (values, array(values)):
        nnx.seed(4)
        out, pullback = nnx.vjp(lambda a: nnx.functional.dropout(a, 0.3), x)
        results.append([nnx.to_numpy(out), nnx.to_numpy(pullback(x)[0])])
    for theirs, mine in zip(*results, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("name", test_simulator.RUNS)
def test_what_the_simulator_emulates_is_what_the_device_does(name: str) -> None:
    run, kernel, sizes, tolerance = test_simulator.RUNS[name]
    here = module("cupy.compiler").architecture_of(machine().capability(0))
    if kernel.architectures == ("90a",) and here != "90a":
        pytest.skip(f"wgmma is of sm_90a only, this is sm_{here}")
    for size in sizes:
        found, wanted = run(kernel, *size)
        # The device adds in another order, and its tensor cores round differently.
        scale = (1e-4 if tolerance else 0) * float(np.abs(wanted).max())
        np.testing.assert_allclose(found, wanted, rtol=0, atol=scale)


def test_roundings_are_those_of_the_simulator() -> None:
    reason = module("simt.builder").unavailable()
    if reason:
        pytest.skip(f"the simulator is not here: {reason}")
    values = np.random.default_rng(0).integers(0, 2**32, 100_000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    values = values[np.isfinite(values)]
    results = []
    for place in ("simt", "cupy"):
        with on(place):
            x = array(values)
            outs = [machine().empty(x.shape, "uint32", x) for _ in range(3)]
            kernel = own_kernels.own("formats.cu", "round_all")
            own_kernels.launch(machine(), kernel, -(-x.size // 256), (x, *outs, x.size))
            results.append([nnx.to_numpy(out) for out in outs])
    for simulated, real_bits in zip(*results, strict=True):
        np.testing.assert_array_equal(real_bits, simulated)


def test_more_than_48_kib_of_shared_memory() -> None:
    kernel = own_kernels.own(
        "tiled.cu",
        "fill",
        text="#include <common.cuh>\nKERNEL(256) fill(float* out, i32 n) { DYNAMIC_SHARED(float, shared);\n"
        "for (int i = threadIdx.x; i < n; i += 256) shared[i] = i; __syncthreads();\n"
        "for (int i = threadIdx.x; i < n; i += 256) out[i] = shared[n - 1 - i]; }\n",
    )
    n = 24_000  # 96 kB
    out = machine().empty((n,), "float32", array([0.0]))
    own_kernels.launch(machine(), kernel, 1, (out, n), shared=4 * n)
    np.testing.assert_array_equal(nnx.to_numpy(out), np.arange(n, dtype="f4")[::-1])


def test_a_training_step_is_that_of_numpy() -> None:
    wanted = test_layers.step("numpy", test_layers.with_dropout, (9, 6), 3)
    found = test_layers.step("cupy", test_layers.with_dropout, (9, 6), 3)
    rtol, atol = TOLERANCES["float32"]
    for name, values in wanted.items():
        scale = 10 * rtol * float(np.abs(values).max())
        np.testing.assert_allclose(found[name], values, rtol=10 * rtol, atol=atol + scale, err_msg=name)


def test_the_second_process_compiles_nothing() -> None:
    compiler, precompiling = module("cupy.compiler"), module("cupy.precompiling")
    module("cupy").precompile()
    compiler._cubins.clear()
    assert all(file.from_cache for file in module("cupy").precompile())
    assert precompiling.report()["problem"] is None
