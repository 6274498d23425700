"""What the losses share: how they reduce, and what they refuse.

Values are looked at only where arrays live on the host; on a device, looking would stop the stream.
"""

from __future__ import annotations

import math
from typing import Any

from ..autodiff import stop_gradient
from ..autodiff.namespace import namespace
from ..backend import get_backend
from ..dtypes import dtype_name, is_floating
from ..errors import DTypeError, ShapeError
from .checks import check_array, namespace_of
from .checks import check_dtype as check_dtype_of

_REDUCTIONS = ("none", "mean", "sum")


def check_reduction(operation: str, reduction: str, *more: str) -> None:
    """Raise unless `reduction` is one of the three, or of those that a loss has besides."""
    known = (*more, *_REDUCTIONS)
    if reduction not in known:
        text = ", ".join(map(repr, known[:-1])) + f" or {known[-1]!r}"
        if not more:
            text = "'none', 'mean' or 'sum'"
        raise ValueError(f"{operation}: expected reduction={text}, got {reduction!r}.")


def reduce(xp: Any, values: Any, reduction: str) -> Any:
    """Return the mean, the sum, or the values themselves."""
    if reduction == "mean":
        return xp.mean(values)
    return xp.sum(values) if reduction == "sum" else values


def weighted(xp: Any, values: Any, weight: Any, reduction: str) -> Any:
    """Return `values` reduced; under a weight the mean is the weighted one."""
    if weight is None:
        return reduce(xp, values, reduction)
    values = values * weight
    return xp.sum(values) / xp.sum(weight) if reduction == "mean" else reduce(xp, values, reduction)


def clamp_min(xp: Any, values: Any) -> Any:
    """Return max(values, 0), with slope 1 at 0, and NaN where `values` is."""
    return xp.where(values < 0, xp.zeros_like(values), values)


def check_dtype(operation: str, name: str, array: Any, input: Any) -> None:
    """Raise unless an array has the dtype of the input."""
    check_dtype_of(operation, name, array, input, "input")


def check_floating(operation: str, name: str, array: Any) -> None:
    """Raise unless an array is real and floating-point."""
    if not is_floating(array.dtype):
        raise DTypeError(
            f"{operation}: expected {name} of a floating-point dtype, got {dtype_name(array.dtype)}. "
            f"Cast it, e.g. xp.astype({name}, xp.float32)."
        )


def check_shape(operation: str, first: str, a: Any, second: str, b: Any) -> None:
    """Raise unless two arrays have one shape."""
    if a.shape != b.shape:
        raise ShapeError(
            f"{operation}: expected {first} and {second} of one shape, got {tuple(a.shape)} and {tuple(b.shape)}. "
            f"Reshape one of them, e.g. xp.reshape({second}, {first}.shape)."
        )


def check_alike(operation: str, *, weight: Any = None, **arrays: Any) -> None:
    """Raise unless all arrays are floating-point, of one shape and of one dtype; a weight of None is passed over."""
    for name, array in arrays.items():
        if array is None:
            check_array(operation, name, array)
    arrays["weight"] = weight
    namespace_of(operation, **arrays)  # before dtypes are compared, since those of two backends always differ
    (first, input), *others = arrays.items()
    check_floating(operation, first, input)
    for name, array in others:
        if array is not None:
            check_shape(operation, first, input, name, array)
            check_dtype(operation, name, array, input)


def check_broadcasts(operation: str, name: str, array: Any, input: Any) -> None:
    """Raise unless an array (or None) broadcasts to the shape of the input and has its dtype."""
    if array is None:
        return
    namespace_of(operation, **{name: array, "input": input})
    check_dtype(operation, name, array, input)
    shape, target = tuple(array.shape), tuple(input.shape)
    tail = target[len(target) - len(shape) :]
    if len(shape) > len(target) or any(n not in (1, m) for n, m in zip(shape, tail, strict=True)):
        raise ShapeError(
            f"{operation}: expected {name} of a shape that broadcasts to {target}, that of the input, got {shape}. "
            "Reshape it, e.g. to one value for each class, the last axis."
        )


def on_host(array: Any) -> Any:
    """Return the raw array where one may look at its values, and None where there are none or it costs a wait."""
    raw = stop_gradient(array)
    return raw if get_backend(raw).on_host and raw.size else None


def check_values(operation: str, name: str, array: Any, lowest: float, highest: float, hint: str) -> None:
    """Raise if values lie outside an interval by more than rounding; NaN passes, so that the loss shows it."""
    raw = on_host(array)
    if raw is None:
        return
    xp = namespace(raw)
    slack = 4 * float(xp.finfo(raw.dtype).eps) if highest < math.inf else 0.0
    if bool(xp.any((raw < lowest) | (raw > highest + slack))):
        text = f"of at least {lowest:g}" if highest == math.inf else f"from {lowest:g} to {highest:g}"
        low, high = float(xp.min(raw)), float(xp.max(raw))
        raise ValueError(f"{operation}: expected {name} with values {text}, got some from {low:g} to {high:g}. {hint}")


def check_probabilities(operation: str, name: str, array: Any, hint: str) -> None:
    """Raise if values lie outside [0, 1]."""
    check_values(operation, name, array, 0.0, 1.0, hint)


def check_labels(operation: str, target: Any) -> None:
    """Raise if a target for a binary loss lies outside [0, 1]."""
    check_probabilities(operation, "target", target, "For labels -1 and 1, pass (target + 1) / 2.")


