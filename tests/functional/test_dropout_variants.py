"""Dropout of channels, alpha dropout and Gaussian noise: which bits, which moments, when, and what is refused."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

import nnx
from nnx import functional, random
from nnx.errors import DTypeError, ShapeError

LIMIT = -1.7580993408473766
CHANNELS = [("dropout1d", (5, 7, 6)), ("dropout2d", (5, 3, 4, 6)), ("dropout3d", (5, 2, 3, 2, 6))]
# function, layer, the name of its argument
ALL = [
    ("dropout1d", "Dropout1d", "p", (5, 7, 6)),
    ("dropout2d", "Dropout2d", "p", (5, 3, 4, 6)),
    ("dropout3d", "Dropout3d", "p", (5, 2, 3, 2, 6)),
    ("alpha_dropout", "AlphaDropout", "p", (5, 7, 6)),
    ("feature_alpha_dropout", "FeatureAlphaDropout", "p", (5, 7, 6)),
    ("gaussian_dropout", "GaussianDropout", "rate", (5, 7, 6)),
    ("gaussian_noise", "GaussianNoise", "stddev", (5, 7, 6)),
]
PROBABILITIES = [row for row in ALL if row[2] == "p"]


def call(name: str, x: Any, amount: float, training: bool = True) -> Any:
    return getattr(functional, name)(x, amount, training=training)


def numbers(shape: tuple, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.5, 1.5, shape)


def expected_mask(shape: tuple, p: float) -> np.ndarray:
    """The mask that the next draw from the dropout stream gives, without drawing it."""
    stream = random.dropout_stream()
    key, counter = random.Stream(stream.seed, stream.counter).reserve(math.prod(shape))
    return random.bernoulli_mask(key, counter, shape, 1.0 - p)


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize(("name", "shape"), CHANNELS)
def test_whole_channels_are_dropped(xp_backend: Any, name: str, shape: tuple, batched: bool) -> None:
    nnx.seed(3)
    shape = shape if batched else shape[1:]
    values = numbers(shape)
    for _ in range(3):
        kept = (shape[0], *[1] * (len(shape) - 2), 6) if batched else (*[1] * (len(shape) - 1), 6)
        mask = expected_mask(kept, 0.4)
        out = nnx.to_numpy(call(name, xp_backend.array(values), 0.4))
        np.testing.assert_allclose(out, values * mask / 0.6, rtol=1e-15)
    nnx.seed(3)
    other = nnx.to_numpy(call(name, xp_backend.array(values), 0.4))
    assert (other != out).any(), "each call draws another mask"


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", ["alpha_dropout", "feature_alpha_dropout"])
def test_alpha_dropout_is_the_formula_of_the_paper(xp_backend: Any, name: str, p: float) -> None:
    nnx.seed(1)
    values = numbers((5, 7, 6))
    mask = expected_mask((5, 7, 6) if name == "alpha_dropout" else (5, 1, 6), p)
    a = ((1 - p) * (1 + p * LIMIT**2)) ** -0.5
    expected = a * (values * mask + LIMIT * (1 - mask)) - a * p * LIMIT
    np.testing.assert_allclose(nnx.to_numpy(call(name, xp_backend.array(values), p)), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["alpha_dropout", "feature_alpha_dropout"])
def test_alpha_dropout_has_the_values_of_torch(name: str) -> None:
    """The masks differ: dropped elements have one value, and where both keep an element they agree."""
    torch = pytest.importorskip("torch")
    values = numbers((50, 2, 8))
    their_x = torch.tensor(np.moveaxis(values, -1, 1).copy())
    their = np.moveaxis(getattr(torch.nn.functional, name)(their_x, 0.3, True).numpy(), 1, -1)
    out = call(name, values, 0.3)
    dropped = out.min()  # the inputs are positive
    np.testing.assert_allclose(their.min(), dropped, rtol=1e-12)
    both = (out > dropped + 1e-9) & (their > dropped + 1e-9)
    assert both.any()
    np.testing.assert_allclose(out[both], their[both], rtol=1e-12)


@pytest.mark.parametrize("p", [0.05, 0.3, 0.7])
@pytest.mark.parametrize("name", ["alpha_dropout", "feature_alpha_dropout"])
def test_alpha_dropout_keeps_mean_0_and_variance_1(name: str, p: float) -> None:
    nnx.seed(0)
    n = 400_000
    x = np.random.default_rng(0).standard_normal((n // 4, 4))
    out = call(name, x, p)
    assert abs(out.mean()) < 5 / math.sqrt(n)
    fourth = ((out - out.mean()) ** 4).mean()
    assert abs(out.var() - 1) < 5 * math.sqrt(fourth / n)


@pytest.mark.parametrize(("name", "shape"), CHANNELS)
def test_dropout_of_channels_keeps_the_mean(name: str, shape: tuple) -> None:
    nnx.seed(0)
    out = call(name, np.ones((20_000, *[1] * (len(shape) - 2), 6)), 0.3)
    assert abs((out == 0).mean() - 0.3) < 5 * math.sqrt(0.21 / out.size)
    assert abs(out.mean() - 1) < 5 * math.sqrt(0.3 / 0.7 / out.size)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_gaussian_dropout_has_the_moments_of_dropout(rate: float) -> None:
    nnx.seed(0)
    out = functional.gaussian_dropout(np.ones(400_001), rate)
    variance = rate / (1 - rate)
    assert abs(out.mean() - 1) < 5 * math.sqrt(variance / out.size)
    assert abs(out.var() / variance - 1) < 5 * math.sqrt(2 / out.size)


def test_gaussian_noise_is_normal() -> None:
    stats = pytest.importorskip("scipy.stats")
    nnx.seed(0)
    out = functional.gaussian_noise(np.zeros(200_001), 0.5)
    assert stats.kstest(out / 0.5, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(out[:-1], out[1:])[0, 1]) < 5 / math.sqrt(out.size)
    half = (out.size + 1) // 2
    assert abs(np.corrcoef(out[: half - 1], out[half:])[0, 1]) < 5 / math.sqrt(half)
    assert np.isfinite(functional.gaussian_noise(np.zeros(2_000_000, "float32"), 1.0)).all()


def test_noise_is_made_of_the_words_of_the_stream(xp_backend: Any) -> None:
    nnx.seed(4)
    for n in (1, 2, 7):
        pairs = (n + 1) // 2
        stream = random.dropout_stream()
        key, counter = random.Stream(stream.seed, stream.counter).reserve(2 * pairs)
        u, v = random.uniform(key, counter, (2, pairs)).astype("float64")
        radius = np.sqrt(-2 * np.log(1 - u))
        expected = np.concatenate([radius * np.cos(2 * np.pi * v), radius * np.sin(2 * np.pi * v)])[:n]
        found = nnx.to_numpy(functional.gaussian_noise(xp_backend.array(np.zeros(n)), 1.0))
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("name", "layer", "argument", "shape"), ALL)
def test_evaluation_and_nothing_to_do_give_the_input_back(
    xp_backend: Any, name: str, layer: str, argument: str, shape: tuple
) -> None:
    x = xp_backend.array(numbers(shape))
    before = random.get_state()["dropout"]
    assert call(name, x, 0.5, training=False) is x
    assert call(name, x, 0.0) is x
    assert getattr(nnx, layer)(0.5).eval()(x) is x
    assert random.get_state()["dropout"] == before


@pytest.mark.parametrize(("name", "layer", "argument", "shape"), ALL)
def test_layers_do_what_functions_do(xp_backend: Any, name: str, layer: str, argument: str, shape: tuple) -> None:
    x, made = xp_backend.array(numbers(shape)), getattr(nnx, layer)(**{argument: 0.25})
    nnx.seed(2)
    found = nnx.to_numpy(made(x))
    nnx.seed(2)
    np.testing.assert_array_equal(found, nnx.to_numpy(call(name, x, 0.25)))
    assert repr(made) == f"{layer}({argument}=0.25)"


@pytest.mark.parametrize(("name", "layer", "argument", "shape"), ALL)
def test_derivatives_use_the_same_draw(xp_backend: Any, name: str, layer: str, argument: str, shape: tuple) -> None:
    def f(x: Any) -> Any:
        with random.use_dropout_stream(random.Stream(5)):
            return call(name, x * x, 0.5)

    nnx.check_grads(f, (xp_backend.array(numbers(shape)),))


@pytest.mark.parametrize(("name", "layer", "argument", "shape"), ALL)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dtype_stays(xp_backend: Any, name: str, layer: str, argument: str, shape: tuple, dtype: str) -> None:
    check_dtype(name, xp_backend.array(numbers(shape), dtype), 1e-5)


@pytest.mark.parametrize(("name", "layer", "argument", "shape"), ALL)
def test_float16_stays(name: str, layer: str, argument: str, shape: tuple) -> None:
    check_dtype(name, numbers(shape).astype("float16"), 4e-3)


def check_dtype(name: str, x: Any, tolerance: float) -> None:
    for amount in (0.5, np.float64(0.5)):  # a number of NumPy does not promote
        nnx.seed(0)
        out, pullback = nnx.vjp(lambda a, amount=amount: call(name, a, amount), x)
        assert out.dtype == pullback(out)[0].dtype == x.dtype
    nnx.seed(0)
    wide = call(name, nnx.to_numpy(x).astype("float64"), 0.5)
    np.testing.assert_allclose(nnx.to_numpy(out).astype("float64"), wide, rtol=tolerance, atol=tolerance)


def test_the_same_bits_on_every_backend() -> None:
    for name, _, _, shape in PROBABILITIES:
        outs = []
        for backend in ("numpy", "strict"):
            nnx.seed(3)
            outs.append(nnx.to_numpy(call(name, nnx.asarray(numbers(shape).astype("f4"), backend=backend), 0.3)))
        np.testing.assert_array_equal(*outs)


@pytest.mark.parametrize(("name", "layer", "argument", "shape"), PROBABILITIES)
def test_everything_is_dropped_with_p_1(xp_backend: Any, name: str, layer: str, argument: str, shape: tuple) -> None:
    out, pullback = nnx.vjp(lambda x: call(name, x, 1.0), xp_backend.array(numbers(shape)))
    assert not nnx.to_numpy(out).any()
    assert not nnx.to_numpy(pullback(out + 1)[0]).any()


@pytest.mark.parametrize(("name", "layer", "argument", "shape"), ALL)
def test_an_empty_batch(xp_backend: Any, name: str, layer: str, argument: str, shape: tuple) -> None:
    x = xp_backend.array(np.zeros((0, *shape[1:])))
    out, pullback = nnx.vjp(lambda a: call(name, a, 0.5), x)
    assert out.shape == pullback(out)[0].shape == x.shape


WRONG = [
    *(
        (row, value, error, f"expected p to be a number from 0 to 1, got {value!r}; pass one in that range.")
        for row in PROBABILITIES
        for value, error in ((-0.1, ValueError), (1.5, ValueError), (float("nan"), ValueError), ("a", TypeError))
    ),
    (ALL[-2], 1.0, ValueError, "expected rate to be a number from 0 to below 1, got 1.0; pass one in that range."),
    (ALL[-2], -0.1, ValueError, "expected rate to be a number from 0 to below 1, got -0.1; pass one in that range."),
    (ALL[-2], None, TypeError, "expected rate to be a number from 0 to below 1, got None; pass one in that range."),
    (ALL[-1], -0.1, ValueError, "expected stddev to be a number of at least 0, got -0.1; pass one in that range."),
    (ALL[-1], "a", TypeError, "expected stddev to be a number of at least 0, got 'a'; pass one in that range."),
]


@pytest.mark.parametrize(("row", "value", "error", "text"), WRONG)
def test_wrong_amounts(row: tuple, value: Any, error: type[Exception], text: str) -> None:
    name, layer, _, shape = row
    for label, make in ((layer, getattr(nnx, layer)), (name, lambda v: call(name, np.ones(shape), v, training=False))):
        with pytest.raises(error, match=f"^{re.escape(f'{label}: {text}')}$"):
            make(value)


@pytest.mark.parametrize(("name", "layer", "argument", "shape"), ALL)
@pytest.mark.parametrize("training", [True, False])
def test_integers_are_refused(name: str, layer: str, argument: str, shape: tuple, training: bool) -> None:
    with pytest.raises(DTypeError, match=f"^{name}: expected a floating-point array, got dtype int64; cast it first.$"):
        call(name, np.ones(shape, "int64"), 0.5, training)


@pytest.mark.parametrize(
    ("name", "shape", "text"),
    [
        ("dropout1d", (3,), "expected (N, L, C) or (L, C), got (3,)."),
        ("dropout2d", (3, 4), "expected (N, H, W, C) or (H, W, C), got (3, 4)."),
        ("dropout2d", (1, 1, 2, 3, 4), "expected (N, H, W, C) or (H, W, C), got (1, 1, 2, 3, 4)."),
        ("dropout3d", (2, 3, 4), "expected (N, D, H, W, C) or (D, H, W, C), got (2, 3, 4)."),
        ("feature_alpha_dropout", (3,), "expected (N, ..., channels), got (3,); the batch is the first axis."),
    ],
)
def test_shapes_are_checked_in_evaluation_too(name: str, shape: tuple, text: str) -> None:
    for training in (True, False):
        with pytest.raises(ShapeError, match=f"^{re.escape(f'{name}: {text}')}$"):
            call(name, np.ones(shape), 0.5, training)
