"""How work on a device is timed: by its events, from a cold cache, on random data; medians and spread.

Before each sample the cache is overwritten. That also keeps the device busy while the CPU enqueues the call, so that
the events enclose the work alone and no waiting for the CPU: as many overwrites are enqueued as the CPU needs time.
How long the CPU takes to enqueue a call is told beside it.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

_MOST_FILLS = 64
_LARGEST_SCRATCH = 256 << 20


class Timer:
    """Times functions on a device; made once per part, since it holds memory for overwriting the cache."""

    def __init__(self, gpu: Any, *, seconds: float = 0.4, samples: int = 40, rehearse: bool = False) -> None:
        self._gpu, self._seconds, self._samples = gpu, seconds, samples
        if rehearse:
            self._seconds, self._samples = 0.001, 2
        size = min(_LARGEST_SCRATCH, max(4 * gpu.l2_bytes(), 1 << 20))
        self._fill = gpu.scratch(size)
        self._fill_seconds = self._filling()

    def _filling(self) -> float:
        for _ in range(3):
            self._fill()
        start = self._gpu.event()
        for _ in range(10):
            self._fill()
        end = self._gpu.event()
        self._gpu.synchronize()
        return max(self._gpu.seconds(start, end) / 10, 1e-6)

    def __call__(
        self,
        functions: Callable[[], Any] | Sequence[Callable[[], Any]],
        *,
        warm_up: int = 3,
        cold: bool = True,
        before: Callable[[], Any] = lambda: None,
    ) -> dict[str, Any]:
        """Return samples, median and quartiles in microseconds of a call.

        Several functions are taken in turn: the same work on other buffers. What each call needs anew, `before` makes,
        whose time does not count.
        """
        turns = itertools.cycle([functions] if callable(functions) else functions)
        for _ in range(warm_up):
            before()
            next(turns)()
        self._gpu.synchronize()
        started = time.perf_counter()
        before()
        self._gpu.synchronize()
        start = time.perf_counter()
        next(turns)()
        host = time.perf_counter() - start
        self._gpu.synchronize()
        whole = max(time.perf_counter() - started, 1e-6)
        fills = min(_MOST_FILLS, 1 + int(1.5 * host / self._fill_seconds)) if cold else 0
        each = whole + fills * self._fill_seconds
        count = max(3, min(self._samples, int(self._seconds / each))) if self._samples > 2 else self._samples
        marks = []
        hosts = []
        for _ in range(count):
            before()
            for _ in range(fills):
                self._fill()
            begin = self._gpu.event()
            start = time.perf_counter()
            next(turns)()
            hosts.append((time.perf_counter() - start) * 1e6)
            marks.append((begin, self._gpu.event()))
        self._gpu.synchronize()
        samples = [self._gpu.seconds(begin, end) * 1e6 for begin, end in marks]
        return {**figures(samples), "host_us": statistics.median(hosts), "fills": fills}


def backward(torch: Any, timer: Timer, forward: Callable[[], Any], leaves: Sequence[Any], grad: Any) -> dict[str, Any]:
    """Time the backward pass of PyTorch alone, each after a forward pass of its own.

    A graph that is kept for more than one of them costs: its memory is not used again on the way, and cuDNN's LSTM
    copies what it saved.
    """
    made: list[Any] = []
    return timer(lambda: torch.autograd.grad(made.pop(), leaves, grad), before=lambda: made.append(forward()))


def figures(samples: Sequence[float]) -> dict[str, Any]:
    """Return samples with their median and quartiles."""
    quartiles = statistics.quantiles(samples, n=4)[::2] if len(samples) > 1 else [samples[0]] * 2
    return {"median_us": statistics.median(samples), "quartiles_us": quartiles, "samples_us": list(samples)}


def steps(
    gpu: Any, function: Callable[[], Any], *, seconds: float, blocks: int = 7, warm_up: int = 5
) -> dict[str, Any]:
    """Time whole steps by the wall clock, in blocks that end when the device does: what a user waits for."""
    for _ in range(warm_up):
        function()
    gpu.synchronize()
    start = time.perf_counter()
    function()
    gpu.synchronize()
    each = max(time.perf_counter() - start, 1e-6)
    calls = max(1, int(seconds / blocks / each))
    samples = []
    for _ in range(blocks):
        start = time.perf_counter()
        for _ in range(calls):
            function()
        gpu.synchronize()
        samples.append((time.perf_counter() - start) / calls * 1e6)
    return {**figures(samples), "calls_per_block": calls}


def host(function: Callable[[], Any], gpu: Any, calls: int = 2000) -> dict[str, Any]:
    """Return what a call costs the CPU in microseconds; the device's queue is emptied often, so that none is full."""
    for _ in range(20):
        function()
    gpu.synchronize()
    samples = []
    for _ in range(10):
        start = time.perf_counter()
        for _ in range(max(1, calls // 10)):
            function()
        samples.append((time.perf_counter() - start) / max(1, calls // 10) * 1e6)
        gpu.synchronize()
    return figures(samples)
