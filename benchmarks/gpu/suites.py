"""Runs of pytest in slices, each with a time limit; what crashes or hangs loses one test, not the slice."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from . import processes
from .session import NotHere

ROOT = Path(__file__).resolve().parent.parent.parent
_STARTS = 6
_KEPT = 120  # failures that are told in full


def run_slice(
    tests: Sequence[str],
    options: Sequence[str],
    seconds: float,
    *,
    environment: dict[str, str] | None = None,
    workers: int = 0,
) -> dict[str, Any]:
    """Run some tests; return counts, failures and what is slow.

    Parameters
    ----------
    tests
        Paths from the root of the repository.
    options
        More arguments of pytest.
    seconds
        For all of it.
    environment
        Variables for the tests.
    workers
        Processes that share the device, if pytest-xdist is there.
    """
    if find_spec("pytest") is None:
        raise NotHere("pytest is not installed; `python -m benchmarks.gpu.bring` brings it")
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="nnx-outcomes-") as folder:
        outcomes, tried = Path(folder, "outcomes.jsonl"), Path(folder, "tried.txt")
        outcomes.touch()
        tried.touch()
        variables = {**(environment or {}), "NNX_OUTCOMES": str(outcomes), "NNX_TRIED": str(tried)}
        # Plug-ins of other people's packages warn, and warnings are errors here.
        variables["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", "--no-header"]
        command += ["--continue-on-collection-errors"]
        command += ["-p", "benchmarks.gpu.pytest_outcomes", "-o", "addopts=--import-mode=importlib --strict-markers"]
        if workers > 1 and find_spec("xdist") is not None:
            command += ["-p", "xdist.plugin", "-n", str(workers), "--max-worker-restart", "30"]
        if find_spec("pytest_timeout") is not None:
            # A thread of its own also ends a test that hangs in C, and the process with it, which is started again.
            command += ["-p", "pytest_timeout", "--timeout", "30", "--timeout-method", "thread"]
        starts, ended = 0, None
        while starts < _STARTS:
            starts += 1
            left = end - time.monotonic()
            if left < 3 and starts > 1:
                break
            before = len(_entries(outcomes))
            ended = processes.run([*command, *options, *tests], max(left, 3), cwd=ROOT, environment=variables)
            # 0: all passed; 1: some failed; 2: stopped; 4: wrong arguments; 5: nothing was collected. Else it crashed.
            came_to_its_end = ended.code in (0, 1, 2, 4, 5) and not _unfinished(_entries(outcomes)[before:])
            if ended.timed_out or came_to_its_end or len(_entries(outcomes)) == before:
                break
            tried.write_text("\n".join(_seen(_entries(outcomes))) + "\n", encoding="utf-8")
        entries = _entries(outcomes)
    assert ended is not None
    cut_off = _unfinished(entries) if ended.timed_out else []  # what ran when the time was over has not crashed
    found = summed([entry for entry in entries if entry.get("start") not in cut_off])
    found |= {
        "cut off at": cut_off,
        "ended": str(ended),
        "starts": starts,
        "tail": ended.tail[-1500:],
        "workers": workers,
    }
    return found


def _entries(path: Path) -> list[dict[str, Any]]:
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def _unfinished(entries: list[dict[str, Any]]) -> list[str]:
    ended = {entry["test"] for entry in entries if "test" in entry}
    return [entry["start"] for entry in entries if "start" in entry and entry["start"] not in ended]


def _seen(entries: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(entry.get("start") or entry["test"] for entry in entries))


def summed(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Count outcomes; tell failures, those that crashed among them, and the slowest tests."""
    outcomes: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if "test" in entry:
            known = outcomes.get(entry["test"])
            if known is None or known["outcome"] == "passed":  # an error at teardown counts
                outcomes[entry["test"]] = entry
    for entry in entries:
        if "start" in entry and entry["start"] not in outcomes:
            outcomes[entry["start"]] = {"outcome": "crashed", "seconds": 0.0, "reason": "no outcome", "xfail": False}
    counts = Counter("xfailed" if e["xfail"] and e["outcome"] == "skipped" else e["outcome"] for e in outcomes.values())
    bad = {
        test: entry["reason"] for test, entry in outcomes.items() if entry["outcome"] in ("failed", "error", "crashed")
    }
    reasons = Counter(_last_line(reason) for reason in bad.values())
    skipped = Counter(e["reason"] for e in outcomes.values() if e["outcome"] == "skipped" and not e["xfail"])
    slow = sorted(outcomes.items(), key=lambda item: -item[1]["seconds"])[:10]
    return {
        "counts": dict(counts),
        "reasons": dict(reasons.most_common(40)),
        "failures": dict(list(bad.items())[:_KEPT]),
        "failures not told": list(bad)[_KEPT:],
        "skipped because": dict(skipped.most_common(12)),
        "slowest": {test: entry["seconds"] for test, entry in slow},
    }


def _last_line(reason: str) -> str:
    told = [line for line in reason.strip().splitlines() if not line.startswith("[gw")]  # which process it was
    lines = [line for line in told if line.startswith("E ")] or told
    return lines[0][:160] if lines else ""


def workers(rehearse: bool) -> int:
    """Return how many processes may share the device."""
    return 0 if rehearse else max(1, min(8, (os.cpu_count() or 2) // 2))
