"""L-BFGS: the trajectories of PyTorch's, minima, its state, and what it refuses."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import DTypeError, WeightsError

STEPS = 20
START = (np.asarray([-1.2, 1.0]), np.asarray([[0.5, 2.0]]))
OPTIONS: list[dict] = [
    {},
    {"lr": 0.5, "max_iter": 5},
    {"lr": 2.0, "max_iter": 5},
    {"max_iter": 1},
    {"max_eval": 7},
    {"max_eval": 1},
    {"tolerance_grad": 1e-1, "max_iter": 5},
    {"tolerance_change": 1e-2, "max_iter": 5},
    {"history_size": 2, "max_iter": 4},
    {"history_size": 1, "max_iter": 4, "max_eval": 6},
]
LINE_SEARCHES = [None, "strong_wolfe"]


def rosenbrock(a: Any, b: Any) -> Any:
    """Rosenbrock's function of the four numbers in an array of shape (2,) and one of shape (1, 2), with a factor of 2
    for his 100: with that, two runs of PyTorch that begin 1e-15 apart end 1e-8 apart."""
    x = [a[0], a[1], b[0, 0], b[0, 1]]
    return sum(2 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2 for i in range(3))


def closure_for(optimizer: Any, parameters: list[nnx.Parameter], function: Callable) -> Callable:
    def closure() -> Any:
        optimizer.zero_grad()
        with nnx.record():
            loss = function(*[p.read() for p in parameters])
        loss.backward()
        return loss

    return closure


class Pair:
    """The same problem in both libraries."""

    def __init__(self, xp_backend: Any, options: dict, function: Callable = rosenbrock) -> None:
        self.torch = pytest.importorskip("torch")
        self.ours = [xp_backend.parameter(v) for v in START]
        self.theirs = [self.torch.nn.Parameter(self.torch.tensor(v)) for v in START]
        self.optimizer = nnx.optim.LBFGS(self.ours, **options)
        self.reference = self.torch.optim.LBFGS(self.theirs, **options)
        self.function = function

    def step(self) -> tuple[float, float]:
        def closure() -> Any:
            self.reference.zero_grad()
            loss = self.function(*self.theirs)
            loss.backward()
            return loss

        found = self.optimizer.step(closure_for(self.optimizer, self.ours, self.function))
        return float(nnx.to_numpy(nnx.stop_gradient(found))), self.reference.step(closure).item()

    def compare(self) -> None:
        for p, q in zip(self.ours, self.theirs, strict=True):
            np.testing.assert_allclose(nnx.to_numpy(p.value), q.detach().numpy(), rtol=1e-9, atol=1e-12)


def with_line_search(options: dict, line_search: str | None) -> dict:
    """A step of fixed length has to be short where this function is steep."""
    scale = 1.0 if line_search else 0.05
    return {"line_search_fn": line_search, **options, "lr": scale * options.get("lr", 1.0)}


def test_the_table_has_every_keyword() -> None:
    keywords = set(inspect.signature(nnx.optim.LBFGS).parameters) - {"parameters", "line_search_fn"}
    assert {key for options in OPTIONS for key in options} == keywords


@pytest.mark.parametrize("line_search", LINE_SEARCHES)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option(xp_backend: Any, options: dict, line_search: str | None) -> None:
    pair = Pair(xp_backend, with_line_search(options, line_search))
    for _ in range(STEPS):
        found, wanted = pair.step()
        assert found == pytest.approx(wanted, rel=1e-9)
        pair.compare()
    entry, reference = pair.optimizer.state_dict(), pair.reference.state[pair.theirs[0]]
    assert (entry["n_iter"], entry["func_evals"]) == (reference["n_iter"], reference["func_evals"])


@pytest.mark.parametrize("line_search", LINE_SEARCHES)
def test_a_schedule_is_a_function_of_the_step(xp_backend: Any, line_search: str | None) -> None:
    pair = Pair(xp_backend, with_line_search({"max_iter": 3}, line_search))
    schedule = nnx.optim.schedules.exponential_decay(1.0 if line_search else 0.05, 0.9)
    pair.optimizer.lr = schedule
    for step in range(STEPS):
        pair.reference.param_groups[0]["lr"] = schedule(step)
        pair.step()
    pair.compare()


def test_parameters_that_the_loss_does_not_depend_on_at_some_steps(xp_backend: Any) -> None:
    calls = iter(range(10_000))

    def function(a: Any, b: Any) -> Any:  # two calls for each step, one per library, with one evaluation each
        loss = (a[0] - 1) ** 2 * 3 + (a[0] + a[1]) ** 4
        return loss if next(calls) // 2 % 3 == 0 else loss + (b[0, 0] * b[0, 1] - a[0]) ** 2

    pair = Pair(xp_backend, {"max_iter": 1, "lr": 0.05}, function)
    for _ in range(STEPS):
        pair.step()
        pair.compare()


# ------------------------------------------------------------------ minima


def test_it_finds_the_minimum_of_rosenbrock(xp_backend: Any) -> None:
    p = xp_backend.parameter(np.asarray([-1.2, 1.0]))
    optimizer = nnx.optim.LBFGS([p], max_iter=100, tolerance_change=0.0, line_search_fn="strong_wolfe")
    optimizer.step(closure_for(optimizer, [p], lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2))
    np.testing.assert_allclose(nnx.to_numpy(p.value), 1.0, atol=1e-7)
    assert optimizer.state_dict()["func_evals"] < 60


@pytest.mark.parametrize("line_search", LINE_SEARCHES)
def test_it_fits_a_logistic_regression(line_search: str | None) -> None:
    """At the minimum of the penalised loss, its gradient is zero."""
    nnx.seed(0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 4))
    y = (x @ np.asarray([1.0, -2.0, 0.5, 0.0]) + rng.standard_normal(200) > 0).astype("int64")
    net = nnx.Linear(4, 2, dtype="float64").regularize(nnx.regularizers.L2(1e-3))
    optimizer = nnx.optim.LBFGS(net, lr=1.0, max_iter=50, line_search_fn=line_search)

    def closure() -> Any:
        optimizer.zero_grad()
        with nnx.record():
            loss = nnx.functional.cross_entropy(net(x), y) + net.penalty()
        loss.backward()
        return loss

    first = float(optimizer.step(closure))
    last = float(optimizer.step(closure))
    assert last < first
    closure()
    assert max(float(np.abs(p.grad).max()) for p in net.parameters()) < 1e-5
    assert np.mean(net(x).argmax(axis=-1) == y) > 0.85


def test_at_a_minimum_nothing_happens(xp_backend: Any) -> None:
    p = xp_backend.parameter(np.ones(2))
    optimizer = nnx.optim.LBFGS([p])
    optimizer.step(closure_for(optimizer, [p], lambda x: (x[0] - 1) ** 2 + (x[1] - 1) ** 2))
    np.testing.assert_array_equal(nnx.to_numpy(p.value), [1.0, 1.0])
    assert (optimizer.steps, optimizer.state_dict()["n_iter"]) == (1, 0)


def test_frozen_parameters_stay(xp_backend: Any) -> None:
    a, b = (xp_backend.parameter(v) for v in START)
    optimizer = nnx.optim.LBFGS([a, b], line_search_fn="strong_wolfe", max_iter=3)
    closure = closure_for(optimizer, [a, b], lambda a, b: (a[0] ** 2 - b[0, 0]) ** 2 + (a[1] + a[0] * b[0, 1] - 3) ** 2)
    optimizer.step(closure)
    b.trainable = False
    before = nnx.to_numpy(b.value).copy()
    losses = [float(nnx.to_numpy(nnx.stop_gradient(optimizer.step(closure)))) for _ in range(3)]
    np.testing.assert_array_equal(nnx.to_numpy(b.value), before)
    assert losses[0] > losses[1] > losses[2]


def test_float32_stays_float32(xp_backend: Any) -> None:
    p = xp_backend.parameter(np.asarray([-1.2, 1.0]), "float32")
    optimizer = nnx.optim.LBFGS([p], line_search_fn="strong_wolfe", max_iter=5)
    optimizer.step(closure_for(optimizer, [p], lambda x: (x[0] - 3) ** 2 + 0.5 * x[1] ** 2))
    state = optimizer.state_dict()["parameters"]["0"]
    for array in (p.value, *[v for k, v in state.items() if k != "step"]):
        assert str(array.dtype).endswith("float32")
    np.testing.assert_allclose(nnx.to_numpy(p.value), [3.0, 0.0], atol=1e-4)


# ------------------------------------------------------------------ state


def reload(optimizer: Any, parameters: list, options: dict) -> Any:
    other = nnx.optim.LBFGS(parameters, **options)
    other.load_state_dict(optimizer.state_dict())
    return other


DUPLICATES: dict[str, Callable] = {
    "loaded": reload,
    "deepcopy": lambda optimizer, parameters, options: copy.deepcopy((optimizer, parameters)),
    "pickle": lambda optimizer, parameters, options: pickle.loads(pickle.dumps((optimizer, parameters))),
}


@pytest.mark.parametrize("kind", list(DUPLICATES))
@pytest.mark.parametrize("after", [0, 1, 4])
def test_training_goes_on_from_a_state(xp_backend: Any, kind: str, after: int) -> None:
    options = {"line_search_fn": "strong_wolfe", "max_iter": 3, "history_size": 5}
    parameters = [xp_backend.parameter(v) for v in START]
    optimizer = nnx.optim.LBFGS(parameters, **options)
    for _ in range(after):
        optimizer.step(closure_for(optimizer, parameters, rosenbrock))
    others = [nnx.Parameter(p.value) for p in parameters]
    made = DUPLICATES[kind](optimizer, others if kind == "loaded" else parameters, options)
    other, others = made if isinstance(made, tuple) else (made, others)
    assert other.steps == after
    for _ in range(4):
        optimizer.step(closure_for(optimizer, parameters, rosenbrock))
        other.step(closure_for(other, others, rosenbrock))
    for p, q in zip(parameters, others, strict=True):
        np.testing.assert_allclose(nnx.to_numpy(q.value), nnx.to_numpy(p.value), rtol=1e-12)


def test_the_memory_moves_along() -> None:
    net, still = nnx.Module(), nnx.Module()
    for module in (net, still):
        module.a, module.b = (nnx.Parameter(v) for v in START)
    options = {"max_iter": 3, "line_search_fn": "strong_wolfe"}
    moved, reference = nnx.optim.LBFGS(net, **options), nnx.optim.LBFGS(still, **options)
    for place in ("numpy", "strict", "numpy"):
        net.to(place)
        for optimizer, module in ((moved, net), (reference, still)):
            optimizer.step(closure_for(optimizer, list(module.parameters()), rosenbrock))
    for name, value in still.state_dict().items():
        np.testing.assert_allclose(nnx.to_numpy(net.state_dict()[name]), value, rtol=1e-12)


def test_what_a_state_looks_like(xp_backend: Any) -> None:
    parameters = [xp_backend.parameter(v) for v in START]
    optimizer = nnx.optim.LBFGS(dict(zip("ab", parameters, strict=True)), max_iter=4)
    assert optimizer.state_dict()["history"] == 0
    optimizer.step(closure_for(optimizer, parameters, lambda a, b: rosenbrock(a, b) * 1e-3))
    state = optimizer.state_dict()
    assert list(state) == ["steps", "history", "n_iter", "func_evals", "t", "H_diag", "prev_loss", "parameters"]
    assert {k: tuple(v.shape) for k, v in state["parameters"]["b"].items() if k != "step"} == {
        "d": (1, 2),
        "prev_flat_grad": (1, 2),
        "old_dirs": (state["history"], 1, 2),
        "old_stps": (state["history"], 1, 2),
    }
    before = nnx.to_numpy(state["parameters"]["a"]["d"]).copy()
    optimizer.step(closure_for(optimizer, parameters, rosenbrock))
    np.testing.assert_array_equal(nnx.to_numpy(state["parameters"]["a"]["d"]), before)  # what was returned is a copy


def test_a_state_that_does_not_fit_is_refused_whole() -> None:
    parameters = [nnx.Parameter(v) for v in START]
    optimizer = nnx.optim.LBFGS(parameters, max_iter=4)
    optimizer.step(closure_for(optimizer, parameters, rosenbrock))
    before, state = optimizer.state_dict(), optimizer.state_dict()
    state["parameters"]["0"]["d"] = np.zeros(3)
    del state["parameters"]["1"]["old_dirs"]
    with pytest.raises(WeightsError) as caught:
        optimizer.load_state_dict(state)
    assert str(caught.value).splitlines() == [
        "the state does not fit LBFGS (2 problems, nothing was loaded):",
        "  0, d: expected shape (2,), got (3,)",
        f"  1, old_dirs: expected shape ({before['history']}, 1, 2), got nothing",
    ]
    state.update(n_iter=-1, t=None)
    with pytest.raises(WeightsError) as caught:
        optimizer.load_state_dict(state)
    assert str(caught.value).splitlines()[1:] == [
        "  t: expected a finite number, got None",
        "  n_iter: expected a non-negative integer, got -1",
    ]
    for nothing in (None, 3):
        with pytest.raises(WeightsError, match=r"LBFGS: expected what state_dict\(\) returned"):
            optimizer.load_state_dict(nothing)
    after = optimizer.state_dict()
    assert {k: v for k, v in after.items() if k != "parameters"} == {
        k: v for k, v in before.items() if k != "parameters"
    }
    np.testing.assert_array_equal(after["parameters"]["0"]["d"], before["parameters"]["0"]["d"])


# ------------------------------------------------------------------ errors

P = nnx.Parameter(np.ones(2))
ARGUMENTS: list[tuple[dict, type[Exception], str]] = [
    (
        {"lr": -1},
        ValueError,
        "LBFGS: expected lr to be a number of at least 0, got -1; pass such as lr=0.1, or a schedule.",
    ),
    ({"max_iter": 0}, ValueError, "LBFGS: expected max_iter to be a positive integer, got 0."),
    ({"max_eval": 2.5}, TypeError, "LBFGS: expected max_eval to be a positive integer, got 2.5."),
    (
        {"tolerance_grad": -1},
        ValueError,
        "LBFGS: expected tolerance_grad to be a number of at least 0, got -1; pass one in that range.",
    ),
    (
        {"tolerance_change": "x"},
        TypeError,
        "LBFGS: expected tolerance_change to be a number of at least 0, got 'x'; pass one in that range.",
    ),
    ({"line_search_fn": 3}, TypeError, "LBFGS: expected line_search_fn to be one of None, 'strong_wolfe', got 3."),
    ({"history_size": 0}, ValueError, "LBFGS: expected history_size to be a positive integer, got 0."),
    (
        {"line_search_fn": "wolfe"},
        ValueError,
        "LBFGS: expected line_search_fn to be one of None, 'strong_wolfe', got 'wolfe'.",
    ),
]


@pytest.mark.parametrize(("options", "error", "text"), ARGUMENTS)
def test_arguments_are_checked(options: dict, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        nnx.optim.LBFGS([P], **options)
    assert text in str(caught.value)


def test_groups_and_mixtures_are_refused() -> None:
    with pytest.raises(ValueError, match="LBFGS: expected one group of parameters, got 2; a step moves all"):
        nnx.optim.LBFGS([{"params": [P]}, {"params": [nnx.Parameter(np.ones(1))]}])
    with pytest.raises(DTypeError, match="LBFGS: parameter '0' is complex"):
        nnx.optim.LBFGS([nnx.Parameter(np.ones(2, dtype="complex128"))])
    mixed = nnx.optim.LBFGS([P, nnx.Parameter(np.ones(1, "float32"))])
    with pytest.raises(
        TypeError, match=r"expected parameters of one backend, device and dtype, got numpy cpu float64,"
    ):
        mixed.step(lambda: 0.0)


@pytest.mark.parametrize("grads", [None, {"0": np.ones(2)}])
def test_a_step_needs_a_closure(grads: Any) -> None:
    with pytest.raises(TypeError, match=r"LBFGS.step: expected a closure that computes the loss, calls backward\(\)"):
        nnx.optim.LBFGS([P]).step(grads)


def test_a_closure_without_backward_is_noticed() -> None:
    with pytest.raises(ValueError, match=r"the closure left no gradients; call loss.backward\(\) in it"):
        nnx.optim.LBFGS([nnx.Parameter(np.ones(2))]).step(lambda: 1.0)
