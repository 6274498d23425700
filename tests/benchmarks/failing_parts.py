"""Parts of measurements that go wrong, each in another way; run by the tests of `benchmarks.gpu.first_light`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Any


def run(session: Any) -> None:
    """Do what the name of the part says, between two measurements that work."""
    session.measure("before", lambda: {"value": 1})
    session.measure("trouble", TROUBLES[session.part], limit=1.0)
    session.measure("after", lambda: {"value": 2})


def raises() -> None:
    raise ValueError("expected two arrays, got a pear")


def hangs() -> None:
    time.sleep(600)


def hangs_among_threads() -> None:
    # So that the stacks of all are long.
    def deep(left: int) -> None:
        if left:
            deep(left - 1)
        else:
            time.sleep(600)

    for _ in range(30):
        threading.Thread(target=deep, args=(50,), daemon=True).start()
    time.sleep(600)


def hangs_in_c() -> None:
    # Signals are not handled meanwhile, and the lock of the interpreter is held.
    import ctypes

    ctypes.PyDLL(None).sleep(600)


def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def crashes() -> None:
    import ctypes

    ctypes.string_at(8)


def exits() -> None:
    sys.exit(3)


def leaves_a_child() -> None:
    from benchmarks.gpu import processes

    marker = os.environ["NNX_TEST_MARKER"]
    processes.run([sys.executable, "-c", f"import time; time.sleep(3); open({marker!r}, 'w')"], 600)


TROUBLES = {
    "raises": raises,
    "hangs": hangs,
    "hangs_among_threads": hangs_among_threads,
    "hangs_in_c": hangs_in_c,
    "dies": dies,
    "crashes": crashes,
    "exits": exits,
    "leaves_a_child": leaves_a_child,
}
