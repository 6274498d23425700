"""Class indices as vectors."""

from __future__ import annotations

from typing import Any

from ..autodiff import stop_gradient
from ..backend import device
from ..checks import integer
from ..dtypes import dtype_name
from ..errors import DTypeError
from .checks import namespace_of
from .loss_checks import on_host


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Return vectors that are 1 at a class index and 0 elsewhere; the classes are the last axis.

    Parameters
    ----------
    tensor
        Class indices: integers of any shape, from 0 to less than `num_classes`.
    num_classes
        The number of classes; -1 takes the largest index plus one, for which a device has to be waited for.

    Returns
    -------
    array
        Of int64 and shape (*tensor.shape, num_classes). To compute with it, cast it: ``xp.astype(y, xp.float32)``.

    Raises
    ------
    DTypeError
        If `tensor` holds no integers.
    IndexError
        If an index has no class. Where the array lives on a device nobody looks: its vector is all 0 there.
    ValueError
        If `num_classes` is neither -1 nor positive, or -1 for an empty array.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.one_hot(np.asarray([2, 0]), num_classes=3)
    array([[0, 0, 1],
           [1, 0, 0]])
    """
    namespace_of("one_hot", tensor=tensor)
    tensor = stop_gradient(tensor)
    xp = namespace_of("one_hot", tensor=tensor)
    if not xp.isdtype(tensor.dtype, "integral"):
        raise DTypeError(
            f"one_hot: expected integer class indices, got dtype {dtype_name(tensor.dtype)}. Cast them, e.g. "
            "xp.astype(tensor, xp.int64)."
        )
    indices = xp.astype(tensor, xp.int64, copy=False)
    num_classes = integer("one_hot", "num_classes", num_classes)
    if num_classes == -1:
        if indices.size == 0:
            raise ValueError("one_hot: expected at least one index to tell num_classes from, got none; pass it.")
        num_classes = max(int(xp.max(indices)) + 1, 1)
    if num_classes < 1:
        raise ValueError(f"one_hot: expected num_classes to be positive, or -1 to find it out, got {num_classes}.")
    raw = on_host(indices)
    if raw is not None and not 0 <= int(xp.min(raw)) <= int(xp.max(raw)) < num_classes:
        raise IndexError(
            f"one_hot: expected class indices from 0 to {num_classes - 1} for {num_classes} classes, got some from "
            f"{int(xp.min(raw))} to {int(xp.max(raw))}. Check the labels, or pass a larger num_classes."
        )
    classes = xp.arange(num_classes, dtype=xp.int64, device=device(indices))
    return xp.astype(xp.expand_dims(indices, axis=-1) == classes, xp.int64)
