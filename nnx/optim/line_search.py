"""Line search: how far to go in a direction so that the strong Wolfe conditions hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

_TOLERANCE = 1e-9  # an interval in which nothing moves by more is not divided further


class Point(NamedTuple):
    """What is known of a point on the line."""

    t: float
    """Its distance from the start, in lengths of the direction."""
    value: float
    slope: float
    gradient: Any
    """That of the function, not only along the line."""


def strong_wolfe(
    evaluate: Callable[[float], Point],
    start: Point,
    t: float,
    longest: float,
    max_iterations: int,
    c1: float = 1e-4,
    c2: float = 0.9,
) -> tuple[Point, int]:
    """Return a point with ``value <= start.value + c1 t start.slope`` and ``|slope| <= c2 |start.slope|``, and the
    number of evaluations; or the lowest point of the last bracket when the iterations have run out [1]_.

    Parameters
    ----------
    evaluate
        Returns the point at t.
    start
        The point at 0, where the slope is negative.
    t
        Where to look first.
    longest
        The largest absolute element of the direction.
    max_iterations
        How many times to evaluate after the first.
    c1, c2
        The constants of the conditions.

    References
    ----------
    .. [1] Nocedal and Wright, "Numerical optimization", 2nd edition, algorithms 3.5 and 3.6; the safeguards of the
       interpolation are those of Mark Schmidt's minFunc, which PyTorch follows, too.
    """

    def too_high(point: Point) -> bool:
        return point.value > start.value + c1 * point.t * start.slope

    def flat(point: Point) -> bool:
        return abs(point.slope) <= -c2 * start.slope

    # go further until there is a good point, or one beyond a minimum
    before, new = start, evaluate(t)
    count = 0
    bracket = None
    while count < max_iterations:
        if too_high(new) or (count > 1 and new.value >= before.value):
            bracket = [before, new]
        elif flat(new):
            return new, count + 1
        elif new.slope >= 0:
            bracket = [before, new]
        if bracket is not None:
            break
        further = _lowest(before, new, new.t + 0.01 * (new.t - before.t), 10 * new.t)
        before, new = new, evaluate(further)
        count += 1
    if bracket is None:
        bracket = [start, new]

    # divide the bracket; its lower end always satisfies the first condition
    low = 0 if bracket[0].value <= bracket[1].value else 1
    near_an_end = False
    while count < max_iterations:
        left, right = sorted((bracket[0].t, bracket[1].t))
        if (right - left) * longest < _TOLERANCE:
            break
        t = _lowest(bracket[0], bracket[1], left, right)
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:
            if near_an_end or t >= right or t <= left:  # for the second time: too little progress
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                near_an_end = False
            else:
                near_an_end = True
        else:
            near_an_end = False
        new = evaluate(t)
        count += 1
        high = 1 - low
        if too_high(new) or new.value >= bracket[low].value:
            bracket[high] = new
            low = 0 if bracket[0].value <= bracket[1].value else 1
            continue
        done = flat(new)
        if not done and new.slope * (bracket[high].t - bracket[low].t) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = new
        if done:
            break
    return bracket[low], count + 1


def _lowest(a: Point, b: Point, least: float, most: float) -> float:
    """Return where the cubic through two points with their slopes is lowest, within bounds; their middle if nowhere."""
    middle = (least + most) / 2
    if a.t == b.t:
        return middle
    if a.t > b.t:
        a, b = b, a
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not 0 <= square < math.inf:
        return middle
    d2 = math.sqrt(square)
    numerator, denominator = b.slope + d2 - d1, b.slope - a.slope + 2 * d2
    if denominator == 0:  # a straight line, which is lowest at one of its ends
        return most if numerator < 0 else least if numerator > 0 else middle
    return min(max(b.t - (b.t - a.t) * (numerator / denominator), least), most)
