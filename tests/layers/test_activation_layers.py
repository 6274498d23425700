"""Activation layers: their parameters, and the errors of wrong arguments, which function and layer share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx import functional
from nnx.errors import ShapeError
from tests.activation_table import ALL

X = np.ones((2, 3))
NAN = float("nan")
FUNCTION = {row.layer: row.function for row in ALL}
# the layer, its wrong arguments, which its function takes too, the error and what it says
WRONG: list[tuple[str, dict, type[Exception], str]] = [
    (
        "LeakyReLU",
        {"negative_slope": "a"},
        TypeError,
        "expected negative_slope to be a finite number, got 'a'; pass a float.",
    ),
    ("LeakyReLU", {"negative_slope": True}, TypeError, "expected negative_slope to be a finite number, got True"),
    ("LeakyReLU", {"negative_slope": NAN}, ValueError, "expected negative_slope to be a finite number, got nan;"),
    ("RReLU", {"upper": 0.1}, ValueError, "expected lower not above upper, got lower=0.125 and upper=0.1; swap them."),
    ("RReLU", {"upper": None}, TypeError, "expected upper to be a number, got None"),
    ("ELU", {"alpha": None}, TypeError, "expected alpha to be a finite number, got None; pass a float."),
    (
        "CELU",
        {"alpha": 0},
        ValueError,
        "expected alpha to be a number above 0, got 0; as alpha goes to 0 it becomes relu.",
    ),
    ("CELU", {"alpha": -1.0}, ValueError, "expected alpha to be a number above 0, got -1.0"),
    ("Threshold", {"threshold": "1", "value": 0.0}, TypeError, "expected threshold to be a number, got '1'"),
    ("Threshold", {"threshold": 1, "value": [0]}, TypeError, "expected value to be a number, got [0]"),
    (
        "Softplus",
        {"beta": 0.0},
        ValueError,
        "expected beta to be a number other than 0, got 0.0; it divides the result.",
    ),
    ("Softplus", {"beta": float("inf")}, ValueError, "expected beta to be a finite number, got inf"),
    ("Softplus", {"threshold": NAN}, ValueError, "expected threshold to be a number, got nan;"),
    (
        "Hardtanh",
        {"min_val": 2},
        ValueError,
        "expected min_val not above max_val, got min_val=2.0 and max_val=1.0; swap",
    ),
    (
        "Softshrink",
        {"lambd": -0.5},
        ValueError,
        "expected lambd to be a number of at least 0, got -0.5; pass one in that range.",
    ),
    (
        "Hardshrink",
        {"lambd": -0.5},
        ValueError,
        "expected lambd to be a number of at least 0, got -0.5; pass one in that range.",
    ),
    ("Maxout", {"pool_size": 0}, ValueError, "expected pool_size to be a positive integer, got 0."),
    ("Maxout", {"pool_size": 1.5}, TypeError, "expected pool_size to be a positive integer, got 1.5."),
    *(
        (layer, {"axis": axis}, TypeError, f"expected an integer axis, got {axis!r}; -1 is the last one.")
        for layer in ("Softmax", "LogSoftmax", "Softmin", "Sparsemax", "GLU")
        for axis in (None, 1.0, (0, 1))
    ),
]


@pytest.mark.parametrize(("layer", "options", "error", "text"), WRONG)
def test_wrong_arguments(layer: str, options: dict, error: type[Exception], text: str) -> None:
    function = FUNCTION[layer]
    for name, call in ((layer, getattr(nnx, layer)), (function, lambda **o: getattr(functional, function)(X, **o))):
        with pytest.raises(error) as caught:
            call(**options)
        assert str(caught.value).startswith(f"{name}: {text}")


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: nnx.PReLU(0), ValueError, "PReLU: expected num_parameters to be a positive integer, got 0."),
        (lambda: nnx.PReLU(1.0), TypeError, "PReLU: expected num_parameters to be a positive integer, got 1.0."),
        (
            lambda: nnx.PReLU(init=None),
            TypeError,
            "PReLU: expected init to be a finite number, got None; pass a float.",
        ),
        (lambda: nnx.Swish(0), ValueError, "Swish: expected num_parameters to be a positive integer, got 0."),
        (lambda: nnx.Swish(init=NAN), ValueError, "Swish: expected init to be a finite number, got nan;"),
        (
            lambda: functional.swish(X, None),
            TypeError,
            "swish: expected beta to be a finite number, got None; pass a float.",
        ),
        (lambda: nnx.GLU()(X), ShapeError, "glu: expected an even length along axis 1, got 3 in (2, 3)."),
        (
            lambda: nnx.Maxout(2)(X),
            ShapeError,
            "maxout: expected a length along axis 1 that is a multiple of pool_size=2, got 3 in (2, 3).",
        ),
        (
            lambda: nnx.Softmax(axis=2)(X),
            ShapeError,
            "softmax: expected an axis from -2 to 1, got axis=2 and an input of shape (2, 3).",
        ),
        (lambda: nnx.LogSoftmax(-3)(X), ShapeError, "log_softmax: expected an axis from -2 to 1, got axis=-3"),
        (lambda: nnx.Softmin()(np.asarray(1.0)), ShapeError, "softmin: expected an array with an axis, got axis=-1"),
    ],
)
def test_errors_of_shapes_and_parameters(make: Callable, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(("layer", "name", "value"), [("PReLU", "weight", 0.25), ("Swish", "beta", 1.0)])
def test_learned_activations_have_one_parameter(xp_backend: Any, layer: str, name: str, value: float) -> None:
    make = getattr(nnx, layer)
    for size in (1, 4):
        found = make(size)
        assert {key: (array.shape, str(array.dtype)) for key, array in found.state_dict().items()} == {
            name: ((size,), str(xp_backend.array([0], "float32").dtype))
        }
        np.testing.assert_array_equal(nnx.to_numpy(found.state_dict()[name]), np.float32(value))
    assert repr(make(4, init=0.5)) == f"{layer}(num_parameters=4, init=0.5)"
    assert nnx.to_numpy(make(2, 0.5, dtype="float64").state_dict()[name]).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(("layer", "name"), [("PReLU", "weight"), ("Swish", "beta")])
def test_learned_activations_learn(xp_backend: Any, layer: str, name: str) -> None:
    net = nnx.Sequential(nnx.Linear(3, 4), getattr(nnx, layer)(4))
    x = xp_backend.array(-np.ones((5, 3)), "float32")
    with nnx.record():
        out = net(x)
        loss = nnx.namespace(out).sum(out * out)
    loss.backward()
    grad = net.parameter(f"1.{name}").grad
    assert grad.shape == (4,)
    assert np.abs(nnx.to_numpy(grad)).max() > 0


def test_maxout_follows_a_linear_layer() -> None:
    net = nnx.Sequential(nnx.Linear(3, 8), nnx.Maxout(2), nnx.Linear(4, 1), nnx.Sigmoid())
    assert net(np.ones((5, 3), dtype="float32")).shape == (5, 1)
    assert repr(net[1]) == "Maxout(pool_size=2, axis=-1)"
