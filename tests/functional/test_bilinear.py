"""bilinear and its layer: against PyTorch, and the texts of their errors."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import DTypeError, MixedBackendsError, ShapeError
from nnx.functional import bilinear

RNG = np.random.default_rng(0)
SHAPES = [(3,), (1, 3), (5, 3), (0, 3), (2, 4, 3)]


def arrays(shape: tuple, bias: bool) -> list[np.ndarray]:
    return [RNG.standard_normal(s) for s in (shape, (*shape[:-1], 4), (5, 3, 4), (5,))][: 4 if bias else 3]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients_agree_with_torch(xp_backend: Any, shape: tuple, bias: bool) -> None:
    torch = pytest.importorskip("torch")
    values = arrays(shape, bias)
    theirs = [torch.tensor(a, requires_grad=True) for a in values]
    expected = torch.nn.functional.bilinear(*theirs)
    cotangent = RNG.standard_normal(tuple(expected.shape))
    expected.backward(torch.tensor(cotangent))
    out, pullback = nnx.vjp(bilinear, *[xp_backend.array(a) for a in values])
    np.testing.assert_allclose(nnx.to_numpy(out), expected.detach().numpy(), rtol=1e-9, atol=1e-12)
    for grad, their in zip(pullback(xp_backend.array(cotangent)), theirs, strict=True):
        np.testing.assert_allclose(nnx.to_numpy(grad), their.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_second_derivatives_and_dtype(xp_backend: Any) -> None:
    values = [xp_backend.array(a) for a in arrays((2, 2, 3), True)]
    nnx.check_grads(bilinear, values)
    for i in range(4):
        nnx.check_grads(lambda a, i=i: bilinear(*values[:i], a, *values[i + 1 :]), (values[i],))
    values = [xp_backend.array(nnx.to_numpy(a), "float32") for a in values]
    out, pullback = nnx.vjp(bilinear, *values)
    assert {str(out.dtype), *[str(g.dtype) for g in pullback(out)]} == {str(values[0].dtype)}


def test_the_layer_is_that_of_torch(xp_backend: Any) -> None:
    torch = pytest.importorskip("torch")
    layer, other = nnx.Bilinear(3, 4, 5, dtype="float64"), torch.nn.Bilinear(3, 4, 5).double()
    assert {k: tuple(v.shape) for k, v in layer.state_dict().items()} == {
        k: tuple(v.shape) for k, v in other.state_dict().items()
    }
    layer.load_state_dict({key: value.numpy() for key, value in other.state_dict().items()})
    x1, x2 = RNG.standard_normal((6, 3)), RNG.standard_normal((6, 4))
    expected = other(torch.tensor(x1), torch.tensor(x2)).detach().numpy()
    found = layer(xp_backend.array(x1), xp_backend.array(x2))
    np.testing.assert_allclose(nnx.to_numpy(found), expected, rtol=1e-9)
    assert list(nnx.Bilinear(3, 4, 5, bias=False).state_dict()) == ["weight"]
    assert repr(layer) == "Bilinear(in1_features=3, in2_features=4, out_features=5, bias=True)"


def test_the_layer_starts_as_torch_does() -> None:
    nnx.seed(0)
    layer, bound = nnx.Bilinear(16, 20, 300), 1 / 4
    for array in (layer.weight, layer.bias):
        assert array.dtype == np.float32
        assert abs(float(np.abs(array).max()) - bound) < 0.02 * bound
        assert abs(float(array.mean())) < 5 * bound / np.sqrt(3 * array.size)


def zeros(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("args", "error", "text"),
    [
        ((zeros(2, 4), zeros(2, 4)), ShapeError, "expected input1 of shape (..., 3), got (2, 4)."),
        ((zeros(2, 3), zeros(2, 3)), ShapeError, "expected input2 of shape (..., 4), got (2, 3)."),
        ((zeros(), zeros(2, 3)), ShapeError, "expected input1 of shape (..., 3), got ()."),
        (
            (zeros(2, 3), zeros(4)),
            ShapeError,
            "expected two inputs that are alike up to the last axis, got (2, 3) and (4,); use xp.broadcast_to on the",
        ),
        (
            (zeros(2, 3), zeros(2, 4, dtype="float64")),
            DTypeError,
            "expected input2 of dtype float32, that of the weight, got float64. Cast it",
        ),
        (([1.0], zeros(4)), TypeError, "expected input1 to be an array, got list; use nnx.asarray(input1)."),
        ((nnx.asarray(zeros(2, 3), backend="strict"), zeros(2, 4)), MixedBackendsError, "expected arrays of one back"),
    ],
)
def test_inputs_that_do_not_fit(args: tuple, error: type[Exception], text: str) -> None:
    layer = nnx.Bilinear(3, 4, 5)
    for label, call in (
        ("Bilinear(3, 4, 5)", layer),
        ("bilinear", lambda *a: bilinear(*a, layer.weight, layer.bias)),
    ):
        with pytest.raises(error, match=f"^{re.escape(f'{label}: {text}')}"):
            call(*args)


def test_weights_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"expected weight of shape \(out_features, in1_features, in2_features\), got"):
        bilinear(zeros(2, 3), zeros(2, 4), zeros(3, 4))
    with pytest.raises(ShapeError, match=r"bilinear: expected bias of shape \(5,\), got \(4,\)\."):
        bilinear(zeros(2, 3), zeros(2, 4), zeros(5, 3, 4), zeros(4))
    with pytest.raises(ValueError, match="Bilinear: expected in2_features to be a positive integer, got 0"):
        nnx.Bilinear(3, 0, 5)
