"""What nnx assumes of CuPy, NVRTC and the hardware, asked one by one. The answers are facts, not times."""

from __future__ import annotations

from . import assumptions_loader, assumptions_runtime, assumptions_simulator
from .session import Session


def run(session: Session) -> None:
    """Ask everything; what later work depends on most comes first."""
    assumptions_loader.run(session)
    assumptions_simulator.run(session)
    assumptions_runtime.run(session)
    assumptions_loader.run_risky(session)
