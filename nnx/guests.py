"""Guest array libraries: any conforming one works through array_api_compat, without a plug-in of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import array_api_compat

_guests: dict[str, GuestBackend] = {}


class GuestBackend:
    """A backend for a library that nnx has no plug-in for (torch, jax.numpy, dask, ...)."""

    writable = False
    on_host = False
    kernels: Mapping[str, Any] = {}

    def __init__(self, xp: Any, array: Any) -> None:
        self.name: str = xp.__name__.removeprefix("array_api_compat.").partition(".")[0]
        self.xp = xp
        self.array_types: tuple[type, ...] = (type(array),)
        self.extensions: Mapping[str, Callable] = _EXTENSIONS.get(self.name, dict)()

    @classmethod
    def unavailable(cls) -> str | None:
        return None

    def asarray(self, obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Any:
        return self.xp.asarray(obj, dtype=dtype, device=device, copy=copy)

    def to_numpy(self, x: Any) -> Any:
        import numpy

        if self.name == "torch":
            x = x.detach().cpu().resolve_conj().resolve_neg()
        return numpy.asarray(x)

    def synchronize(self) -> None:
        return None


def guest_backend(array: Any) -> GuestBackend | None:
    """Return the guest backend of an array that answers to the Array API, or None if it does not."""
    try:
        xp = array_api_compat.array_namespace(array)
    except TypeError:
        return None
    return _guests.get(xp.__name__) or _guests.setdefault(xp.__name__, GuestBackend(xp, array))


def guest_named(name: str) -> GuestBackend | None:
    """Return the guest backend of a name, once an array of its library has been seen."""
    return next((guest for guest in _guests.values() if guest.name == name), None)


# ------------------------------------------------------------------ native versions of what the standard lacks


def _torch() -> dict[str, Callable]:
    import torch

    def getitem_transpose(g: Any, key: Any, shape: tuple) -> Any:
        z = torch.zeros(shape, dtype=g.dtype, device=g.device)
        keys = key if isinstance(key, tuple) else (key,)
        if any(isinstance(k, (torch.Tensor, list)) for k in keys):  # they may repeat an index
            places = torch.arange(z.numel(), device=g.device).reshape(shape)[key]
            return z.view(-1).index_add(0, places.reshape(-1), g.reshape(-1)).reshape(shape)
        z[key] = g
        return z

    def take_transpose(g: Any, indices: Any, axis: int, shape: tuple) -> Any:
        return torch.zeros(shape, dtype=g.dtype, device=g.device).index_add(axis, indices % shape[axis], g)

    def take_along_axis_transpose(g: Any, indices: Any, axis: int, shape: tuple) -> Any:
        z = torch.zeros(shape, dtype=g.dtype, device=g.device)
        return z.scatter_add(axis, (indices % shape[axis]).expand(g.shape), g)

    return {
        "indexing.getitem_transpose": getitem_transpose,
        "indexing.take_transpose": take_transpose,
        "indexing.take_along_axis_transpose": take_along_axis_transpose,
    }


def _jax() -> dict[str, Callable]:
    import jax.numpy as jnp

    def getitem_transpose(g: Any, key: Any, shape: tuple) -> Any:
        return jnp.zeros(shape, dtype=g.dtype).at[key].add(g)

    def setitem(x: Any, key: Any, value: Any) -> Any:
        return x.at[key].set(value)

    return {"indexing.getitem_transpose": getitem_transpose, "indexing.setitem": setitem}


_EXTENSIONS: dict[str, Callable[[], dict[str, Callable]]] = {"torch": _torch, "jax": _jax}
