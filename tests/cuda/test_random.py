"""Random numbers by kernels: the bits that NumPy draws, whatever the size, the key, the counter and the schedule."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import nnx
from nnx import random
from nnx.functional.drawing import draw_mask, draw_uniform
from tests.cuda.own_kernels import array, machine, module, place, running

draw_words = module("cupy.launchers.random").draw_words
SIZES = [0, 1, 7, 8, 9, 2047, 2048, 2049, 5000]
KEYS = [((0, 3), 0), ((2**64 - 1, 3), 2**64 - 700), ((12345, 3), 2**32 - 2)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("key", "counter"), KEYS)
def test_words(size: int, key: tuple[int, int], counter: int) -> None:
    found = draw_words(machine(), key, counter, size, array([0.0]))
    np.testing.assert_array_equal(nnx.to_numpy(found), random.random_words(key, counter, size))


def test_the_words_of_the_documentation() -> None:
    wanted = ["2f7a0a7f", "5b133998", "a5b363c2", "a3dbb55f", "d8f23572", "b0174615", "98b76190", "825569d2"]
    assert [f"{word:08x}" for word in nnx.to_numpy(draw_words(machine(), (0, 3), 0, 8, array([0.0])))] == wanted


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (7, 293), (4096,)])
@pytest.mark.parametrize(("key", "counter"), KEYS)
def test_uniform_and_mask(shape: tuple[int, ...], key: tuple[int, int], counter: int) -> None:
    like = array([0.0])
    with nnx.use_kernels("require"):
        uniform = draw_uniform(like, key, counter, shape)
        masks = {p: draw_mask(like, key, counter, shape, p) for p in (0.0, 0.3, 1 - 0.1, 2.0**-32, 1.0)}
    assert (type(uniform), uniform.dtype, uniform.shape) == (type(like), np.float32, shape)
    np.testing.assert_array_equal(nnx.to_numpy(uniform), random.uniform(key, counter, shape))
    for p, mask in masks.items():
        assert (mask.dtype, mask.shape) == (np.bool_, shape)
        np.testing.assert_array_equal(nnx.to_numpy(mask), random.bernoulli_mask(key, counter, shape, p))


@pytest.mark.parametrize("schedule", range(8))
def test_every_schedule_draws_the_same(schedule: int) -> None:
    with running(schedule):
        found = draw_words(machine(), (9, 3), 5, 2100, array([0.0]))
    np.testing.assert_array_equal(nnx.to_numpy(found), random.random_words((9, 3), 5, 2100))


@pytest.mark.parametrize("p", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout_gives_the_bits_of_numpy(p: float, dtype: str) -> None:
    values = np.random.default_rng(0).standard_normal((13, 170)).astype(dtype)
    values[0, :5] = np.nan, np.inf, -np.inf, -0.0, 1e-40

    def outcome(x: Any) -> list[np.ndarray]:
        nnx.seed(7)
        with np.errstate(invalid="ignore"):
            out, pullback = nnx.vjp(lambda a: nnx.functional.dropout(a, p), x)
            return [nnx.to_numpy(out), nnx.to_numpy(pullback(x)[0])]

    with running() as launched, nnx.use_kernels("require"):
        found = outcome(array(values))
    assert [kernel.name for kernel in launched] == ["draw_mask", "masked_scale", "masked_scale"]
    for mine, theirs in zip(found, outcome(values), strict=True):
        # All bits but those of a NaN, which every processor has its own of.
        bits = [np.where(np.isnan(v), 0, v.view(f"u{v.itemsize}")) for v in (mine, theirs)]
        np.testing.assert_array_equal(*bits)
        np.testing.assert_array_equal(np.isnan(mine), np.isnan(theirs))


def test_an_unfit_call_takes_the_reference() -> None:
    nnx.seed(1)
    out = nnx.functional.dropout(array(np.ones((4, 6)), "f4").T, 0.5)
    assert f"masked_scale             {place():8s} reference: it takes contiguous arrays" in nnx.explain()
    nnx.seed(1)
    np.testing.assert_array_equal(nnx.to_numpy(out), nnx.functional.dropout(np.ones((6, 4), "f4"), 0.5))


def test_other_layers_draw_on_the_device_too() -> None:
    x = np.random.default_rng(0).standard_normal((4, 5, 3)).astype("f4")
    for layer in (functools.partial(nnx.functional.gaussian_noise, stddev=0.1), nnx.functional.rrelu):
        results = []
        for values in (x, array(x)):
            nnx.seed(2)
            with running() as launched:
                results.append(nnx.to_numpy(layer(values, training=True)))
        assert [kernel.name for kernel in launched] == ["draw_uniform"]
        np.testing.assert_allclose(results[1], results[0], rtol=1e-6, atol=1e-6)
