"""More parts that go wrong: before anything is measured, at every measurement, or by taking too long."""

from __future__ import annotations

import os
import time
from typing import Any


def run(session: Any) -> None:
    PARTS[session.part](session)


def nothing(session: Any) -> None:
    raise ImportError("no module named everything")


def always(session: Any) -> None:
    for i in range(40):
        session.measure(f"{i}", lambda: os._exit(9))


def long(session: Any) -> None:
    for i in range(5):
        session.measure(f"{i}", lambda: time.sleep(0.4), expected=0.4)


def broken(session: Any) -> None:
    """The device is lost at the second measurement; a new process has it again."""
    lost = False

    def lose() -> None:
        nonlocal lost
        lost = True
        raise RuntimeError("cudaErrorIllegalAddress")

    def synchronize() -> None:
        if lost:
            raise RuntimeError("cudaErrorIllegalAddress, still")

    session.gpu.synchronize = synchronize
    session.measure("first", lambda: 1)
    session.measure("second", lose)
    session.measure("third", lambda: 3)


PARTS = {"nothing": nothing, "always": always, "long": long, "broken": broken}
