"""Schedules that go one way: down, or up to the learning rate at the beginning."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from .schedule import Formula, check_count, check_number, check_positive, check_sequence, schedule


@schedule
def step_decay(lr: float, step_size: int, gamma: float = 0.1) -> Formula:
    """Multiply by `gamma` every `step_size` steps: ``lr * gamma ** (step // step_size)`` (torch's ``StepLR``).

    Parameters
    ----------
    lr
        The learning rate at step 0.
    step_size
        The number of steps between two changes.
    gamma
        The factor.

    Examples
    --------
    >>> from nnx.optim import schedules
    >>> [schedules.step_decay(0.5, 2, gamma=0.5)(step) for step in range(5)]
    [0.5, 0.5, 0.25, 0.25, 0.125]
    """
    check_number("step_decay", "lr", lr)
    check_count("step_decay", "step_size", step_size)
    check_number("step_decay", "gamma", gamma)
    return lambda step: lr * gamma ** (step // step_size)


@schedule
def multi_step_decay(lr: float, milestones: Sequence[int], gamma: float = 0.1) -> Formula:
    """Multiply by `gamma` at each of the milestones (torch's ``MultiStepLR``).

    Parameters
    ----------
    lr
        The learning rate before the first milestone.
    milestones
        Steps, in any order; one that stands twice counts twice.
    gamma
        The factor.

    Examples
    --------
    >>> from nnx.optim import schedules
    >>> [schedules.multi_step_decay(0.5, [1, 3], gamma=0.5)(step) for step in range(5)]
    [0.5, 0.25, 0.25, 0.125, 0.125]
    """
    check_number("multi_step_decay", "lr", lr)
    check_sequence("multi_step_decay", "milestones", milestones, of="steps")
    for i, milestone in enumerate(milestones):
        check_count("multi_step_decay", f"milestones[{i}]", milestone, low=0)
    check_number("multi_step_decay", "gamma", gamma)
    ordered = sorted(milestones)
    return lambda step: lr * gamma ** bisect_right(ordered, step)


@schedule
def exponential_decay(lr: float, gamma: float) -> Formula:
    """Multiply by `gamma` at every step: ``lr * gamma ** step`` (torch's ``ExponentialLR``).

    A gamma above 1 grows the rate, as a search for the largest useful one does.

    Examples
    --------
    >>> from nnx.optim import schedules
    >>> [schedules.exponential_decay(0.5, 0.5)(step) for step in range(3)]
    [0.5, 0.25, 0.125]
    """
    check_number("exponential_decay", "lr", lr)
    check_number("exponential_decay", "gamma", gamma)
    return lambda step: lr * gamma**step


@schedule
def inverse_time_decay(lr: float, decay: float, decay_steps: int = 1, staircase: bool = False) -> Formula:
    """Divide by a number that grows evenly: ``lr / (1 + decay * step / decay_steps)`` [1]_.

    Parameters
    ----------
    lr
        The learning rate at step 0.
    decay
        What the divisor grows by in `decay_steps` steps.
    decay_steps
        The number of steps in which it grows by that.
    staircase
        Whether it grows in one jump at the end of these steps, instead of evenly.

    References
    ----------
    .. [1] Kinsley and Kukieła, "Neural Networks from Scratch in Python", 2020, chapter 10 (decay_steps=1).

    Examples
    --------
    >>> from nnx.optim import schedules
    >>> [schedules.inverse_time_decay(1.0, 1.0)(step) for step in (0, 1, 3)]
    [1.0, 0.5, 0.25]
    """
    check_number("inverse_time_decay", "lr", lr)
    check_number("inverse_time_decay", "decay", decay)
    check_count("inverse_time_decay", "decay_steps", decay_steps)
    if staircase:
        return lambda step: lr / (1.0 + decay * (step // decay_steps))
    return lambda step: lr / (1.0 + decay * step / decay_steps)


@schedule
def polynomial_decay(lr: float, total_iters: int = 5, power: float = 1.0, end_lr: float = 0.0) -> Formula:
    """Go from `lr` to `end_lr` in `total_iters` steps and stay there (torch's ``PolynomialLR``, where end_lr is 0).

    ``end_lr + (lr - end_lr) * (1 - min(step, total_iters) / total_iters) ** power``; a power of 1 is a straight line.

    Examples
    --------
    >>> from nnx.optim import schedules
    >>> [schedules.polynomial_decay(1.0, total_iters=2, power=2.0)(step) for step in range(4)]
    [1.0, 0.25, 0.0, 0.0]
    """
    check_number("polynomial_decay", "lr", lr)
    check_count("polynomial_decay", "total_iters", total_iters)
    check_positive("polynomial_decay", "power", power)
    check_number("polynomial_decay", "end_lr", end_lr)
    return lambda step: end_lr + (lr - end_lr) * (1.0 - min(step, total_iters) / total_iters) ** power


@schedule
def constant_warmup(lr: float, factor: float = 1.0 / 3.0, total_iters: int = 5) -> Formula:
    """Give ``lr * factor`` for `total_iters` steps, and `lr` from then on (torch's ``ConstantLR``).

    Examples
    --------
    >>> from nnx.optim import schedules
    >>> [schedules.constant_warmup(0.5, factor=0.5, total_iters=2)(step) for step in range(4)]
    [0.25, 0.25, 0.5, 0.5]
    """
    check_number("constant_warmup", "lr", lr)
    check_number("constant_warmup", "factor", factor, high=1.0)
    check_count("constant_warmup", "total_iters", total_iters)
    return lambda step: lr * factor if step < total_iters else lr


@schedule
def linear(lr: float, start_factor: float = 1.0 / 3.0, end_factor: float = 1.0, total_iters: int = 5) -> Formula:
    """Go evenly from ``lr * start_factor`` to ``lr * end_factor``, and stay there (torch's ``LinearLR``).

    Parameters
    ----------
    lr
        The learning rate that the factors multiply.
    start_factor, end_factor
        From 0 to 1. (PyTorch refuses a start_factor of 0.)
    total_iters
        The step from which on the learning rate stays.

    Examples
    --------
    >>> from nnx.optim import schedules
    >>> [schedules.linear(0.5, start_factor=0.5, total_iters=2)(step) for step in range(4)]
    [0.25, 0.375, 0.5, 0.5]
    """
    check_number("linear", "lr", lr)
    check_number("linear", "start_factor", start_factor, high=1.0)
    check_number("linear", "end_factor", end_factor, high=1.0)
    check_count("linear", "total_iters", total_iters)
    rise = end_factor - start_factor
    return lambda step: lr * (start_factor + rise * min(step, total_iters) / total_iters)


@schedule
def linear_warmup(lr: float, warmup_steps: int) -> Formula:
    """Go evenly from ``lr / warmup_steps`` to `lr`, reached at the last of `warmup_steps` steps, and stay there [1]_.

    Unlike `linear`, no step is lost to a rate of zero. `sequence` lets another schedule follow.

    References
    ----------
    .. [1] Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", 2017, arXiv:1706.02677.

    Examples
    --------
    >>> from nnx.optim import schedules
    >>> [schedules.linear_warmup(1.0, 4)(step) for step in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    check_number("linear_warmup", "lr", lr)
    check_count("linear_warmup", "warmup_steps", warmup_steps)
    return lambda step: lr * min(step + 1, warmup_steps) / warmup_steps


@schedule
def noam(d_model: int, warmup_steps: int = 4000, factor: float = 1.0) -> Formula:
    """The Transformer's: up evenly for `warmup_steps` steps, then down with the inverse square root [1]_.

    ``factor * d_model ** -0.5 * min(t ** -0.5, t * warmup_steps ** -1.5)``, where t = step + 1, as the paper counts
    from 1.

    Parameters
    ----------
    d_model
        The width of the model.
    warmup_steps
        The number of steps up to the peak.
    factor
        A factor on the whole.

    References
    ----------
    .. [1] Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762, equation (3).

    Examples
    --------
    >>> from nnx.optim import schedules
    >>> [round(schedules.noam(4, warmup_steps=4)(step), 4) for step in (0, 3, 15)]
    [0.0625, 0.25, 0.125]
    """
    check_count("noam", "d_model", d_model, meaning="it is the width of the model")
    check_count("noam", "warmup_steps", warmup_steps)
    check_number("noam", "factor", factor)
    scale = factor / math.sqrt(d_model)
    return lambda step: scale * min((step + 1) ** -0.5, (step + 1) * warmup_steps**-1.5)
