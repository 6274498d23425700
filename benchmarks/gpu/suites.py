"""Runs of pytest in slices, each with a time limit; what crashes or hangs loses one test, not the slice.

Every outcome is written to a file beside the results as it comes, so that a slice that is cut off, in whatever way,
keeps what it has, and ``--resume`` runs the tests that are left.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from . import processes
from .record import of_same_device
from .session import CutOff, NotHere, Session

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = "outcomes"  # in the folder of the results
OF_NNX = ("-o", "addopts=--import-mode=importlib --strict-markers")
_STARTS = 6
_KEPT = 120  # failures that are told in full


def measure(
    session: Session,
    name: str,
    tests: Sequence[str],
    options: Sequence[str],
    seconds: float,
    *,
    environment: dict[str, str] | None = None,
    workers: int = 0,
    cwd: Path = ROOT,
) -> dict[str, Any] | None:
    """Run some tests as a measurement; when the time is over before all have run, it is cut off."""
    limit = max(5.0, min(seconds, session.left() - 5))

    def run() -> dict[str, Any]:
        found = run_slice(
            tests,
            options,
            limit,
            environment=environment,
            workers=workers,
            cwd=cwd,
            kept=_file(session, name, session.run),
            earlier=_earlier(session, name),
        )
        if found["not run"] == 0:
            return found
        number = "an unknown number of" if found["not run"] is None else found["not run"]
        raise CutOff(f"{number} tests were not run, which --resume does", found)

    return session.measure(name, run, expected=20, limit=limit + 40)


def files(session: Session, name: str) -> list[Path]:
    """Return the files of outcomes of a measurement: its own, and with `resume` those of earlier runs on the device."""
    own = _file(session, name, session.run)
    return _earlier(session, name) + ([own] if own.exists() else [])


def _file(session: Session, name: str, run: str) -> Path:
    slug = re.sub(r"[^a-z0-9]+", "_", f"{session.part} {name}".lower()).strip("_")
    return session.log.path.parent / FOLDER / f"{slug}-{run}.jsonl"


def _earlier(session: Session, name: str) -> list[Path]:
    if not session.resume:
        return []
    entries = of_same_device(session.log.entries(), session.run)
    runs = dict.fromkeys(entry["run"] for entry in entries if entry.get("event") == "run")
    paths = [_file(session, name, run) for run in runs if run != session.run]
    return [path for path in paths if path.exists()]


def run_slice(
    tests: Sequence[str],
    options: Sequence[str],
    seconds: float,
    *,
    environment: dict[str, str] | None = None,
    workers: int = 0,
    cwd: Path = ROOT,
    kept: Path | None = None,
    earlier: Sequence[Path] = (),
) -> dict[str, Any]:
    """Run some tests; return counts, failures, how many were not run, and what is slow.

    Parameters
    ----------
    tests
        Paths from `cwd`.
    options
        More arguments of pytest.
    seconds
        For all of it.
    environment
        Variables for the tests.
    workers
        Processes that share the device, if pytest-xdist is there.
    cwd
        Where pytest runs: the root of the repository, or of another suite.
    kept
        The file that outcomes are appended to as they come.
    earlier
        Files of earlier runs: what has an outcome there is not run again, and counts.

    Raises
    ------
    NotHere
        If there is no pytest.
    RuntimeError
        If pytest ran no test and did not say that all was well.
    """
    if find_spec("pytest") is None:
        raise NotHere("pytest is not installed; `python -m benchmarks.gpu.bring` brings it")
    end = time.monotonic() + seconds
    before = [entry for path in earlier for entry in entries_of(path) if "test" in entry]
    with tempfile.TemporaryDirectory(prefix="nnx-outcomes-") as folder:
        outcomes, tried = kept or Path(folder, "outcomes.jsonl"), Path(folder, "tried.txt")
        outcomes.parent.mkdir(parents=True, exist_ok=True)
        outcomes.touch()
        variables = {**(environment or {}), "NNX_OUTCOMES": str(outcomes), "NNX_TRIED": str(tried)}
        # Plug-ins of other people's packages warn, and warnings are errors here.
        variables["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        command = _command(workers, OF_NNX if cwd == ROOT else ())
        starts, ended = 0, None
        while starts < _STARTS:
            starts += 1
            left = end - time.monotonic()
            if left < 3 and starts > 1:
                break
            already = entries_of(outcomes)
            tried.write_text("\n".join(_seen([*before, *already])) + "\n", encoding="utf-8")
            ended = processes.run([*command, *options, *tests], max(left, 3), cwd=cwd, environment=variables)
            new = entries_of(outcomes)[len(already) :]
            lost = _unfinished(new)
            if ended.timed_out:
                break  # what ran when the time was over has not crashed
            with open(outcomes, "a", encoding="utf-8") as file:
                file.write("\n")  # behind a line that a process did not end
                for test in lost:
                    file.write(json.dumps({"test": test, "outcome": "crashed", "reason": "no outcome"}) + "\n")
            # 0: all passed; 1: some failed; 2: stopped; 4: wrong arguments; 5: nothing was collected. Else it crashed.
            if (ended.code in (0, 1, 2, 4, 5) and not lost) or not _seen(new):
                break
        own = entries_of(outcomes)
    assert ended is not None
    found = summed([*before, *own])
    if not found["counts"] and not ended.timed_out and ended.code != 0:
        raise RuntimeError(f"no test was run: {ended}: {ended.tail[-2500:]}")
    return found | {
        "not run": _not_run(own, before, ended.timed_out),
        "cut off at": _unfinished(own),
        "ended": str(ended),
        "starts": starts,
        "tail": ended.tail[-1500:],
        "workers": workers,
    }


def _command(workers: int, own: Sequence[str]) -> list[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", "--no-header"]
    command += ["--continue-on-collection-errors", "-p", "benchmarks.gpu.pytest_outcomes", *own]
    if workers > 1 and find_spec("xdist") is not None:
        command += ["-p", "xdist.plugin", "-n", str(workers), "--max-worker-restart", "30"]
    if find_spec("pytest_timeout") is not None:
        # A thread of its own also ends a test that hangs in C, and the process with it, which is started again.
        command += ["-p", "pytest_timeout", "--timeout", "30", "--timeout-method", "thread"]
    return command


def entries_of(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file of outcomes, without one that is torn."""
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def _unfinished(entries: list[dict[str, Any]]) -> list[str]:
    ended = {entry["test"] for entry in entries if "test" in entry}
    return [entry["start"] for entry in entries if "start" in entry and entry["start"] not in ended]


