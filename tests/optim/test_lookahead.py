"""Lookahead: slow weights around another optimizer, against the paper's algorithm written out."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import WeightsError

STEPS = 20
SHAPES = [(3, 4), (5,), ()]
INNER: dict[str, Callable] = {
    "SGD": lambda p, **o: nnx.optim.SGD(p, lr=0.1, momentum=0.9, **o),
    "Adam": lambda p, **o: nnx.optim.Adam(p, **{"lr": 0.1, **o}),
    "Adafactor": lambda p, **o: nnx.optim.Adafactor(p, **{"lr": 0.1, **o}),
}


def run(xp_backend: Any, optimizer: Any, parameters: list, first: int, last: int, gaps: bool = False) -> None:
    """Take the steps of these numbers, with gradients that depend on the number and on where the parameters are."""
    for step in range(first, last):
        rng = np.random.default_rng(step)
        for i, p in enumerate(parameters):
            g = rng.standard_normal(p.shape) + nnx.to_numpy(p.value)
            p.grad = None if gaps and (step + i) % 3 == 0 else xp_backend.array(g)
        optimizer.step()


def start(xp_backend: Any) -> list[nnx.Parameter]:
    rng = np.random.default_rng(0)
    return [xp_backend.parameter(np.asarray(rng.standard_normal(shape))) for shape in SHAPES]


def values(parameters: list) -> list[np.ndarray]:
    return [nnx.to_numpy(p.value).copy() for p in parameters]


def assert_equal(parameters: list, wanted: list[np.ndarray], rtol: float = 1e-9) -> None:
    for p, value in zip(parameters, wanted, strict=True):
        np.testing.assert_allclose(nnx.to_numpy(p.value), value, rtol=rtol, atol=1e-12)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize(("k", "alpha"), [(5, 0.5), (1, 0.3), (3, 1.0), (4, 0.8)])
@pytest.mark.parametrize("inner", list(INNER))
def test_it_is_algorithm_1_of_the_paper(xp_backend: Any, inner: str, k: int, alpha: float, gaps: bool) -> None:
    ours, theirs = start(xp_backend), start(xp_backend)
    optimizer, fast = nnx.optim.Lookahead(INNER[inner](ours), k, alpha), INNER[inner](theirs)
    slow = values(theirs)
    for step in range(STEPS):
        run(xp_backend, optimizer, ours, step, step + 1, gaps)
        run(xp_backend, fast, theirs, step, step + 1, gaps)
        if step % k == k - 1:
            slow = [s + alpha * (v - s) for s, v in zip(slow, values(theirs), strict=True)]
            for p, s in zip(theirs, slow, strict=True):
                p.value = xp_backend.array(s)
        assert_equal(ours, values(theirs))


def test_groups_schedules_and_rates_are_those_of_the_inner_optimizer(xp_backend: Any) -> None:
    ours, theirs = start(xp_backend), start(xp_backend)
    schedule = nnx.optim.schedules.exponential_decay(0.1, 0.9)

    def make(p: list) -> nnx.optim.Optimizer:
        return nnx.optim.SGD([{"params": p[:1]}, {"params": p[1:], "weight_decay": 0.5}], lr=schedule)

    optimizer, plain = nnx.optim.Lookahead(make(ours), k=50), make(theirs)
    run(xp_backend, optimizer, ours, 0, 5)
    run(xp_backend, plain, theirs, 0, 5)
    assert_equal(ours, values(theirs))
    assert optimizer.lr == plain.lr == schedule(5)
    optimizer.lr = plain.lr = 0.25
    assert optimizer.lr == optimizer.optimizer.lr == 0.25
    assert [group.options["weight_decay"] for group in optimizer.groups] == [0.0, 0.5]
    run(xp_backend, optimizer, ours, 5, 8)
    run(xp_backend, plain, theirs, 5, 8)
    assert_equal(ours, values(theirs))
    optimizer.zero_grad()
    assert all(p.grad is None for p in ours)


def test_gradients_by_name_and_closures_are_handed_on(xp_backend: Any) -> None:
    p = xp_backend.parameter(np.zeros(1))
    optimizer = nnx.optim.Lookahead(nnx.optim.SGD([p], lr=1.0), k=2)
    optimizer.step({"0": xp_backend.array([-1.0])})

    def closure() -> str:
        p.grad = xp_backend.array([-1.0])
        return "loss"

    assert optimizer.step(closure) == "loss"
    assert nnx.to_numpy(p.value).tolist() == [1.0]


def test_the_slow_weights_begin_at_the_first_step() -> None:
    """Weights that are loaded after the optimizer was made count."""
    p = nnx.Parameter(np.zeros(1))
    optimizer = nnx.optim.Lookahead(nnx.optim.SGD([p], lr=1.0), k=1)
    optimizer.load_state_dict(optimizer.state_dict())
    p.value = np.asarray([10.0])
    optimizer.step([np.asarray([-1.0])])
    assert p.value.tolist() == [10.5]


def test_it_follows_the_parameters_to_other_places() -> None:
    net, still = (nnx.Linear(2, 2, dtype="float64") for _ in range(2))
    still.load_state_dict(net.state_dict())
    moved = nnx.optim.Lookahead(nnx.optim.Adam(net, lr=0.1), k=2)
    plain = nnx.optim.Lookahead(nnx.optim.Adam(still, lr=0.1), k=2)
    for place in ("numpy", "strict", "strict", "numpy"):
        net.to(place)
        for optimizer, module in ((moved, net), (plain, still)):
            grads = {
                n: nnx.asarray(np.ones(p.shape), backend=nnx.get_backend(p.value).name)
                for n, p in module.named_parameters()
            }
            optimizer.step(grads)
    for name, value in still.state_dict().items():
        np.testing.assert_allclose(nnx.to_numpy(net.state_dict()[name]), value, rtol=1e-12)


# ------------------------------------------------------------------ state

DUPLICATES: dict[str, Callable] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda pair: pickle.loads(pickle.dumps(pair)),
}


@pytest.mark.parametrize("after", [0, 2, 3, 7])
@pytest.mark.parametrize("kind", ["loaded", *DUPLICATES])
@pytest.mark.parametrize("inner", list(INNER))
def test_training_goes_on_from_a_state(xp_backend: Any, inner: str, kind: str, after: int) -> None:
    parameters = start(xp_backend)
    optimizer = nnx.optim.Lookahead(INNER[inner](parameters), k=3)
    run(xp_backend, optimizer, parameters, 0, after)
    if kind == "loaded":
        others = [nnx.Parameter(p.value) for p in parameters]
        other = nnx.optim.Lookahead(INNER[inner](others), k=3)
        other.load_state_dict(optimizer.state_dict())
    else:
        other, others = DUPLICATES[kind]((optimizer, parameters))
    run(xp_backend, optimizer, parameters, after, after + 5)
    run(xp_backend, other, others, after, after + 5)
    assert_equal(others, values(parameters), rtol=1e-12)


def test_a_state_that_does_not_fit_is_refused_whole() -> None:
    p = nnx.Parameter(np.ones(2))
    optimizer = nnx.optim.Lookahead(nnx.optim.Adam([p], lr=0.1), k=2)
    optimizer.step([np.ones(2)])
    state = optimizer.state_dict()
    assert list(state) == ["steps", "optimizer", "parameters"]
    before = copy.deepcopy(state)
    state["parameters"]["0"]["slow"] = np.zeros(3)
    with pytest.raises(WeightsError, match=r"the state does not fit Lookahead \(1 problems, nothing was loaded\)"):
        optimizer.load_state_dict(state)
    state = copy.deepcopy(before)
    state["steps"] = 7
    del state["optimizer"]["parameters"]["0"]["exp_avg"]
    with pytest.raises(WeightsError, match="the state does not fit Adam"):
        optimizer.load_state_dict(state)
    with pytest.raises(WeightsError, match=r"Lookahead: expected what state_dict\(\) returned"):
        optimizer.load_state_dict(3)
    assert optimizer.steps == 1
    np.testing.assert_array_equal(
        optimizer.state_dict()["optimizer"]["parameters"]["0"]["exp_avg"],
        before["optimizer"]["parameters"]["0"]["exp_avg"],
    )


# ------------------------------------------------------------------ errors

SGD = nnx.optim.SGD([nnx.Parameter(np.ones(2))])
ARGUMENTS: list[tuple[Callable, type[Exception], str]] = [
    (
        lambda: nnx.optim.Lookahead(nnx.Linear(2, 1)),
        TypeError,
        "Lookahead: expected an optimizer, such as nnx.optim.SGD(net, lr=0.1), got Linear.",
    ),
    (lambda: nnx.optim.Lookahead(SGD, k=0), ValueError, "Lookahead: expected k to be a positive integer, got 0."),
    (lambda: nnx.optim.Lookahead(SGD, k=1.5), TypeError, "Lookahead: expected k to be a positive integer, got 1.5."),
    (
        lambda: nnx.optim.Lookahead(SGD, alpha=0.0),
        ValueError,
        "Lookahead: expected alpha to be a number above 0 and at most 1, got 0.0; pass one in that range.",
    ),
    (
        lambda: nnx.optim.Lookahead(SGD, alpha=1.5),
        ValueError,
        "Lookahead: expected alpha to be a number above 0 and at most 1, got 1.5; pass one in that range.",
    ),
    (
        lambda: nnx.optim.Lookahead(SGD, alpha="x"),
        TypeError,
        "Lookahead: expected alpha to be a number above 0 and at most 1, got 'x'; pass one in that range.",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), ARGUMENTS)
def test_arguments_are_checked(call: Callable, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text


def test_repr() -> None:
    assert repr(nnx.optim.Lookahead(SGD)).startswith("Lookahead(SGD(1 parameters, lr=0.001")
