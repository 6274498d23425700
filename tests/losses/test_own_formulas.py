"""The losses that PyTorch lacks, against their formulas written out in NumPy."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.dtypes import dtype_name

RNG = np.random.default_rng(0)
X, SIGNS = RNG.standard_normal((5, 3)) * 2, RNG.choice([-1.0, 1.0], (5, 3))
Y, HARD = RNG.uniform(0, 1, (5, 3)), RNG.choice([0.0, 1.0], (5, 3))
MASKS = RNG.uniform(0.02, 0.98, (2, 4, 3, 2)), RNG.choice([0.0, 1.0], (2, 4, 3, 2))


def hinge(x: np.ndarray, y: np.ndarray, margin: float = 1.0) -> np.ndarray:
    return np.maximum(0, margin - y * x)


def squared_hinge(x: np.ndarray, y: np.ndarray, margin: float = 1.0) -> np.ndarray:
    return np.maximum(0, margin - y * x) ** 2


def focal(x: np.ndarray, y: np.ndarray, alpha: float | None = 0.25, gamma: float = 2.0) -> np.ndarray:
    """The formula of torchvision's `sigmoid_focal_loss`."""
    p = 1 / (1 + np.exp(-x))
    entropy = -(y * np.log(p) + (1 - y) * np.log(1 - p))
    right = p * y + (1 - p) * (1 - y)
    losses = entropy * (1 - right) ** gamma
    return losses if alpha is None else (alpha * y + (1 - alpha) * (1 - y)) * losses


def quantile(x: np.ndarray, y: np.ndarray, quantile: float = 0.5) -> np.ndarray:
    return np.maximum(quantile * (y - x), (quantile - 1) * (y - x))


