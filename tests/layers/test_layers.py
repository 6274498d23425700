"""The layers themselves and the containers: values, texts, errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import DTypeError, MixedBackendsError, ShapeError


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
        (lambda: nnx.Linear(0, 2), ValueError, "Linear: expected in_features to be a positive integer, got 0."),
        (lambda: nnx.Linear(2, -1), ValueError, "Linear: expected out_features to be a positive integer, got -1."),
        (lambda: nnx.Linear(2.0, 2), TypeError, "Linear: expected in_features to be a positive integer, got 2.0."),
        (lambda: nnx.Linear(2, True), TypeError, "Linear: expected out_features to be a positive integer, got True."),
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
        (lambda: nnx.ModuleList(3), TypeError, "ModuleList: expected an iterable of modules, got int; pass [module]."),
        (
            lambda: nnx.Sequential(nnx.ReLU()).append(abs),
            TypeError,
            "Sequential: expected a Module, got builtin_function_or_method.",
        ),
        (
            lambda: nnx.ModuleList([nnx.ReLU()]).__setitem__(slice(0, 1), nnx.ReLU()),
            TypeError,
            "ModuleList: expected an integer as index to assign to, got slice(0, 1, None).",
        ),
        (
            lambda: nnx.Dropout("a"),
            TypeError,
            "Dropout: expected p to be a number from 0 to 1, got 'a'; pass one in that range.",
        ),
        (
            lambda: nnx.Dropout(1.5),
            ValueError,
            "Dropout: expected p to be a number from 0 to 1, got 1.5; pass one in that range.",
        ),
        (lambda: nnx.Flatten("a"), TypeError, "Flatten: expected start_dim to be an integer, got 'a'."),
        (lambda: nnx.Flatten(1, 2.0), TypeError, "Flatten: expected end_dim to be an integer, got 2.0."),
        (lambda: nnx.Flatten()([1]), TypeError, "Flatten: expected input to be an array, got list; use nnx.asarray("),
        (
            lambda: nnx.Linear(2, 2)([[1.0, 2.0]]),
            TypeError,
            "Linear(2, 2): expected input to be an array, got list; use nnx.asarray(input).",
        ),
        (
            lambda: nnx.Linear(2, 2, dtype="foo"),
            DTypeError,
            "Linear: expected a floating-point dtype, such as 'float32', got 'foo'.",
        ),
        (lambda: nnx.Linear(2, 2, dtype=np.int32), DTypeError, "Linear: expected a floating-point dtype, such as"),
        (lambda: nnx.Linear(2, 2, dtype=["float32"]), DTypeError, "Linear: expected a floating-point dtype, such as"),
        (
            lambda: nnx.Linear(2, 2, dtype="bfloat16"),
            DTypeError,
            "Linear: backend 'numpy' has no dtype 'bfloat16'; use 'float32' or another backend.",
        ),
        (
            lambda: nnx.init.zeros((2,), "foo"),
            DTypeError,
            "zeros: expected a floating-point dtype",
        ),
        (lambda: nnx.ModuleDict()["a"], KeyError, "'a'; the keys are none"),
    ],
)
def test_wrong_arguments(make: Callable, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert text in str(caught.value.args[0])


@pytest.mark.parametrize("dtype", ["float64", np.float64, np.dtype("float64")], ids=repr)
def test_a_dtype_may_be_a_name_or_an_object(xp_backend: Any, dtype: Any) -> None:
    layer = nnx.Linear(2, 2, dtype=dtype)
    assert layer.weight.dtype == layer.bias.dtype == xp_backend.xp.float64


@pytest.mark.parametrize("recording", [False, True])
def test_linear_names_itself_when_two_backends_meet(recording: bool) -> None:
    x = np.ones((1, 3), "f4")
    text = r"^Linear\(3, 2\): expected arrays of one backend, got strict .* numpy .*nnx\.asarray\(x, backend='strict'\)"
    layer = nnx.Linear(3, 2).to("strict")
    with nnx.record() if recording else nullcontext(), pytest.raises(MixedBackendsError, match=text):
        layer(x)


def test_linear_names_the_byte_order() -> None:
    foreign = np.dtype("f4").newbyteorder()
    layer, x = nnx.Linear(3, 2), np.ones((1, 3), foreign)
    with pytest.raises(DTypeError) as caught:
        layer(x)
    assert str(caught.value) == (
        "Linear(3, 2): expected input of dtype float32 (the machine's byte order), that of the weight, got float32 "
        '(foreign byte order). Convert the input: x.astype(x.dtype.newbyteorder("=")).'
    )
    assert layer(x.astype(x.dtype.newbyteorder("="))).shape == (1, 2)
    layer.weight = np.ones((2, 3), foreign)  # parameters keep theirs
    assert layer.weight.dtype == np.float32


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


def listing(kind: type, *modules: nnx.Module) -> Any:
    return kind(*modules) if kind is nnx.Sequential else kind(modules)


@pytest.mark.parametrize("kind", [nnx.Sequential, nnx.ModuleList])
def test_appending_after_a_deletion_loses_nothing(kind: type) -> None:
    a, b, c, d = nnx.ReLU(), nnx.Dropout(0.1), nnx.GELU(), nnx.Flatten()
    modules = listing(kind, a, b, c)
    delattr(modules, "1")
    modules.append(d)
    assert list(modules) == [a, c, d]
    assert [name for name, _ in modules.named_modules()] == ["", "0", "2", "3"]
    assert modules[1] is c


@pytest.mark.parametrize("kind", [nnx.Sequential, nnx.ModuleList])
def test_a_sequence_can_be_changed_like_a_list(kind: type) -> None:
    a, b, c, d = nnx.ReLU(), nnx.Dropout(0.1), nnx.GELU(), nnx.Flatten()
    modules = listing(kind, a, b, c)

    def expect(*expected: nnx.Module) -> None:
        assert list(modules) == list(expected)
        assert list(modules._modules) == [str(i) for i in range(len(expected))]

    del modules[1]
    expect(a, c)
    assert modules.insert(1, b) is modules
    expect(a, b, c)
    modules[-1] = d
    expect(a, b, d)
    assert modules.pop(0) is a
    expect(b, d)
    assert modules.extend(modules) is modules
    expect(b, d, b, d)
    del modules[::2]
    expect(d, d)
    with pytest.raises(TypeError, match="expected a Module, got int"):
        modules.extend([a, 3])
    expect(d, d)  # nothing was added
    with pytest.raises(IndexError):
        del modules[2]
    modules.extra = b
    del modules[0]
    assert list(modules._modules) == ["0", "extra"]  # a name that is no number stays


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
