"""The score of one class per sample, the number that the methods here explain."""

from __future__ import annotations

from typing import Any

from ..autodiff import stop_gradient
from ..autodiff.namespace import namespace
from ..backend import device, get_backend, to_numpy
from ..checks import integer
from ..dtypes import dtype_name
from ..errors import DTypeError, ShapeError


def class_scores(label: str, scores: Any, target: Any) -> Any:
    """Return the score of the class `target` for every sample, (N,).

    Parameters
    ----------
    label
        The function that errors speak of.
    scores
        What the network returned, (N, C).
    target
        A class, one class per sample, or None for the class of the largest score.
    """
    shape = tuple(getattr(scores, "shape", ()))
    if len(shape) != 2:
        got = shape if hasattr(scores, "shape") else type(scores).__name__
        raise ShapeError(
            f"{label}: expected the network to return one score per class, (N, C), got {got}. Wrap it in a Module that "
            "does."
        )
    xp = namespace(scores)
    classes = _classes(label, scores, target)
    return xp.squeeze(xp.take_along_axis(scores, xp.expand_dims(classes, axis=-1), axis=-1), axis=-1)


def _classes(label: str, scores: Any, target: Any) -> Any:
    """Return the classes as an integer array (N,) beside the scores."""
    raw = stop_gradient(scores)
    xp = namespace(raw)
    count, classes = raw.shape
    if target is None:
        return xp.argmax(raw, axis=-1)
    if isinstance(target, (list, tuple)):
        target = xp.asarray([integer(label, "every target", value) for value in target], device=device(raw))
    if not hasattr(target, "dtype"):
        number = integer(label, "target", target)
        _check_range(label, number, number, classes)
        return xp.full((count,), number, dtype=xp.int64, device=device(raw))
    target = stop_gradient(target)
    if not namespace(target).isdtype(target.dtype, "integral"):
        raise DTypeError(
            f"{label}: expected target to be integer classes, got dtype {dtype_name(target.dtype)}. Cast them, e.g. "
            "xp.astype(target, xp.int64)."
        )
    if tuple(target.shape) not in ((), (count,)):
        raise ShapeError(
            f"{label}: expected target to be a class or one class per sample, ({count},), got shape "
            f"{tuple(target.shape)}."
        )
    host = to_numpy(target)
    if host.size:
        _check_range(label, int(host.min()), int(host.max()), classes)
    moved = get_backend(raw).asarray(host, dtype=xp.int64, device=device(raw))
    return xp.broadcast_to(moved, (count,))


def _check_range(label: str, low: int, high: int, classes: int) -> None:
    if low < 0 or high >= classes:
        wrong = low if low < 0 else high
        raise ValueError(
            f"{label}: expected target from 0 to {classes - 1}, one of the {classes} classes that the network scores, "
            f"got {wrong}."
        )