def log_cosh(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.log(np.cosh(x - y))


def dice(x: np.ndarray, y: np.ndarray, smooth: float = 1.0) -> np.ndarray:
    return 1 - (2 * (x * y).sum((1, 2)) + smooth) / (x.sum((1, 2)) + y.sum((1, 2)) + smooth)


def tversky(x: np.ndarray, y: np.ndarray, alpha: float = 0.3, beta: float = 0.7, smooth: float = 1.0) -> np.ndarray:
    both, extra, missed = ((a * b).sum((1, 2)) for a, b in ((x, y), (x, 1 - y), (1 - x, y)))
    return 1 - (both + smooth) / (both + alpha * extra + beta * missed + smooth)


# name -> (class, formula, arrays, options to try)
TABLE: dict[str, tuple[str, Callable, tuple, list[dict]]] = {
    "hinge_loss": ("HingeLoss", hinge, (X, SIGNS), [{}, {"margin": 0.0}, {"margin": 2.5}]),
    "squared_hinge_loss": ("SquaredHingeLoss", squared_hinge, (X, SIGNS), [{}, {"margin": 0.0}, {"margin": 2.5}]),
    "focal_loss": (
        "FocalLoss",
        focal,
        (X, Y),
        [{"alpha": a, "gamma": g} for a, g in itertools.product((None, 0.25, 0.9), (0.0, 0.5, 1.0, 2.0, 3.3))],
    ),
    "quantile_loss": ("QuantileLoss", quantile, (X, Y), [{}, {"quantile": 0.1}, {"quantile": 0.95}]),
    "log_cosh_loss": ("LogCoshLoss", log_cosh, (X, Y), [{}]),
    "dice_loss": ("DiceLoss", dice, MASKS, [{}, {"smooth": 0.1}]),
    "tversky_loss": ("TverskyLoss", tversky, MASKS, [{}, {"alpha": 0.0, "beta": 2.0}, {"smooth": 1e-3}]),
}
REDUCE: dict[str, Callable] = {"mean": np.mean, "sum": np.sum, "none": lambda values: values}


def slopes(f: Callable, x: np.ndarray, h: float = 1e-6) -> np.ndarray:
    """Central differences of a scalar function, one element at a time."""
    out = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = h
        out[index] = (f(x + step) - f(x - step)) / (2 * h)
    return out


@pytest.mark.parametrize("name", TABLE)
def test_values_and_gradients_are_those_of_the_formula(xp_backend: Any, name: str) -> None:
    made, formula, (x, y), choices = TABLE[name]
    function, target = getattr(nnx.functional, name), xp_backend.array(y)
    for options, (reduction, reduce) in itertools.product(choices, REDUCE.items()):
        out = function(xp_backend.array(x), target, **options, reduction=reduction)
        np.testing.assert_allclose(nnx.to_numpy(out), reduce(formula(x, y, **options)), rtol=1e-9, atol=1e-12)
        loss = getattr(nnx, made)(**options, reduction=reduction)
        np.testing.assert_array_equal(nnx.to_numpy(loss(xp_backend.array(x), target)), nnx.to_numpy(out))
        assert f"reduction={reduction!r}" in repr(loss)
        assert not loss.state_dict()
    for options in choices:
        grad = nnx.grad(lambda a, o=options: function(a, target, **o, reduction="sum"))(xp_backend.array(x))
        expected = slopes(lambda a, o=options: float(np.sum(formula(a, y, **o))), x)
        np.testing.assert_allclose(nnx.to_numpy(grad), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", TABLE)
def test_second_derivatives(xp_backend: Any, name: str) -> None:
    _, _, (x, y), choices = TABLE[name]
    function, target = getattr(nnx.functional, name), xp_backend.array(y)
    for options in [*choices, *({"reduction": reduction} for reduction in REDUCE)]:
        nnx.check_grads(lambda a, o=options: function(a, target, **o), (xp_backend.array(x),))


def test_targets_have_derivatives(xp_backend: Any) -> None:
    x, y = xp_backend.array(X), xp_backend.array(0.1 + 0.8 * Y)
    for f in (nnx.functional.focal_loss, nnx.functional.quantile_loss, nnx.functional.log_cosh_loss):
        nnx.check_grads(lambda b, f=f: f(x, b), (y,))


@pytest.mark.parametrize("name", TABLE)
def test_float32_stays_float32(xp_backend: Any, name: str) -> None:
    _, _, arrays, choices = TABLE[name]
    x, y = (xp_backend.array(a, "float32") for a in arrays)
    for options in choices:
        out, grad = nnx.value_and_grad(lambda a, o=options: getattr(nnx.functional, name)(a, y, **o))(x)
        assert dtype_name(out.dtype) == dtype_name(grad.dtype) == "float32"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "targets", "options"),
    [
        ("focal_loss", (0.0, 1.0), {}),
        ("focal_loss", (0.0, 1.0), {"gamma": 0.5}),
        ("log_cosh_loss", (0.0, 1.0), {}),
        ("soft_margin_loss", (-1.0, 1.0), {}),
        ("binary_cross_entropy_with_logits", (0.0, 1.0), {}),
        ("multilabel_soft_margin_loss", (0.0, 1.0), {}),
        ("hinge_loss", (-1.0, 1.0), {}),
        ("smooth_l1_loss", (0.0, 1.0), {}),
        ("huber_loss", (0.0, 1.0), {}),
    ],
)
def test_no_overflow(xp_backend: Any, dtype: str, name: str, targets: tuple, options: dict) -> None:
    """Large scores of both signs: finite losses and slopes, and no warning, which would be an error here."""
    largest = 1e30 if name in ("huber_loss", "smooth_l1_loss", "hinge_loss") else 1e5
    x = xp_backend.array([[-largest, -1e3, -120.0, 0.0, 120.0, 1e3, largest]], dtype)
    for target in targets:
        y = xp_backend.array(np.full((1, 7), target), dtype)
        loss, grad = nnx.value_and_grad(lambda a, t=y: getattr(nnx.functional, name)(a, t, **options))(x)
        assert np.isfinite(float(loss))
        assert np.all(np.isfinite(nnx.to_numpy(grad)))


def test_overlap_of_equal_and_of_disjoint_masks(xp_backend: Any) -> None:
    ones, zeros = (xp_backend.array(np.full((2, 3, 3, 1), value)) for value in (1.0, 0.0))
    for f in (nnx.functional.dice_loss, nnx.functional.tversky_loss):
        assert float(f(ones, ones)) == 0.0
        assert float(f(zeros, zeros)) == 0.0
        assert float(f(ones, zeros, smooth=1e-6)) == pytest.approx(1.0, abs=1e-5)
