"""Schedules that go up and down: cosine annealing, cyclic rates and the 1cycle policy."""

from __future__ import annotations

import math
from collections.abc import Callable

from ...checks import check_choice
from .schedule import Formula, check_count, check_function, check_number, check_positive, schedule

_SHAPES = ("triangular", "triangular2", "exp_range")


@schedule
def cosine_annealing(lr: float, T_max: int, eta_min: float = 0.0) -> Formula:
    """Go from `lr` to `eta_min` along half a cosine in `T_max` steps (torch's ``CosineAnnealingLR``) [1]_.

    ``eta_min + (lr - eta_min) * (1 + cos(pi * step / T_max)) / 2``: after `T_max` steps the rate rises again, as in
    PyTorch. `sequence` with a constant lets it stay.

    References
    ----------
    .. [1] Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, arXiv:1608.03983.

    Examples
    --------
    >>> from nnx.optim import schedules
    >>> [round(schedules.cosine_annealing(1.0, 4)(step), 4) for step in range(6)]
    [1.0, 0.8536, 0.5, 0.1464, 0.0, 0.1464]
    """
    check_number("cosine_annealing", "lr", lr)
    check_count("cosine_annealing", "T_max", T_max)
    check_number("cosine_annealing", "eta_min", eta_min)
    return lambda step: _cosine(lr, eta_min, step / T_max)


@schedule
def cosine_warm_restarts(lr: float, T_0: int, T_mult: int = 1, eta_min: float = 0.0) -> Formula:
    """Cosine annealing that starts anew (torch's ``CosineAnnealingWarmRestarts``) [1]_.

    Parameters
    ----------
    lr
        The learning rate at each start.
    T_0
        The number of steps up to the first restart.
    T_mult
        Each period is this many times as long as the one before.
    eta_min
        The learning rate that a period falls to.

    References
    ----------
    .. [1] Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, arXiv:1608.03983.

    Examples
    --------
    >>> from nnx.optim import schedules
    >>> [round(schedules.cosine_warm_restarts(1.0, 2, T_mult=2)(step), 4) for step in range(7)]
    [1.0, 0.5, 1.0, 0.8536, 0.5, 0.1464, 1.0]
    """
    check_number("cosine_warm_restarts", "lr", lr)
    check_count("cosine_warm_restarts", "T_0", T_0)
    check_count("cosine_warm_restarts", "T_mult", T_mult, meaning="it is a factor")
    check_number("cosine_warm_restarts", "eta_min", eta_min)

    def formula(step: int) -> float:
        period = T_0
        if T_mult == 1:
            step %= period
        while step >= period:
            step -= period
            period *= T_mult
        return _cosine(lr, eta_min, step / period)

    return formula


@schedule
def cyclic(
    base_lr: float,
    max_lr: float,
    step_size_up: int = 2000,
    step_size_down: int | None = None,
    mode: str = "triangular",
    gamma: float = 1.0,
    scale_fn: Callable[[int], float] | None = None,
    scale_mode: str = "cycle",
) -> Formula:
    """Go evenly up and down between two rates, over and over (torch's ``CyclicLR``; the momentum stays) [1]_.

    Parameters
    ----------
    base_lr, max_lr
        The lowest learning rate, and the highest in the first cycle.
    step_size_up, step_size_down
        The number of steps up, and down (None: as many as up).
    mode
        What becomes of the height ``max_lr - base_lr``: "triangular" keeps it, "triangular2" halves it with each cycle,
        "exp_range" multiplies it by `gamma` with each step.
    gamma
        For "exp_range".
    scale_fn
        A function that gives the factor on the height instead; `mode` does not count then.
    scale_mode
        What `scale_fn` is a function of: "cycle", their number from 1, or "iterations", the step.

    References
    ----------
    .. [1] Smith, "Cyclical Learning Rates for Training Neural Networks", 2017, arXiv:1506.01186.

    Examples
    --------
    >>> from nnx.optim import schedules
    >>> [schedules.cyclic(0.0, 1.0, step_size_up=2, mode="triangular2")(step) for step in range(8)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5, 0.25]
    """
    check_number("cyclic", "base_lr", base_lr)
    check_number("cyclic", "max_lr", max_lr)
    check_count("cyclic", "step_size_up", step_size_up)
    down = step_size_up if step_size_down is None else step_size_down
    check_count("cyclic", "step_size_down", down)
    check_number("cyclic", "gamma", gamma)
    check_choice("cyclic", "scale_mode", scale_mode, ("cycle", "iterations"))
    if scale_fn is None:
        check_choice("cyclic", "mode", mode, _SHAPES)
    else:
        check_function("cyclic", "scale_fn", scale_fn)

    def scale(step: int, cycle: int) -> float:
        if scale_fn is not None:
            return scale_fn(cycle if scale_mode == "cycle" else step)
        if mode == "exp_range":
            return gamma**step
        return 0.5 ** (cycle - 1) if mode == "triangular2" else 1.0

    def formula(step: int) -> float:
        cycles, place = divmod(step, step_size_up + down)
        height = place / step_size_up if place <= step_size_up else 1.0 - (place - step_size_up) / down
        return base_lr + (max_lr - base_lr) * height * scale(step, cycles + 1)

    return formula


