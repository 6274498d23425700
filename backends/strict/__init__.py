"""A test-only backend over array_api_strict, on a fake device that is not the default one.

It finds what only a GPU would otherwise find: functions outside the standard, a forgotten ``device=``, implicit casts.
"""

from __future__ import annotations

from typing import Any

__all__ = ["StrictBackend"]


class StrictBackend:
    """Arrays of array_api_strict on its fake device ``device1``."""

    name = "strict"
    writable = False
    on_host = True
    extensions: dict[str, Any] = {}
    kernels: dict[str, Any] = {}

    def __init__(self) -> None:
        import array_api_strict

        self.xp = array_api_strict
        self.array_types = (type(array_api_strict.zeros(1)),)
        self.default_device = array_api_strict.Device("device1")

    def __repr__(self) -> str:
        return "StrictBackend()"

    @classmethod
    def unavailable(cls) -> str | None:
        from importlib.util import find_spec

        if find_spec("array_api_strict") is None:
            return "array_api_strict is not installed; run `pip install array-api-strict`."
        return None

    def asarray(self, obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Any:
        if device is None:
            device = obj.device if isinstance(obj, self.array_types) else self.default_device
        return self.xp.asarray(obj, dtype=dtype, device=device, copy=copy)

    def to_numpy(self, x: Any) -> Any:
        import numpy

        return numpy.asarray(self.xp.asarray(x, device=self.xp.Device("CPU_DEVICE")))

    def synchronize(self) -> None:
        return None
