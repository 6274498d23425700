"""A part whose second measurement takes long."""

from __future__ import annotations

import time
from typing import Any


def run(session: Any) -> None:
    session.measure("first", lambda: 1)
    session.measure("second", lambda: time.sleep(200), limit=250)
