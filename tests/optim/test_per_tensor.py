"""Rules that look at whole tensors: Muon takes PyTorch's steps, and what is special about Adafactor, LAMB and LARS.

The trajectories of those three are in test_trajectories.py, with the others'. PyTorch's Muon makes matrices orthogonal
in bfloat16, so here its helper is replaced with the same iteration in the dtype of the gradient.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import DTypeError

STEPS = 20
MATRICES = [(3, 4), (7, 2), (4, 4), (1, 3)]
NAMES = ["Adafactor", "Muon", "LAMB", "LARS"]
OPTIONS: list[dict] = [
    {},
    {"lr": 0.1, "weight_decay": 0.0},
    {"lr": 0.1, "weight_decay": 0.5},
    {"lr": 0.1, "momentum": 0.5},
    {"lr": 0.1, "momentum": 0.0, "nesterov": False},
    {"lr": 0.1, "nesterov": False},
    {"lr": 0.1, "ns_coefficients": (2.0, -1.5, 0.5)},
    {"lr": 0.1, "eps": 3.0},  # more than some norms
    {"lr": 0.1, "ns_steps": 2},
    {"lr": 0.1, "ns_steps": 0},
    {"lr": 0.1, "adjust_lr_fn": "original"},
    {"lr": 0.1, "adjust_lr_fn": "match_rms_adamw"},
]

# ------------------------------------------------------------------ Muon's trajectories


def newton_schulz(grad: Any, ns_coefficients: tuple, ns_steps: int, eps: float) -> Any:
    """What PyTorch's helper does, in the gradient's own dtype."""
    a, b, c = ns_coefficients
    x = grad.T if grad.shape[0] > grad.shape[1] else grad
    x = x / x.norm().clamp(min=eps)
    for _ in range(ns_steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if grad.shape[0] > grad.shape[1] else x


class Pair:
    """Muon in both libraries, from the same parameters, with the same gradients."""

    def __init__(
        self, xp_backend: Any, monkeypatch: Any, options: dict, groups: Callable[[list], Any] = lambda p: p
    ) -> None:
        self.torch = pytest.importorskip("torch")
        monkeypatch.setattr(self.torch.optim._muon, "_zeropower_via_newtonschulz", newton_schulz)
        self.rng = np.random.default_rng(0)
        self.xp_backend = xp_backend
        start = [self.rng.standard_normal(shape) for shape in MATRICES]
        self.mine = [xp_backend.parameter(v) for v in start]
        self.tensors = [self.torch.nn.Parameter(self.torch.tensor(v)) for v in start]
        self.ours = nnx.optim.Muon(groups(self.mine), **options)
        self.theirs = self.torch.optim.Muon(groups(self.tensors), **options)

    def step(self, missing: tuple[int, ...] = ()) -> None:
        for i, (p, q) in enumerate(zip(self.mine, self.tensors, strict=True)):
            g = self.rng.standard_normal(p.shape)
            p.grad = None if i in missing else self.xp_backend.array(g)
            q.grad = None if i in missing else self.torch.tensor(g)
        self.ours.step()
        self.theirs.step()

    def compare(self) -> None:
        for p, q in zip(self.mine, self.tensors, strict=True):
            np.testing.assert_allclose(nnx.to_numpy(p.value), q.detach().numpy(), rtol=1e-9, atol=1e-12)


def test_the_table_has_every_argument_of_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = (inspect.signature(cls.__init__).parameters.values() for cls in (nnx.optim.Muon, torch.optim.Muon))
    arguments = [(p.name, p.default, p.kind) for p in ours][2:]
    assert arguments == [(p.name, p.default, p.kind) for p in theirs][2:]
    assert {key for options in OPTIONS for key in options} == {name for name, _, _ in arguments}


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_of_muon(xp_backend: Any, monkeypatch: Any, options: dict, gaps: bool) -> None:
    """Also with parameters that have no gradient at some steps."""
    pair = Pair(xp_backend, monkeypatch, options)
    for step in range(STEPS):
        pair.step(tuple(i for i in range(len(MATRICES)) if gaps and (step + i) % 3 == 0))
        pair.compare()


def test_groups_of_muon_with_options_of_their_own(xp_backend: Any, monkeypatch: Any) -> None:
    def groups(p: list) -> list[dict]:
        first = {"lr": 0.3, "nesterov": False}
        second = {"momentum": 0.2, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 3}
        return [{"params": p[:1]}, {"params": p[1:2], **first}, {"params": p[2:], **second}]

    pair = Pair(xp_backend, monkeypatch, {"lr": 0.1}, groups)
    for _ in range(STEPS):
        pair.step()
    pair.compare()


def test_a_schedule_and_a_saved_state_of_muon(xp_backend: Any, monkeypatch: Any) -> None:
    schedule = nnx.optim.schedules.cosine_annealing(0.1, 15)
    pair = Pair(xp_backend, monkeypatch, {"lr": 1.0})
    pair.ours.lr = schedule
    for step in range(STEPS):
        pair.theirs.param_groups[0]["lr"] = schedule(step)
        pair.step(missing=(step % 4,))
        if step == 7:
            state, pair.ours = pair.ours.state_dict(), nnx.optim.Muon(pair.mine, lr=schedule)
            pair.ours.load_state_dict(state)
            for entry, q in zip(state["parameters"].values(), pair.tensors, strict=True):
                wanted = pair.theirs.state[q]["momentum_buffer"].numpy()
                np.testing.assert_allclose(nnx.to_numpy(entry["momentum_buffer"]), wanted, rtol=1e-9)
    pair.compare()


# ------------------------------------------------------------------ what is special about each


def test_adafactor_keeps_rows_and_columns(xp_backend: Any) -> None:
    p, q = xp_backend.parameter(np.ones((2, 3, 4))), xp_backend.parameter(np.ones(5))
    optimizer = nnx.optim.Adafactor([p, q])
    optimizer.step([xp_backend.array(np.full((2, 3, 4), 2.0)), xp_backend.array(np.full(5, 3.0))])
    first, second = optimizer.state_dict()["parameters"].values()
    shapes = {k: tuple(v.shape) for k, v in first.items() if k != "step"}
    assert shapes == {"row_var": (2, 3, 1), "col_var": (2, 1, 4), "variance": (0,)}
    assert {tuple(second[k].shape) for k in ("row_var", "col_var")} == {(0,)}
    np.testing.assert_array_equal(nnx.to_numpy(first["col_var"]), np.full((2, 1, 4), 4.0))
    np.testing.assert_array_equal(nnx.to_numpy(second["variance"]), np.full(5, 9.0))


@pytest.mark.parametrize("eps", [None, 0.0, 1e-30, 1e-42])
def test_adafactor_with_units_that_died(xp_backend: Any, eps: float | None) -> None:
    """Rows and columns without any gradient, beside a large one, in float32: no NaN, no overflow, no movement."""
    p = xp_backend.parameter(np.ones((4, 3)), "float32")
    optimizer = nnx.optim.Adafactor([p], lr=0.1, eps=(eps, 1e-3))
    g = np.zeros((4, 3))
    g[0, 0] = 1e6
    for _ in range(3):
        optimizer.step([xp_backend.array(g, "float32")])
    value = nnx.to_numpy(p.value)
    assert 0 < value[0, 0] < 1
    value[0, 0] = 1.0
    np.testing.assert_array_equal(value, np.ones((4, 3)))


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_without_elements(xp_backend: Any, name: str) -> None:
    p = xp_backend.parameter(np.zeros((0, 3)))
    getattr(nnx.optim, name)([p]).step([xp_backend.array(np.zeros((0, 3)))])
    assert p.shape == (0, 3)


@pytest.mark.parametrize("name", NAMES)
def test_a_zero_gradient_gives_no_nan(xp_backend: Any, name: str) -> None:
    p = xp_backend.parameter(np.ones((2, 3)), "float32")
    optimizer = getattr(nnx.optim, name)([p], weight_decay=0.0)
    optimizer.step([xp_backend.array(np.zeros((2, 3)), "float32")])
    np.testing.assert_array_equal(nnx.to_numpy(p.value), np.ones((2, 3)))


@pytest.mark.parametrize("name", ["LAMB", "LARS"])
def test_weights_of_zero_have_a_ratio_of_one(xp_backend: Any, name: str) -> None:
    p, q = (xp_backend.parameter(np.zeros(2)) for _ in range(2))
    for parameter, adapt in ((p, True), (q, False)):
        getattr(nnx.optim, name)([parameter], lr=0.1, adapt=adapt).step([xp_backend.array([3.0, -1.0])])
    assert nnx.to_numpy(p.value).all()
    np.testing.assert_array_equal(nnx.to_numpy(p.value), nnx.to_numpy(q.value))


@pytest.mark.parametrize("name", NAMES)
def test_float32_stays_float32(xp_backend: Any, name: str) -> None:
    p = xp_backend.parameter(np.ones((3, 2)), "float32")
    optimizer = getattr(nnx.optim, name)([p], lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.step([xp_backend.array(np.ones((3, 2)), "float32")])
    state = optimizer.state_dict()["parameters"]["0"]
    for array in (p.value, *[v for k, v in state.items() if k != "step"]):
        assert str(array.dtype).endswith("float32")


def test_muon_takes_convolution_weights_for_matrices(xp_backend: Any) -> None:
    rng = np.random.default_rng(0)
    value, gradient = rng.standard_normal((2, 4, 3, 3, 2))
    p, flat = xp_backend.parameter(value), xp_backend.parameter(value.reshape(4, 18))
    options = {"lr": 0.1, "adjust_lr_fn": "match_rms_adamw"}
    nnx.optim.Muon([p], **options).step([xp_backend.array(gradient)])
    nnx.optim.Muon([flat], **options).step([xp_backend.array(gradient.reshape(4, 18))])
    np.testing.assert_allclose(nnx.to_numpy(p.value).reshape(4, 18), nnx.to_numpy(flat.value), rtol=1e-12)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
def test_steps_of_muon_are_nearly_orthogonal(shape: tuple[int, int]) -> None:
    p = nnx.Parameter(np.zeros(shape))
    g = np.random.default_rng(0).standard_normal(shape)
    nnx.optim.Muon([p], lr=1.0, weight_decay=0.0, ns_coefficients=(1.875, -1.25, 0.375), ns_steps=30).step([g])
    u, _, v = np.linalg.svd(g, full_matrices=False)
    np.testing.assert_allclose(p.value, -(u @ v) * math.sqrt(max(1, shape[0] / shape[1])), atol=1e-9)


P = nnx.Parameter(np.ones((2, 2)))
ARGUMENTS: list[tuple[str, dict, type[Exception], str]] = [
    (
        "Adafactor",
        {"beta2_decay": 0.5},
        ValueError,
        "Adafactor: expected beta2_decay to be a number of at most 0, got 0.5; pass such as -0.8.",
    ),
    (
        "Adafactor",
        {"beta2_decay": math.nan},
        ValueError,
        "expected beta2_decay to be a number of at most 0, got nan; pass such as -0.8.",
    ),
    (
        "Adafactor",
        {"beta2_decay": "x"},
        TypeError,
        "expected beta2_decay to be a number of at most 0, got 'x'; pass such as -0.8.",
    ),
    ("Adafactor", {"eps": 1e-3}, TypeError, "Adafactor: expected eps to be a pair (None or a number, number), got"),
    (
        "Adafactor",
        {"eps": (-1.0, 0.1)},
        ValueError,
        "Adafactor: expected eps[0] to be a number of at least 0, got -1.0; pass one in that range.",
    ),
    (
        "Adafactor",
        {"eps": (None, None)},
        TypeError,
        "Adafactor: expected eps[1] to be a number of at least 0, got None; pass one in that range.",
    ),
    (
        "Muon",
        {"lr": "fast"},
        TypeError,
        "Muon: expected lr to be a number of at least 0, got 'fast'; pass such as lr=0.1, or a schedule.",
    ),
    (
        "Muon",
        {"weight_decay": -1},
        ValueError,
        "Muon: expected weight_decay to be a number of at least 0, got -1; pass one in that range.",
    ),
    (
        "Muon",
        {"momentum": 1.0},
        ValueError,
        "Muon: expected momentum to be a number from 0 to below 1, got 1.0; pass one in that range.",
    ),
    ("Muon", {"nesterov": "no"}, TypeError, "Muon: expected nesterov to be True or False, got 'no'."),
    (
        "Muon",
        {"ns_coefficients": (1, 2)},
        TypeError,
        "Muon: expected ns_coefficients to be three numbers, got (1, 2); pass such as",
    ),
    ("Muon", {"ns_coefficients": (1, 2, "3")}, TypeError, "Muon: expected ns_coefficients to be three numbers, got"),
    (
        "Muon",
        {"eps": 0.0},
        ValueError,
        "Muon: expected eps to be a number above 0, got 0.0; a zero gradient would give NaN; pass such as eps=1e-8.",
    ),
    ("Muon", {"ns_steps": 100}, ValueError, "Muon: expected ns_steps to be less than 100, got 100; 5 will do."),
    ("Muon", {"ns_steps": 1.5}, TypeError, "Muon: expected ns_steps to be a non-negative integer, got 1.5."),
    (
        "Muon",
        {"adjust_lr_fn": "adam"},
        ValueError,
        "Muon: expected adjust_lr_fn to be one of None, 'original', 'match_rms_adamw', got 'adam'.",
    ),
    (
        "LAMB",
        {"eps": 0.0},
        ValueError,
        "LAMB: expected eps to be a number above 0, got 0.0; a zero gradient would give NaN; pass such as eps=1e-8.",
    ),
    (
        "LAMB",
        {"trust_clip": 0.0},
        ValueError,
        "LAMB: expected trust_clip to be a number above 0, got 0.0; pass one in that range.",
    ),
]


@pytest.mark.parametrize(("name", "options", "error", "text"), ARGUMENTS)
def test_arguments_are_checked(name: str, options: dict, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        getattr(nnx.optim, name)([P], **options)
    assert text in str(caught.value)


def test_muon_refuses_vectors() -> None:
    with pytest.raises(
        ValueError, match=r"Muon: expected parameters with two axes or more, got 'bias' of shape \(2,\)"
    ):
        nnx.optim.Muon(nnx.Linear(3, 2))


@pytest.mark.parametrize("name", NAMES)
def test_complex_parameters_are_refused(name: str) -> None:
    with pytest.raises(DTypeError, match=rf"{name}: parameter '0' is complex"):
        getattr(nnx.optim, name)([nnx.Parameter(np.ones((2, 2), dtype="complex128"))])
