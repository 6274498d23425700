"""Checks of arguments that layers share."""

from __future__ import annotations

from typing import Any


def positive_size(layer: str, name: str, value: Any) -> int:
    """Return a size, or raise an error that names the argument."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{layer}: expected an integer {name}, got {value!r}.")
    if value.__index__() < 1:
        raise ValueError(f"{layer}: expected {name} to be at least 1, got {value}.")
    return value.__index__()
