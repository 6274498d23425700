"""state_dict, load_state_dict, copies and pickles."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import WeightsError


def network(bias: bool = True) -> nnx.Sequential:
    return nnx.Sequential(nnx.Linear(3, 4), nnx.ReLU(), nnx.Dropout(0.5), nnx.Sequential(nnx.Linear(4, 2, bias=bias)))


def test_names_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    n = torch.nn
    theirs = n.Sequential(n.Linear(3, 4), n.ReLU(), n.Dropout(0.5), n.Sequential(n.Linear(4, 2)))
    assert {k: v.shape for k, v in network().state_dict().items()} == {
        k: tuple(v.shape) for k, v in theirs.state_dict().items()
    }
    layer, theirs = nnx.Linear(2, 2), n.Linear(2, 2)
    shared, their_shared = nnx.Sequential(layer, nnx.ReLU(), layer), n.Sequential(theirs, n.ReLU(), theirs)
    assert list(shared.state_dict()) == list(their_shared.state_dict())
    loss = n.CrossEntropyLoss(weight=torch.ones(3))
    assert list(nnx.CrossEntropyLoss(np.ones(3)).state_dict()) == list(loss.state_dict())


def test_weights_of_torch_give_its_outputs() -> None:
    torch = pytest.importorskip("torch")
    n = torch.nn
    theirs = n.Sequential(n.Linear(3, 4), n.GELU(), n.Sequential(n.Linear(4, 2))).double()
    net = nnx.Sequential(nnx.Linear(3, 4), nnx.GELU(), nnx.Sequential(nnx.Linear(4, 2))).to("float64")
    net.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((5, 3))
    np.testing.assert_allclose(net(x), theirs(torch.tensor(x)).detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("backend", ["numpy", "strict"])
def test_a_state_loads_on_every_backend(backend: str) -> None:
    net, other = network(), network().to(backend)
    parameter = other.parameter("0.weight")
    other.load_state_dict(net.state_dict())
    assert other.parameter("0.weight") is parameter
    for name, array in net.state_dict().items():
        found = other.state_dict()[name]
        assert nnx.get_backend(found).name == backend
        np.testing.assert_array_equal(nnx.to_numpy(found), array)
        assert backend != "numpy" or not np.shares_memory(found, array)


def test_all_problems_are_listed_and_nothing_changes() -> None:
    net = network()
    before = {k: v.copy() for k, v in net.state_dict().items()}
    state: dict[str, Any] = {k: v + 1 for k, v in before.items()}
    del state["0.bias"]
    state["0.weight"] = np.zeros((3, 4), "f8")
    state["3.0.weight"] = state["3.0.weight"].astype("f8")
    state["3.0.bias"] = [1.0, 2.0]
    state["extra"] = np.zeros(1)
    with pytest.raises(WeightsError) as caught:
        net.load_state_dict(state)
    assert str(caught.value).splitlines() == [
        "the weights do not fit Sequential (6 problems, nothing was loaded):",
        "  missing: 0.bias (4,)",
        "  unexpected: extra",
        "  0.weight: expected shape (4, 3), got (3, 4)",
        "  0.weight: expected dtype float32, got float64",
        "  3.0.weight: expected dtype float32, got float64",
        "  3.0.bias: expected a raw array, got list",
    ]
    good = {k: v + 1 for k, v in before.items()}
    with pytest.raises(WeightsError, match=r"3\.0\.bias: expected a raw array, got a tracked one"):
        net.load_state_dict({**good, "3.0.bias": nnx.variable(good["3.0.bias"])})
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("state", [None, 3, [1]])
def test_a_state_is_a_mapping(state: Any) -> None:
    with pytest.raises(TypeError, match=r"Linear\.load_state_dict: expected arrays by name, as state_dict\(\) returns"):
        nnx.Linear(1, 1).load_state_dict(state)


def test_not_strict() -> None:
    net = network()
    bias = np.full(4, 7.0, "f4")
    net.load_state_dict({"0.bias": bias, "other": bias}, strict=False)
    np.testing.assert_array_equal(net[0].bias, bias)
    with pytest.raises(WeightsError, match="expected shape"):
        net.load_state_dict({"0.bias": np.zeros(3, "f4")}, strict=False)


def test_loading_makes_older_graphs_stale() -> None:
    net = nnx.Linear(2, 1)
    with nnx.record():
        loss = np.sum(net(np.ones((1, 2), "f4")))
    net.load_state_dict(net.state_dict())
    with pytest.raises(nnx.errors.StaleParameterError, match="was changed between"):
        loss.backward()


# ------------------------------------------------------------------ copies

DUPLICATES = [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]


@pytest.mark.parametrize("duplicate", DUPLICATES, ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("backend", ["numpy", "strict"])
def test_a_copy_is_independent(duplicate: Callable, backend: str) -> None:
    net = network().to(backend).eval()
    net[0].tied = net[3][0].parameter("bias")
    net[0].count = nnx.Buffer(nnx.asarray(np.zeros(2), backend=backend))
    net[0].parameter("bias").trainable = False
    with nnx.record():
        _ = net[0].weight
    net[0].parameter("weight").grad = net[0].weight
    nnx.optim.SGD(net, lr=0.1).state_dict()  # the values are views now
    other = duplicate(net)
    assert [n for n, _ in other.named_parameters()] == [n for n, _ in net.named_parameters()]
    assert other[0].parameter("tied") is other[3][0].parameter("bias")
    assert not other.training
    assert not other[0].parameter("bias").trainable
    assert other[0].parameter("weight").grad is None
    before = {k: nnx.to_numpy(v) for k, v in net.state_dict().items()}
    for name, array in other.state_dict().items():
        assert nnx.get_backend(array).name == backend
        np.testing.assert_array_equal(nnx.to_numpy(array), before[name])
    for p in other.parameters():
        p.value = p.value + 1
    other[0].count = other[0].count + 1
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(nnx.to_numpy(array), before[name])


def test_a_copy_does_not_drag_the_flat_storage_along() -> None:
    big, small = nnx.Linear(300, 300), nnx.Linear(1, 1)
    nnx.optim.SGD([*big.parameters(), *small.parameters()]).state_dict()
    assert len(pickle.dumps(small)) < 2000


def test_a_single_parameter_can_be_copied() -> None:
    parameter = nnx.Parameter(np.ones(2), trainable=False)
    parameter.name = "scale"
    for duplicate in (copy.copy, *DUPLICATES):
        other = duplicate(parameter)
        assert (other.name, other.trainable) == ("scale", False)
        other.value = np.zeros(2)
        assert parameter.value.tolist() == [1.0, 1.0]


def test_hooks_stay_with_their_copy() -> None:
    layer = nnx.ReLU()
    remove = layer.register_forward_hook(lambda *_: "changed")
    other = copy.deepcopy(layer)
    remove()
    assert layer(np.ones(1)).tolist() == [1.0]
    assert other(np.ones(1)) == "changed"
