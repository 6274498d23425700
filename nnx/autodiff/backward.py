"""`backward`: the tape style of differentiation, from one array to every leaf it was made from."""

from __future__ import annotations

import math
from typing import Any

from ..dtypes import dtype_name, is_complex
from ..errors import DTypeError, ShapeError
from .ownership import exclusive
from .tape import backpropagate, collect

_SMALL = 2**14  # elements that are copied sooner than found out about


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
    raw = cotangent_for(array, grad, False, operation)
    if raw.shape != data.shape:
        raise ShapeError(f"{operation}: expected a cotangent of shape {tuple(data.shape)}, got {tuple(raw.shape)}.")
    return raw


def cotangent_for(output: Any, value: Any, recorded: bool, operation: str = "vjp") -> Any:
    """Return a cotangent in the dtype of `output`: a differentiable array if it shall be `recorded`, else a raw one."""
    namespace = output._namespace
    if not hasattr(value, "dtype"):
        value = namespace.raw.asarray(value, dtype=output.dtype, device=output.device)
    elif not recorded or type(value) is not namespace.Array:
        value = namespace.untracked(value, operation)
    if value.dtype != output.dtype:
        if is_complex(value.dtype) and not is_complex(output.dtype):
            raise DTypeError(
                f"{operation}: expected a real cotangent for an array of dtype {dtype_name(output.dtype)}, got "
                f"{dtype_name(value.dtype)}. Take xp.real of it."
            )
        value = (namespace if type(value) is namespace.Array else namespace.raw).astype(value, output.dtype)
    return namespace.wrap(value) if recorded and type(value) is not namespace.Array else value


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
    if create_graph:
        for leaf, cotangent in arrived.items():
            leaf.saved[0].accumulate_recorded(cotangent)
        return
    asarray, large = array._namespace.raw.asarray, []
    for leaf, cotangent in arrived.items():
        slot = leaf.saved[0]
        if slot.view is None and slot.grad is None:  # another leaf, or a retained graph, may have got the same array
            if not retain_graph and math.prod(cotangent.shape) > _SMALL:
                large.append((slot, cotangent))
                continue
            cotangent = asarray(cotangent, copy=True)
        slot.accumulate(cotangent)
    owned = exclusive([cotangent for _, cotangent in large], [] if grad is None else [seed]) if large else []
    for (slot, _), cotangent in zip(large, owned, strict=True):
        slot.accumulate(cotangent)