def as_signs(operation: str, xp: Any, target: Any, input: Any) -> Any:
    """Return a target of -1 and 1 in the dtype of the input; integers are cast."""
    if dtype_name(target.dtype) == "bool":
        raise DTypeError(f"{operation}: expected target of 1 and -1, got dtype bool. Pass xp.where(target, 1, -1).")
    if is_floating(target.dtype):
        check_dtype(operation, "target", target, input)
    target = xp.asarray(target) if target.dtype == input.dtype else xp.astype(target, input.dtype)
    raw = on_host(target)
    if raw is not None:
        own = namespace(raw)
        if bool(own.any((raw != -1) & (raw != 1))):
            raise ValueError(
                f"{operation}: expected target of 1 and -1, got some from {float(own.min(raw)):g} to "
                f"{float(own.max(raw)):g}. For labels 0 and 1, pass 2 * target - 1."
            )
    return target


def check_class_weight(operation: str, weight: Any) -> None:
    """Raise if a weight of a class is negative or not finite."""
    raw = on_host(weight)
    if raw is None:
        return
    xp = namespace(raw)
    if not bool(xp.all((raw >= 0) & (raw < math.inf))):
        raise ValueError(
            f"{operation}: expected weight of finite numbers of at least 0, one for each class, got some from "
            f"{float(xp.min(raw)):g} to {float(xp.max(raw)):g}. A weight of 0 leaves a class out."
        )


def check_classes(operation: str, input: Any, target: Any, weight: Any) -> None:
    """Raise unless scores (..., classes), indices or probabilities, and the weights of the classes fit together."""
    if not is_floating(input.dtype):
        raise DTypeError(f"{operation}: expected floating-point logits, got dtype {dtype_name(input.dtype)}.")
    if len(input.shape) == 0 or input.shape[-1] == 0:
        raise ShapeError(f"{operation}: expected logits of shape (..., classes), got {tuple(input.shape)}.")
    classes = input.shape[-1]
    if weight is not None:
        check_array(operation, "weight", weight)
        if tuple(weight.shape) != (classes,):
            raise ShapeError(f"{operation}: expected weight of shape ({classes},), got {tuple(weight.shape)}.")
    probabilities = is_floating(target.dtype)
    expected = tuple(input.shape) if probabilities else tuple(input.shape[:-1])
    if tuple(target.shape) != expected:
        if probabilities and tuple(target.shape) == tuple(input.shape[:-1]):
            raise DTypeError(
                f"{operation}: expected class indices of shape {tuple(target.shape)} to be integers, got dtype "
                f"{dtype_name(target.dtype)}. Cast them, e.g. xp.astype(target, xp.int64)."
            )
        kind, hint = "probabilities" if probabilities else "class indices", ""
        if len(input.shape) > 2 and tuple(target.shape) == (input.shape[0], *input.shape[2:]):
            hint = " This looks like classes in the second axis; use xp.moveaxis(input, 1, -1)."
        elif not probabilities and tuple(target.shape) == (*expected, 1):
            hint = " Drop the last axis, e.g. xp.squeeze(target, axis=-1)."
        raise ShapeError(
            f"{operation}: for logits of shape {tuple(input.shape)}, expected {kind} of shape {expected}, got "
            f"{tuple(target.shape)}.{hint}"
        )
    if probabilities:
        check_dtype(operation, "target", target, input)
    if weight is not None:
        check_dtype(operation, "weight", weight, input)
        check_class_weight(operation, weight)


def check_indices(operation: str, target: Any, classes: int, ignored: int | None = None) -> None:
    """Raise if class indices lie outside [0, classes), where the one that is ignored does not count."""
    raw = on_host(target)
    if raw is None:
        return
    xp = namespace(raw)
    wrong = (raw < 0) | (raw >= classes)
    if ignored is not None:
        wrong = wrong & (raw != ignored)
    if bool(xp.any(wrong)):
        raw = raw if ignored is None else raw[raw != ignored]
        lowest, highest = int(xp.min(raw)), int(xp.max(raw))
        raise IndexError(
            f"{operation}: expected class indices from 0 to {classes - 1} for {classes} classes, got some from "
            f"{lowest} to {highest}. Check the labels, or give the last layer more outputs."
        )


def as_probabilities(operation: str, xp: Any, target: Any, input: Any) -> Any:
    """Return one-hot vectors of integers or booleans in the dtype of the input."""
    if dtype_name(target.dtype) != "bool":
        raw = on_host(target)
        own = namespace(target if raw is None else raw)
        if raw is not None and bool(own.any((raw != 0) & (raw != 1))):
            raise ValueError(
                f"{operation}: expected one-hot vectors of 0 and 1 as integers of the shape of the logits, got some "
                f"from {int(own.min(raw))} to {int(own.max(raw))}. For class indices, drop the last axis; for "
                "probabilities, pass floating-point numbers."
            )
    return xp.astype(target, input.dtype)


def check_classes_axis(operation: str, input: Any) -> None:
    """Raise unless scores have a last axis with at least one class."""
    if len(input.shape) == 0 or input.shape[-1] == 0:
        raise ShapeError(
            f"{operation}: expected input of shape (..., classes), got {tuple(input.shape)}. Add an axis, e.g. "
            "xp.expand_dims(input, axis=-1)."
        )


def as_indices(operation: str, xp: Any, target: Any) -> Any:
    """Return class indices as int64: small integers cannot be compared with every class."""
    name = dtype_name(target.dtype)
    if name == "bool":
        raise DTypeError(f"{operation}: expected integer class indices, got dtype bool; cast them to int64.")
    return target if name == "int64" else xp.astype(target, xp.int64)
