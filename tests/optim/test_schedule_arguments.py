"""Schedules: everything that is refused, and the words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nnx.errors import WeightsError
from nnx.optim import schedules as s

HALF = s.exponential_decay(1.0, 0.5)
ARGUMENTS: list[tuple[Callable, type[Exception], str]] = [
    (lambda: s.step_decay(-0.1, 3), ValueError, "step_decay: expected lr to be a number of at least 0, got -0.1"),
    (
        lambda: s.step_decay(float("nan"), 3),
        ValueError,
        "step_decay: expected lr to be a number of at least 0, got nan",
    ),
    (
        lambda: s.step_decay(float("inf"), 3),
        ValueError,
        "step_decay: expected lr to be a finite number of at least 0, got inf; pass one",
    ),
    (lambda: s.step_decay(True, 3), TypeError, "step_decay: expected lr to be a number of at least 0, got True"),
    (lambda: s.step_decay("0.1", 3), TypeError, "step_decay: expected lr to be a number of at least 0, got '0.1'"),
    (
        lambda: s.step_decay(0.1, 0),
        ValueError,
        "step_decay: expected step_size to be an integer of at least 1, got 0; it counts steps of the optimizer: pass",
    ),
    (
        lambda: s.step_decay(0.1, 2.5),
        TypeError,
        "step_decay: expected step_size to be an integer of at least 1, got 2.5",
    ),
    (
        lambda: s.step_decay(0.1, 3, gamma=-1),
        ValueError,
        "step_decay: expected gamma to be a number of at least 0, got -1",
    ),
    (lambda: s.step_decay(0.1), TypeError, "missing 1 required positional argument: 'step_size'"),
    (
        lambda: s.multi_step_decay(0.1, [3, -1]),
        ValueError,
        "multi_step_decay: expected milestones[1] to be an integer of at least 0, got -1",
    ),
    (
        lambda: s.multi_step_decay(0.1, 5),
        TypeError,
        "multi_step_decay: expected milestones to be a sequence, got 5; pass a list of steps.",
    ),
    (lambda: s.multi_step_decay(0.1, [3.5]), TypeError, "milestones[0] to be an integer of at least 0, got 3.5; it"),
    (lambda: s.sequence([HALF], 5), TypeError, "sequence: expected milestones to be a sequence, got 5; pass a list"),
    (lambda: HALF("1"), TypeError, "exponential_decay: expected step to be an integer of at least 0, got '1'; steps"),
    (lambda: HALF(1.5), TypeError, "exponential_decay: expected step to be an integer of at least 0, got 1.5; steps"),
    (lambda: HALF(True), TypeError, "exponential_decay: expected step to be an integer of at least 0, got True; steps"),
    (
        lambda: s.ReduceLROnPlateau(0.1).step(None),
        TypeError,
        "ReduceLROnPlateau.step: expected metrics to be a number, got None; pass such as",
    ),
    (lambda: s.ReduceLROnPlateau(0.1).step([1.0]), TypeError, "expected metrics to be a number, got list; pass such"),
    (lambda: s.exponential_decay(0.1, -0.9), ValueError, "exponential_decay: expected gamma to be"),
    (lambda: s.inverse_time_decay(0.1, -1e-3), ValueError, "inverse_time_decay: expected decay to be"),
    (
        lambda: s.inverse_time_decay(0.1, 1.0, decay_steps=0),
        ValueError,
        "inverse_time_decay: expected decay_steps to be",
    ),
    (lambda: s.polynomial_decay(0.1, total_iters=0), ValueError, "polynomial_decay: expected total_iters to be"),
    (
        lambda: s.polynomial_decay(0.1, power=0),
        ValueError,
        "polynomial_decay: expected power to be a number above 0, got 0; pass one in that range.",
    ),
    (lambda: s.polynomial_decay(0.1, end_lr=-1.0), ValueError, "polynomial_decay: expected end_lr to be"),
    (
        lambda: s.constant_warmup(0.1, factor=1.5),
        ValueError,
        "constant_warmup: expected factor to be a number from 0 to 1, got 1.5; pass one in that range.",
    ),
    (lambda: s.constant_warmup(0.1, total_iters=0), ValueError, "constant_warmup: expected total_iters to be"),
    (lambda: s.linear(0.1, start_factor=-0.1), ValueError, "linear: expected start_factor to be a number from 0 to 1"),
    (lambda: s.linear(0.1, end_factor=1.1), ValueError, "linear: expected end_factor to be a number from 0 to 1"),
    (lambda: s.linear(0.1, total_iters=0), ValueError, "linear: expected total_iters to be an integer of at least 1"),
    (lambda: s.linear_warmup(0.1, 0), ValueError, "linear_warmup: expected warmup_steps to be"),
    (
        lambda: s.noam(0),
        ValueError,
        "noam: expected d_model to be an integer of at least 1, got 0; it is the width of the model: pass",
    ),
    (lambda: s.noam(8, 0), ValueError, "noam: expected warmup_steps to be"),
    (lambda: s.noam(8, factor=-1), ValueError, "noam: expected factor to be"),
    (lambda: s.cosine_annealing(0.1, 0), ValueError, "cosine_annealing: expected T_max to be"),
    (lambda: s.cosine_annealing(0.1, 9, eta_min=-1), ValueError, "cosine_annealing: expected eta_min to be"),
    (lambda: s.cosine_warm_restarts(0.1, 0), ValueError, "cosine_warm_restarts: expected T_0 to be"),
    (lambda: s.cosine_warm_restarts(0.1, 5, T_mult=0), ValueError, "cosine_warm_restarts: expected T_mult to be"),
    (lambda: s.cosine_warm_restarts(0.1, 5, T_mult=1.5), TypeError, "cosine_warm_restarts: expected T_mult to be"),
    (lambda: s.cyclic(0.1, -1), ValueError, "cyclic: expected max_lr to be a number of at least 0, got -1"),
    (lambda: s.cyclic(0.1, 1, step_size_up=0), ValueError, "cyclic: expected step_size_up to be"),
    (lambda: s.cyclic(0.1, 1, step_size_down=0), ValueError, "cyclic: expected step_size_down to be"),
    (
        lambda: s.cyclic(0.1, 1, mode="square"),
        ValueError,
        "cyclic: expected mode to be one of 'triangular', 'triangular2', 'exp_range', got 'square'.",
    ),
    (lambda: s.cyclic(0.1, 1, scale_mode="epoch"), ValueError, "cyclic: expected scale_mode to be one of 'cycle', 'it"),
    (
        lambda: s.cyclic(0.1, 1, mode=3),
        TypeError,
        "cyclic: expected mode to be one of 'triangular', 'triangular2', 'exp",
    ),
    (lambda: s.cyclic(0.1, 1, scale_fn=0.5), TypeError, "cyclic: expected scale_fn to be a function"),
    (lambda: s.cyclic(0.1, 1, gamma=-0.5), ValueError, "cyclic: expected gamma to be"),
    (
        lambda: s.one_cycle(0.1),
        ValueError,
        "one_cycle: expected the number of steps; pass total_steps, or epochs and steps_per_epoch.",
    ),
    (lambda: s.one_cycle(0.1, epochs=3), ValueError, "pass total_steps, or epochs and steps_per_epoch."),
    (lambda: s.one_cycle(0.1, epochs=3, steps_per_epoch=0), ValueError, "one_cycle: expected steps_per_epoch to be"),
    (lambda: s.one_cycle(0.1, total_steps=0), ValueError, "one_cycle: expected total_steps to be"),
    (
        lambda: s.one_cycle(0.1, 9, pct_start=1.2),
        ValueError,
        "one_cycle: expected pct_start to be a number from 0 to 1",
    ),
    (
        lambda: s.one_cycle(0.1, 9, anneal_strategy="exp"),
        ValueError,
        "expected anneal_strategy to be one of 'cos', 'lin",
    ),
    (lambda: s.one_cycle(0.1, 9, div_factor=0), ValueError, "one_cycle: expected div_factor to be a number above 0"),
    (lambda: s.one_cycle(0.1, 9, final_div_factor=0), ValueError, "one_cycle: expected final_div_factor to be"),
    (
        lambda: s.one_cycle(0.1, 9)(10),
        ValueError,
        "one_cycle: expected a step of at most 9, where the schedule ends, got 10; raise total_steps to the number",
    ),
    (
        lambda: s.lambda_factor(0.1, 0.5),
        TypeError,
        "lambda_factor: expected lr_lambda to be a function of the step, got 0.5; pass a schedule or lambda step: ...",
    ),
    (lambda: s.multiplicative(0.1, 0.5), TypeError, "multiplicative: expected lr_lambda to be a function of the step"),
    (
        lambda: s.sequence([], []),
        ValueError,
        "sequence: expected schedules to hold at least one schedule, got none; pass [schedule].",
    ),
    (lambda: s.sequence(HALF, []), TypeError, "sequence: expected schedules to be a sequence, got exponential_decay("),
    (lambda: s.sequence([HALF, 0.1], [3]), TypeError, "sequence: expected schedules[1] to be a function of the step"),
    (
        lambda: s.sequence([HALF, HALF], []),
        ValueError,
        "sequence: expected 1 milestones for 2 schedules, got 0; give the first step of each schedule but the first.",
    ),
    (
        lambda: s.sequence([HALF, HALF, HALF], [5, 3]),
        ValueError,
        "sequence: expected milestones to increase, got [5, 3]; sort them.",
    ),
    (
        lambda: s.sequence([HALF, HALF], [0]),
        ValueError,
        "sequence: expected milestones[0] to be an integer of at least 1",
    ),
    (
        lambda: s.chained(0.1, []),
        ValueError,
        "chained: expected factors to hold at least one schedule, got none; pass [schedule].",
    ),
    (lambda: s.chained(0.1, [2.0]), TypeError, "chained: expected factors[0] to be a function of the step, got 2.0"),
    (lambda: s.per_epoch(0.1, 5), TypeError, "per_epoch: expected schedule to be a function of the step, got 0.1"),
    (lambda: s.per_epoch(HALF, 0), ValueError, "per_epoch: expected steps_per_epoch to be"),
    (
        lambda: HALF(-1),
        ValueError,
        "exponential_decay: expected step to be an integer of at least 0, got -1; steps count from 0: pass",
    ),
    (lambda: s.ReduceLROnPlateau(-1.0), ValueError, "ReduceLROnPlateau: expected lr to be a number of at least 0"),
    (
        lambda: s.ReduceLROnPlateau(0.1, mode="low"),
        ValueError,
        "expected mode to be one of 'min', 'max', got 'low'.",
    ),
    (
        lambda: s.ReduceLROnPlateau(0.1, factor=1.0),
        ValueError,
        "ReduceLROnPlateau: expected factor to be a number from 0 to below 1, got 1.0; it is to reduce the rate",
    ),
    (lambda: s.ReduceLROnPlateau(0.1, factor=-0.1), ValueError, "ReduceLROnPlateau: expected factor to be"),
    (
        lambda: s.ReduceLROnPlateau(0.1, patience=-1),
        ValueError,
        "ReduceLROnPlateau: expected patience to be an integer of at least 0, got -1; it counts calls of step(): pass",
    ),
    (lambda: s.ReduceLROnPlateau(0.1, threshold=-1), ValueError, "ReduceLROnPlateau: expected threshold to be"),
    (
        lambda: s.ReduceLROnPlateau(0.1, threshold_mode="x"),
        ValueError,
        "expected threshold_mode to be one of 'rel', 'abs'",
    ),
    (lambda: s.ReduceLROnPlateau(0.1, cooldown=1.5), TypeError, "ReduceLROnPlateau: expected cooldown to be"),
    (lambda: s.ReduceLROnPlateau(0.1, min_lr=-1), ValueError, "ReduceLROnPlateau: expected min_lr to be"),
    (lambda: s.ReduceLROnPlateau(0.1, eps=-1), ValueError, "ReduceLROnPlateau: expected eps to be"),
    (
        lambda: s.ReduceLROnPlateau(0.1).load_state_dict({"best": 1.0}),
        WeightsError,
        "ReduceLROnPlateau: expected the entries value, best, bad_epochs, cooldown_left, got best; pass what",
    ),
    *[
        (
            lambda name=name, value=value: s.ReduceLROnPlateau(0.1).load_state_dict(
                {**s.ReduceLROnPlateau(0.1).state_dict(), name: value}
            ),
            WeightsError,
            f"ReduceLROnPlateau: expected {name} to be {wanted}, got {value!r}; pass what state_dict() returned.",
        )
        for name, value, wanted in [
            ("value", "x", "a finite number of at least 0"),
            ("value", -1.0, "a finite number of at least 0"),
            ("value", float("inf"), "a finite number of at least 0"),
            ("best", float("nan"), "a number"),
            ("best", None, "a number"),
            ("bad_epochs", -1, "a non-negative integer"),
            ("cooldown_left", 1.5, "a non-negative integer"),
        ]
    ],
    (lambda: s.ReduceLROnPlateau(0.1).load_state_dict(3), WeightsError, "cooldown_left, got int; pass what"),
]


@pytest.mark.parametrize(("make", "error", "text"), ARGUMENTS)
def test_arguments_are_checked(make: Callable, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert text in str(caught.value)
