"""Every activation function and its layer: against PyTorch, over every backend, with derivatives, in every dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nnx
from nnx import functional
from nnx.errors import DTypeError
from tests.activation_table import ALL, ELEMENTWISE, IN_TORCH, Activation, points, smooth_points
from tests.tolerances import assert_close

HUGE = [-1e300, -1e30, -1e4, 1e4, 1e30, 1e300]


def function_of(row: Activation) -> Any:
    return lambda x: getattr(functional, row.function)(x, **row.options)


def layer_of(row: Activation) -> Any:
    return getattr(nnx, row.layer)(**row.options).eval()


def close(actual: Any, expected: Any) -> None:
    """The bar of the shelf: 1e-9 relative; the absolute part is for what is rounding beside a one."""
    np.testing.assert_allclose(nnx.to_numpy(actual), expected, rtol=1e-9, atol=1e-14)


def torch_function(torch: Any, row: Activation) -> Any:
    """PyTorch's function. Two have derivatives with a constant rounded to float32: these are composed of others."""
    if row.function == "hardsigmoid":
        return lambda x: torch.nn.functional.hardtanh(x + 3, 0.0, 6.0) / 6
    if row.options == {"alpha": 0.4}:
        return lambda x: torch.where(x > 0, x, 0.4 * torch.expm1(x.clamp(max=0.0) / 0.4))
    return lambda x: getattr(torch.nn.functional, row.function)(x, **row.theirs)


@pytest.mark.parametrize("row", IN_TORCH, ids=str)
def test_values_and_gradients_are_those_of_torch(xp_backend: Any, row: Activation) -> None:
    torch = pytest.importorskip("torch")
    values = points(row)
    x = torch.tensor(values, requires_grad=True)
    expected = torch_function(torch, row)(x)
    cotangent = np.random.default_rng(6).standard_normal(tuple(expected.shape))
    expected.backward(torch.tensor(cotangent))
    for call in (function_of(row), layer_of(row)):
        out, pullback = nnx.vjp(call, xp_backend.array(values))
        close(out, expected.detach().numpy())
        close(pullback(xp_backend.array(cotangent))[0], x.grad.numpy())


@pytest.mark.parametrize("row", IN_TORCH, ids=str)
def test_layers_are_those_of_torch(row: Activation) -> None:
    torch = pytest.importorskip("torch")
    values = points(row)
    x = torch.tensor(values, requires_grad=True)
    expected = getattr(torch.nn, row.layer)(**row.theirs).eval()(x)
    out, pullback = nnx.vjp(layer_of(row), values)
    close(out, expected.detach().numpy())
    expected.sum().backward()
    (grad,) = pullback(np.ones_like(out))
    np.testing.assert_allclose(grad, x.grad.numpy(), rtol=1e-6, atol=1e-14)  # see torch_function


@pytest.mark.parametrize("row", ALL, ids=str)
def test_first_and_second_derivatives(xp_backend: Any, row: Activation) -> None:
    nnx.check_grads(function_of(row), (xp_backend.array(smooth_points(row)),))


@pytest.mark.parametrize("row", ALL, ids=str)
def test_float32_stays_float32(xp_backend: Any, row: Activation) -> None:
    values = smooth_points(row)
    x = xp_backend.array(values, "float32")
    out, pullback = nnx.vjp(function_of(row), x)
    assert out.dtype == pullback(out)[0].dtype == layer_of(row)(x).dtype == x.dtype
    close_enough = function_of(row)(np.asarray(values, dtype="f4").astype("f8"))
    np.testing.assert_allclose(nnx.to_numpy(out), close_enough, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("row", ALL, ids=str)
def test_an_empty_batch(xp_backend: Any, row: Activation) -> None:
    shape = (6, 6, 0, 6) if row.options.get("axis") in (0, 1) else (0, 6, 6)
    x = xp_backend.array(np.zeros(shape))
    out, pullback = nnx.vjp(function_of(row), x)
    assert 0 in out.shape
    assert pullback(out)[0].shape == shape


@pytest.mark.parametrize("row", ELEMENTWISE, ids=str)
def test_a_scalar_array_and_a_tracked_one(xp_backend: Any, row: Activation) -> None:
    (x,) = np.random.default_rng(1).standard_normal(1)
    out = function_of(row)(nnx.variable(xp_backend.array(x)))
    assert isinstance(out, nnx.Array)
    assert_close(nnx.stop_gradient(out), function_of(row)(np.asarray([x]))[0])


@pytest.mark.parametrize("row", ELEMENTWISE, ids=str)
def test_nan_stays_nan(xp_backend: Any, row: Activation) -> None:
    out = nnx.to_numpy(function_of(row)(xp_backend.array([np.nan, 1.0])))
    assert np.isnan(out).tolist() == [True, False]


@pytest.mark.parametrize("row", [row for row in ELEMENTWISE if row.function != "gelu"], ids=str)
def test_huge_inputs_neither_warn_nor_give_nan(xp_backend: Any, row: Activation) -> None:
    torch = pytest.importorskip("torch")
    expected = torch_function(torch, row)(torch.tensor(HUGE, dtype=torch.float64))
    out, pullback = nnx.vjp(function_of(row), xp_backend.array(HUGE))  # warnings are errors
    close(out, expected.numpy())
    assert np.isfinite(nnx.to_numpy(pullback(xp_backend.array(np.ones(6)))[0])).all()


@pytest.mark.parametrize("row", [row for row in ALL if row.function != "relu"], ids=str)
def test_integers_are_refused(xp_backend: Any, row: Activation) -> None:
    text = f"^{row.function}: expected a floating-point array, got dtype int64; cast it first.$"
    with pytest.raises(DTypeError, match=text):
        function_of(row)(xp_backend.array(np.ones((6, 6), dtype="int64")))
    with pytest.raises(TypeError, match=r"expected an array, got builtins\.list; use nnx\.asarray\(x\)"):
        function_of(row)([[1.0]])


@pytest.mark.parametrize("row", ALL, ids=str)
def test_layers_show_their_options(row: Activation) -> None:
    text = repr(layer_of(row))
    assert text.startswith(f"{row.layer}(")
    for name, value in row.options.items():
        assert f"{name}={value!r}" in text
