"""The layers themselves and the containers: values, texts, errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import DTypeError, ShapeError


def test_linear_starts_as_torch_does() -> None:
    nnx.seed(0)
    layer = nnx.Linear(400, 300)
    bound = 1 / math.sqrt(400)
    for array in (layer.weight, layer.bias):
        assert array.dtype == np.float32
        assert abs(float(array.max()) - bound) < 0.02 * bound
        assert abs(float(array.min()) + bound) < 0.02 * bound
    assert abs(float(layer.weight.mean())) < 0.01 * bound
    nnx.seed(0)
    np.testing.assert_array_equal(nnx.Linear(400, 300).weight, layer.weight)


def test_weights_are_the_same_bits_everywhere() -> None:
    found = []
    for name in ("numpy", "strict"):
        nnx.seed(5)
        with nnx.use_backend(name):
            found.append(nnx.to_numpy(nnx.Linear(3, 2).weight))
    np.testing.assert_array_equal(*found)


def test_linear_without_bias_and_in_float64(xp_backend: Any) -> None:
    layer = nnx.Linear(3, 2, bias=False, dtype="float64")
    assert layer.bias is None
    assert list(layer.state_dict()) == ["weight"]
    out = layer(xp_backend.array(np.ones((4, 3))))
    np.testing.assert_allclose(nnx.to_numpy(out)[0], nnx.to_numpy(layer.weight).sum(1), rtol=1e-12)


@pytest.mark.parametrize("recording", [False, True])
def test_linear_names_itself_and_the_fix(xp_backend: Any, recording: bool) -> None:
    layer = nnx.Linear(3, 2)

    def call(shape: tuple, dtype: str = "float32") -> None:
        x = xp_backend.array(np.ones(shape), dtype)
        if recording:
            with nnx.record():
                layer(x)
        else:
            layer(x)

    with pytest.raises(ShapeError, match=r"^Linear\(3, 2\): expected \(\.\.\., 3\), got \(5, 4\)\.$"):
        call((5, 4))
    with pytest.raises(ShapeError, match=r"features in the second axis; use xp\.permute_dims\(x, \(0, 2, 3, 1\)\)"):
        call((5, 3, 8, 8))
    with pytest.raises(ShapeError, match=r"Flatten it first, e\.g\. with nnx\.Flatten\(\)"):
        call((5, 1, 3, 1))
    text = r"^Linear\(3, 2\): expected input of dtype float32, that of the weight, got float64\. Cast it, e\.g\. xp"
    with pytest.raises(DTypeError, match=text):
        call((5, 3), "float64")


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: nnx.Linear(0, 2), ValueError, "Linear: expected in_features to be at least 1, got 0."),
        (lambda: nnx.Linear(2, -1), ValueError, "Linear: expected out_features to be at least 1, got -1."),
        (lambda: nnx.Linear(2.0, 2), TypeError, "Linear: expected an integer in_features, got 2.0."),
        (lambda: nnx.Linear(2, True), TypeError, "Linear: expected an integer out_features, got True."),
        (
            lambda: nnx.Sequential(nnx.ReLU),
            TypeError,
            "argument 0: expected a Module, got the class ReLU; make one: ReLU(",
        ),
        (lambda: nnx.Sequential([nnx.ReLU()]), TypeError, "expected a Module, got a list; unpack it with *."),
        (lambda: nnx.Sequential(nnx.ReLU(), abs), TypeError, "Sequential, argument 1: expected a Module, got builtin"),
        (lambda: nnx.ModuleList([3]), TypeError, "ModuleList: expected a Module, got int."),
        (lambda: nnx.ModuleDict({"a": 3}), TypeError, "ModuleDict, key 'a': expected a Module, got int."),
        (lambda: nnx.ModuleDict({1: nnx.ReLU()}), TypeError, "ModuleDict: expected a string as key, got 1."),
        (lambda: nnx.ModuleDict({"a.b": nnx.ReLU()}), KeyError, "ModuleDict: 'a.b' cannot name a module"),
        (lambda: nnx.ModuleDict({"": nnx.ReLU()}), KeyError, "ModuleDict: '' cannot name a module"),
        (lambda: nnx.ModuleDict({"forward": nnx.ReLU()}), KeyError, "ModuleDict: 'forward' cannot name a module"),
        (lambda: nnx.ModuleDict({"training": nnx.ReLU()}), KeyError, "ModuleDict: 'training' cannot name a module"),
        (lambda: nnx.ModuleDict()["a"], KeyError, "'a'; the keys are none"),
    ],
)
def test_wrong_arguments(make: Callable, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert text in str(caught.value.args[0])


def test_a_numpy_integer_is_a_size() -> None:
    assert nnx.Linear(np.int64(3), np.int32(2)).weight.shape == (2, 3)


def test_flatten(xp_backend: Any) -> None:
    x = xp_backend.array(np.arange(24.0).reshape(2, 3, 4))
    assert nnx.Flatten()(x).shape == (2, 12)
    assert nnx.Flatten(0)(x).shape == (24,)
    assert nnx.Flatten(0, 1)(x).shape == (6, 4)
    assert nnx.Flatten(-2, -1)(x).shape == (2, 12)
    assert nnx.Flatten(1, 1)(x).shape == (2, 3, 4)
    assert nnx.Flatten()(xp_backend.array(np.zeros((0, 3, 4)))).shape == (0, 12)
    np.testing.assert_array_equal(nnx.to_numpy(nnx.Flatten()(x)), np.arange(24.0).reshape(2, 12))
    with pytest.raises(ShapeError, match=r"Flatten\(1, -1\): got an array with 1 axes, \(3,\)"):
        nnx.Flatten()(xp_backend.array(np.zeros(3)))
    with pytest.raises(ShapeError, match="start_dim=2 lies after end_dim=1"):
        nnx.Flatten(2, 1)(x)


def test_sequential() -> None:
    a, b, c = nnx.Linear(2, 2), nnx.ReLU(), nnx.Linear(2, 1)
    net = nnx.Sequential(a, b).append(c)
    assert (len(net), list(net), net[-1]) == (3, [a, b, c], c)
    x = np.ones((1, 2), "f4")
    np.testing.assert_array_equal(net(x), c(b(a(x))))
    part = net[1:]
    assert isinstance(part, nnx.Sequential)
    assert list(part) == [b, c]
    assert [n for n, _ in part.named_parameters()] == ["1.weight", "1.bias"]  # counted anew
    assert part[1].parameter("weight") is c.parameter("weight")
    np.testing.assert_array_equal(net[:2](x), b(a(x)))
    assert nnx.Sequential()(x) is x
    with pytest.raises(IndexError):
        net[3]


def test_module_list() -> None:
    a, b, c = nnx.Linear(1, 1), nnx.Linear(1, 2), nnx.Linear(1, 3)
    layers = nnx.ModuleList([a])
    assert layers.append(b) is layers
    assert layers.extend(iter([c])) is layers
    assert (len(layers), list(layers), layers[-1], list(layers[::2])) == (3, [a, b, c], c, [a, c])
    layers[-1] = a
    assert list(layers) == [a, b, a]
    assert list(layers.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"]
    with pytest.raises(IndexError):
        layers[3] = a
    with pytest.raises(NotImplementedError, match="ModuleList does not define forward"):
        layers(1)


def test_module_dict() -> None:
    a, b = nnx.Linear(1, 1), nnx.ReLU()
    modules = nnx.ModuleDict({"a": a})
    modules["b"] = b
    assert (len(modules), list(modules), modules["b"], modules.b) == (2, ["a", "b"], b, b)
    assert "a" in modules
    assert list(modules.keys()) == ["a", "b"]
    assert list(modules.values()) == [a, b]
    assert dict(modules.items()) == {"a": a, "b": b}
    modules["a"] = b
    assert modules["a"] is b
    del modules["a"]
    assert "a" not in modules
    with pytest.raises(KeyError, match="'a'; the keys are 'b'"):
        modules["a"]
