"""`backward`: the tape style of differentiation, from one array to every leaf it was made from."""

from __future__ import annotations

import math
from typing import Any

from ..dtypes import is_complex
from ..errors import ShapeError
from .tape import backpropagate, collect


def seed_for(array: Any, grad: Any, operation: str) -> Any:
    """Return the raw cotangent to start from: `grad`, or 1 for a single real number."""
    xp = array._namespace.raw
    data = array._data
    if grad is None:
        if data.shape != () and math.prod(data.shape) != 1:
            raise ShapeError(
                f"{operation}: expected a single number, got an array of shape {tuple(data.shape)}. Reduce it first, "
                "e.g. with xp.mean, or pass the cotangent: y.backward(grad)."
            )
        if is_complex(data.dtype):
            raise TypeError(
                f"{operation}: the gradient of a complex number ({data.dtype}) is not defined. Take xp.real or xp.abs "
                "of it first, or pass the cotangent: y.backward(grad)."
            )
        return xp.ones_like(data)
    raw = array._namespace.untracked(grad)
    if raw.shape != data.shape:
        raise ShapeError(f"{operation}: expected a cotangent of shape {tuple(data.shape)}, got {tuple(raw.shape)}.")
    return raw if raw.dtype == data.dtype else xp.astype(raw, data.dtype)


def backward(array: Any, grad: Any = None, *, create_graph: bool = False, retain_graph: bool = False) -> None:
    """Compute the gradient of a tracked array with respect to every leaf, and add it there."""
    node = array._node
    if node is None:
        raise RuntimeError(
            "backward: this array is not tracked, so there is nothing to differentiate. Compute it from an "
            "nnx.variable, or read the parameters inside `with nnx.record():`."
        )
    seed = seed_for(array, grad, "backward")
    order, _ = collect([node])
    if create_graph:
        seed = array._namespace.wrap(seed)
    arrived = backpropagate(order, {node: seed}, create_graph=create_graph, retain_graph=retain_graph)
    for leaf, cotangent in arrived.items():
        leaf.saved[0].accumulate(cotangent)
