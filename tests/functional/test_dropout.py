"""Dropout: whose mask, which scale, when, and how often."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nnx
from nnx import random
from nnx.functional import dropout
from tests.tolerances import assert_close

SHAPE = (13, 17)


def ones(xp_backend: Any, dtype: str = "float64", shape: tuple = SHAPE) -> Any:
    return xp_backend.array(np.ones(shape), dtype)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_mask_is_that_of_the_stream(xp_backend: Any, p: float) -> None:
    nnx.seed(7)
    stream = random.Stream(7)
    for _ in range(3):  # one call takes up where the last one ended
        out = nnx.to_numpy(dropout(ones(xp_backend), p))
        key, counter = stream.reserve(SHAPE[0] * SHAPE[1])
        mask = random.bernoulli_mask(key, counter, SHAPE, 1.0 - p)
        np.testing.assert_array_equal(out != 0, mask)
        np.testing.assert_allclose(out[mask], 1 / (1 - p), rtol=1e-15)


def test_the_same_bits_on_every_backend() -> None:
    outs = []
    for name in ("numpy", "strict"):
        nnx.seed(3)
        outs.append(nnx.to_numpy(dropout(nnx.asarray(np.ones(SHAPE, "f4"), backend=name), 0.3)))
    with nnx.use_kernels("off"):
        nnx.seed(3)
        outs.append(dropout(np.ones(SHAPE, "f4"), 0.3))
    np.testing.assert_array_equal(outs[0], outs[1])
    np.testing.assert_array_equal(outs[0], outs[2])


def test_nothing_is_dropped_in_evaluation_or_with_p_0(xp_backend: Any) -> None:
    x = ones(xp_backend)
    before = random.get_state()["dropout"]
    assert dropout(x, 0.5, training=False) is x
    assert dropout(x, 0.0) is x
    assert nnx.Dropout(0.5).eval()(x) is x
    assert random.get_state()["dropout"] == before


def test_everything_is_dropped_with_p_1(xp_backend: Any) -> None:
    out, pullback = nnx.vjp(lambda x: dropout(x, 1.0), ones(xp_backend))
    assert not nnx.to_numpy(out).any()
    assert not nnx.to_numpy(pullback(out + 1)[0]).any()


def test_a_seed_repeats_it(xp_backend: Any) -> None:
    layer, x = nnx.Dropout(0.4), ones(xp_backend)
    runs = []
    for _ in range(2):
        nnx.seed(1)
        runs.append([nnx.to_numpy(layer(x)) for _ in range(2)])
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0][0] != runs[0][1]).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_is_scaled_by_the_mask(xp_backend: Any, dtype: str) -> None:
    values = np.random.default_rng(0).uniform(0.5, 1.5, SHAPE)
    x, g = xp_backend.array(values, dtype), xp_backend.array(values[::-1], dtype)
    nnx.seed(2)
    out, pullback = nnx.vjp(lambda a: dropout(a, 0.25), x)
    mask = xp_backend.array(nnx.to_numpy(out) != 0, dtype)
    assert_close(out, x * mask / 0.75)
    assert_close(pullback(g)[0], g * mask / 0.75)


def test_second_derivatives_replay_the_mask(xp_backend: Any) -> None:
    """The mask is drawn once: differentiating twice must not draw another."""
    x = xp_backend.array(np.random.default_rng(0).uniform(0.5, 1.5, (4, 5)))

    def f(a: Any) -> Any:
        with random.use_dropout_stream(random.Stream(5)):
            return dropout(a * a * a, 0.5)

    nnx.check_grads(f, (x,))


def test_the_mean_stays(xp_backend: Any) -> None:
    nnx.seed(0)
    out = nnx.to_numpy(dropout(ones(xp_backend, shape=(200, 500)), 0.3))
    assert abs(np.mean(out == 0) - 0.3) < 5 * np.sqrt(0.21 / out.size)
    assert abs(out.mean() - 1) < 5 * np.sqrt(0.3 / 0.7 / out.size)


def test_a_probability_of_numpy_does_not_promote(xp_backend: Any) -> None:
    for mode in ("off", "auto"):
        with nnx.use_kernels(mode):
            x = ones(xp_backend, "float32")
            assert dropout(x, np.float64(0.5)).dtype == x.dtype


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_p_is_a_probability(p: float) -> None:
    with pytest.raises(ValueError, match="dropout: expected p to be a number from 0 to 1, got"):
        dropout(np.ones(2), p)
    with pytest.raises(ValueError, match="Dropout: expected p to be a number from 0 to 1, got"):
        nnx.Dropout(p)
