"""Checks of arguments that layers share."""

from __future__ import annotations

from typing import Any


def integer(layer: str, name: str, value: Any) -> int:
    """Return any integer, or raise an error that names the argument."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{layer}: expected {name} to be an integer, got {value!r}.")
    return value.__index__()
