"""How the CPU benchmarks measure: in blocks, with equal threads, medians and spread.

Every contender runs alone for a while (a block), in turn, several rounds over: thread pools and caches of two libraries
disturb each other when calls alternate one by one. The figures are medians over blocks of the mean time of a call, the
spread is the range from the first to the third quartile, and ratios are medians of the ratios within a round.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_KEEP_FREED_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "268435456", "MALLOC_TRIM_THRESHOLD_": "268435456"}
RESULTS = Path(__file__).parent / "results"


def fresh_process(threads: int) -> None:
    """Restart this script with a thread count and an allocator that keeps freed memory, for all libraries alike.

    Without the latter, page faults are measured: glibc hands large freed blocks back to the system at once.
    """
    wanted = {**_KEEP_FREED_MEMORY, **{f"{n}_NUM_THREADS": str(threads) for n in ("OMP", "OPENBLAS", "MKL")}}
    if any(os.environ.get(k) != v for k, v in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **wanted})


def block(function: Callable[[], Any], seconds: float) -> float:
    """Return the mean time of a call in microseconds, over about `seconds`."""
    function()
    calls, start = 1, time.perf_counter()
    function()
    calls = max(1, int(seconds / max(time.perf_counter() - start, 1e-7)))
    gc.collect()
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls * 1e6


def compare(
    contenders: dict[str, Callable[[], Any]], *, rounds: int = 15, seconds: float = 0.15
) -> dict[str, dict[str, Any]]:
    """Time functions in turn, block by block; return the samples of each with median and quartiles (microseconds)."""
    for function in contenders.values():
        block(function, seconds / 3)
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, function in contenders.items():
            samples[name].append(block(function, seconds))
    return {
        name: {"median_us": statistics.median(s), "quartiles_us": statistics.quantiles(s, n=4)[::2], "samples_us": s}
        for name, s in samples.items()
    }


def ratio(results: dict[str, dict[str, Any]], ours: str, theirs: str) -> float:
    """Return the median over rounds of the ratio of two contenders' times."""
    pairs = zip(results[ours]["samples_us"], results[theirs]["samples_us"], strict=True)
    return statistics.median(a / b for a, b in pairs)


def machine() -> dict[str, Any]:
    """Describe the machine and the versions, for the result file."""
    import numpy

    import nnx

    model = "unknown"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    versions = {"python": platform.python_version(), "numpy": numpy.__version__, "nnx": nnx.__version__}
    if "torch" in sys.modules:
        versions["torch"] = sys.modules["torch"].__version__
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": model,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "threads": int(os.environ.get("OMP_NUM_THREADS", 0)) or None,
        "versions": versions,
    }


def save(name: str, content: dict[str, Any]) -> Path:
    """Write a result file under ``benchmarks/results``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **content}, indent=1) + "\n")
    return path


def table(title: str, results: dict[str, dict[str, Any]]) -> str:
    """Return the medians and quartiles as text."""
    lines = [title]
    for name, r in results.items():
        low, high = r["quartiles_us"]
        lines.append(f"  {name:44s} {r['median_us']:9.2f} µs   quartiles {low:.2f} to {high:.2f}")
    return "\n".join(lines)