def _seen(entries: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(entry.get("start") or entry["test"] for entry in entries if "collected" not in entry))


def _not_run(own: list[dict[str, Any]], before: list[dict[str, Any]], timed_out: bool) -> int | None:
    """How many of the tests that were collected have no outcome, or None if the time was over before that was known."""
    collected = {test for entry in own for test in entry.get("collected", ())}
    if timed_out and not any("collected" in entry for entry in own):
        return None
    return len(collected - {entry["test"] for entry in [*before, *own] if "test" in entry})


def states(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the outcome of each test: the last one, but an error at teardown counts, and no later good news."""
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if "test" in entry and found.get(entry["test"], {"outcome": "passed"})["outcome"] == "passed":
            found[entry["test"]] = {"seconds": 0.0, "xfail": False, **entry}
    return found


def summed(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Count outcomes; tell failures, those that crashed among them, and the slowest tests."""
    outcomes = states(entries)
    counts = Counter("xfailed" if e["xfail"] and e["outcome"] == "skipped" else e["outcome"] for e in outcomes.values())
    bad = {
        test: entry["reason"] for test, entry in outcomes.items() if entry["outcome"] in ("failed", "error", "crashed")
    }
    reasons = Counter(told(reason) for reason in bad.values())
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


def told(reason: str) -> str:
    """Return the line of a failure that says most."""
    lines = [line for line in reason.strip().splitlines() if not line.startswith("[gw")]  # which process it was
    chosen = [line for line in lines if line.startswith("E ")] or lines
    return chosen[0][:160] if chosen else ""


def workers(rehearse: bool) -> int:
    """Return how many processes may share the device."""
    return 0 if rehearse else max(1, min(8, (os.cpu_count() or 2) // 2))
