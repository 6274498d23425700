"""Optimizers: what people pass and ask for out of habit, what schedules may return, and float16."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import DTypeError
from nnx.optim import schedules
from tests.optim.optimizer_table import ENTRIES

P = nnx.Parameter(np.ones(2))

# ------------------------------------------------------------------ schedules


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (-1.0, ValueError, "to return a finite number of at least 0, got -1.0 at step 0; correct it for this step"),
        (float("nan"), ValueError, "to return a finite number of at least 0, got nan at step 0"),
        (float("inf"), ValueError, "to return a finite number of at least 0, got inf at step 0"),
        ("0.1", TypeError, "to return a number, got '0.1' at step 0; let it return a float."),
        (None, TypeError, "to return a number, got None at step 0"),
        (True, TypeError, "to return a number, got True at step 0"),
        (np.ones(2), TypeError, "to return a number, got an array of shape (2,) at step 0"),
        (schedules.linear(0.1), TypeError, "to return a number, got Schedule at step 0"),
    ],
)
@pytest.mark.parametrize("name", ["SGD", "LBFGS"])
def test_what_a_schedule_returns_is_checked(name: str, value: Any, error: type[Exception], text: str) -> None:
    p = nnx.Parameter(np.ones(2))
    optimizer = getattr(nnx.optim, name)([p], lr=lambda step: value)

    def closure() -> float:
        p.grad = np.ones(2)
        return 1.0

    with pytest.raises(error) as caught:
        optimizer.step(closure)
    assert str(caught.value).startswith(f"{name}: expected lr, the schedule <function ")
    assert text in str(caught.value)
    assert p.value.tolist() == [1.0, 1.0]
    with pytest.raises(error):
        _ = optimizer.lr


@pytest.mark.parametrize("value", [np.float32(0.5), np.asarray(0.5), Fraction(1, 2), 0.5])
def test_a_schedule_may_return_any_number(value: Any) -> None:
    optimizer = nnx.optim.SGD([nnx.Parameter(np.ones(2))], lr=lambda step: value)
    assert (optimizer.lr, type(optimizer.lr)) == (0.5, float)


@pytest.mark.parametrize(
    "make", [schedules.step_decay, schedules.linear, schedules.per_epoch, schedules.ReduceLROnPlateau]
)
def test_a_schedule_that_was_not_called_is_noticed(make: Any) -> None:
    text = (
        rf"SGD: expected lr .*, got {make.__name__} itself, which makes schedules; call it: lr={make.__name__}\(\.\.\."
    )
    with pytest.raises(TypeError, match=text):
        nnx.optim.SGD([P], lr=make)
    with pytest.raises(TypeError, match=text):
        nnx.optim.SGD([P]).lr = make


@pytest.mark.parametrize("strategy", ["cos", "linear"])
def test_one_cycle_ends_with_its_last_rate(strategy: str) -> None:
    schedule = schedules.one_cycle(1.0, total_steps=9, anneal_strategy=strategy)
    assert schedule(9) == schedule(8) == pytest.approx(1 / 25 / 1e4)
    with pytest.raises(ValueError, match="one_cycle: expected a step of at most 9, where the schedule ends, got 10"):
        schedule(10)


# ------------------------------------------------------------------ numbers of other kinds


def test_numpy_numbers_of_every_kind_are_options() -> None:
    matrix, vector = nnx.Parameter(np.ones((2, 2))), nnx.Parameter(np.ones(2))
    found = nnx.optim.Muon([matrix], ns_steps=np.int64(3), nesterov=np.bool_(False), ns_coefficients=np.ones(3))
    options = found.groups[0].options
    assert (options["ns_steps"], options["nesterov"], options["ns_coefficients"]) == (3, False, (1.0, 1.0, 1.0))
    assert [type(options[name]) for name in ("ns_steps", "nesterov")] == [int, bool]
    found = nnx.optim.LBFGS([vector], max_iter=np.int64(5), max_eval=np.int32(9), history_size=np.uint8(7))
    assert [found.groups[0].options[name] for name in ("max_iter", "max_eval", "history_size")] == [5, 9, 7]
    found.groups[0].options["max_iter"] = np.int16(2)
    found.step(lambda: setattr(vector, "grad", np.ones(2)) or 1.0)
    for betas in (np.asarray([0.5, 0.9]), [np.float32(0.5), np.float64(0.9)]):
        adam = nnx.optim.Adam([nnx.Parameter(np.ones(2))], lr=np.asarray(0.5), betas=betas, amsgrad=np.True_)
        assert adam.groups[0].options["betas"] == (0.5, 0.9)
        assert adam.groups[0].options["amsgrad"] is True
        adam.step([np.ones(2)])


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(
        ValueError, match=r"Rprop: expected etas\[1\] to be a (finite )?number of at least 0, got (inf|nan);"
    ):
        nnx.optim.Rprop([P], etas=(0.5, value))
    with pytest.raises(ValueError, match=r"EMA: expected decay to be a number from 0 to below 1, got (inf|nan);"):
        nnx.optim.EMA([P], value)
    with pytest.raises(ValueError, match="Muon: expected ns_coefficients to be finite, got"):
        nnx.optim.Muon([nnx.Parameter(np.ones((2, 2)))], ns_coefficients=(1.0, value, 1.0))
    with pytest.raises(ValueError, match="Adafactor: expected beta2_decay to be a number of at most 0, got"):
        nnx.optim.Adafactor([P], beta2_decay=-value)


# ------------------------------------------------------------------ PyTorch's habits


@pytest.mark.parametrize("make", [nnx.optim.SGD, lambda p: nnx.optim.Lookahead(nnx.optim.SGD(p))])
def test_names_of_pytorch_say_what_is_here(make: Callable) -> None:
    optimizer = make([P])
    with pytest.raises(AttributeError, match=r"has no 'param_groups'; it has groups, e\.g\. optimizer\.groups\[0\]"):
        _ = optimizer.param_groups
    with pytest.raises(AttributeError, match=r"has no 'add_param_group'; it has groups from the start: make the"):
        optimizer.add_param_group({"params": [nnx.Parameter(np.ones(1))]})
    with pytest.raises(AttributeError, match=r"has no 'state'; it has state_dict\(\)\."):
        _ = optimizer.state
    with pytest.raises(AttributeError, match="'velocity'"):
        _ = optimizer.velocity
    assert repr(pickle.loads(pickle.dumps(optimizer))) == repr(optimizer)


def test_a_group_may_be_one_parameter() -> None:
    a, b = nnx.Parameter(np.ones(2)), nnx.Parameter(np.ones(1))
    optimizer = nnx.optim.SGD([{"params": a, "lr": 0.5}, {"params": [b]}], lr=1.0)
    optimizer.step([np.ones(2), np.ones(1)])
    assert (a.value.tolist(), b.value.tolist()) == ([0.5, 0.5], [0.0])


# ------------------------------------------------------------------ groups, gradients, optimizers of one's own


@pytest.mark.parametrize("name", [e.name for e in ENTRIES if not e.cls.allows_complex])
def test_a_complex_parameter_in_a_second_group_is_refused(name: str) -> None:
    groups = [{"params": [nnx.Parameter(np.ones((2, 2)))]}, {"params": [nnx.Parameter(np.ones((2, 2), "complex128"))]}]
    with pytest.raises(DTypeError, match=rf"{name}: parameter '1' is complex"):
        getattr(nnx.optim, name)(groups)


def test_gradients_that_were_passed_are_forgotten_after_the_step(xp_backend: Any) -> None:
    a, b = (xp_backend.parameter(np.ones(2)) for _ in range(2))
    optimizer = nnx.optim.SGD([a, b], lr=1.0)
    optimizer.step([xp_backend.array([1.0, 1.0]), None])
    assert a.grad is None
    optimizer.step()
    assert nnx.to_numpy(a.value).tolist() == [0.0, 0.0]
    a.grad = xp_backend.array([1.0, 1.0])
    optimizer.step()
    assert a.grad is not None  # those of backward() stay until zero_grad()


def test_an_optimizer_of_ones_own_needs_a_rate() -> None:
    class Still(nnx.optim.Optimizer):
        def __init__(self, parameters: Any) -> None:
            super().__init__(parameters, speed=1.0)

    with pytest.raises(
        TypeError, match=r"Still: expected the option lr, got speed; .* super\(\).__init__\(parameters, lr"
    ):
        Still([P])


@pytest.mark.parametrize("value", [None, "x", np.ones(2)])
def test_a_closure_has_to_return_the_loss(value: Any) -> None:
    p = nnx.Parameter(np.ones(2))

    def closure() -> Any:
        p.grad = np.ones(2)
        return value

    with pytest.raises(
        TypeError, match=r"LBFGS\.step: expected the closure to return the loss, one number, got .*; end"
    ):
        nnx.optim.LBFGS([p]).step(closure)


# ------------------------------------------------------------------ float16


def run_in_float16(make: Callable, gradient: float, steps: int) -> np.ndarray:
    p = nnx.Parameter(np.zeros(3, "float16"))
    optimizer = make([p])
    for step in range(steps):
        optimizer.step([np.full(3, gradient if step % 3 else -gradient, "float16")])
    assert p.value.dtype == np.float16
    assert np.isfinite(p.value).all()
    return p.value.astype("float64")


@pytest.mark.parametrize("kind", ["Adam", "AdamW", "NAdam", "RAdam", "Adamax", "RMSprop", "Adadelta"])
@pytest.mark.parametrize("gradient", [0.5, 10.0])
def test_float16_follows_pytorch(kind: str, gradient: float) -> None:
    """Loosely: PyTorch's states are float16, too, and ours float32."""
    torch = pytest.importorskip("torch")
    options = {"eps": 1e-4, **({"lr": 0.01} if kind != "Adadelta" else {})}
    ours = run_in_float16(lambda p: getattr(nnx.optim, kind)(p, **options), gradient, 60)
    p = torch.zeros(3, dtype=torch.float16, requires_grad=True)
    theirs = getattr(torch.optim, kind)([p], **options)
    for step in range(60):
        p.grad = torch.full((3,), gradient if step % 3 else -gradient, dtype=torch.float16)
        theirs.step()
    np.testing.assert_allclose(ours, p.detach().double().numpy(), rtol=0.05, atol=2e-3)


