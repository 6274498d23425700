"""Schedules give the learning rates of PyTorch's schedulers, or of a formula where PyTorch has none."""

from __future__ import annotations

import copy
import math
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.optim import schedules

STEPS = 80
LR = 0.3


def shrink(step: int) -> float:
    return 0.95**step * (1.5 if step % 7 == 3 else 1.0)


def wobble(step: int) -> float:
    return 0.97 if step % 3 else 1.02


def fade(x: float) -> float:
    return 1.0 / (1.0 + 0.25 * x)


def variants(base: dict, **options: list) -> list[dict]:
    """The defaults, each keyword argument by itself at each value, and all of them together at the last one."""
    alone = [{**base, name: value} for name, values in options.items() for value in values]
    return [base, *alone, {**base, **{name: values[-1] for name, values in options.items()}}]


TABLE: list[tuple[str, str, list[dict]]] = [
    ("lambda_factor", "LambdaLR", [{"lr_lambda": shrink}, {"lr_lambda": fade}]),
    ("multiplicative", "MultiplicativeLR", [{"lr_lambda": wobble}, {"lr_lambda": fade}]),
    ("step_decay", "StepLR", variants({"step_size": 7}, step_size=[100, 1], gamma=[0.5, 1.1])),
    (
        "multi_step_decay",
        "MultiStepLR",
        variants({"milestones": [5, 30]}, milestones=[[0, 3], [], [40, 8, 8]], gamma=[0.9, 1.5]),
    ),
    ("constant_warmup", "ConstantLR", variants({}, factor=[1.0, 0.25], total_iters=[1, 20])),
    (
        "linear",
        "LinearLR",
        variants({}, start_factor=[1.0, 0.01], end_factor=[0.0, 0.7], total_iters=[1, 33]),
    ),
    ("exponential_decay", "ExponentialLR", [{"gamma": 0.9}, {"gamma": 1.0}, {"gamma": 1.05}]),
    ("polynomial_decay", "PolynomialLR", variants({}, total_iters=[1, 70, 200], power=[0.5, 2.0])),
    ("cosine_annealing", "CosineAnnealingLR", variants({"T_max": 20}, T_max=[1, 7, 100], eta_min=[0.5, 0.01])),
    (
        "cosine_warm_restarts",
        "CosineAnnealingWarmRestarts",
        variants({"T_0": 10}, T_0=[1, 7], T_mult=[2, 3], eta_min=[0.01]),
    ),
    (
        "cyclic",
        "CyclicLR",
        [
            *variants(
                {"base_lr": 0.01, "max_lr": LR},
                max_lr=[0.005, 0.5],
                step_size_up=[1, 5, 8],
                step_size_down=[1, 11],
                mode=["triangular2", "exp_range"],
                gamma=[0.95],
            ),
            {"base_lr": 0.0, "max_lr": 1.0, "step_size_up": 6, "mode": "exp_range", "gamma": 0.9},
            {"base_lr": 0.0, "max_lr": 1.0, "step_size_up": 6, "mode": "triangular2"},
            {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 6, "scale_fn": fade},
            {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 6, "scale_fn": fade, "scale_mode": "iterations"},
        ],
    ),
    (
        "one_cycle",
        "OneCycleLR",
        [
            *variants(
                {"max_lr": LR, "total_steps": 90},
                max_lr=[1.0],
                total_steps=[STEPS],
                pct_start=[0.0, 0.07, 0.5],
                anneal_strategy=["linear"],
                div_factor=[10.0, 3.0],
                final_div_factor=[1.0, 100.0],
                three_phase=[True],
            ),
            {"max_lr": LR, "epochs": 9, "steps_per_epoch": 10},
            {"max_lr": LR, "total_steps": 85, "epochs": 9, "steps_per_epoch": 10, "three_phase": True},
        ],
    ),
]
CASES = [(ours, theirs, options) for ours, theirs, every in TABLE for options in every]