@schedule
def one_cycle(
    max_lr: float,
    total_steps: int | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
) -> Formula:
    """Go up to `max_lr` once and then down to nearly nothing (torch's ``OneCycleLR``; the momentum stays) [1]_.

    Parameters
    ----------
    max_lr
        The learning rate at the peak.
    total_steps
        The number of steps, or None if `epochs` and `steps_per_epoch` are given, whose product it is then. The last is
        ``total_steps - 1``. The next one, which an optimizer shows as its rate when training is over, has the last
        rate once more; any later one raises.
    epochs, steps_per_epoch
        See `total_steps`.
    pct_start
        The part of the steps spent going up, from 0 to 1.
    anneal_strategy
        The shape of the ways: "cos" or "linear".
    div_factor
        The schedule starts with ``max_lr / div_factor``,
    final_div_factor
        and ends with ``max_lr / div_factor / final_div_factor``.
    three_phase
        Whether to go down to the initial rate as quickly as up, and then on to the last, as in the paper.

    Raises
    ------
    ValueError
        Also from the schedule, for a step above `total_steps`.

    References
    ----------
    .. [1] Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates", 2018,
       arXiv:1708.07120.

    Examples
    --------
    >>> from nnx.optim import schedules
    >>> schedule = schedules.one_cycle(1.0, total_steps=10, anneal_strategy="linear")
    >>> [round(schedule(step), 4) for step in (0, 1, 2, 6, 9)]
    [0.04, 0.52, 1.0, 0.4286, 0.0]
    """
    check_number("one_cycle", "max_lr", max_lr)
    if total_steps is None:
        if epochs is None or steps_per_epoch is None:
            raise ValueError(
                "one_cycle: expected the number of steps; pass total_steps, or epochs and steps_per_epoch."
            )
        check_count("one_cycle", "epochs", epochs)
        check_count("one_cycle", "steps_per_epoch", steps_per_epoch)
        total_steps = epochs * steps_per_epoch
    check_count("one_cycle", "total_steps", total_steps)
    check_number("one_cycle", "pct_start", pct_start, high=1.0)
    check_choice("one_cycle", "anneal_strategy", anneal_strategy, ("cos", "linear"))
    check_positive("one_cycle", "div_factor", div_factor)
    check_positive("one_cycle", "final_div_factor", final_div_factor)
    steps, first = total_steps, max_lr / div_factor
    last, peak = first / final_div_factor, float(pct_start * total_steps) - 1.0
    # Each phase: its last step, and the rates that it goes from and to.
    phases = [(peak, first, max_lr), (steps - 1.0, max_lr, last)]
    if three_phase:
        phases[1:] = [(2.0 * peak, max_lr, first), (steps - 1.0, first, last)]

    def formula(step: int) -> float:
        if step > steps:
            wanted = f"one_cycle: expected a step of at most {steps}, where the schedule ends, got {step}"
            raise ValueError(f"{wanted}; raise total_steps to the number of all steps.")
        step = min(step, steps - 1)  # PyTorch extrapolates, which may be below 0
        at = next((k for k, (end, _, _) in enumerate(phases) if step <= end), len(phases) - 1)
        begin = phases[at - 1][0] if at else 0.0
        end, start_lr, end_lr = phases[at]
        part = (step - begin) / (end - begin) if end != begin else 1.0
        return _cosine(start_lr, end_lr, part) if anneal_strategy == "cos" else start_lr + (end_lr - start_lr) * part

    return formula


def _cosine(start: float, end: float, part: float) -> float:
    """From start (part 0) to end (part 1) along half a cosine."""
    return end + (start - end) * (1.0 + math.cos(math.pi * part)) / 2.0
