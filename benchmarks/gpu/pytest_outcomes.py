"""A plug-in of pytest that writes down what is collected and every outcome as it comes, and passes over tests tried.

``-p benchmarks.gpu.pytest_outcomes`` with ``NNX_OUTCOMES`` (the file to append to) and ``NNX_TRIED`` (a file of test
ids, one a line). A process whose CUDA context is broken ends: all its later tests would fail for that reason.
"""

from __future__ import annotations

import json
import os
from typing import Any

STICKY = (
    *("cudaErrorIllegalAddress", "CUDA_ERROR_ILLEGAL_ADDRESS", "cudaErrorLaunchFailure", "CUDA_ERROR_LAUNCH_FAILED"),
    *("cudaErrorMisalignedAddress", "CUDA_ERROR_MISALIGNED_ADDRESS", "CUDA_ERROR_ILLEGAL_INSTRUCTION"),
    *("cudaErrorIllegalInstruction", "cudaErrorAssert", "CUDA_ERROR_ASSERT", "an illegal memory access"),
)
BROKEN = 76  # exit status


def write(**entry: Any) -> None:
    """Append a line to the file of outcomes."""
    path = os.environ.get("NNX_OUTCOMES")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    path = os.environ.get("NNX_TRIED")
    if not path or not os.path.exists(path):
        return
    with open(path, encoding="utf-8") as file:
        tried = set(file.read().splitlines())
    dropped = [item for item in items if item.nodeid in tried]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item.nodeid not in tried]


def pytest_collection_finish(session: Any) -> None:
    # Of several processes each collects all of it, and the one that hands out the tests nothing.
    if not _controls and _worker in (None, "gw0"):
        write(collected=[item.nodeid for item in session.items])


def pytest_runtest_logstart(nodeid: str, location: Any) -> None:
    if _worker is None:
        write(start=nodeid)


def pytest_runtest_logreport(report: Any) -> None:
    broken = report.outcome == "failed" and any(word in report.longreprtext for word in STICKY)
    if _worker is None:
        if report.when == "call" or report.outcome != "passed":
            text = report.longreprtext[-1200:] if report.outcome == "failed" else ""
            reason = str(report.longrepr[-1])[:200] if isinstance(report.longrepr, tuple) else text
            outcome = "error" if report.outcome == "failed" and report.when != "call" else report.outcome
            entry = {"outcome": outcome, "when": report.when, "seconds": report.duration, "reason": reason}
            write(test=report.nodeid, xfail=hasattr(report, "wasxfail"), **entry)
    if broken and not _controls:
        os._exit(BROKEN)


def pytest_collectreport(report: Any) -> None:
    if report.failed and _worker is None:
        write(test=f"{report.nodeid} (collection)", outcome="error", when="collect", seconds=0.0,
              reason=report.longreprtext[-1200:], xfail=False)  # fmt: skip


# Of pytest-xdist: which of its processes this is, and whether it hands tests out to others.
_worker: str | None = None
_controls = False


def pytest_configure(config: Any) -> None:
    global _worker, _controls
    _worker = getattr(config, "workerinput", {}).get("workerid")
    _controls = _worker is None and bool(getattr(config.option, "numprocesses", None))
