"""Initialisers with a structure, gains and fans; and everything that is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

import nnx
from nnx import init
from nnx.errors import DTypeError, ShapeError

# ------------------------------------------------------------------ exact values


def features_last(tensor: Any) -> np.ndarray:
    """PyTorch's (out, in, *kernel) as nnx's (out, *kernel, in)."""
    return np.moveaxis(tensor.numpy(), 1, -1)


@pytest.mark.parametrize("shape", [(3, 3), (2, 5), (5, 2)])
def test_eye_is_pytorch_s(shape: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(init.eye(shape), torch.nn.init.eye_(torch.empty(shape)).numpy())


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("shape", [(6, 3, 2), (6, 2, 4), (6, 3, 4, 2), (12, 3, 3, 9), (6, 3, 1, 5, 2)])
def test_dirac_is_pytorch_s(shape: tuple[int, ...], groups: int) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.nn.init.dirac_(torch.empty(shape[0], shape[-1], *shape[1:-1]), groups)
    np.testing.assert_array_equal(init.dirac(shape, groups), features_last(theirs))


def test_constants() -> None:
    np.testing.assert_array_equal(init.constant((2, 3), -0.25), np.full((2, 3), -0.25, "float32"))
    np.testing.assert_array_equal(init.ones([2]), np.ones(2, "float32"))
    np.testing.assert_array_equal(init.zeros((1, 2)), np.zeros((1, 2), "float32"))
    assert init.constant((), 3).shape == ()


# ------------------------------------------------------------------ orthogonality


@pytest.mark.parametrize("gain", [1.0, 2.5])
@pytest.mark.parametrize("shape", [(7, 7), (4, 9), (9, 4), (6, 3, 3, 5), (50, 2, 2, 5), (5, 1), (1, 5)])
def test_orthogonal(shape: tuple[int, ...], gain: float) -> None:
    w = init.orthogonal(shape, gain, dtype="float64")
    assert w.shape == shape
    matrix = w.reshape(shape[0], -1)
    product = matrix @ matrix.T if shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, gain**2 * np.eye(len(product)), atol=1e-12)


def test_orthogonal_matrices_are_drawn_evenly() -> None:
    """Each entry of an even 3×3 rotation or reflection is even in [-1, 1], and both signs of the determinant occur."""
    nnx.seed(0)
    drawn = np.stack([init.orthogonal((3, 3), dtype="float64") for _ in range(2000)])
    for i in range(3):
        for j in range(3):
            assert stats.kstest(drawn[:, i, j], stats.uniform(-1, 2).cdf).pvalue > 1e-3
    assert abs(np.linalg.det(drawn).mean()) < 0.1


@pytest.mark.parametrize("shape", [(4, 3, 2), (5, 3, 3, 5), (6, 1, 3, 5, 4)])
def test_delta_orthogonal_keeps_the_length_of_pixels(shape: tuple[int, ...]) -> None:
    w = init.delta_orthogonal(shape, gain=2.0, dtype="float64")
    centre = (slice(None), *(length // 2 for length in shape[1:-1]))
    np.testing.assert_allclose(w[centre].T @ w[centre], 4 * np.eye(shape[-1]), atol=1e-12)
    w[centre] = 0
    assert not w.any()


@pytest.mark.parametrize(("sparsity", "zeros"), [(0.0, 0), (0.1, 2), (0.5, 10), (0.51, 11), (1.0, 20)])
def test_sparse(sparsity: float, zeros: int) -> None:
    nnx.seed(0)
    w = init.sparse((20, 500), sparsity, std=0.5, dtype="float64")
    assert ((w == 0).sum(axis=0) == zeros).all()
    if 0 < zeros < 20:
        assert (w == 0).any(axis=1).all()  # at random places
        assert ((w == 0).sum(axis=1) - 500 * zeros / 20).std() > 1
    if zeros < 20:
        assert stats.kstest(w[w != 0], stats.norm(0, 0.5).cdf).pvalue > 1e-3


# ------------------------------------------------------------------ gains and fans

NONLINEARITIES: list[tuple[str, Any]] = [
    *((name, None) for name in ("linear", "conv1d", "conv2d", "conv3d", "sigmoid", "tanh", "relu", "selu")),
    *((f"conv_transpose{n}d", None) for n in (1, 2, 3)),
    *(("leaky_relu", slope) for slope in (None, 0, 0.2, 1, 5.0, -0.1)),
    ("relu", 0.3),
]


@pytest.mark.parametrize(("nonlinearity", "param"), NONLINEARITIES)
def test_gains_are_pytorch_s(nonlinearity: str, param: float | None) -> None:
    torch = pytest.importorskip("torch")
    assert init.calculate_gain(nonlinearity, param) == pytest.approx(
        torch.nn.init.calculate_gain(nonlinearity, param), rel=1e-15
    )


@pytest.mark.parametrize("shape", [(3, 4), (6, 5, 2), (6, 3, 5, 2), (6, 2, 3, 4, 1)])
def test_fans_are_pytorch_s(shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.empty(shape[0], shape[-1], *shape[1:-1])
    assert init.fans(shape) == torch.nn.init._calculate_fan_in_and_fan_out(theirs)


def test_kaiming_keeps_the_variance_through_relu() -> None:
    nnx.seed(0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 400))
    for _ in range(10):
        x = np.maximum(x, 0) @ init.kaiming_normal((400, 400), nonlinearity="relu", dtype="float64").T
    assert 0.5 < x.var() < 2


def test_orthogonal_starts_with_the_lengths_of_its_input() -> None:
    x = np.random.default_rng(0).standard_normal((5, 16))
    y = x @ init.orthogonal((16, 16), dtype="float64").T
    np.testing.assert_allclose(np.linalg.norm(y, axis=1), np.linalg.norm(x, axis=1))


def test_fixup_scale() -> None:
    nnx.seed(0)
    plain = init.kaiming_normal((8, 4), nonlinearity="relu", dtype="float64")
    nnx.seed(0)
    np.testing.assert_allclose(init.fixup((8, 4), 9, dtype="float64"), plain / 3, rtol=1e-12)
    assert math.isclose(9 ** (-1 / 2), 1 / 3)


# ------------------------------------------------------------------ errors

P = nnx.Parameter(np.ones((2, 3)))
ARGUMENTS: list[tuple[Callable, type[Exception], str]] = [
    (
        lambda: init.xavier_uniform(P),
        TypeError,
        "xavier_uniform: expected a shape such as (3, 4), got Parameter; write parameter.value = "
        "nnx.init.xavier_uniform(parameter.shape).",
    ),
    (lambda: init.normal(3), TypeError, "normal: expected a shape such as (3, 4), got 3; pass a tuple of lengths."),
    (lambda: init.zeros("ab"), TypeError, "zeros: expected a shape such as (3, 4), got 'ab'"),
    (
        lambda: init.ones((2, -1)),
        ShapeError,
        "ones: expected lengths in shape to be integers of at least 0, got (2, -1); pass such as (3, 4).",
    ),
    (lambda: init.uniform((2.0, 3)), ShapeError, "uniform: expected lengths in shape to be integers of at least 0"),
    (
        lambda: init.uniform((2,), dtype="int64"),
        DTypeError,
        "uniform: expected a floating-point dtype",
    ),
    (lambda: init.zeros((2,), dtype="float31"), DTypeError, "zeros: expected a floating-point dtype"),
    (
        lambda: init.uniform((2,), 1.0, 0.0),
        ValueError,
        "uniform: expected a to be at most b, got a=1.0, b=0.0; exchange",
    ),
    (lambda: init.uniform((2,), float("nan")), ValueError, "uniform: expected a to be a finite number, got nan"),
    (lambda: init.uniform((2,), 0.0, float("inf")), ValueError, "uniform: expected b to be a finite number, got inf"),
    (lambda: init.normal((2,), std=-1.0), ValueError, "normal: expected std to be a number of at least 0, got -1.0"),
    (
        lambda: init.normal((2,), mean="0"),
        TypeError,
        "normal: expected mean to be a finite number, got '0'; pass a float.",
    ),
    (
        lambda: init.trunc_normal((2,), std=0),
        ValueError,
        "trunc_normal: expected std to be a number above 0, got 0; use constant",
    ),
    (
        lambda: init.trunc_normal((2,), a=2.0, b=2.0),
        ValueError,
        "trunc_normal: expected a to be below b, got a=2.0, b=2.0",
    ),
    (lambda: init.constant((2,), None), TypeError, "constant: expected val to be a finite number, got None"),
    (
        lambda: init.kaiming_normal((3,)),
        ShapeError,
        "kaiming_normal: expected a shape (out, in) or (out, *kernel, in / groups), got (3,); use uniform,",
    ),
    (lambda: init.fans((3,)), ShapeError, "fans: expected a shape (out, in) or (out, *kernel, in / groups), got (3,)"),
    (lambda: init.lecun_normal(()), ShapeError, "lecun_normal: expected a shape (out, in)"),
    (
        lambda: init.xavier_normal((3, 4), gain=-1),
        ValueError,
        "xavier_normal: expected gain to be a number of at least 0",
    ),
    (
        lambda: init.kaiming_uniform((3, 4), mode="fan_avg"),
        ValueError,
        "kaiming_uniform: expected mode to be one of 'fan_in', 'fan_out', got 'fan_avg'.",
    ),
    (
        lambda: init.kaiming_uniform((3, 4), a=float("nan")),
        ValueError,
        "kaiming_uniform: expected a to be a finite number",
    ),
    (
        lambda: init.kaiming_normal((3, 4), nonlinearity="gelu"),
        ValueError,
        "expected nonlinearity to be one of 'linear', 'co",
    ),
    (
        lambda: init.calculate_gain("leaky_relu", True),
        TypeError,
        "calculate_gain: expected param to be a finite number",
    ),
    (
        lambda: init.calculate_gain("leaky_relu", "x"),
        TypeError,
        "calculate_gain: expected param to be a finite number, got 'x'; pass a float.",
    ),
    (lambda: init.calculate_gain("swish"), ValueError, "calculate_gain: expected nonlinearity to be one of 'linear'"),
    (lambda: init.variance_scaling((3, 4), scale=-1), ValueError, "variance_scaling: expected scale to be a number"),
    (
        lambda: init.variance_scaling((3, 4), mode="fan"),
        ValueError,
        "one of 'fan_in', 'fan_out', 'fan_avg', got 'fan'.",
    ),
    (
        lambda: init.variance_scaling((3, 4), distribution="x"),
        ValueError,
        "expected distribution to be one of 'uniform'",
    ),
    (lambda: init.eye((2, 3, 4)), ShapeError, "eye: expected a shape (out, in), got (2, 3, 4); dirac is its like"),
    (lambda: init.dirac((2, 3)), ShapeError, "dirac: expected (out, *kernel, in / groups) of 3 to 5 axes, got (2, 3)"),
    (lambda: init.dirac((5, 3, 2), groups=2), ValueError, "dirac: expected groups to divide the 5 outputs, got 2"),
    (lambda: init.dirac((5, 3, 2), groups=0), ValueError, "dirac: expected groups to divide the 5 outputs, got 0"),
    (
        lambda: init.orthogonal((3,)),
        ShapeError,
        "orthogonal: expected a shape of 2 or more axes, such as (out, in), got",
    ),
    (lambda: init.orthogonal((3, 4), gain=float("inf")), ValueError, "orthogonal: expected gain to be a finite number"),
    (lambda: init.sparse((3,), 0.5), ShapeError, "sparse: expected a shape (out, in), got (3,); use normal"),
    (lambda: init.sparse((3, 4), 1.5), ValueError, "sparse: expected sparsity to be a number from 0 to 1, got 1.5"),
    (lambda: init.sparse((3, 4), 0.5, std=-1), ValueError, "sparse: expected std to be a number of at least 0, got -1"),
    (
        lambda: init.delta_orthogonal((4, 2, 2)),
        ShapeError,
        "delta_orthogonal: expected (out, *kernel, in) with odd kernel lengths, got (4, 2, 2); see orthogonal.",
    ),
    (
        lambda: init.delta_orthogonal((4, 2)),
        ShapeError,
        "delta_orthogonal: expected (out, *kernel, in) with odd kernel",
    ),
    (
        lambda: init.delta_orthogonal((4, 3, 5)),
        ShapeError,
        "delta_orthogonal: expected at least as many outputs as inputs, got 4 and 5 in (4, 3, 5); use orthogonal.",
    ),
    (lambda: init.fixup((4, 4), 0), ValueError, "fixup: expected num_branches to be a positive integer, got 0"),
    (lambda: init.fixup((4, 4), 3, 1), ValueError, "layers_per_branch to be an integer of at least 2, got 1."),
    (lambda: init.fixup((4,), 3), ShapeError, "fixup: expected a shape (out, in)"),
]


@pytest.mark.parametrize(("make", "error", "text"), ARGUMENTS)
def test_arguments_are_checked(make: Callable, error: type[Exception], text: str) -> None:
    state = nnx.random.get_state()
    with pytest.raises(error) as caught:
        make()
    assert text in str(caught.value)
    assert error is DTypeError or nnx.random.get_state() == state  # nothing was drawn
