"""The strong Wolfe line search: its conditions, and PyTorch's points."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnx.optim.line_search import Point, strong_wolfe


@pytest.mark.parametrize("first", [1e-4, 1e-2, 0.3, 1.0, 10.0, 1e3])
@pytest.mark.parametrize(
    ("function", "slope"),
    [
        (lambda t: t**4 - 2 * t, lambda t: 4 * t**3 - 2),
        (lambda t: -t / (t**2 + 2), lambda t: (t**2 - 2) / (t**2 + 2) ** 2),
        (lambda t: math.cosh(t - 1), lambda t: math.sinh(t - 1)),
        (lambda t: -math.sin(3 * t) + t**2, lambda t: -3 * math.cos(3 * t) + 2 * t),
    ],
)
def test_points_satisfy_the_strong_wolfe_conditions(function: Callable, slope: Callable, first: float) -> None:
    asked = []

    def evaluate(t: float) -> Point:
        asked.append(t)
        t = min(t, 300.0)  # where cosh still is a number
        return Point(t, function(t), slope(t), None)

    start = Point(0.0, function(0.0), slope(0.0), None)
    point, count = strong_wolfe(evaluate, start, first, 1.0, 25)
    assert count == len(asked) <= 26
    assert point.value <= start.value + 1e-4 * point.t * start.slope
    assert abs(point.slope) <= 0.9 * abs(start.slope)


@pytest.mark.parametrize("seed", range(60))
def test_points_are_those_of_torch(seed: int) -> None:
    """On wiggly functions, where every branch of the search is taken; also with few iterations."""
    torch = pytest.importorskip("torch")
    torch_search = importlib.import_module("torch.optim.lbfgs")._strong_wolfe
    rng = np.random.default_rng(seed)
    amplitudes, frequencies, phases = rng.uniform(0, 3, 5), rng.uniform(0, 12, 5), rng.uniform(0, 6, 5)
    curvature, shift, first = rng.uniform(0, 1), rng.uniform(-1, 5), 10 ** rng.uniform(-3, 1.5)
    most = int(rng.integers(1, 26))

    def value(t: float) -> float:
        return float((amplitudes * np.sin(frequencies * t + phases)).sum() + curvature * (t - shift) ** 2)

    def slope(t: float) -> float:
        return float((amplitudes * frequencies * np.cos(frequencies * t + phases)).sum() + 2 * curvature * (t - shift))

    sign = -math.copysign(1.0, slope(0.0))  # in which direction it falls

    def at(t: float) -> Point:
        t = float(t)
        return Point(t, value(sign * t), sign * slope(sign * t), None)

    def array(*numbers: float) -> Any:
        return torch.tensor(numbers, dtype=torch.float64)

    def for_torch(x: Any, t: Any, d: Any) -> tuple[float, Any]:
        return at(t).value, array(slope(sign * float(t)))

    found, count = strong_wolfe(at, at(0.0), first, 1.0, most)
    start = (at(0.0).value, array(slope(0.0)), array(at(0.0).slope)[0])
    lowest, _, t, evaluations = torch_search(for_torch, array(0.0), first, array(sign), *start, max_ls=most)
    assert count == evaluations
    assert (found.t, found.value) == pytest.approx((float(t), lowest), rel=1e-9)


def test_a_line_that_ends_nowhere_gives_the_lowest_point() -> None:
    point, count = strong_wolfe(lambda t: Point(t, -t, -1.0, None), Point(0.0, 0.0, -1.0, None), 1.0, 1.0, 5)
    assert (count, point.t) == (6, 10.0**5)
