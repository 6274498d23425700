"""Activations with learned or random slopes, and those that PyTorch lacks: prelu, swish, rrelu, sparsemax, maxout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nnx
from nnx import functional
from nnx.errors import DTypeError, ShapeError
from tests.activation_table import Activation, points
from tests.tolerances import assert_close

RNG = np.random.default_rng(0)
SHAPES = [(5,), (3, 5), (2, 3, 4, 5), (0, 5)]
VALUES = points(Activation("prelu", "PReLU"))


def close(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(nnx.to_numpy(actual), expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("per_channel", [False, True])
def test_prelu_is_that_of_torch(xp_backend: Any, shape: tuple, per_channel: bool) -> None:
    torch = pytest.importorskip("torch")
    values = np.resize(VALUES, shape)
    slopes = RNG.standard_normal(shape[-1] if per_channel else 1)
    x, w = torch.tensor(values, requires_grad=True), torch.tensor(slopes, requires_grad=True)
    rows = x.reshape(-1, shape[-1])  # PyTorch's channels are the second axis
    expected = torch.nn.functional.prelu(rows, w).reshape(shape)
    cotangent = RNG.standard_normal(shape)
    expected.backward(torch.tensor(cotangent))
    out, pullback = nnx.vjp(functional.prelu, xp_backend.array(values), xp_backend.array(slopes))
    close(out, expected.detach().numpy())
    grads = pullback(xp_backend.array(cotangent))
    close(grads[0], x.grad.numpy())
    np.testing.assert_allclose(nnx.to_numpy(grads[1]), w.grad.numpy(), rtol=1e-9, atol=1e-9)  # sums of up to 1e6


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("per_channel", [False, True])
def test_swish_is_written_out(xp_backend: Any, shape: tuple, per_channel: bool) -> None:
    torch = pytest.importorskip("torch")
    values, betas = RNG.standard_normal(shape) * 6, RNG.standard_normal(shape[-1] if per_channel else 1)
    x, b = torch.tensor(values, requires_grad=True), torch.tensor(betas, requires_grad=True)
    expected = x / (1 + torch.exp(-b * x))
    cotangent = RNG.standard_normal(shape)
    expected.backward(torch.tensor(cotangent))
    out, pullback = nnx.vjp(functional.swish, xp_backend.array(values), xp_backend.array(betas))
    close(out, expected.detach().numpy())
    for found, theirs in zip(pullback(xp_backend.array(cotangent)), (x.grad, b.grad), strict=True):
        np.testing.assert_allclose(nnx.to_numpy(found), theirs.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("beta", [0, 1.0, -2.5, np.float32(1.5), np.float64(3.0)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_swish_with_a_number(xp_backend: Any, beta: float, dtype: str) -> None:
    values = np.linspace(-9, 9, 37)
    out = functional.swish(xp_backend.array(values, dtype), beta)
    assert_close(out, xp_backend.array(values / (1 + np.exp(-float(beta) * values)), dtype))
    if beta == 1:
        assert_close(out, functional.silu(xp_backend.array(values, dtype)))


@pytest.mark.parametrize("function", [functional.prelu, functional.swish])
def test_learned_slopes(xp_backend: Any, function: Any) -> None:
    x = RNG.uniform(0.2, 2.0, (3, 4)) * RNG.choice([-1.0, 1.0], (3, 4))
    for size in (1, 4):
        nnx.check_grads(function, (xp_backend.array(x), xp_backend.array(RNG.uniform(0.1, 0.9, size))))
    x32, w32 = xp_backend.array(x, "float32"), xp_backend.array([0.5], "float32")
    for tracked in range(2):  # one of the two is raw: neither may refuse the other
        call = (lambda a: function(a, w32)) if tracked == 0 else (lambda b: function(x32, b))
        out, pullback = nnx.vjp(call, (x32, w32)[tracked])
        (grad,) = pullback(out)
        assert out.dtype == grad.dtype == x32.dtype
        assert grad.shape == (x32, w32)[tracked].shape
    scalar = function(xp_backend.array(-2.0), xp_backend.array([0.5]))
    assert scalar.shape == ()


@pytest.mark.parametrize(("function", "name"), [("prelu", "weight"), ("swish", "beta")])
def test_learned_slopes_must_fit(xp_backend: Any, function: str, name: str) -> None:
    layer = {"prelu": "PReLU", "swish": "Swish"}[function]
    call = getattr(functional, function)
    x, w = xp_backend.array(np.ones((2, 3, 8, 8))), xp_backend.array(np.ones(3))
    text = (
        rf"expected {name} of shape \(1,\) or \(8,\), the last axis of the input, got \(3,\) for an input of shape "
        r"\(2, 3, 8, 8\)\. This looks like channels in the second axis; use xp\.permute_dims\(x, \(0, 2, 3, 1\)\)\.$"
    )
    with pytest.raises(ShapeError, match=f"^{function}: {text}"):
        call(x, w)
    with pytest.raises(ShapeError, match=rf"^{layer}\(3\): {text}"):
        getattr(nnx, layer)(3, dtype="float64")(x)
    text = rf"expected input of dtype float32, that of the {name}, got float64\. Cast it, e\.g\. xp\.astype\(x, xp"
    with pytest.raises(DTypeError, match=f"^{function}: {text}"):
        call(x, xp_backend.array(np.ones(8), "float32"))
    with pytest.raises(DTypeError, match=rf"^{layer}\(1\): {text}"):
        getattr(nnx, layer)()(x)
    with pytest.raises(ShapeError, match=rf"{function}: expected {name} of shape \(1,\) or \(8,\).*got \(2, 4\)"):
        call(x, xp_backend.array(np.ones((2, 4))))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rrelu_draws_its_slopes_while_training(xp_backend: Any, dtype: str) -> None:
    values = np.concatenate([-np.ones(4000), np.zeros(3), np.ones(5)])
    x = xp_backend.array(values, dtype)
    nnx.seed(11)
    out, pullback = nnx.vjp(lambda a: functional.rrelu(a, 0.25, 0.75, training=True), x)
    (grad,) = pullback(xp_backend.array(np.ones(values.shape), dtype))
    assert out.dtype == grad.dtype == x.dtype
    slopes, grads = -nnx.to_numpy(out)[:4000], nnx.to_numpy(grad)
    assert 0.25 <= slopes.min() < 0.26
    assert 0.74 < slopes.max() < 0.75
    assert abs(slopes.mean() - 0.5) < 0.01
    np.testing.assert_array_equal(grads[:4000], slopes)
    np.testing.assert_array_equal(grads[4003:], 1.0)
    assert ((grads[4000:4003] >= 0.25) & (grads[4000:4003] < 0.75)).all()
    nnx.seed(11)
    with nnx.use_backend("numpy"):  # the same numbers everywhere
        again = functional.rrelu(values.astype(dtype), 0.25, 0.75, training=True)
    np.testing.assert_array_equal(nnx.to_numpy(out), again)
    assert not np.array_equal(functional.rrelu(values.astype(dtype), 0.25, 0.75, training=True), again)


def test_rrelu_layer_follows_its_mode() -> None:
    layer, x = nnx.RReLU(0.25, 0.75), -np.ones(100)
    assert np.unique(layer(x)).size > 90
    np.testing.assert_array_equal(layer.eval()(x), -0.5)
    assert layer.train()(np.ones((2, 0))).shape == (2, 0)
    np.testing.assert_array_equal(nnx.RReLU(0.5, 0.5)(x), -0.5)


def sparsemax_by_bisection(z: np.ndarray) -> np.ndarray:
    """The definition: max(z - tau, 0) with the tau that makes the sum 1."""
    low, high = z.min() - 1.0, z.max()
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(z - middle, 0).sum() > 1 else (low, middle)
    return np.maximum(z - low, 0)


@pytest.mark.parametrize("scale", [0.01, 0.3, 3.0])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_sparsemax_is_the_nearest_point_of_the_simplex(xp_backend: Any, scale: float, axis: int) -> None:
    values = RNG.standard_normal((4, 5, 6)) * scale + 7
    cotangent = RNG.standard_normal(values.shape)
    out, pullback = nnx.vjp(lambda a: functional.sparsemax(a, axis), xp_backend.array(values))
    expected = np.apply_along_axis(sparsemax_by_bisection, axis, values)
    np.testing.assert_allclose(nnx.to_numpy(out), expected, rtol=1e-9, atol=1e-12)
    support = expected > 1e-13  # the Jacobian is that of a projection: the mean over the support is taken away
    mean = (cotangent * support).sum(axis, keepdims=True) / support.sum(axis, keepdims=True)
    close(pullback(xp_backend.array(cotangent))[0], support * (cotangent - mean))


def test_sparsemax_at_the_edges(xp_backend: Any) -> None:
    rows = [[1e300, 0.0, -1e300], [2.0, 2.0, 2.0], [0.0, 1.0, -np.inf], [5.0, 4.0, 3.0], [1e16, 1e16, 0.0]]
    third = 1 / 3
    expected = [[1.0, 0.0, 0.0], [third] * 3, [0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]
    assert_close(functional.sparsemax(xp_backend.array(rows)), expected)
    assert_close(functional.sparsemax(xp_backend.array([[np.nan, 1.0], [0.0, 0.0]])), [[np.nan] * 2, [0.5] * 2])
    assert_close(functional.sparsemax(xp_backend.array([3.0])), [1.0])
    assert functional.sparsemax(xp_backend.array(np.zeros((3, 0)))).shape == (3, 0)


@pytest.mark.parametrize(
    ("pool_size", "axis", "shape"), [(2, -1, (3, 8)), (4, 1, (2, 8, 3)), (3, 0, (6,)), (1, 0, (2, 3))]
)
def test_maxout_takes_the_largest_of_each_group(xp_backend: Any, pool_size: int, axis: int, shape: tuple) -> None:
    torch = pytest.importorskip("torch")
    values = RNG.permutation(np.arange(float(np.prod(shape)))).reshape(shape)
    x = torch.tensor(values, requires_grad=True)
    parts = x.unflatten(axis, (-1, pool_size))
    expected = parts.amax(dim=axis if axis < 0 else axis + 1)
    cotangent = RNG.standard_normal(tuple(expected.shape))
    expected.backward(torch.tensor(cotangent))
    out, pullback = nnx.vjp(lambda a: functional.maxout(a, pool_size, axis), xp_backend.array(values))
    close(out, expected.detach().numpy())
    close(pullback(xp_backend.array(cotangent))[0], x.grad.numpy())


def test_maxout_splits_the_gradient_of_a_tie(xp_backend: Any) -> None:
    _, pullback = nnx.vjp(lambda a: functional.maxout(a, 2), xp_backend.array([1.0, 1.0, 3.0, 2.0]))
    assert_close(pullback(xp_backend.array([1.0, 1.0]))[0], [0.5, 0.5, 1.0, 0.0])


def test_hard_swish_has_a_limit_where_torch_gives_nan(xp_backend: Any) -> None:
    assert_close(functional.hardswish(xp_backend.array([-np.inf, np.inf])), [0.0, np.inf])
