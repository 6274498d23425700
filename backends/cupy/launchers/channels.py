"""What the launchers of pooling and upsampling share: what they take, vectors of channels, sizes as divisors."""

from __future__ import annotations

import functools
from typing import Any

from ..launch import Machine, too_large
from .elements import ELEMENTS

VECTOR_BYTES = 16


def refusal(input: Any, what: str) -> str | None:
    """Return None if an array of shape (N, *spatial, C) can be pooled or resampled, else the reason."""
    if str(input.dtype) not in ELEMENTS:
        return f"it takes arrays of {', '.join(ELEMENTS)}"
    if not 3 <= input.ndim <= 5:
        return "it takes one to three spatial axes"
    if not input.size:
        return f"there is nothing to {what}"
    return too_large(input.size)


@functools.lru_cache(maxsize=4096)
def prepared(size: int) -> int:
    """Return a size as `quotient` in channels.cuh takes it.

    With p = 31 + ceil(log2 size) the factor ceil(2**p / size) has 32 bits, and its error, below size / 2**p, is too
    small to change the quotient of a number below 2**31.
    """
    power = 31 + (size - 1).bit_length()
    return -(-(2**power) // size) << 32 | size


def channels_per_thread(machine: Machine, channels: int, *arrays: Any) -> int:
    """Return how many channels a thread handles: as many as move in one access of each array, or one."""
    vector = VECTOR_BYTES // arrays[0].dtype.itemsize
    aligned = all(machine.address(array) % VECTOR_BYTES == 0 for array in arrays)
    return vector if aligned and channels % vector == 0 else 1
