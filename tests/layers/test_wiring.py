"""Identity, Lambda, Residual and Unflatten: what they pass on, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import ShapeError


def test_identity_takes_anything_and_gives_the_input(xp_backend: Any) -> None:
    x = xp_backend.array(np.ones((2, 3)))
    assert nnx.Identity(54, unused=True)(x) is x
    assert repr(nnx.Identity(1)) == "Identity()"
    assert nnx.Identity().state_dict() == {}


def test_lambda_calls_a_function(xp_backend: Any) -> None:
    x = xp_backend.array(np.asarray([1.0, -2.0]))
    layer = nnx.Lambda(lambda a: a * a)
    np.testing.assert_array_equal(nnx.to_numpy(layer(x)), [1, 4])
    np.testing.assert_array_equal(nnx.to_numpy(nnx.grad(lambda a: nnx.namespace(a).sum(layer(a)))(x)), [2, -4])
    assert repr(nnx.Lambda(nnx.functional.relu)) == "Lambda(relu)"
    assert repr(layer) == "Lambda(<lambda>)"


def test_residual_adds_the_input(xp_backend: Any) -> None:
    nnx.seed(0)
    block = nnx.Residual(nnx.Linear(3, 5, dtype="float64"), nnx.Tanh(), nnx.Linear(5, 3, dtype="float64"))
    x = xp_backend.array(np.random.default_rng(0).standard_normal((4, 3)))
    np.testing.assert_allclose(nnx.to_numpy(block(x)), nnx.to_numpy(x + block.body(x)), rtol=1e-12)
    assert list(block.state_dict()) == ["body.0.weight", "body.0.bias", "body.2.weight", "body.2.bias"]
    nnx.check_grads(block, (x,))


def test_residual_with_a_projection(xp_backend: Any) -> None:
    block = nnx.Residual(nnx.Linear(3, 5), shortcut=nnx.Linear(3, 5, bias=False))
    assert list(block.state_dict()) == ["body.weight", "body.bias", "shortcut.weight"]
    x = xp_backend.array(np.random.default_rng(0).standard_normal((4, 3)), "float32")
    with nnx.record():
        out = block(x)
    assert out.shape == (4, 5)
    out.backward(nnx.stop_gradient(out))
    weight, shortcut = (block.parameter(name).grad for name in ("body.weight", "shortcut.weight"))
    np.testing.assert_allclose(nnx.to_numpy(weight), nnx.to_numpy(shortcut), rtol=1e-6)


def test_a_frozen_body_leaves_the_gradient_of_the_shortcut(xp_backend: Any) -> None:
    """One side is raw, the other one tracked, either way round."""
    x = xp_backend.array(np.ones((2, 3)), "float32")
    for frozen in ("body", "shortcut"):
        block = nnx.Residual(nnx.Linear(3, 5), shortcut=nnx.Linear(3, 5))
        block.module(frozen).freeze()
        with nnx.record():
            out = block(x)
        out.backward(nnx.stop_gradient(out))
        names = {name for name, parameter in block.named_parameters() if parameter.grad is not None}
        assert names == {"body.weight", "body.bias", "shortcut.weight", "shortcut.bias"} - {
            f"{frozen}.weight",
            f"{frozen}.bias",
        }


@pytest.mark.parametrize(
    ("dim", "sizes", "shape", "expected"),
    [
        (1, (2, 3), (4, 6), (4, 2, 3)),
        (1, (2, -1), (4, 6), (4, 2, 3)),
        (-1, [3, 2, 1], (4, 5, 6), (4, 5, 3, 2, 1)),
        (0, (2, 2), (4, 6), (2, 2, 6)),
        (1, (-1, 3), (0, 6), (0, 2, 3)),
        (1, (2, 3), (0, 6), (0, 2, 3)),
    ],
)
def test_unflatten_is_that_of_torch(xp_backend: Any, dim: int, sizes: Any, shape: tuple, expected: tuple) -> None:
    values = np.arange(np.prod(shape), dtype="float64").reshape(shape)
    found = nnx.Unflatten(dim, sizes)(xp_backend.array(values))
    assert found.shape == expected
    np.testing.assert_array_equal(nnx.to_numpy(found), values.reshape(expected))
    torch = pytest.importorskip("torch")
    if np.prod(shape):
        their = torch.nn.Unflatten(dim, tuple(sizes))(torch.tensor(values))
        np.testing.assert_array_equal(nnx.to_numpy(found), their.numpy())
    back = nnx.Flatten(dim % len(shape), dim % len(shape) + len(sizes) - 1)(found)
    np.testing.assert_array_equal(nnx.to_numpy(back), values)


X = np.ones((2, 6), "float32")


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: nnx.Lambda(3), TypeError, "Lambda: expected a function, got int; pass such as lambda x: x * x."),
        (
            lambda: nnx.Lambda(nnx.ReLU()),
            TypeError,
            "Lambda: expected a function, got the module ReLU; it is a layer already.",
        ),
        (lambda: nnx.Residual(), TypeError, "Residual: expected at least one layer, got none"),
        (lambda: nnx.Residual(nnx.ReLU), TypeError, "expected a Module, got the class ReLU; make one: ReLU(...)."),
        (
            lambda: nnx.Residual(nnx.ReLU(), shortcut=abs),
            TypeError,
            "Residual: expected shortcut to be a Module or None, got builtin_function_or_method.",
        ),
        (
            lambda: nnx.Residual(nnx.Linear(6, 4))(X),
            ShapeError,
            "Residual: expected two sides of one shape, got (2, 4) from the layers and (2, 6) around them; give it a "
            "shortcut, a layer that maps (2, 6) to the former.",
        ),
        (
            lambda: nnx.Residual(nnx.Linear(6, 4), shortcut=nnx.Linear(6, 5))(X),
            ShapeError,
            "got (2, 4) from the layers and (2, 5) around them; let the shortcut be a layer that maps (2, 6) to the fo",
        ),
        (lambda: nnx.Unflatten("1", (2, 3)), TypeError, "Unflatten: expected dim to be an integer, got '1'."),
        (lambda: nnx.Unflatten(1, 6), TypeError, "Unflatten: expected unflattened_size such as (8, 8), got 6."),
        (lambda: nnx.Unflatten(1, ()), TypeError, "Unflatten: expected unflattened_size such as (8, 8), got ()."),
        (lambda: nnx.Unflatten(1, (-1, -1)), ValueError, "expected -1 at most once in unflattened_size, got (-1, -1)."),
        (
            lambda: nnx.Unflatten(1, (2, 0)),
            ValueError,
            "Unflatten: expected every length in unflattened_size to be a positive integer, got 0.",
        ),
        (
            lambda: nnx.Unflatten(1, (2, 4))(X),
            ShapeError,
            "Unflatten(1, (2, 4)): expected an axis 1 of length 8, got (2, 6).",
        ),
        (
            lambda: nnx.Unflatten(1, (4, -1))(X),
            ShapeError,
            "Unflatten(1, (4, -1)): expected an axis 1 of length a multiple of 4, got (2, 6).",
        ),
        (lambda: nnx.Unflatten(2, (2, 3))(X), ShapeError, "Unflatten(2, (2, 3)): got an array with 2 axes, (2, 6)."),
        (
            lambda: nnx.Unflatten(1, (2, 3))([1]),
            TypeError,
            "Unflatten: expected input to be an array, got list; use nnx",
        ),
    ],
)
def test_wrong_arguments(make: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert text in str(caught.value)