def torch_rates(make: Callable[[Any, Any], Any], steps: int = STEPS) -> list[float]:
    """The learning rates of a PyTorch scheduler made from (torch.optim.lr_scheduler, optimizer)."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SequentialLR trips over PyTorch's own deprecations
        scheduler = make(torch.optim.lr_scheduler, optimizer)
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
    return rates


def close(ours: Callable[[int], float], theirs: list[float]) -> None:
    rates = [ours(step) for step in range(len(theirs))]
    np.testing.assert_allclose(rates, theirs, rtol=1e-9, atol=1e-12)
    backwards = [ours(step) for step in reversed(range(len(theirs)))]
    assert backwards[::-1] == pytest.approx(rates, rel=1e-12)  # the step alone decides


@pytest.mark.parametrize(("name", "theirs", "options"), CASES)
def test_like_pytorch(name: str, theirs: str, options: dict) -> None:
    first = () if name in ("cyclic", "one_cycle") else (LR,)
    own = {"cycle_momentum": False} if not first else {}
    rates = torch_rates(lambda them, optimizer: getattr(them, theirs)(optimizer, **options, **own))
    close(getattr(schedules, name)(*first, **options), rates)


def test_every_scheduler_of_pytorch_is_there() -> None:
    them = pytest.importorskip("torch").optim.lr_scheduler
    rest = {"SequentialLR", "ChainedScheduler", "ReduceLROnPlateau"}
    assert {theirs for _, theirs, _ in TABLE} | rest == set(them.__all__) - {"LRScheduler"}


def test_sequences_are_pytorch_s() -> None:
    def theirs(them: Any, optimizer: Any) -> Any:
        parts = [
            them.LinearLR(optimizer, start_factor=0.1, total_iters=10),
            them.CosineAnnealingLR(optimizer, T_max=40),
            them.ExponentialLR(optimizer, gamma=0.8),
        ]
        return them.SequentialLR(optimizer, parts, milestones=[10, 45])

    parts = [
        schedules.linear(LR, start_factor=0.1, total_iters=10),
        schedules.cosine_annealing(LR, 40),
        schedules.exponential_decay(LR, 0.8),
    ]
    close(schedules.sequence(parts, milestones=[10, 45]), torch_rates(theirs))
    close(schedules.sequence(parts[2:], []), torch_rates(lambda them, o: them.ExponentialLR(o, gamma=0.8)))


def test_chains_are_pytorch_s() -> None:
    def theirs(them: Any, optimizer: Any) -> Any:
        parts = [
            them.ConstantLR(optimizer, factor=0.1, total_iters=20),
            them.ExponentialLR(optimizer, gamma=0.9),
            them.StepLR(optimizer, step_size=30),
        ]
        return them.ChainedScheduler(parts, optimizer=optimizer)

    factors = [
        schedules.constant_warmup(1.0, factor=0.1, total_iters=20),
        schedules.exponential_decay(1.0, 0.9),
        schedules.step_decay(1.0, 30),
    ]
    close(schedules.chained(LR, factors), torch_rates(theirs))


@pytest.mark.parametrize(
    "options",
    variants(
        {},
        mode=["max"],
        factor=[0.0, 0.5],
        patience=[0, 1, 3],
        threshold=[0.0, 0.05],
        threshold_mode=["abs"],
        cooldown=[1, 4],
        min_lr=[0.05, 0.01],
        eps=[1e-3],
    )
    + [
        {"mode": mode, "patience": 2, "factor": 0.7, "threshold_mode": how}
        for mode in ("min", "max")
        for how in ("rel", "abs")
    ],
)
def test_plateaus_are_pytorch_s(options: dict) -> None:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
    ours = schedules.ReduceLROnPlateau(LR, **options)
    metrics = 2.0 + np.sin(np.arange(STEPS) / 6) + 0.3 * np.random.default_rng(0).standard_normal(STEPS)
    for k, metric in enumerate([*metrics, float("nan"), float("nan")]):
        assert ours(step=k) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        theirs.step(metric)
        ours.step(metric)
        if k == 40:  # a visit to a file
            state, ours = ours.state_dict(), schedules.ReduceLROnPlateau(LR, **options)
            ours.load_state_dict(state)
    assert ours() == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
    assert ours() < LR


def test_a_plateau_reads_metrics_from_arrays(xp_backend: Any) -> None:
    plateau = schedules.ReduceLROnPlateau(1.0, factor=0.5, patience=0)
    plateau.step(xp_backend.array(1.0))
    plateau.step(xp_backend.array(1.0))
    assert plateau(0) == 0.5


FORMULAS: list[tuple[Callable[[int], float], Callable[[int], float]]] = [
    (schedules.inverse_time_decay(0.3, 0.01), lambda t: 0.3 / (1 + 0.01 * t)),
    (schedules.inverse_time_decay(0.3, 0.5, decay_steps=10), lambda t: 0.3 / (1 + 0.05 * t)),
    (
        schedules.inverse_time_decay(0.3, 0.5, decay_steps=10, staircase=True),
        lambda t: 0.3 / (1 + 0.5 * math.floor(t / 10)),
    ),
    (schedules.noam(64, warmup_steps=20), lambda t: 64**-0.5 * min((t + 1) ** -0.5, (t + 1) * 20**-1.5)),
    (schedules.noam(16, 5, factor=2.0), lambda t: 2 * 0.25 * min((t + 1) ** -0.5, (t + 1) * 5**-1.5)),
    (schedules.linear_warmup(0.3, 20), lambda t: 0.3 * min(1.0, (t + 1) / 20)),
    (schedules.polynomial_decay(0.3, 50, 2.0, end_lr=0.1), lambda t: 0.1 + 0.2 * max(0.0, 1 - t / 50) ** 2),
    (schedules.per_epoch(schedules.exponential_decay(0.3, 0.5), 13), lambda t: 0.3 * 0.5 ** (t // 13)),
    (schedules.linear(0.3, start_factor=0.0, total_iters=10), lambda t: 0.3 * min(1.0, t / 10)),
]


@pytest.mark.parametrize(("ours", "formula"), FORMULAS)
def test_like_the_formula(ours: Callable[[int], float], formula: Callable[[int], float]) -> None:
    close(ours, [formula(step) for step in range(STEPS)])


def test_a_phase_of_one_step() -> None:
    """Where PyTorch divides by zero."""
    assert schedules.one_cycle(1.0, total_steps=10, pct_start=0.1)(0) == 1.0
    assert schedules.one_cycle(1.0, total_steps=1, pct_start=0.0)(0) == pytest.approx(1 / 25 / 1e4)
    rising = schedules.one_cycle(1.0, total_steps=10, pct_start=1.0)
    assert [rising(0), rising(9)] == pytest.approx([1 / 25, 1.0])


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
@pytest.mark.parametrize(
    ("ours", "theirs", "options"), [c for c in CASES if c[0] in ("linear", "cosine_warm_restarts")]
)
def test_optimizers_follow(xp_backend: Any, name: str, ours: str, theirs: str, options: dict) -> None:
    """Two groups: one with the schedule, one with a fixed rate."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    start = [rng.standard_normal((3, 2)), rng.standard_normal(4)]
    p = [xp_backend.parameter(values) for values in start]
    q = [torch.nn.Parameter(torch.tensor(values)) for values in start]
    schedule = getattr(schedules, ours)(LR, **options)
    mine = getattr(nnx.optim, name)([{"params": p[:1]}, {"params": p[1:], "lr": 0.05}], lr=schedule)
    other = getattr(torch.optim, name)([{"params": q[:1], "lr": LR}], lr=LR)
    fixed = getattr(torch.optim, name)(q[1:], lr=0.05)
    scheduler = getattr(torch.optim.lr_scheduler, theirs)(other, **options)
    for _ in range(20):
        assert mine.lr == pytest.approx(other.param_groups[0]["lr"], rel=1e-9)
        for a, b in zip(p, q, strict=True):
            gradient = rng.standard_normal(a.shape)
            a.grad, b.grad = xp_backend.array(gradient), torch.tensor(gradient)
        mine.step()
        other.step()
        fixed.step()
        scheduler.step()
    for a, b in zip(p, q, strict=True):
        np.testing.assert_allclose(nnx.to_numpy(a.value), b.detach().numpy(), rtol=1e-9, atol=1e-12)


