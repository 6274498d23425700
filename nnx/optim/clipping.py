"""Gradient clipping: by value, and by the norm of all gradients together.

Nothing waits for a device: the norm is an array, and so is the factor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..autodiff import Parameter
from ..autodiff.namespace import namespace
from ..autodiff.tree import leaves_of, map_tree
from ..backend import device, get_backend, mixed_backends_error
from ..checks import boolean, check_range
from ..dtypes import dtype_name, is_complex
from ..errors import DTypeError
from .arguments import grouped
from .flat import FlatStorage

_MARGIN = 1e-6  # added to the norm, as PyTorch does: the clipped norm stays just below the bound
_BLOCK = 32 * 1024  # elements

# ------------------------------------------------------------------ gradients in parameters


def clip_grad_norm_(parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Any:
    """Scale the gradients of parameters so that the norm of all of them together is at most `max_norm`.

    Parameters
    ----------
    parameters
        A module, an iterable of parameters, or one parameter. Those without a gradient do not count.
    max_norm
        The largest norm, above 0.
    norm_type
        The order p of the norm, above 0; ``math.inf`` for the largest absolute value.
    error_if_nonfinite
        Whether to raise if the norm is infinite or NaN. This waits for the device.

    Returns
    -------
    array
        The norm before, an array without axes.

    Raises
    ------
    RuntimeError
        If the norm is not finite and `error_if_nonfinite` is True; the gradients are then as before.

    Notes
    -----
    A gradient from ``backward(create_graph=True)`` loses its graph.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> p = nnx.Parameter(np.zeros(2))
    >>> p.grad = np.asarray([3.0, 4.0])
    >>> float(nnx.optim.clip_grad_norm_([p], max_norm=1.0))
    5.0
    >>> p.grad.round(5)
    array([0.6, 0.8])
    """
    label = "clip_grad_norm_"
    _check_norm_options(label, max_norm, norm_type, error_if_nonfinite)
    return clip_gradients(_parameters_of(label, parameters), max_norm, norm_type, error_if_nonfinite)


def clip_grad_value_(parameters: Any, clip_value: float) -> None:
    """Limit every element of the gradients of parameters to the range from ``-clip_value`` to `clip_value`.

    Parameters
    ----------
    parameters
        A module, an iterable of parameters, or one parameter.
    clip_value
        The largest absolute value, above 0.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> p = nnx.Parameter(np.zeros(2))
    >>> p.grad = np.asarray([3.0, -0.5])
    >>> nnx.optim.clip_grad_value_([p], 1.0)
    >>> p.grad
    array([ 1. , -0.5])
    """
    label = "clip_grad_value_"
    _check_bound(label, "clip_value", clip_value)
    for array, parameter in _gradients(_parameters_of(label, parameters)):
        backend = get_backend(array)
        blocks = [array]
        if parameter is None and backend.on_host and array.ndim == 1:  # what is read stays in cache until written
            blocks = [array[i : i + _BLOCK] for i in range(0, math.prod(array.shape), _BLOCK)]
        for block in blocks:
            _put(block, parameter, _limited(label, backend.xp, block, clip_value))


def clip_gradients(
    parameters: Sequence[Parameter], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Any:
    """Do what `clip_grad_norm_` does, for parameters in a list and arguments that have been checked."""
    pieces = _gradients(parameters)
    if not pieces:
        first = parameters[0].value
        return get_backend(first).xp.zeros((), dtype=first.dtype, device=device(first))
    total = _total_norm("clip_grad_norm_", [array for array, _ in pieces], norm_type, error_if_nonfinite)
    factor = _factor(total, max_norm)
    for array, parameter in pieces:
        _put(array, parameter, _cast(factor, array), scale=True)
    return total


def scale_gradients(parameters: Sequence[Parameter], factor: float) -> None:
    """Multiply the gradients of parameters with a number."""
    for array, parameter in _gradients(parameters):
        _put(array, parameter, factor, scale=True)


def _parameters_of(label: str, parameters: Any) -> list[Parameter]:
    listed = [parameters] if isinstance(parameters, Parameter) else parameters
    found = [parameter for named, _ in grouped(listed, label) for parameter in named.values()]
    if not found:
        raise ValueError(f"{label}: got no parameters. Pass a module that has some, or module.parameters().")
    return found


def _gradients(parameters: Sequence[Parameter]) -> list[tuple[Any, Parameter | None]]:
    """Return the gradients in as few arrays as possible, each with the parameter to hand the changed one to: None for
    an array that may be written to. Only flat storage may: elsewhere two parameters can have one array as gradient."""
    given = set(parameters)
    whole: set[FlatStorage] = set()
    pieces: list[tuple[Any, Parameter | None]] = []
    for parameter in parameters:
        slot, storage = parameter._slot, parameter._storage
        if slot.grad is None or storage in whole:
            continue
        if slot.grad is not slot.view:
            pieces.append((parameter.raw_grad, parameter))
        elif isinstance(storage, FlatStorage) and all(_lies_in(p, storage, given) for p in storage.parameters):
            whole.add(storage)
            pieces.append((storage.grads, None))
        else:
            pieces.append((slot.view, None))
    return pieces


def _lies_in(parameter: Parameter, storage: FlatStorage, given: set[Parameter]) -> bool:
    slot = parameter._slot
    return parameter in given and parameter._storage is storage and slot.grad is not None and slot.grad is slot.view


def _put(array: Any, parameter: Parameter | None, new: Any, scale: bool = False) -> None:
    """Let `array`, or its multiple, be a gradient."""
    if parameter is not None:
        parameter.grad = array * new if scale else new
    elif scale:
        array *= new
    else:
        array[...] = new


# ------------------------------------------------------------------ gradients by name


def clip_by_global_norm(
    grads: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> tuple[Any, Any]:
    """Return gradients scaled so that the norm of all of them together is at most `max_norm`, and the norm before.

    The counterpart of `clip_grad_norm_` for what `nnx.grad` and `nnx.value_and_grad` return; nothing is changed in
    place.

    Parameters
    ----------
    grads
        An array, or nested dicts, lists and tuples of arrays; None stays None.
    max_norm, norm_type, error_if_nonfinite
        As in `clip_grad_norm_`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> grads, norm = nnx.optim.clip_by_global_norm({"weight": np.asarray([3.0]), "bias": np.asarray([4.0])}, 1.0)
    >>> grads["weight"].round(5), float(norm)
    (array([0.6]), 5.0)
    """
    label = "clip_by_global_norm"
    _check_norm_options(label, max_norm, norm_type, error_if_nonfinite)
    total = _total_norm(label, _leaves(label, grads), norm_type, error_if_nonfinite)
    factor = _factor(total, max_norm)
    return map_tree(lambda g: g * _cast(factor, g), grads), total


def clip_by_value(grads: Any, clip_value: float) -> Any:
    """Return gradients with every element limited to the range from ``-clip_value`` to `clip_value`.

    The counterpart of `clip_grad_value_` for what `nnx.grad` and `nnx.value_and_grad` return.

    Parameters
    ----------
    grads
        An array, or nested dicts, lists and tuples of arrays; None stays None.
    clip_value
        The largest absolute value, above 0.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.optim.clip_by_value([np.asarray([3.0, -0.5])], 1.0)
    [array([ 1. , -0.5])]
    """
    label = "clip_by_value"
    _check_bound(label, "clip_value", clip_value)
    _leaves(label, grads)
    return map_tree(lambda g: _limited(label, namespace(g), g, clip_value), grads)


def _leaves(label: str, grads: Any) -> list[Any]:
    leaves = leaves_of(grads)
    for leaf in leaves:
        if isinstance(leaf, Parameter) or not hasattr(leaf, "dtype"):
            raise TypeError(
                f"{label}: expected gradients as arrays, in dicts, lists or tuples, got {type(leaf).__name__}. For "
                "gradients that are in parameters, use clip_grad_norm_ or clip_grad_value_."
            )
    if not leaves:
        raise ValueError(f"{label}: got no gradients; pass what nnx.grad or nnx.value_and_grad returned.")
    return leaves


# ------------------------------------------------------------------ the arithmetic of both


def _check_norm_options(label: str, max_norm: Any, norm_type: Any, error_if_nonfinite: Any) -> None:
    _check_bound(label, "max_norm", max_norm)
    _check_bound(label, "norm_type", norm_type)
    boolean(label, "error_if_nonfinite", error_if_nonfinite)


def _check_bound(label: str, name: str, value: Any) -> None:
    check_range(label, name, value, 0.0, above=True, infinite=True)


def _total_norm(label: str, arrays: list[Any], p: float, error_if_nonfinite: bool) -> Any:
    for array in arrays:
        if get_backend(array) is not get_backend(arrays[0]):
            raise mixed_backends_error(label, arrays[0], array)
    xp = namespace(*arrays)
    parts = [_power_sum(xp, array, p) for array in arrays if math.prod(array.shape)]
    if not parts:
        return xp.zeros((), dtype=arrays[0].dtype, device=device(arrays[0]))
    if len(parts) > 1:
        widest = xp.result_type(*[part.dtype for part in parts])
        stacked = xp.stack([xp.astype(part, widest, copy=False) for part in parts])
        total = xp.max(stacked) if math.isinf(p) else xp.sum(stacked)
    else:
        total = parts[0]
    total = total if math.isinf(p) else xp.sqrt(total) if p == 2 else total ** (1.0 / p)
    if error_if_nonfinite and not math.isfinite(float(total)):
        raise RuntimeError(
            f"{label}: expected a finite norm of the gradients, got {float(total)}; look for the layer that makes them "
            "so, or pass error_if_nonfinite=False."
        )
    return total


def _power_sum(xp: Any, x: Any, p: float) -> Any:
    """Return the sum of ``abs(x) ** p``, or the largest ``abs(x)``; for 16-bit numbers in float32."""
    if dtype_name(x.dtype) in ("float16", "bfloat16"):
        x = xp.astype(x, xp.float32)
    flat = xp.reshape(x, (-1,))
    if p == 2:
        total = xp.vecdot(flat, flat)
        return xp.real(total) if is_complex(x.dtype) else total
    magnitude = xp.abs(flat)
    return xp.max(magnitude) if math.isinf(p) else xp.sum(magnitude if p == 1 else magnitude**p)


def _factor(total: Any, max_norm: float) -> Any:
    xp = namespace(total)
    return xp.minimum(max_norm / (total + _MARGIN), xp.ones_like(total))


def _cast(factor: Any, like: Any) -> Any:
    return factor if factor.dtype == like.dtype else namespace(factor).astype(factor, like.dtype)


def _limited(label: str, xp: Any, x: Any, bound: float) -> Any:
    if is_complex(x.dtype):
        raise DTypeError(f"{label}: complex gradients have no order; clip their norm instead.")
    return xp.clip(x, -bound, bound)
