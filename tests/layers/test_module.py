"""Module: attributes, what is inside, modes, hooks, moving, text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import BackendError, DTypeError, ShapeError


class Block(nnx.Module):
    """Everything a module can hold, without super().__init__()."""

    def __init__(self) -> None:
        self.size = 3
        self.scale = nnx.Parameter(nnx.asarray(np.full(3, 2.0, "f4")))
        self.inner = nnx.Linear(3, 2)
        self.mean = nnx.Buffer(nnx.asarray(np.zeros(3, "f4")))
        self.shift = nnx.Parameter(nnx.asarray(np.ones(3, "f4")))
        self.bias = None

    def forward(self, x: Any) -> Any:
        return self.inner((x - self.mean) * self.scale + self.shift)


def names(module: nnx.Module) -> list[str]:
    return [name for name, _ in module.named_parameters()]


# ------------------------------------------------------------------ attributes


def test_order_is_that_of_assignment(xp_backend: Any) -> None:
    block = Block()
    assert names(block) == ["scale", "shift", "inner.weight", "inner.bias"]
    assert list(block.state_dict()) == ["scale", "shift", "mean", "inner.weight", "inner.bias"]
    assert [name for name, _ in block.named_buffers()] == ["mean"]
    assert [name for name, _ in block.named_modules()] == ["", "inner"]
    assert list(block.children()) == [block.inner]
    assert {"scale", "mean", "inner", "size"} <= set(dir(block))
    assert (block.size, block.bias) == (3, None)


def test_reading_gives_raw_arrays_and_tracked_ones_while_recording(xp_backend: Any) -> None:
    block = Block()
    assert isinstance(block.scale, xp_backend.backend.array_types)
    with nnx.record():
        assert isinstance(block.scale, nnx.Array)
        assert block.scale.tracked
        assert block.scale is block.scale
        assert isinstance(block.mean, xp_backend.backend.array_types)
    assert isinstance(block.scale, xp_backend.backend.array_types)


def test_assigning_an_array_writes_into_the_parameter(xp_backend: Any) -> None:
    block = Block()
    parameter = block.parameter("scale")
    block.scale = xp_backend.array([1.0, 2.0, 3.0], "float32")
    assert block.parameter("scale") is parameter
    assert nnx.to_numpy(block.scale).tolist() == [1.0, 2.0, 3.0]
    assert "scale" in names(block)  # now it knows its name
    with pytest.raises(ShapeError, match=r"parameter scale: expected shape \(3,\), got \(2,\)"):
        block.scale = xp_backend.array([1.0, 2.0], "float32")
    with pytest.raises(DTypeError, match=r"expected dtype float32, got float64\. Cast it, e\.g\. xp\.astype"):
        block.scale = xp_backend.array([1.0, 2.0, 3.0])
    with pytest.raises(TypeError, match=r"expected an array, got list; use nnx\.asarray\(x\)"):
        block.scale = [1.0, 2.0, 3.0]
    with nnx.record(), pytest.raises(BufferError, match="stop_gradient"):
        block.scale = block.scale * 2
    with pytest.raises(ShapeError, match=r"Buffer: expected shape \(3,\), got \(4,\)"):
        block.mean = xp_backend.array(np.zeros(4))
    assert nnx.to_numpy(block.scale).tolist() == [1.0, 2.0, 3.0]


def test_a_parameter_takes_arrays_of_another_backend() -> None:
    block = Block()
    block.scale = nnx.asarray(np.full(3, 5.0, "f4"), backend="strict")
    assert type(block.scale) is np.ndarray
    assert block.scale.tolist() == [5.0] * 3


def test_a_buffer_is_detached(xp_backend: Any) -> None:
    block = Block()
    with nnx.record():
        block.mean = block.scale * 2
    assert isinstance(block.mean, xp_backend.backend.array_types)
    with pytest.raises(TypeError, match=r"expected an array, got builtins\.list"):
        nnx.Buffer([1.0])


def test_a_buffer_keeps_dtype_and_backend(xp_backend: Any) -> None:
    block = Block()
    with pytest.raises(DTypeError, match=r"Buffer: expected dtype float32, got float64\. Cast it, e\.g\. xp\.astype"):
        block.mean = xp_backend.array(np.ones(3))
    with pytest.raises(TypeError, match=r"Buffer: expected an array, got list; use nnx\.asarray\(x\)"):
        block.mean = [1.0, 2.0, 3.0]
    other = "numpy" if xp_backend.backend.name != "numpy" else "strict"
    block.mean = nnx.asarray(np.ones(3, "f4"), backend=other)
    assert isinstance(block.mean, xp_backend.backend.array_types)
    assert nnx.backend.device(block.mean) == nnx.backend.device(block.scale)
    block.load_state_dict(block.state_dict())
    assert nnx.to_numpy(block.mean).tolist() == [1.0] * 3


@pytest.mark.parametrize("value", [[1.0], 1.0, None])
def test_a_parameter_needs_an_array(value: Any) -> None:
    text = rf"^Parameter: expected an array, got {type(value).__name__}; use nnx\.asarray\(x\)\.$"
    with pytest.raises(TypeError, match=text):
        nnx.Parameter(value)


def test_a_gradient_may_have_any_byte_order() -> None:
    parameter = nnx.Parameter(np.ones(2))
    parameter.grad = np.arange(2.0).astype(np.dtype("f8").newbyteorder())
    assert parameter.grad.dtype == parameter.dtype
    assert parameter.grad.tolist() == [0.0, 1.0]


def test_an_attribute_may_change_its_kind() -> None:
    block = Block()
    block.bias = nnx.Parameter(np.zeros(2))
    assert names(block) == ["scale", "shift", "bias", "inner.weight", "inner.bias"]
    block.scale = nnx.Buffer(np.zeros(3))
    assert "scale" in dict(block.named_buffers())
    assert "scale" not in names(block)
    block.scale = nnx.ReLU()
    assert "scale" not in dict(block.named_buffers())
    block.scale = None
    block.shift = None
    assert names(block) == ["bias", "inner.weight", "inner.bias"]
    assert (block.scale, block.shift) == (None, None)


def test_deleting() -> None:
    block = Block()
    del block.scale, block.mean, block.inner, block.size
    assert names(block) == ["shift"]
    for name in ("scale", "mean", "inner", "size"):
        with pytest.raises(AttributeError, match=f"Block has no attribute '{name}'"):
            getattr(block, name)
    with pytest.raises(AttributeError):
        del block.scale


def test_tying(xp_backend: Any) -> None:
    net = nnx.Sequential(nnx.Linear(3, 3), nnx.Linear(3, 3, bias=False))
    net[1].weight = net[0].parameter("weight")
    assert names(net) == ["0.weight", "0.bias"]
    assert len(list(net.parameters())) == 2
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight"]
    with nnx.record():
        assert net[0].weight is net[1].weight
    _, grads = nnx.value_and_grad(lambda n: xp_backend.ns.sum(n(xp_backend.array(np.ones((1, 3)), "float32"))))(net)
    assert list(grads) == ["0.weight", "0.bias"]


def test_dotted_names() -> None:
    net = nnx.Sequential(Block())
    assert net.parameter("0.inner.weight") is net[0].inner.parameter("weight")
    assert net.module("0.inner") is net[0].inner
    assert net.module("") is net
    with pytest.raises(AttributeError, match=r"has no parameter '0.mean'; it has 0.scale, 0.shift, 0.inner.weight, 0"):
        net.parameter("0.mean")
    with pytest.raises(AttributeError, match="Sequential has no module '1'"):
        net.parameter("1.weight")


def test_shared_modules_appear_once() -> None:
    layer = nnx.Linear(2, 2)
    net = nnx.Sequential(layer, nnx.ReLU(), layer)
    assert names(net) == ["0.weight", "0.bias"]
    assert [name for name, _ in net.named_modules()] == ["", "0", "1"]
    assert len(list(net.children())) == 2


def test_a_module_without_forward_says_so() -> None:
    class Empty(nnx.Module):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty does not define forward\(self, \.\.\.\)"):
        Empty()(1)


# ------------------------------------------------------------------ modes


def test_train_and_eval_reach_everything() -> None:
    net = nnx.Sequential(nnx.Dropout(), nnx.ModuleList([nnx.Dropout()]), nnx.ModuleDict({"a": nnx.Dropout()}))
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    assert net.train() is net
    assert all(m.training for m in net.modules())
    net[0].eval()
    assert net.training
    assert not net[0].training


def test_frozen_parameters_are_raw_and_have_no_gradient(xp_backend: Any) -> None:
    net = nnx.Sequential(nnx.Linear(3, 3), nnx.Linear(3, 2))
    x = xp_backend.array(np.ones((2, 3)), "float32")
    with nnx.record():
        net(x)
    net[0].parameter("weight").grad = xp_backend.array(np.ones((3, 3)), "float32")
    assert net[0].freeze() is net[0]
    assert net[0].parameter("weight").grad is None  # an optimizer would use it
    with nnx.record():
        assert not isinstance(net[0].weight, nnx.Array)
        loss = xp_backend.ns.sum(net(x))
    loss.backward()
    assert [p.grad is None for p in net.parameters()] == [True, True, False, False]
    _, grads = nnx.value_and_grad(lambda n: xp_backend.ns.sum(n(x)))(net)
    assert list(grads) == ["1.weight", "1.bias"]
    assert "0 of them" not in net.summary()
    assert "trainable=False" in repr(net[0].parameter("bias"))
    net.unfreeze()
    assert len(nnx.grad(lambda n: xp_backend.ns.sum(n(x)))(net)) == 4


# ------------------------------------------------------------------ moving


def test_to_a_dtype_and_back(xp_backend: Any) -> None:
    block = Block()
    x = np.random.default_rng(0).standard_normal((4, 3))
    before = nnx.to_numpy(block(xp_backend.array(x, "float32")))
    assert block.to("float64") is block
    out = block(xp_backend.array(x))
    assert "float64" in str(out.dtype)
    np.testing.assert_allclose(nnx.to_numpy(out), before, rtol=1e-5)
    np.testing.assert_array_equal(nnx.to_numpy(block.to("float32")(xp_backend.array(x, "float32"))), before)


def test_to_a_backend_and_back() -> None:
    block = Block()
    x = np.ones((2, 3), "f4")
    before = block(x)
    arrays = block.state_dict()
    assert all(a is b for a, b in zip(block.to("numpy").state_dict().values(), arrays.values(), strict=True))
    block.to("strict")
    assert {nnx.get_backend(a).name for a in block.state_dict().values()} == {"strict"}
    np.testing.assert_allclose(nnx.to_numpy(block(nnx.asarray(x, backend="strict"))), before, rtol=1e-6)
    np.testing.assert_array_equal(block.to("numpy")(x), before)


@pytest.mark.parametrize("target", ["float64", "strict"])
def test_gradients_move_along(target: str) -> None:
    layer = nnx.Linear(2, 2)
    parameter = layer.parameter("bias")
    parameter.grad = np.ones(2, "f4")
    layer.to(target)
    assert type(parameter.grad) is type(parameter.value)
    assert parameter.grad.dtype == parameter.dtype
    assert nnx.to_numpy(parameter.grad).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("target", ["cuda:0", "int32"])
def test_to_something_unknown(target: str) -> None:
    text = (
        rf"^Linear\.to: '{target}' is no floating-point dtype \(float16, bfloat16, float32, float64\), and no backend: "
        rf"unknown backend '{target}': expected one of 'cupy', 'numpy'"
    )
    with pytest.raises(BackendError, match=text):
        nnx.Linear(1, 1).to(target)


@pytest.mark.parametrize("target", [None, 3, ["numpy"], np.int32])
def test_to_something_of_another_kind(target: Any) -> None:
    with pytest.raises(TypeError, match=r"Linear\.to: expected the name of a backend or a floating-point dtype, got "):
        nnx.Linear(1, 1).to(target)


def test_to_a_dtype_that_the_backend_lacks_changes_nothing() -> None:
    net = nnx.Sequential(nnx.Linear(2, 2), nnx.Linear(2, 2).to("strict"))
    with pytest.raises(DTypeError, match=r"Sequential\.to: backend 'numpy' has no dtype 'bfloat16'"):
        net.to("bfloat16")
    with pytest.raises(DTypeError, match=r"Sequential\.to: backend 'strict' has no dtype 'float16'"):
        net.to("float16")
    assert net[0].weight.dtype == np.float32


def test_to_a_dtype_object() -> None:
    assert nnx.Linear(2, 2).to(np.float64).weight.dtype == np.float64


def test_to_a_guest_library_and_back() -> None:
    torch = pytest.importorskip("torch")
    x = torch.ones((4, 3))
    nnx.to_numpy(x)  # from now on nnx knows torch
    block = Block()
    before = block(np.ones((4, 3), "f4"))
    block.parameter("scale").grad = np.ones(3, "f4")
    assert block.to("torch") is block
    assert all(isinstance(array, torch.Tensor) for array in block.state_dict().values())
    assert isinstance(block.parameter("scale").grad, torch.Tensor)
    np.testing.assert_allclose(block(x).numpy(), before, rtol=1e-6)
    np.testing.assert_array_equal(block.to("numpy")(np.ones((4, 3), "f4")), before)


# ------------------------------------------------------------------ hooks


def test_hooks_run_in_order_and_may_replace_the_output() -> None:
    layer = nnx.ReLU()
    seen = []

    def note(module: nnx.Module, args: tuple, output: Any) -> None:
        seen.append((module is layer, args[0].tolist(), output.tolist()))

    layer.register_forward_hook(note)
    remove = layer.register_forward_hook(lambda module, args, output: output * 10)
    layer.register_forward_hook(note)
    x = np.asarray([1.0, -1.0])
    assert layer(x).tolist() == [10.0, 0.0]
    assert seen == [(True, [1.0, -1.0], [1.0, 0.0]), (True, [1.0, -1.0], [10.0, 0.0])]
    remove()
    assert layer(x).tolist() == [1.0, 0.0]


def test_removing_a_hook_twice_removes_no_other() -> None:
    layer = nnx.ReLU()
    remove = layer.register_forward_hook(lambda *_: "first")
    remove()
    layer.register_forward_hook(lambda *_: "second")
    remove()
    assert layer(np.ones(1)) == "second"


def test_a_hook_is_a_function() -> None:
    with pytest.raises(
        TypeError, match=r"ReLU\.register_forward_hook: expected a function of \(module, args, output\)"
    ):
        nnx.ReLU().register_forward_hook(3)


def test_a_hook_may_remove_itself() -> None:
    layer = nnx.ReLU()
    calls = []

    def once(*_: Any) -> None:
        calls.append(1)
        remove()

    remove = layer.register_forward_hook(once)
    layer.register_forward_hook(lambda *_: calls.append(2))
    layer(np.ones(1))
    layer(np.ones(1))
    assert calls == [1, 2, 2]


def test_apply_visits_children_first() -> None:
    inner = nnx.Sequential(nnx.ReLU())
    net = nnx.Sequential(nnx.Linear(1, 1), inner, inner)
    seen: list[nnx.Module] = []
    assert net.apply(seen.append) is net
    assert seen == [net[0], inner[0], inner, net]


# ------------------------------------------------------------------ text


def test_repr_and_summary() -> None:
    net = nnx.Sequential(nnx.Flatten(), nnx.Linear(4, 3), nnx.Sequential(nnx.GELU(), nnx.Dropout(0.2)))
    net[1].freeze()
    assert repr(net).splitlines() == [
        "Sequential(",
        "  (0): Flatten(start_dim=1, end_dim=-1)",
        "  (1): Linear(in_features=4, out_features=3, bias=True)",
        "  (2): Sequential(",
        "    (0): GELU(approximate='none')",
        "    (1): Dropout(p=0.2)",
        "  )",
        ")",
    ]
    assert net.summary().splitlines() == [
        "layer  type    parameters  shapes",
        "1      Linear          15  weight (3, 4), bias (3,)",
        "15 parameters, 0 of them trainable",
    ]
    assert nnx.Linear(2, 2).summary().splitlines()[1].startswith("(self)")


def test_modules_that_contain_themselves() -> None:
    net = nnx.Sequential(nnx.Linear(2, 2))
    net[0].parent = net
    assert names(net) == ["0.weight", "0.bias"]
    assert list(net.state_dict()) == ["0.weight", "0.bias"]
    assert "..." in repr(net)
    seen: list = []
    net.eval().apply(seen.append)
    assert len(seen) == 2
    shared = nnx.ReLU()
    assert repr(nnx.Sequential(shared, shared)).count("ReLU()") == 2
