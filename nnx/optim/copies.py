"""Arrays that are kept beside a parameter: independent copies, which follow it to another library, device or dtype."""

from __future__ import annotations

from typing import Any

from ..backend import device, get_backend, to_numpy


def copied(array: Any) -> Any:
    """Return an independent array with the same values in the same place."""
    return get_backend(array).asarray(array, device=device(array), copy=True)


def at_home(array: Any, own: Any) -> Any:
    """Return an array as it is if it is of the library, device and dtype of `own`; else its values as one that is."""
    if type(array) is type(own) and array.dtype == own.dtype and device(array) == device(own):
        return array
    return get_backend(own).asarray(to_numpy(array), dtype=own.dtype, device=device(own))
