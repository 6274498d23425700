"""What a GPU has to show, by the budgets of the design: for each work a gate, a goal, and its figure out of results.

Figures are PyTorch's time over nnx's. Where only PyTorch was measured, that is told beside the yardstick.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from . import tables
from .baselines_attention import OURS
from .record import OK

Found = Mapping[tuple[str, str], Mapping[str, Any]]


class Row(NamedTuple):
    """A line of the table; `baseline` tells PyTorch's figure alone."""

    work: str
    yardstick: str
    gate: float
    goal: float
    ratio: Callable[[Found], float | None]
    baseline: Callable[[Found], str | None] = lambda found: None


def _mean(values: list[float]) -> float | None:
    return statistics.geometric_mean(values) if values else None


# ------------------------------------------------------------------ attention


def _short(length: int, width: int) -> bool:
    return width == 64 and length <= 1024


def _long(length: int, width: int) -> bool:
    return width == 128 and length >= 4096


def _any(length: int, width: int) -> bool:
    return True


def _attentions(found: Found, direction: str, chosen: Callable[[int, int], bool]) -> Iterator[tuple[Any, Any]]:
    """PyTorch's best backend and nnx, or None, shape by shape."""
    shapes: dict[tuple, dict[str, Any]] = {}
    for (part, _), entry in found.items():
        if part == "attention" and entry["status"] == OK and "shape" in entry["facts"]:
            _, _, length, width, _ = shape = tuple(entry["facts"]["shape"])
            if chosen(length, width):
                shapes.setdefault(shape, {})[entry["facts"]["backend"]] = entry["value"][direction]
    for backends in shapes.values():
        mine = backends.pop(OURS, None)
        if backends:
            yield min(backends.values(), key=lambda each: each["median_us"]), mine


def _attention(direction: str, chosen: Callable[[int, int], bool]) -> tuple[Callable, Callable]:
    def ratio(found: Found) -> float | None:
        both = _attentions(found, direction, chosen)
        return _mean([theirs["median_us"] / mine["median_us"] for theirs, mine in both if mine])

    def baseline(found: Found) -> str | None:
        rate = _mean([theirs["tflops"] for theirs, _ in _attentions(found, direction, chosen)])
        return None if rate is None else f"{rate:.0f} TFLOP/s"

    return ratio, baseline


# ------------------------------------------------------------------ convolution, other kernels


def _convolution(direction: str) -> Callable:
    def ratio(found: Found) -> float | None:
        pairs = tables.pairs(found, "convolution")
        return tables.mean_ratio(
            pair
            for pair in pairs
            if (pair.facts["precision"], pair.direction) == ("bfloat16", direction)
            and "3×3" in pair.work
            and pair.facts["kind"] != "depthwise"
        )

    return ratio


def _kernel(work: str) -> Callable:
    return lambda found: tables.mean_ratio(p for p in tables.pairs(found, "kernels") if p.work.startswith(work))


# ------------------------------------------------------------------ training steps


def _least(found: Found, name: str, *ways: str) -> float | None:
    entries = [found.get(("steps", f"{name}, {way}")) for way in ways]
    times = [entry["value"]["median_us"] for entry in entries if entry and entry["status"] == OK]
    return min(times, default=None)


def _slowest(against: str) -> Callable:
    def ratio(found: Found) -> float | None:
        ratios = []
        for name in ("MNIST MLP 784-128-10", "LeNet-5", "ResNet-20"):
            ours, theirs = _least(found, name, "nnx CUDA graph"), _least(found, name, against)
            if ours is None or theirs is None:
                return None
            ratios.append(theirs / ours)
        return min(ratios)

    return ratio


def _step(name: str, *against: str) -> tuple[Callable, Callable]:
    def ratio(found: Found) -> float | None:
        ours, theirs = _least(found, name, "nnx CUDA graph", "nnx eager"), _least(found, name, *against)
        return None if ours is None or theirs is None else theirs / ours

    def baseline(found: Found) -> str | None:
        theirs = _least(found, name, *against)
        return None if theirs is None else f"{theirs / 1e3:.1f} ms"

    return ratio, baseline


_COMPILED = ("torch compile reduce-overhead", "torch compile default")
_SDPA = "best backend of torch SDPA"
ROWS = (
    Row("attention, bfloat16, forward, D 64, T up to 1k", _SDPA, 0.8, 1, *_attention("forward", _short)),
    Row("attention, bfloat16, forward, D 128, T from 4k", _SDPA, 0.55, 1, *_attention("forward", _long)),
    Row("attention, bfloat16, backward", _SDPA, 0.65, 1, *_attention("backward", _any)),
    Row("convolution, bfloat16, ResNet-50 3×3, forward", "cuDNN", 0.65, 1, _convolution("forward")),
    Row("convolution, bfloat16, ResNet-50 3×3, input gradient", "cuDNN", 0.65, 1, _convolution("input gradient")),
    Row("convolution, bfloat16, ResNet-50 3×3, weight gradient", "cuDNN", 0.65, 1, _convolution("weight gradient")),
    Row("layer normalisation", "torch eager", 1, 1.3, _kernel("layer_norm")),
    Row("softmax and cross entropy", "torch eager", 1, 1.3, _kernel("cross_entropy")),
    Row("AdamW", "torch fused", 1, 1.3, _kernel("AdamW")),
    Row("training steps of small networks, the slowest ratio", "torch eager", 3, 5, _slowest("torch eager")),
    Row("the same", "compile reduce-overhead", 0.9, 1, _slowest("torch compile reduce-overhead")),
    Row("training of GPT-2 124M, bfloat16", "torch.compile", 0.9, 1.1, *_step("GPT-2 124M bfloat16", *_COMPILED)),
    Row(
        "training of ResNet-50, bfloat16",
        "torch eager, channels_last",
        0.9,
        1.1,
        *_step("ResNet-50 bfloat16", "torch eager"),
    ),
)
