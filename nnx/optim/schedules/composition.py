"""Schedules made of functions and of other schedules."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

from .schedule import Formula, check_count, check_function, check_number, check_sequence, schedule


@schedule
def lambda_factor(lr: float, lr_lambda: Callable[[int], float]) -> Formula:
    """Multiply by a function of the step: ``lr * lr_lambda(step)`` (torch's ``LambdaLR``).

    Examples
    --------
    >>> from nnx.optim import schedules
    >>> [schedules.lambda_factor(0.5, lambda step: 1 / (1 + step))(step) for step in (0, 1, 3)]
    [0.5, 0.25, 0.125]
    """
    check_number("lambda_factor", "lr", lr)
    check_function("lambda_factor", "lr_lambda", lr_lambda)
    return lambda step: lr * lr_lambda(step)


@schedule
def multiplicative(lr: float, lr_lambda: Callable[[int], float]) -> Formula:
    """Multiply by another factor at every step: ``lr * lr_lambda(1) * ... * lr_lambda(step)`` (``MultiplicativeLR``).

    Parameters
    ----------
    lr
        The learning rate at step 0.
    lr_lambda
        A function from the step, from 1, to its factor. It depends on nothing else: the product up to a step is kept
        for the next one.

    Examples
    --------
    >>> from nnx.optim import schedules
    >>> [schedules.multiplicative(1.0, lambda step: 1 / step)(step) for step in (0, 1, 2, 4)]
    [1.0, 1.0, 0.5, 0.041666666666666664]
    """
    check_number("multiplicative", "lr", lr)
    check_function("multiplicative", "lr_lambda", lr_lambda)
    known: tuple[int, float] = (0, lr)

    def formula(step: int) -> float:
        nonlocal known
        done, value = known if known[0] <= step else (0, lr)
        for each in range(done + 1, step + 1):
            value *= lr_lambda(each)
        known = (step, value)  # one assignment, so that threads see a step with its own product
        return value

    return formula


@schedule
def sequence(schedules: Sequence[Callable[[int], float]], milestones: Sequence[int]) -> Formula:
    """One schedule after the other, each from its own step 0 (torch's ``SequentialLR``).

    Parameters
    ----------
    schedules
        At least one.
    milestones
        The steps at which the second and each later schedule starts, in increasing order: one fewer than schedules.

    Examples
    --------
    >>> from nnx.optim import schedules
    >>> warm, cool = schedules.linear_warmup(1.0, 2), schedules.exponential_decay(1.0, 0.5)
    >>> [schedules.sequence([warm, cool], milestones=[2])(step) for step in range(5)]
    [0.5, 1.0, 1.0, 0.5, 0.25]
    """
    _check_functions("sequence", "schedules", schedules)
    check_sequence("sequence", "milestones", milestones, of="steps")
    for i, milestone in enumerate(milestones):
        check_count("sequence", f"milestones[{i}]", milestone)
    if len(milestones) != len(schedules) - 1:
        wanted = f"sequence: expected {len(schedules) - 1} milestones for {len(schedules)} schedules"
        raise ValueError(f"{wanted}, got {len(milestones)}; give the first step of each schedule but the first.")
    starts = [0, *milestones]
    if any(later <= earlier for earlier, later in zip(starts, milestones, strict=False)):
        raise ValueError(f"sequence: expected milestones to increase, got {milestones!r}; sort them.")
    parts = list(schedules)

    def formula(step: int) -> float:
        k = bisect_right(starts, step) - 1
        return parts[k](step - starts[k])

    return formula


@schedule
def chained(lr: float, factors: Sequence[Callable[[int], float]]) -> Formula:
    """Multiply `lr` by several factors, each a function of the step (torch's ``ChainedScheduler``).

    Parameters
    ----------
    lr
        The learning rate that the factors multiply.
    factors
        At least one: schedules made with a learning rate of 1, or other functions of the step. The chain of PyTorch's
        ``ConstantLR`` and ``ExponentialLR``, say, is ``chained(lr, [constant_warmup(1.0), exponential_decay(1.0,
        gamma)])``.

    Examples
    --------
    >>> from nnx.optim import schedules
    >>> parts = [schedules.constant_warmup(1.0, factor=0.5, total_iters=1), schedules.exponential_decay(1.0, 0.5)]
    >>> [schedules.chained(0.5, parts)(step) for step in range(3)]
    [0.25, 0.25, 0.125]
    """
    check_number("chained", "lr", lr)
    _check_functions("chained", "factors", factors)
    parts = list(factors)
    return lambda step: lr * math.prod(factor(step) for factor in parts)


@schedule
def per_epoch(schedule: Callable[[int], float], steps_per_epoch: int) -> Formula:
    """Let a schedule count epochs: ``schedule(step // steps_per_epoch)``, the same rate throughout each epoch.

    Examples
    --------
    >>> from nnx.optim import schedules
    >>> slow = schedules.per_epoch(schedules.exponential_decay(1.0, 0.5), steps_per_epoch=3)
    >>> [slow(step) for step in range(7)]
    [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25]
    """
    check_function("per_epoch", "schedule", schedule)
    check_count("per_epoch", "steps_per_epoch", steps_per_epoch)
    return lambda step: schedule(step // steps_per_epoch)


def _check_functions(label: str, name: str, functions: Sequence[Callable[[int], float]]) -> None:
    check_sequence(label, name, functions, of="schedules")
    if not functions:
        raise ValueError(f"{label}: expected {name} to hold at least one schedule, got none; pass [schedule].")
    for i, function in enumerate(functions):
        check_function(label, f"{name}[{i}]", function)