@pytest.mark.parametrize(
    ("make", "gradient"),
    [(lambda p: nnx.optim.Adam(p, 0.01, eps=1e-4), 10.0), (lambda p: nnx.optim.RMSprop(p, 0.01, eps=1e-4), 30.0)],
)
def test_float16_does_not_overflow(make: Callable, gradient: float) -> None:
    """The sum of squares that a state is at a scale of 1 - beta would be some 9e4, beyond the largest float16."""
    early, late = (run_in_float16(make, gradient, steps) for steps in (1200, 1500))
    assert np.all(early - late > 0.1)


@pytest.mark.parametrize("name", [e.name for e in ENTRIES])
def test_every_optimizer_steps_in_float16(name: str) -> None:
    entry = next(e for e in ENTRIES if e.name == name)
    p = nnx.Parameter(np.ones((3, 4), "float16"))
    options = {"lr": entry.values["lr"][0], **entry.every_state}
    optimizer = entry.cls([p], **options)
    for _ in range(60):  # past a flush of the states
        optimizer.step([np.full((3, 4), 0.5, "float16")])
    assert p.value.dtype == np.float16
    assert np.isfinite(p.value).all()
    assert (p.value != 1).all()
    other = entry.cls([nnx.Parameter(np.ones((3, 4), "float16"))], **options)
    other.load_state_dict(optimizer.state_dict())
    other.step([np.full((3, 4), 0.5, "float16")])
