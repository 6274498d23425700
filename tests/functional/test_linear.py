"""linear: against PyTorch, and the texts of its errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import DTypeError, MixedBackendsError, ShapeError
from nnx.functional import linear

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(3,), (1, 3), (5, 3), (0, 3), (2, 4, 3), (2, 1, 2, 3)], ids=str)
def test_values_and_gradients_agree_with_torch(xp_backend: Any, shape: tuple, bias: bool) -> None:
    torch = pytest.importorskip("torch")
    arrays = [RNG.standard_normal(s) for s in (shape, (7, 3), (7,))][: 3 if bias else 2]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    expected = torch.nn.functional.linear(*theirs)
    cotangent = RNG.standard_normal(tuple(expected.shape))
    expected.backward(torch.tensor(cotangent))
    out, pullback = nnx.vjp(linear, *[xp_backend.array(a) for a in arrays])
    np.testing.assert_allclose(nnx.to_numpy(out), expected.detach().numpy(), rtol=1e-9, atol=1e-12)
    for grad, their in zip(pullback(xp_backend.array(cotangent)), theirs, strict=True):
        np.testing.assert_allclose(nnx.to_numpy(grad), their.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_second_derivatives_and_dtype(xp_backend: Any) -> None:
    arrays = [xp_backend.array(RNG.standard_normal(s)) for s in ((2, 4, 3), (5, 3), (5,))]
    nnx.check_grads(linear, arrays)
    x, w, b = arrays
    nnx.check_grads(lambda a: linear(a, w, b), (x,))
    nnx.check_grads(lambda a: linear(x, a, b), (w,))
    nnx.check_grads(lambda a: linear(x, w, a), (b,))
    arrays = [xp_backend.array(nnx.to_numpy(a), "float32") for a in arrays]
    out, pullback = nnx.vjp(linear, *arrays)
    assert {str(out.dtype), *[str(g.dtype) for g in pullback(out)]} == {str(arrays[0].dtype)}


SHAPES = [
    ((5, 4), (2, 3), None, r"linear: expected \(\.\.\., 3\), got \(5, 4\)\.$"),
    ((5, 3, 8), (2, 3), None, r"looks like features in the second axis; use xp\.permute_dims\(x, \(0, 2, 1\)\)"),
    ((5, 2, 2, 1), (2, 4), None, r"Flatten it first, e\.g\. with nnx\.Flatten\(\)"),
    ((5,), (2, 1), None, r"Add an axis, e\.g\. xp\.expand_dims\(x, axis=-1\)"),
    ((), (2, 1), None, r"expected \(\.\.\., 1\), got \(\)"),
    ((5, 3), (3,), None, r"expected weight of shape \(out_features, in_features\), got \(3,\)"),
    ((5, 3), (2, 3), (3,), r"expected bias of shape \(2,\), got \(3,\)"),
]


@pytest.mark.parametrize(("x", "weight", "bias", "text"), SHAPES)
def test_shapes_that_do_not_fit(xp_backend: Any, x: tuple, weight: tuple, bias: tuple | None, text: str) -> None:
    arrays = [None if s is None else xp_backend.array(np.zeros(s)) for s in (x, weight, bias)]
    with pytest.raises(ShapeError, match=text):
        linear(*arrays)


def test_dtypes_that_do_not_fit(xp_backend: Any) -> None:
    x, w, b = (xp_backend.array(np.zeros(s), "float32") for s in ((1, 3), (2, 3), (2,)))
    text = r"expected input of dtype float32, that of the weight, got float64\. Cast it, e\.g\. xp\.astype"
    with pytest.raises(DTypeError, match=text):
        linear(xp_backend.array(np.zeros((1, 3))), w, b)
    with pytest.raises(DTypeError, match="expected bias of dtype float32"):
        linear(x, w, xp_backend.array(np.zeros(2)))


def test_what_is_no_array(xp_backend: Any) -> None:
    x, w = (xp_backend.array(np.zeros(s), "float32") for s in ((1, 3), (2, 3)))
    with pytest.raises(
        TypeError, match=r"linear: expected weight to be an array, got list; use nnx\.asarray\(weight\)"
    ):
        linear(x, [[1.0]])
    with pytest.raises(TypeError, match=r"linear: expected bias to be an array, got float; use nnx\.asarray\(bias\)"):
        linear(x, w, 1.0)


def test_two_backends() -> None:
    with pytest.raises(MixedBackendsError, match="linear: expected arrays of one backend, got"):
        linear(np.ones((1, 2)), nnx.asarray(np.ones((2, 2)), backend="strict"))
    with pytest.raises(MixedBackendsError, match="linear: expected arrays of one backend, got"):
        linear(nnx.asarray(np.ones((1, 2)), backend="strict"), np.ones((2, 2)))
