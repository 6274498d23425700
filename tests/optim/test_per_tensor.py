"""Adafactor and Muon take the steps that PyTorch's take; LAMB and LARS those of their papers, written out here."""

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
SHAPES = [(3, 4), (5,), (), (2, 3, 4, 2), (7, 2), (1, 1)]
MATRICES = [(3, 4), (7, 2), (4, 4), (1, 3)]
OPTIONS: list[tuple[str, dict]] = [
    ("Adafactor", {}),
    ("Adafactor", {"lr": 0.5}),
    ("Adafactor", {"lr": 0.1, "beta2_decay": -0.3}),
    ("Adafactor", {"lr": 0.1, "beta2_decay": 0.0}),
    ("Adafactor", {"lr": 0.1, "eps": (0.5, 2.0)}),  # both bounds hold for some
    ("Adafactor", {"lr": 0.1, "eps": (1e-30, 1e-5)}),
    ("Adafactor", {"lr": 0.1, "d": 1.5}),
    ("Adafactor", {"lr": 0.1, "weight_decay": 0.3}),
    ("Adafactor", {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    ("Muon", {}),
    ("Muon", {"lr": 0.1, "weight_decay": 0.0}),
    ("Muon", {"lr": 0.1, "momentum": 0.5}),
    ("Muon", {"lr": 0.1, "momentum": 0.0, "nesterov": False}),
    ("Muon", {"lr": 0.1, "nesterov": False}),
    ("Muon", {"lr": 0.1, "ns_coefficients": (2.0, -1.5, 0.5)}),
    ("Muon", {"lr": 0.1, "eps": 3.0}),  # more than some norms
    ("Muon", {"lr": 0.1, "ns_steps": 2}),
    ("Muon", {"lr": 0.1, "ns_steps": 0}),
    ("Muon", {"lr": 0.1, "adjust_lr_fn": "original"}),
    ("Muon", {"lr": 0.1, "adjust_lr_fn": "match_rms_adamw"}),
    ("LAMB", {}),
    ("LAMB", {"lr": 0.1, "betas": (0.5, 0.9)}),
    ("LAMB", {"lr": 0.1, "eps": 0.1}),
    ("LAMB", {"lr": 0.1, "weight_decay": 0.3}),
    ("LAMB", {"lr": 0.1, "bias_correction": False}),
    ("LAMB", {"lr": 0.1, "trust_clip": 1.0}),
    ("LAMB", {"lr": 0.1, "adapt": False}),
    ("LAMB", {"lr": 0.1, "maximize": True, "weight_decay": 0.1}),
    ("LARS", {}),
    ("LARS", {"lr": 5.0, "momentum": 0.5}),
    ("LARS", {"lr": 5.0, "momentum": 0.0}),
    ("LARS", {"lr": 5.0, "weight_decay": 0.3}),
    ("LARS", {"lr": 1.0, "trust_coefficient": 0.05}),
    ("LARS", {"lr": 5.0, "eps": 0.5}),
    ("LARS", {"lr": 0.1, "adapt": False, "weight_decay": 0.1}),
    ("LARS", {"lr": 5.0, "maximize": True, "weight_decay": 0.1}),
]


@pytest.mark.parametrize("name", ["Adafactor", "Muon", "LAMB", "LARS"])
def test_the_table_has_every_keyword(name: str) -> None:
    keywords = set(inspect.signature(getattr(nnx.optim, name)).parameters) - {"parameters"}
    assert {key for n, options in OPTIONS if n == name for key in options} == keywords


# ------------------------------------------------------------------ references


class Reference:
    """An optimizer that follows a rule written out in NumPy, one parameter at a time."""

    def __init__(self, rule: Callable, values: list[np.ndarray], options: dict) -> None:
        self.rule = rule
        self.values = [v.copy() for v in values]
        self.options = [dict(options) for _ in values]
        self.states: list[dict] = [{"t": 0} for _ in values]

    def step(self, grads: list[np.ndarray | None]) -> None:
        for i, g in enumerate(grads):
            if g is not None:
                self.states[i]["t"] += 1
                self.values[i] = self.rule(self.values[i], g, self.states[i], **self.options[i])


def lamb(
    w,
    g,
    state,
    lr=1e-3,
    betas=(0.9, 0.999),
    eps=1e-6,
    weight_decay=0.0,
    bias_correction=True,
    trust_clip=None,
    adapt=True,
    maximize=False,
):
    g = -g if maximize else g
    m = state["m"] = betas[0] * state.get("m", 0.0) + (1 - betas[0]) * g
    v = state["v"] = betas[1] * state.get("v", 0.0) + (1 - betas[1]) * g**2
    if bias_correction:
        m, v = m / (1 - betas[0] ** state["t"]), v / (1 - betas[1] ** state["t"])
    update = m / (v**0.5 + eps) + weight_decay * w
    of_w, of_update = math.sqrt((w**2).sum()), math.sqrt((update**2).sum())
    ratio = of_w / of_update if adapt and of_w > 0 and of_update > 0 else 1.0
    return w - lr * (ratio if trust_clip is None else min(ratio, trust_clip)) * update


def lars(
    w,
    g,
    state,
    lr=1e-3,
    momentum=0.9,
    weight_decay=0.0,
    trust_coefficient=1e-3,
    eps=1e-8,
    adapt=True,
    maximize=False,
):
    g = -g if maximize else g
    of_w, of_g = math.sqrt((w**2).sum()), math.sqrt((g**2).sum())
    local = trust_coefficient * of_w / (of_g + weight_decay * of_w + eps) if adapt and of_w > 0 and of_g > 0 else 1.0
    state["v"] = momentum * state.get("v", 0.0) + lr * local * (g + weight_decay * w)
    return w - state["v"]


def newton_schulz_in_float64(grad, ns_coefficients, ns_steps, eps):
    """What torch's helper does in bfloat16, on the smaller Gram matrix, in the gradient's own dtype."""
    a, b, c = ns_coefficients
    x = grad.T if grad.shape[0] > grad.shape[1] else grad
    x = x / x.norm().clamp(min=eps)
    for _ in range(ns_steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if grad.shape[0] > grad.shape[1] else x


class Pair:
    """An optimizer of ours and its reference, from the same parameters, with the same gradients."""

    def __init__(
        self, xp_backend: Any, monkeypatch: pytest.MonkeyPatch, name: str, options: dict, groups: Callable | None = None
    ) -> None:
        self.rng = np.random.default_rng(0)
        self.xp_backend = xp_backend
        shapes = MATRICES if name == "Muon" else SHAPES
        start = [np.asarray(self.rng.standard_normal(shape)) for shape in shapes]
        start[-1] *= 0.0  # weights of norm zero
        groups = groups or (lambda p: p)
        self.mine = [xp_backend.parameter(v) for v in start]
        self.ours = getattr(nnx.optim, name)(groups(self.mine), **options)
        self.torch: Any = None
        if name in ("LAMB", "LARS"):
            self.theirs: Any = Reference(lamb if name == "LAMB" else lars, start, options)
            for group, own in zip(self.ours.groups, groups(self.theirs.options), strict=False):
                for p in group.parameters if isinstance(own, dict) and "params" in own else ():
                    i = next(i for i, q in enumerate(self.mine) if q is p)
                    self.theirs.options[i].update({k: v for k, v in own.items() if k != "params"})
        else:
            self.torch = pytest.importorskip("torch")
            monkeypatch.setattr(
                self.torch.optim._muon, "_zeropower_via_newtonschulz", newton_schulz_in_float64, raising=True
            )
            self.tensors = [self.torch.nn.Parameter(self.torch.tensor(v)) for v in start]
            self.theirs = getattr(self.torch.optim, name)(groups(self.tensors), **options)

    def step(self, missing: tuple[int, ...] = (), zero: tuple[int, ...] = ()) -> None:
        grads = [np.asarray(self.rng.standard_normal(p.shape)) * (i not in zero) for i, p in enumerate(self.mine)]
        for i, (p, g) in enumerate(zip(self.mine, grads, strict=True)):
            p.grad = None if i in missing else self.xp_backend.array(g)
        self.ours.step()
        if self.torch is None:
            self.theirs.step([None if i in missing else g for i, g in enumerate(grads)])
            return
        for i, (q, g) in enumerate(zip(self.tensors, grads, strict=True)):
            q.grad = None if i in missing else self.torch.tensor(g)
        self.theirs.step()

    def set_lr(self, lr: float) -> None:
        if self.torch is None:
            for options in self.theirs.options:
                options["lr"] = lr
        else:
            self.theirs.param_groups[0]["lr"] = lr

    def compare(self) -> None:
        wanted = self.theirs.values if self.torch is None else [q.detach().numpy() for q in self.tensors]
        for p, value in zip(self.mine, wanted, strict=True):
            np.testing.assert_allclose(nnx.to_numpy(p.value), value, rtol=1e-9, atol=1e-12)


# ------------------------------------------------------------------ trajectories


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_every_option(xp_backend: Any, monkeypatch: Any, name: str, options: dict, gaps: bool) -> None:
    """Also with parameters that have no gradient at some steps."""
    pair = Pair(xp_backend, monkeypatch, name, options)
    for step in range(STEPS):
        missing = tuple(i for i in range(len(pair.mine)) if gaps and (step + i) % 3 == 0)
        pair.step(missing, zero=(1,) if step % 6 == 5 else ())
        pair.compare()


GROUPS: dict[str, tuple[dict, dict]] = {
    "Adafactor": ({"lr": 0.3, "weight_decay": 0.2}, {"d": 3.0, "eps": (0.1, 0.2)}),
    "Muon": ({"lr": 0.3, "nesterov": False}, {"momentum": 0.2, "adjust_lr_fn": "match_rms_adamw"}),
    "LAMB": ({"adapt": False, "weight_decay": 0.0}, {"betas": (0.2, 0.3), "lr": 0.5}),
    "LARS": ({"adapt": False, "weight_decay": 0.2}, {"trust_coefficient": 0.1, "eps": 0.3}),
}


@pytest.mark.parametrize("name", list(GROUPS))
def test_groups_with_options_of_their_own(xp_backend: Any, monkeypatch: Any, name: str) -> None:
    first, second = GROUPS[name]

    def groups(p: list) -> list[dict]:
        return [{"params": p[:1]}, {"params": p[1:2], **first}, {"params": p[2:], **second}]

    pair = Pair(xp_backend, monkeypatch, name, {"lr": 0.1, "weight_decay": 0.1}, groups)
    for _ in range(STEPS):
        pair.step()
    pair.compare()


@pytest.mark.parametrize("name", list(GROUPS))
def test_a_schedule_is_a_function_of_the_step(xp_backend: Any, monkeypatch: Any, name: str) -> None:
    schedule = nnx.optim.schedules.cosine_annealing(0.1, 15)
    pair = Pair(xp_backend, monkeypatch, name, {"lr": 1.0})
    pair.ours.lr = schedule
    for step in range(STEPS):
        pair.set_lr(schedule(step))
        pair.step()
    pair.compare()


@pytest.mark.parametrize("name", list(GROUPS))
def test_options_may_change_on_the_way_and_the_state_be_saved(xp_backend: Any, monkeypatch: Any, name: str) -> None:
    pair = Pair(xp_backend, monkeypatch, name, {"lr": 0.1})
    for step in range(STEPS):
        if step == 7:
            pair.set_lr(0.01)
            pair.ours.lr = 0.01
            saved, pair.ours = pair.ours, getattr(nnx.optim, name)(pair.mine, lr=0.01)
            pair.ours.load_state_dict(saved.state_dict())
        pair.step(missing=(step % 4,))
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


@pytest.mark.parametrize("name", list(GROUPS))
def test_a_parameter_without_elements(xp_backend: Any, name: str) -> None:
    p = xp_backend.parameter(np.zeros((0, 3)))
    getattr(nnx.optim, name)([p]).step([xp_backend.array(np.zeros((0, 3)))])
    assert p.shape == (0, 3)


@pytest.mark.parametrize("name", list(GROUPS))
def test_a_zero_gradient_gives_no_nan(xp_backend: Any, name: str) -> None:
    p = xp_backend.parameter(np.ones((2, 3)), "float32")
    optimizer = getattr(nnx.optim, name)([p], weight_decay=0.0)
    optimizer.step([xp_backend.array(np.zeros((2, 3)), "float32")])
    np.testing.assert_array_equal(nnx.to_numpy(p.value), np.ones((2, 3)))


@pytest.mark.parametrize("name", list(GROUPS))
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


P, V = nnx.Parameter(np.ones((2, 2))), nnx.Parameter(np.ones(2))
ARGUMENTS: list[tuple[str, dict, type[Exception], str]] = [
    ("Adafactor", {"lr": -1}, ValueError, "Adafactor: expected lr to be at least 0, got -1."),
    ("Adafactor", {"beta2_decay": 0.5}, ValueError, "Adafactor: expected beta2_decay to be at most 0, such as -0.8"),
    ("Adafactor", {"beta2_decay": math.nan}, ValueError, "expected beta2_decay to be at most 0, such as -0.8, got nan"),
    ("Adafactor", {"beta2_decay": "x"}, TypeError, "expected beta2_decay to be at most 0, such as -0.8, got 'x'."),
    ("Adafactor", {"eps": 1e-3}, TypeError, "Adafactor: expected eps to be a pair (None or a number, number), got"),
    ("Adafactor", {"eps": (-1.0, 0.1)}, ValueError, "Adafactor: expected eps[0] to be at least 0, got -1.0."),
    ("Adafactor", {"eps": (None, None)}, TypeError, "Adafactor: expected eps[1] to be at least 0, got None."),
    ("Adafactor", {"d": 0.5}, ValueError, "Adafactor: expected d to be at least 1, got 0.5."),
    ("Adafactor", {"weight_decay": -1}, ValueError, "Adafactor: expected weight_decay to be at least 0, got -1."),
    ("Adafactor", {"maximize": 1}, TypeError, "Adafactor: expected maximize to be True or False, got 1."),
    ("Muon", {"lr": "fast"}, TypeError, "Muon: expected lr to be at least 0, got 'fast'."),
    ("Muon", {"weight_decay": -1}, ValueError, "Muon: expected weight_decay to be at least 0, got -1."),
    ("Muon", {"momentum": 1.0}, ValueError, "Muon: expected momentum to be from 0 to below 1, got 1.0."),
    ("Muon", {"nesterov": "no"}, TypeError, "Muon: expected nesterov to be True or False, got 'no'."),
    ("Muon", {"ns_coefficients": (1, 2)}, TypeError, "Muon: expected ns_coefficients to be three numbers, got (1, 2)."),
    ("Muon", {"ns_coefficients": (1, 2, "3")}, TypeError, "Muon: expected ns_coefficients to be three numbers, got"),
    ("Muon", {"eps": 0.0}, ValueError, "Muon: expected eps to be above 0, got 0: a zero gradient would give NaN."),
    ("Muon", {"ns_steps": 100}, ValueError, "Muon: expected ns_steps to be less than 100, got 100."),
    ("Muon", {"ns_steps": 1.5}, TypeError, "Muon: expected ns_steps to be a non-negative integer, got 1.5."),
    (
        "Muon",
        {"adjust_lr_fn": "adam"},
        ValueError,
        "Muon: expected adjust_lr_fn to be None, 'original' or 'match_rms_adamw', got 'adam'.",
    ),
    ("LAMB", {"betas": 0.9}, TypeError, "LAMB: expected betas to be a pair of numbers, got 0.9."),
    ("LAMB", {"betas": (0.9, 1.0)}, ValueError, "LAMB: expected betas[1] to be from 0 to below 1, got 1.0."),
    ("LAMB", {"eps": 0.0}, ValueError, "LAMB: expected eps to be above 0, got 0"),
    ("LAMB", {"weight_decay": -1}, ValueError, "LAMB: expected weight_decay to be at least 0, got -1."),
    ("LAMB", {"bias_correction": 1}, TypeError, "LAMB: expected bias_correction to be True or False, got 1."),
    ("LAMB", {"trust_clip": 0.0}, ValueError, "LAMB: expected trust_clip to be above 0, or None for no bound, got 0."),
    ("LAMB", {"trust_clip": -1}, ValueError, "LAMB: expected trust_clip to be at least 0, got -1."),
    ("LAMB", {"adapt": None}, TypeError, "LAMB: expected adapt to be True or False, got None."),
    ("LARS", {"momentum": -0.1}, ValueError, "LARS: expected momentum to be from 0 to below 1, got -0.1."),
    ("LARS", {"weight_decay": -1}, ValueError, "LARS: expected weight_decay to be at least 0, got -1."),
    ("LARS", {"trust_coefficient": -1}, ValueError, "LARS: expected trust_coefficient to be at least 0, got -1."),
    ("LARS", {"eps": -1}, ValueError, "LARS: expected eps to be at least 0, got -1."),
    ("LARS", {"adapt": 0}, TypeError, "LARS: expected adapt to be True or False, got 0."),
    ("LARS", {"maximize": "x"}, TypeError, "LARS: expected maximize to be True or False, got 'x'."),
]


@pytest.mark.parametrize(("name", "options", "error", "text"), ARGUMENTS)
def test_arguments_are_checked(name: str, options: dict, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        getattr(nnx.optim, name)([P], **options)
    assert text in str(caught.value)


def test_muon_refuses_vectors() -> None:
    with pytest.raises(ValueError, match=r"Muon: expected parameters with two axes or more, got 'bias' of shape \(2,\)"):
        nnx.optim.Muon(nnx.Linear(3, 2))


@pytest.mark.parametrize("name", list(GROUPS))
def test_complex_parameters_are_refused(name: str) -> None:
    with pytest.raises(DTypeError, match=rf"{name}: parameter '0' is complex"):
        getattr(nnx.optim, name)([nnx.Parameter(np.ones((2, 2), dtype="complex128"))])
