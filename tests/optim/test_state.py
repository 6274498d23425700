"""Optimizers: flat storage, moving parameters, copies, saving and loading."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import StaleParameterError, WeightsError
from nnx.optim.state import _NOT_NEGATIVE
from tests.optim.optimizer_table import ENTRIES

# each with its defaults, and with all the states that it can have
OPTIMIZERS: dict[str, Callable] = {
    f"{e.name}{suffix}": lambda p, e=e, options=options: e.cls(p, lr=e.values["lr"][0], **options)
    for e in ENTRIES
    for suffix, options in (("", {}), *([("-all", e.every_state)] if e.every_state else []))
}


def network() -> nnx.Sequential:
    nnx.seed(0)
    return nnx.Sequential(nnx.Linear(3, 5, dtype="float64"), nnx.ReLU(), nnx.Linear(5, 2, dtype="float64"))


def steps(net: nnx.Module, optimizer: Any, first: int, last: int) -> None:
    """Take the steps of these numbers, with gradients that depend on the number only."""
    for k in range(first, last):
        rng = np.random.default_rng(k)
        for p in net.parameters():
            backend = nnx.get_backend(p.value)
            g = backend.asarray(rng.standard_normal(p.shape))
            p.grad = backend.xp.astype(g, p.dtype)
        optimizer.step()


def weights(net: nnx.Module) -> dict[str, np.ndarray]:
    return {name: nnx.to_numpy(a) for name, a in net.state_dict().items()}


def expect(net: nnx.Module, kind: str, n: int, rtol: float = 1e-9) -> None:
    """Check that the network is where n plain steps lead."""
    other = network()
    steps(other, OPTIMIZERS[kind](other), 0, n)
    for name, wanted in weights(other).items():
        np.testing.assert_allclose(weights(net)[name], wanted, rtol=rtol, atol=rtol / 10, err_msg=name)


every = pytest.mark.parametrize("kind", list(OPTIMIZERS))

# ------------------------------------------------------------------ flat storage


def test_parameters_and_gradients_are_views_of_flat_arrays() -> None:
    net = network()
    optimizer = nnx.optim.Adam(net, lr=0.1)
    steps(net, optimizer, 0, 3)
    (flat,) = optimizer._parts
    storage = flat.storage
    used = np.zeros(storage.size, bool)
    for p, offset in zip(storage.parameters, storage.offsets, strict=True):
        assert np.shares_memory(p.value, storage.values)
        assert np.shares_memory(p.grad, storage.grads)
        assert offset * p.value.itemsize % 256 == 0
        used[offset : offset + p.size] = True
    assert not used.all()
    for array in (storage.values, storage.grads, *flat.state):
        assert not array[~used].any()
        assert array[used].all()
    assert net[0].weight is net.parameter("0.weight").value


def test_a_gradient_is_none_until_it_is_touched() -> None:
    net = network()
    optimizer = nnx.optim.AdamW(net, lr=0.1)
    steps(net, optimizer, 0, 1)
    optimizer.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    before = weights(net)
    with nnx.record():
        loss = np.sum(net[2](np.ones((1, 5))))
    loss.backward()
    assert [p.grad is None for p in net.parameters()] == [True, True, False, False]
    optimizer.step()
    moved = [name for name, a in weights(net).items() if (a != before[name]).any()]
    assert moved == ["2.weight", "2.bias"]


def test_the_layer_computes_with_the_new_weights(xp_backend: Any) -> None:
    layer = nnx.Linear(2, 1, dtype="float64")
    x = xp_backend.array([[1.0, 2.0]])
    optimizer = nnx.optim.SGD(layer, lr=1.0)
    for _ in range(2):
        with nnx.record():
            out = layer(x)
        before = float(nnx.to_numpy(nnx.stop_gradient(out))[0, 0])
        out.backward()
        optimizer.step()
        optimizer.zero_grad()
        assert abs(float(nnx.to_numpy(layer(x))[0, 0]) - (before - 6.0)) < 1e-12


def test_laying_out_does_not_make_graphs_stale() -> None:
    net = network()
    optimizer = nnx.optim.Adam(net, lr=0.1)
    with nnx.record():
        loss = np.sum(net(np.ones((2, 3))))
    optimizer.state_dict()  # moves all parameters into flat storage
    loss.backward()
    assert all(np.shares_memory(p.grad, optimizer._parts[0].storage.grads) for p in net.parameters())


@pytest.mark.parametrize("backend", ["numpy", "strict"])
def test_a_step_between_forward_and_backward_is_noticed(backend: str) -> None:
    net = network().to(backend)
    optimizer = nnx.optim.SGD(net, lr=0.1)
    x = nnx.asarray(np.ones((2, 3)), backend=backend)
    with nnx.record():
        loss = nnx.functional.mse_loss(net(x), net(x) * 0)
    steps(net, optimizer, 0, 1)
    with pytest.raises(
        StaleParameterError, match=r"parameter (0|2)\.(weight|bias) was changed between the forward and"
    ):
        loss.backward()


# ------------------------------------------------------------------ moving


@every
def test_state_survives_other_backends_and_dtypes(kind: str) -> None:
    net = network()
    optimizer = OPTIMIZERS[kind](net)
    steps(net, optimizer, 0, 3)
    net.to("strict")
    steps(net, optimizer, 3, 5)
    net.to("numpy")
    steps(net, optimizer, 5, 8)
    expect(net, kind, 8)
    net.to("float32")
    steps(net, optimizer, 8, 10)
    assert {p.dtype for p in net.parameters()} == {np.dtype("f4")}
    net.to("float64")
    steps(net, optimizer, 10, 12)
    expect(net, kind, 12, rtol=1e-3)
    for entry in optimizer.state_dict()["parameters"].values():
        assert all(str(entry[name].dtype) == "float64" for name in optimizer.state_names)


@every
def test_two_optimizers_over_the_same_parameters(kind: str) -> None:
    net = network()
    first, second = OPTIMIZERS[kind](net), nnx.optim.SGD(net, lr=0.0)
    for k in range(6):
        steps(net, first, k, k + 1)
        second.step()
    expect(net, kind, 6)


def test_tying_after_the_optimizer_was_made() -> None:
    net = nnx.Sequential(nnx.Linear(3, 3, dtype="float64"), nnx.Linear(3, 3, dtype="float64"))
    optimizer = nnx.optim.Adam(net, lr=0.1)
    steps(net, optimizer, 0, 2)
    net[1].weight = net[0].parameter("weight")
    with nnx.record():
        loss = np.sum(net(np.ones((2, 3))))
    loss.backward()
    optimizer.step()
    assert net[0].weight is net[1].weight
    other = net[0].weight.copy()
    net[0].weight = other * 2
    np.testing.assert_array_equal(net[1].weight, other * 2)


def test_a_gradient_from_before_the_move_counts() -> None:
    net = network()
    optimizer = nnx.optim.SGD(net, lr=1.0)
    p = net.parameter("0.bias")
    p.grad = np.ones(5)
    before = p.value.copy()
    optimizer.step()
    np.testing.assert_array_equal(p.value, before - 1)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["copy", "pickle"])
@every
def test_network_and_optimizer_can_be_copied_together(kind: str, duplicate: Callable) -> None:
    net = network()
    optimizer = OPTIMIZERS[kind](net)
    steps(net, optimizer, 0, 3)
    other, other_optimizer = duplicate((net, optimizer))
    before = weights(net)
    steps(other, other_optimizer, 3, 7)
    expect(other, kind, 7)
    for name, array in weights(net).items():
        np.testing.assert_array_equal(array, before[name])
    steps(net, optimizer, 3, 7)
    expect(net, kind, 7)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["copy", "pickle"])
@pytest.mark.parametrize("there", ["numpy", "strict"])
def test_a_copy_notices_when_its_parameters_move(there: str, duplicate: Callable) -> None:
    net = network().to(there)
    optimizer = OPTIMIZERS["Adam"](net)
    steps(net, optimizer, 0, 3)
    other, other_optimizer = duplicate((net, optimizer))
    assert not other_optimizer._parts  # views would only come back as arrays of their own
    other.to("strict" if there == "numpy" else "numpy")
    steps(other, other_optimizer, 3, 6)
    expect(other, "Adam", 6)


# ------------------------------------------------------------------ saving


@every
@pytest.mark.parametrize("backend", ["numpy", "strict"])
def test_training_goes_on_from_a_saved_state(kind: str, backend: str) -> None:
    net = network()
    optimizer = OPTIMIZERS[kind](net)
    steps(net, optimizer, 0, 4)
    state, values = optimizer.state_dict(), net.state_dict()
    saved = copy.deepcopy(state)
    other = network().to(backend)
    resumed = OPTIMIZERS[kind](other)
    other.load_state_dict(values)
    resumed.load_state_dict(state)
    assert resumed.steps == 4
    steps(net, optimizer, 4, 9)
    steps(other, resumed, 4, 9)
    for name, array in weights(net).items():
        np.testing.assert_allclose(weights(other)[name], array, rtol=1e-12, atol=1e-14)
    for name, entry in saved["parameters"].items():  # what was returned is a copy
        for key, array in entry.items():
            np.testing.assert_array_equal(state["parameters"][name][key], array)


def test_what_a_state_looks_like() -> None:
    net = network()
    optimizer = nnx.optim.Adam(net)
    state = optimizer.state_dict()
    assert list(state) == ["steps", "parameters"]
    assert list(state["parameters"]) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert list(state["parameters"]["0.bias"]) == ["step", "exp_avg", "exp_avg_sq"]
    json.dumps({"steps": state["steps"], "step": state["parameters"]["0.bias"]["step"]})


def test_a_state_that_does_not_fit_is_refused_whole() -> None:
    net = network()
    optimizer = nnx.optim.Adam(net)
    steps(net, optimizer, 0, 2)
    before = optimizer.state_dict()
    state = optimizer.state_dict()
    entries = state["parameters"]
    entries["other"] = entries.pop("0.bias")
    entries["0.weight"]["exp_avg"] = np.zeros((3, 5))
    del entries["2.bias"]["exp_avg_sq"], entries["2.bias"]["step"]
    entries["2.weight"]["exp_avg"] = 3.0
    entries["2.weight"]["velocity"] = np.zeros(1)
    with pytest.raises(WeightsError) as caught:
        optimizer.load_state_dict(state)
    assert str(caught.value).splitlines() == [
        "the state does not fit Adam (7 problems, nothing was loaded):",
        "  missing: 0.bias",
        "  unexpected: other",
        "  0.weight, exp_avg: expected shape (5, 3), got (3, 5)",
        "  2.weight, exp_avg: expected shape (2, 5), got no array",
        "  2.weight: unexpected velocity",
        "  2.bias, step: expected a non-negative integer, got None",
        "  2.bias, exp_avg_sq: expected shape (2,), got nothing",
    ]
    for name, entry in optimizer.state_dict()["parameters"].items():
        for key, array in entry.items():
            np.testing.assert_array_equal(array, before["parameters"][name][key])
    for nothing in ({}, None, 3):
        with pytest.raises(WeightsError, match=r"Adam: expected what state_dict\(\) returned"):
            optimizer.load_state_dict(nothing)


@pytest.mark.parametrize("backend", ["numpy", "strict"])
def test_entries_of_wrong_kinds_are_refused_whole(backend: str) -> None:
    net = network().to(backend)
    optimizer = nnx.optim.Adam(net)
    steps(net, optimizer, 0, 2)
    before, state = optimizer.state_dict(), optimizer.state_dict()
    state["steps"] = "x"
    entries = state["parameters"]
    entries["0.weight"] = [1, 2]
    entries["0.bias"]["step"] = -4
    entries["2.weight"]["step"] = True
    entries["2.bias"]["exp_avg"] = np.zeros(2, "int64")
    with pytest.raises(WeightsError) as caught:
        optimizer.load_state_dict(state)
    assert str(caught.value).splitlines() == [
        "the state does not fit Adam (5 problems, nothing was loaded):",
        "  steps: expected a non-negative integer, got 'x'",
        "  0.weight: expected a dict with step, exp_avg, exp_avg_sq, got list",
        "  0.bias, step: expected a non-negative integer, got -4",
        "  2.weight, step: expected a non-negative integer, got True",
        "  2.bias, exp_avg: expected numbers such as float64, got int64",
    ]
    with pytest.raises(WeightsError) as caught:
        optimizer.load_state_dict({"steps": -4, "parameters": None})
    assert str(caught.value).splitlines()[1:] == [
        "  steps: expected a non-negative integer, got -4",
        "  parameters: expected a dict with an entry per parameter, got NoneType",
    ]
    assert optimizer.steps == 2
    for name, entry in optimizer.state_dict()["parameters"].items():
        for key, array in entry.items():
            np.testing.assert_array_equal(nnx.to_numpy(array), nnx.to_numpy(before["parameters"][name][key]))


@pytest.mark.parametrize("backend", ["numpy", "strict"])
def test_values_that_cannot_be_are_refused_whole(backend: str) -> None:
    net = network().to(backend)
    optimizer = nnx.optim.NAdam(net)
    steps(net, optimizer, 0, 2)
    state = optimizer.state_dict()
    entries = state["parameters"]
    entries["0.bias"]["exp_avg"] = np.asarray([1.0, np.nan, 1.0, 1.0, 1.0])
    entries["2.bias"]["exp_avg_sq"] = np.asarray([-1e-9, 1.0])
    entries["2.weight"][optimizer.number_names[0]] = float("nan")
    with pytest.raises(WeightsError) as caught:
        optimizer.load_state_dict(state)
    assert str(caught.value).splitlines()[1:] == [
        "  0.bias, exp_avg: expected numbers, got NaN",
        f"  2.weight, {optimizer.number_names[0]}: expected a finite number of at least 0, got nan",
        "  2.bias, exp_avg_sq: expected no negative numbers, got some",
    ]


def test_states_that_are_never_negative_are_those_of_the_optimizers() -> None:
    """So that a new optimizer's are thought of: everything else is a mean of gradients or of weights."""
    rest = {"momentum_buffer", "exp_avg", "grad_avg", "prev", "ax"}
    names = {n for e in ENTRIES for n in e.cls([nnx.Parameter(np.ones(e.shapes[0]))], **e.every_state).state_names}
    assert names - rest == set(_NOT_NEGATIVE)
