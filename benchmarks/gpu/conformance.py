"""The official Array API suite over ``nnx.differentiable(cupy)``, where a checkout of it is brought along."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from . import processes
from .session import NotHere, Session

# Before nnx is blamed the bare library gets fewer examples to fail with than on a CPU: time on a GPU is short.
_CODE = (
    "import sys; from tests import conformance as suite; suite.RETRY_SEEDS, suite.RETRY_EXAMPLES = (1, 2), 60; "
    "sys.exit(suite.main(sys.argv[1:]))"
)
ROOT = Path(__file__).resolve().parent.parent.parent


def run(session: Session) -> None:
    """Run it untracked."""
    seconds = max(5.0, min(450.0, session.left() - 10))
    session.measure("array-api-tests", lambda: suite(session, seconds), expected=30, limit=seconds + 40)


def suite(session: Session, seconds: float) -> dict[str, Any]:
    """Run ``tests/conformance.py``; its table and the tests that it blames are its output."""
    given = session.options.get("suite") or os.environ.get("NNX_ARRAY_API_TESTS")
    if not given or not Path(given).is_dir():
        raise NotHere("no checkout of array-api-tests: pass --suite, see tests/conformance.py for the commit")
    command = [sys.executable, "-c", _CODE, "--suite", given, "--over", "cupy", "--max-examples", "3"]
    command += ["--help"] * session.rehearse
    ended = processes.run(command, seconds, cwd=ROOT, tail=40_000)
    if ended.timed_out or ended.code not in (0, 1):
        raise RuntimeError(f"{ended}: {ended.tail[-3000:]}")
    return {"ended": str(ended), "output": ended.tail}
