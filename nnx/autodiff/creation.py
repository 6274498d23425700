"""The creation functions of a differentiable namespace: they take wrapped arrays apart and return untracked arrays.

With ``NNX_TRACK_ALL=1`` every floating-point array they return is tracked instead (as a non-leaf, so that in-place code
works): this pushes the whole conformance suite through the tape.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..dtypes import is_floating
from .rule import RULES
from .tape import Slot, leaf
from .tree import leaves_of

_TRACKED = [
    "zeros",
    "ones",
    "full",
    "empty",
    "arange",
    "linspace",
    "eye",
    "zeros_like",
    "ones_like",
    "full_like",
    "empty_like",
]


def add_creation_functions(ns: Any, raw: Any, unwrap: Callable, *, track_all: bool) -> None:
    """Add `asarray`, `from_dlpack` and `astype`-like constructors to a differentiable namespace."""

    def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Any:
        if type(obj) is ns.Array and obj._node is not None:
            return _as_tracked(ns, obj, dtype, device, copy)
        if isinstance(obj, (list, tuple)) and _contains_tracked(obj):
            return _stacked(ns, obj, dtype, device)
        if type(obj) is ns.Array and copy is not True and dtype in (None, obj.dtype) and device in (None, obj.device):
            return obj
        return ns.wrap(raw.asarray(_deep_unwrap(obj, unwrap), dtype=dtype, device=device, copy=copy))

    def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Any:
        options = {k: v for k, v in (("device", device), ("copy", copy)) if v is not None}
        return ns.wrap(raw.from_dlpack(x, **options))

    ns.asarray = asarray
    ns.from_dlpack = from_dlpack
    if track_all:
        for name in ("asarray", "from_dlpack", *(n for n in _TRACKED if n in RULES)):
            setattr(ns, name, _tracking(ns, getattr(ns, name)))


def _as_tracked(ns: Any, x: Any, dtype: Any, device: Any, copy: bool | None) -> Any:
    if device is not None and device != x.device:
        x = x.to_device(device)
    if dtype is not None and dtype != x.dtype:
        if copy is False:
            raise ValueError("asarray: a change of dtype needs a copy, but copy=False was given.")
        return ns.astype(x, dtype)
    return ns.positive(x) if copy else x


def _contains_tracked(obj: Any) -> bool:
    if isinstance(obj, (list, tuple)):
        return any(_contains_tracked(o) for o in obj)
    return getattr(obj, "_node", None) is not None


def _stacked(ns: Any, obj: Any, dtype: Any, device: Any) -> Any:
    """Nested sequences with tracked arrays in them. Python numbers take the dtype and device of the arrays."""
    leaves = leaves_of(obj)
    kind = ns.result_type(*leaves) if dtype is None else dtype
    place = next(leaf.device for leaf in leaves if isinstance(leaf, ns.Array)) if device is None else device

    def build(part: Any) -> Any:
        if isinstance(part, (list, tuple)):
            return ns.stack([build(p) for p in part])
        return ns.asarray(part, dtype=kind, device=place)

    return build(obj)


def _deep_unwrap(obj: Any, unwrap: Callable) -> Any:
    if isinstance(obj, (list, tuple)):
        return type(obj)(_deep_unwrap(o, unwrap) for o in obj)
    return unwrap(obj) if hasattr(type(obj), "__nnx_tracked__") else obj


def _tracking(ns: Any, function: Callable) -> Callable:
    @functools.wraps(function)
    def create(*args: Any, **options: Any) -> Any:
        array = function(*args, **options)
        if type(array) is ns.Array and array._node is None and is_floating(array.dtype):
            source = ns.wrap(array._data, leaf(array._data, Slot()))
            array._node = ns.indexing.alias(source)._node
        return array

    return create