def test_an_optimizer_goes_on_in_the_schedule() -> None:
    schedule = schedules.exponential_decay(1.0, 0.5)
    first = nnx.optim.SGD([nnx.Parameter(np.ones(2))], lr=schedule)
    for _ in range(3):
        first.step([np.ones(2)])
    second = nnx.optim.SGD([nnx.Parameter(np.ones(2))], lr=schedule)
    second.load_state_dict(first.state_dict())
    assert second.lr == first.lr == 0.125


def test_an_optimizer_ends_with_one_cycle() -> None:
    optimizer = nnx.optim.SGD([nnx.Parameter(np.ones(2))], lr=schedules.one_cycle(1.0, total_steps=3))
    for _ in range(3):
        optimizer.step([np.ones(2)])
    assert optimizer.lr > 0


def test_an_optimizer_follows_a_plateau() -> None:
    plateau = schedules.ReduceLROnPlateau(0.5, factor=0.5, patience=0)
    parameter = nnx.Parameter(np.zeros(1))
    optimizer = nnx.optim.SGD([parameter], lr=plateau)
    for _ in range(3):  # at 0.5, 0.5 and 0.25
        optimizer.step([np.ones(1)])
        plateau.step(1.0)
    assert parameter.value.tolist() == [-1.25]


@pytest.mark.parametrize(("name", "theirs", "options"), CASES)
def test_schedules_pickle_copy_and_print(name: str, theirs: str, options: dict) -> None:
    first = () if name in ("cyclic", "one_cycle") else (LR,)
    schedule = getattr(schedules, name)(*first, **options)
    for again in (pickle.loads(pickle.dumps(schedule)), copy.deepcopy(schedule)):
        assert [again(step) for step in range(20)] == [schedule(step) for step in range(20)]
        assert repr(again) == repr(schedule)
    assert repr(schedule).startswith(f"{name}({'base_' if name == 'cyclic' else 'max_' if not first else ''}lr=")
    assert getattr(schedules, name).__doc__


def test_a_repr_makes_the_schedule_again() -> None:
    inner = [schedules.linear_warmup(0.5, 3), schedules.multi_step_decay(0.5, [4, 2])]
    schedule = schedules.sequence(inner, [3])
    assert repr(schedule) == (
        "sequence(schedules=(linear_warmup(lr=0.5, warmup_steps=3), "
        "multi_step_decay(lr=0.5, milestones=(4, 2), gamma=0.1)), milestones=(3,))"
    )
    again = eval(repr(schedule), vars(schedules))
    assert [again(step) for step in range(9)] == [schedule(step) for step in range(9)]


def test_a_schedule_does_not_follow_the_lists_it_was_made_from() -> None:
    milestones = [3]
    schedule = schedules.multi_step_decay(1.0, milestones, gamma=0.5)
    milestones.append(1)
    assert schedule(2) == 1.0
    assert schedule.arguments["milestones"] == (3,)


def test_plateau_repr() -> None:
    assert repr(schedules.ReduceLROnPlateau(0.1, patience=3)) == (
        "ReduceLROnPlateau(lr=0.1, mode='min', factor=0.1, patience=3, threshold=0.0001, threshold_mode='rel', "
        "cooldown=0, min_lr=0.0, eps=1e-08)"
    )
