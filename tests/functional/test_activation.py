"""relu, gelu, softmax, log_softmax: against PyTorch, with derivatives, in every dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx import functional
from nnx.errors import DTypeError
from tests.tolerances import assert_close

RNG = np.random.default_rng(0)
CALLS = [
    ("relu", {}, {}),
    ("gelu", {}, {}),
    ("gelu", {"approximate": "tanh"}, {"approximate": "tanh"}),
    ("softmax", {}, {"dim": -1}),
    ("softmax", {"axis": 0}, {"dim": 0}),
    ("log_softmax", {}, {"dim": -1}),
    ("log_softmax", {"axis": 1}, {"dim": 1}),
]
SHAPES = [(3, 5), (1, 1), (2, 7, 3), (4, 1, 2)]


@pytest.mark.parametrize(("name", "options", "theirs"), CALLS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients_agree_with_torch(xp_backend: Any, name: str, options: dict, theirs: dict, shape: tuple):
    torch = pytest.importorskip("torch")
    values, cotangent = RNG.standard_normal(shape) * 4, RNG.standard_normal(shape)
    x = torch.tensor(values, requires_grad=True)
    expected = getattr(torch.nn.functional, name)(x, **theirs)
    expected.backward(torch.tensor(cotangent))
    out, pullback = nnx.vjp(lambda a: getattr(functional, name)(a, **options), xp_backend.array(values))
    np.testing.assert_allclose(nnx.to_numpy(out), expected.detach().numpy(), rtol=1e-9, atol=1e-12)
    (grad,) = pullback(xp_backend.array(cotangent))
    np.testing.assert_allclose(nnx.to_numpy(grad), x.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "options", "_"), CALLS)
def test_second_derivatives(xp_backend: Any, name: str, options: dict, _: dict) -> None:
    x = xp_backend.array(RNG.uniform(0.2, 1.5, (3, 4)) * RNG.choice([-1.0, 1.0], (3, 4)))
    nnx.check_grads(lambda a: getattr(functional, name)(a, **options), (x,))


@pytest.mark.parametrize(("name", "options", "_"), CALLS)
def test_float32_stays_float32(xp_backend: Any, name: str, options: dict, _: dict) -> None:
    x = xp_backend.array(RNG.standard_normal((3, 4)), "float32")
    out, pullback = nnx.vjp(lambda a: getattr(functional, name)(a, **options), x)
    assert out.dtype == x.dtype
    assert pullback(out)[0].dtype == x.dtype


def test_relu_at_zero_and_beyond(xp_backend: Any) -> None:
    values = [0.0, -0.0, np.nan, np.inf, -np.inf]
    out, pullback = nnx.vjp(functional.relu, xp_backend.array(values))
    assert_close(out, [0.0, 0.0, np.nan, np.inf, 0.0])
    assert_close(pullback(xp_backend.array([1.0] * 5))[0], [0.0, 0.0, 1.0, 1.0, 0.0])


def test_relu_keeps_integers(xp_backend: Any) -> None:
    assert_close(functional.relu(xp_backend.array([-2, 3])), [0, 3])


def test_softmax_does_not_overflow(xp_backend: Any) -> None:
    x = xp_backend.array([[1000.0, 1000.0], [-1e30, 0.0]])
    assert_close(functional.softmax(x), [[0.5, 0.5], [0.0, 1.0]])
    assert_close(functional.log_softmax(x), [[-np.log(2), -np.log(2)], [-1e30, 0.0]])


@pytest.mark.parametrize("function", [functional.gelu, functional.dropout])
def test_integers_are_refused_where_they_make_no_sense(xp_backend: Any, function: Callable) -> None:
    text = f"{function.__name__}: expected a floating-point array, got dtype int64; cast it first."
    with pytest.raises(DTypeError, match=text):
        function(xp_backend.array([1, 2]))


def test_gelu_has_two_kinds() -> None:
    with pytest.raises(ValueError, match="gelu: expected approximate='none' or 'tanh', got 'sigmoid'"):
        functional.gelu(np.ones(1), approximate="sigmoid")
    with pytest.raises(ValueError, match="GELU: expected approximate='none' or 'tanh', got 'sigmoid'"):
        nnx.GELU("sigmoid")
    with pytest.raises(TypeError, match="list"):
        functional.relu([1.0])


def test_relu_takes_integers_but_no_complex_numbers() -> None:
    np.testing.assert_array_equal(nnx.functional.relu(np.asarray([-1, 2])), [0, 2])
    for mode in ("off", "auto"):
        with (
            nnx.use_kernels(mode),
            pytest.raises(DTypeError, match=r"^relu: expected a real array, got dtype complex128"),
        ):
            nnx.functional.relu(np.asarray([1.0 + 1.0j]))
