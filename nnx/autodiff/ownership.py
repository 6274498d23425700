"""Who owns the memory of a gradient: what a rule returns may be an array that others hold, too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..backend import get_backend


def exclusive(grads: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    """Return gradients that their receiver may change in place: no memory shared among them or with `others`.

    What shares memory, or shows one element in many places, is copied; what a rule has just computed is not.
    """
    seen = {id(_memory(x._data if _is_tracked(x) else x)) for x in others}
    results = []
    for g in grads:
        if not _is_tracked(g) and hasattr(type(g), "__setitem__"):  # else recorded, or an immutable scalar
            memory = _memory(g)
            if id(memory) in seen or _is_spread(g):
                g = get_backend(g).asarray(g, copy=True)
            else:
                seen.add(id(memory))
        results.append(g)
    return results


def _memory(array: Any) -> Any:
    """The object that owns the memory of an array, as far as its library tells (NumPy and CuPy do)."""
    base = getattr(array, "base", None)
    while base is not None:
        array, base = base, getattr(base, "base", None)
    return array


def _is_spread(array: Any) -> bool:
    """Whether an array is the result of a broadcast (or not writeable for another reason)."""
    if not getattr(getattr(array, "flags", None), "writeable", True):
        return True
    strides = getattr(array, "strides", ())
    return 0 in strides and any(step == 0 and n > 1 for step, n in zip(strides, array.shape, strict=True))


def _is_tracked(x: Any) -> bool:
    return hasattr(type(x), "__nnx_tracked__")
