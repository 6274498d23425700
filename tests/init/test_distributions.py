"""Initialisers that draw: the right distribution, the same bits everywhere, and no more draws than they need."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

import nnx
from nnx import init

# 0.001 of right distributions fail; the seed is fixed, so that a right one that passes passes always.
SIGNIFICANCE = 1e-3
LINEAR = (150, 250)
CONV = (48, 3, 5, 40)  # fan_in 600, fan_out 720


def even(bound: float) -> Any:
    return stats.uniform(-bound, 2 * bound)


def cut(mean: float, std: float, a: float, b: float) -> Any:
    return stats.truncnorm((a - mean) / std, (b - mean) / std, loc=mean, scale=std)


RELU = math.sqrt(2.0)
LEAKY = math.sqrt(2 / (1 + 0.3**2))
CUT_TO_ONE = 1 / stats.truncnorm(-2, 2).std()
DRAWS: dict[str, tuple[Callable[..., Any], Any]] = {
    "uniform": (lambda **k: init.uniform(LINEAR, **k), stats.uniform(0, 1)),
    "uniform, bounds": (lambda **k: init.uniform(LINEAR, -0.5, 0.25, **k), stats.uniform(-0.5, 0.75)),
    "normal": (lambda **k: init.normal(LINEAR, **k), stats.norm()),
    "normal, moments": (lambda **k: init.normal(LINEAR, 2.0, 0.5, **k), stats.norm(2.0, 0.5)),
    "trunc_normal": (lambda **k: init.trunc_normal(LINEAR, **k), cut(0, 1, -2, 2)),
    "trunc_normal, shifted": (lambda **k: init.trunc_normal(LINEAR, 1.0, 0.5, 0.7, 3.0, **k), cut(1, 0.5, 0.7, 3)),
    "trunc_normal, narrow": (lambda **k: init.trunc_normal(LINEAR, 0.0, 1.0, -0.1, 0.2, **k), cut(0, 1, -0.1, 0.2)),
    "trunc_normal, tail": (lambda **k: init.trunc_normal(LINEAR, 0.0, 1.0, 5.0, 900.0, **k), cut(0, 1, 5, 900)),
    "trunc_normal, left tail": (lambda **k: init.trunc_normal(LINEAR, 3.0, 2.0, -90.0, -2.0, **k), cut(3, 2, -90, -2)),
    "xavier_uniform": (lambda **k: init.xavier_uniform(LINEAR, **k), even(math.sqrt(6 / 400))),
    "xavier_uniform, gain": (lambda **k: init.xavier_uniform(CONV, 3.0, **k), even(3 * math.sqrt(6 / 1320))),
    "xavier_normal": (lambda **k: init.xavier_normal(LINEAR, **k), stats.norm(0, math.sqrt(2 / 400))),
    "xavier_normal, gain": (lambda **k: init.xavier_normal(CONV, 3.0, **k), stats.norm(0, 3 * math.sqrt(2 / 1320))),
    "kaiming_uniform": (lambda **k: init.kaiming_uniform(LINEAR, **k), even(RELU * math.sqrt(3 / 250))),
    "kaiming_uniform, a": (lambda **k: init.kaiming_uniform(CONV, 0.3, **k), even(LEAKY * math.sqrt(3 / 600))),
    "kaiming_uniform, mode": (
        lambda **k: init.kaiming_uniform(CONV, mode="fan_out", nonlinearity="tanh", **k),
        even(5 / 3 * math.sqrt(3 / 720)),
    ),
    "kaiming_normal": (lambda **k: init.kaiming_normal(CONV, **k), stats.norm(0, RELU / math.sqrt(600))),
    "kaiming_normal, a": (lambda **k: init.kaiming_normal(LINEAR, 0.3, **k), stats.norm(0, LEAKY / math.sqrt(250))),
    "kaiming_normal, mode": (
        lambda **k: init.kaiming_normal(LINEAR, mode="fan_out", nonlinearity="linear", **k),
        stats.norm(0, 1 / math.sqrt(150)),
    ),
    "lecun_uniform": (lambda **k: init.lecun_uniform(CONV, **k), even(math.sqrt(3 / 600))),
    "lecun_normal": (lambda **k: init.lecun_normal(LINEAR, **k), stats.norm(0, 1 / math.sqrt(250))),
    "variance_scaling": (
        lambda **k: init.variance_scaling(LINEAR, **k),
        stats.truncnorm(-2, 2, scale=CUT_TO_ONE / math.sqrt(250)),
    ),
    "variance_scaling, uniform": (
        lambda **k: init.variance_scaling(CONV, 2.0, "fan_out", "uniform", **k),
        even(math.sqrt(6 / 720)),
    ),
    "variance_scaling, normal": (
        lambda **k: init.variance_scaling(CONV, 2.0, "fan_avg", "normal", **k),
        stats.norm(0, math.sqrt(2 / 660)),
    ),
    "fixup": (lambda **k: init.fixup(CONV, 16, **k), stats.norm(0, RELU / math.sqrt(600) / 4)),
    "fixup, 3 layers": (lambda **k: init.fixup(CONV, 16, 3, **k), stats.norm(0, RELU / math.sqrt(600) / 2)),
}
OTHERS: dict[str, Callable[..., Any]] = {
    "orthogonal": lambda **k: init.orthogonal((12, 3, 7), gain=1.5, **k),
    "delta_orthogonal": lambda **k: init.delta_orthogonal((12, 3, 3, 7), **k),
    "sparse": lambda **k: init.sparse((20, 30), 0.3, **k),
    "dirac": lambda **k: init.dirac((6, 3, 2), groups=3, **k),
    "eye": lambda **k: init.eye((3, 4), **k),
    "zeros": lambda **k: init.zeros((2, 3), **k),
    "ones": lambda **k: init.ones((2, 3), **k),
    "constant": lambda **k: init.constant((2, 3), 0.3, **k),
}
ALL = {**{name: make for name, (make, _) in DRAWS.items()}, **OTHERS}


@pytest.mark.parametrize("name", DRAWS)
def test_distributions(name: str) -> None:
    make, wanted = DRAWS[name]
    nnx.seed(0)
    values = np.ravel(make(dtype="float64"))
    assert stats.kstest(values, wanted.cdf).pvalue > SIGNIFICANCE
    low, high = wanted.support()
    assert values.min() >= low
    assert values.max() <= high
    n = values.size
    assert values.mean() == pytest.approx(wanted.mean(), abs=4 * wanted.std() / math.sqrt(n))
    assert values.std() == pytest.approx(wanted.std(), rel=0.03)
    # Neighbours are independent: drawn in any order, but each once.
    assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 4 / math.sqrt(n)


def test_the_test_rejects_a_wrong_scale() -> None:
    nnx.seed(0)
    values = np.ravel(init.kaiming_normal(CONV, dtype="float64"))
    assert stats.kstest(values, stats.norm(0, 1.05 * RELU / math.sqrt(600)).cdf).pvalue < SIGNIFICANCE


@pytest.mark.parametrize(
    "name", ["uniform", "normal", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal"]
)
@pytest.mark.parametrize("shape", [(90, 120), (40, 5, 60), (30, 2, 3, 50), (10, 2, 3, 2, 30)])
def test_pytorch_draws_from_the_same_distribution(name: str, shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.empty((shape[0], shape[-1], *shape[1:-1]), dtype=torch.float64)
    getattr(torch.nn.init, name + "_")(theirs, generator=torch.Generator().manual_seed(0))
    nnx.seed(0)
    ours = getattr(init, name)(shape, dtype="float64")
    assert stats.ks_2samp(np.ravel(ours), np.ravel(theirs.numpy())).pvalue > SIGNIFICANCE
    np.testing.assert_allclose(np.std(ours), theirs.std().item(), rtol=0.05)


@pytest.mark.parametrize("options", [{}, {"std": 0.02, "a": -0.03, "b": 0.05}, {"mean": 0.5, "a": 2.0, "b": 3.0}])
def test_trunc_normal_is_pytorch_s(options: dict) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.empty(20_000, dtype=torch.float64)
    torch.nn.init.trunc_normal_(theirs, **options, generator=torch.Generator().manual_seed(0))
    nnx.seed(0)
    ours = init.trunc_normal((20_000,), **options, dtype="float64")
    assert stats.ks_2samp(ours, theirs.numpy()).pvalue > SIGNIFICANCE


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_on_every_backend(xp_backend: Any, name: str, dtype: str) -> None:
    nnx.seed(3)
    values = ALL[name](dtype=dtype)
    after = nnx.random.init_generator().random()
    assert nnx.get_backend(values).name == xp_backend.backend.name
    with nnx.use_backend("numpy"):
        nnx.seed(3)
        reference = ALL[name](dtype=dtype)
    assert nnx.random.init_generator().random() == after
    found = nnx.to_numpy(values)
    assert str(found.dtype) == dtype
    np.testing.assert_array_equal(found, reference)


@pytest.mark.parametrize("name", ALL)
def test_float32_by_default(name: str) -> None:
    assert ALL[name]().dtype == np.float32


@pytest.mark.parametrize("name", [*DRAWS, "orthogonal", "delta_orthogonal", "sparse"])
def test_other_seeds_give_other_values(name: str) -> None:
    nnx.seed(0)
    first, second = ALL[name](), ALL[name]()
    assert not np.array_equal(first, second)
    nnx.seed(0)
    np.testing.assert_array_equal(ALL[name](), first)


def test_a_parameter_takes_new_values(xp_backend: Any) -> None:
    layer = nnx.Linear(3, 4)
    weight = layer.parameter("weight")
    nnx.seed(0)
    weight.value = init.xavier_uniform(weight.shape)
    nnx.seed(0)
    np.testing.assert_array_equal(nnx.to_numpy(layer.weight), nnx.to_numpy(init.xavier_uniform((4, 3))))


def test_linear_draws_what_it_drew() -> None:
    """Weights of published seeds stay: uniform in ±1/sqrt(in_features), one draw for each number."""
    nnx.seed(0)
    layer = nnx.Linear(4, 3)
    generator = np.random.Generator(np.random.Philox(key=0 + 1 * 2**64))
    np.testing.assert_array_equal(layer.weight, generator.uniform(-0.5, 0.5, (3, 4)).astype("float32"))
    np.testing.assert_array_equal(layer.bias, generator.uniform(-0.5, 0.5, (3,)).astype("float32"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: init.uniform((0, 3)),
        lambda: init.trunc_normal((3, 0)),
        lambda: init.xavier_uniform((0, 0)),
        lambda: init.kaiming_normal((3, 0)),
        lambda: init.variance_scaling((3, 0)),
        lambda: init.orthogonal((0, 3)),
        lambda: init.delta_orthogonal((3, 3, 0)),
        lambda: init.sparse((0, 3), 0.5),
        lambda: init.dirac((0, 3, 3)),
    ],
)
def test_empty_arrays(make: Callable[[], Any]) -> None:
    assert make().size == 0
