"""nnx as the measurements use it: its backend on the device, and what is below its public names."""

from __future__ import annotations

import importlib
from typing import Any

from .session import NotHere


def nnx() -> Any:
    """Return nnx; what it imports may be missing on a bare machine."""
    try:
        return importlib.import_module("nnx")
    except ImportError as error:
        raise NotHere(f"nnx does not import: {error}; `python -m benchmarks.gpu.bring` brings what it needs") from error


def backend(gpu: Any) -> Any:
    """Return the backend for the device: CuPy's, or the simulator in a rehearsal."""
    nnx()
    from nnx.backend import load_backend
    from nnx.errors import BackendError

    try:
        found = load_backend(gpu.backend)
    except BackendError as error:
        raise NotHere(str(error)) from error
    if gpu.rehearsing:
        found.machine.checked = False  # type: ignore[attr-defined]  # the simulator's checks take most of its time
    return found


def module(name: str) -> Any:
    """Import a module of the backends, also from a checkout that is not installed."""
    nnx()
    from nnx.backend import load_backend

    load_backend("numpy")
    try:
        return importlib.import_module(f"nnx.backends.{name}")
    except ModuleNotFoundError as error:
        raise NotHere(f"nnx has no {name}: {error}") from error


def tests(name: str) -> Any:
    """Import a module of the tests, which need pytest."""
    nnx()
    try:
        return importlib.import_module(f"tests.{name}")
    except ImportError as error:
        raise NotHere(f"tests.{name} does not import: {error}") from error
