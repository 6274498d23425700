"""The least time that work can take: operations over the rate of the unit that does them, bytes over bandwidth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def floor(ceilings: Mapping[str, float], *, bytes_moved: float, flops: float = 0.0, unit: str = "float32") -> Any:
    """Return the floor in microseconds and what sets it, or None if a ceiling was not measured.

    Each input counts as read once and each output as written once; a cache can beat that only by keeping what was not
    written before. `unit` is a name of `ceilings.PRODUCTS`.
    """
    if "memory" not in ceilings or (flops and unit not in ceilings):
        return None
    moving = bytes_moved / ceilings["memory"] / 1e3
    computing = flops / ceilings[unit] / 1e6 if flops else 0.0
    bound = "arithmetic" if computing > moving else "memory"
    return {"us": max(moving, computing), "bound": bound, "memory_us": moving, "arithmetic_us": computing}


def achieved(result: Mapping[str, Any], least: Any) -> Any:
    """Return the fraction of the floor that a measured time reaches, or None."""
    return None if least is None or not result["median_us"] else least["us"] / result["median_us"]
