"""Padding of the spatial axes: with a constant, mirrored, repeated, or wrapped round."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Complex
from typing import Any

from ..backend import device
from ..checks import boolean, integer, is_number
from ..dtypes import dtype_name, is_complex, is_differentiable
from ..errors import ShapeError
from .checks import namespace_of

Pairs = tuple[tuple[int, int], ...]

MODES = ("constant", "reflect", "replicate", "circular")


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: Any = None) -> Any:
    """Return the input with more elements around its spatial axes.

    Parameters
    ----------
    input
        Array of shape (N, *spatial, C). The batch and the channels are never padded.
    pad
        Numbers (before, after) for the last spatial axis, then for the one before it, and so on: (left, right, top,
        bottom) for images. They are PyTorch's numbers for the same image, whose spatial axes come last there. Axes
        without numbers stay as they are; negative numbers take elements away.
    mode
        "constant"; "reflect", which mirrors at the outermost elements without repeating them; "replicate", which
        repeats them; or "circular", which goes on with the other end.
    value
        The constant, 0 if None. Only for mode "constant".

    Returns
    -------
    array
        Of shape (N, *longer, C), and the input's dtype.

    Raises
    ------
    ShapeError
        If there are more pairs than spatial axes, if nothing would be left, or if an axis is too short to reflect
        (needs more elements than are added on one side) or to wrap round (as many).
    ValueError
        If a mode or a value does not exist there.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.asarray([[[1.0], [2.0], [3.0]]])
    >>> nnx.functional.pad(x, (2, 1), mode="reflect")[0, :, 0]
    array([3., 2., 1., 2., 3., 2.])
    >>> nnx.functional.pad(np.ones((8, 5, 4, 3)), (1, 1, 0, 2)).shape
    (8, 7, 6, 3)
    """
    xp = namespace_of("pad", input=input)
    pairs = padding_pairs("pad", "pad", pad)
    check_mode("pad", "mode", mode, MODES)
    if value is not None and mode != "constant":
        raise ValueError(f"pad: expected value only with mode 'constant', got value={value!r} with mode {mode!r}.")
    return checked_pad(xp, "pad", input, pairs, mode, value)


def padding_pairs(label: str, name: str, numbers: Any) -> Pairs:
    """Return numbers that run from the last spatial axis backwards as pairs in the order of the axes, or raise."""
    if not isinstance(numbers, (tuple, list)):
        raise TypeError(
            f"{label}: expected {name} to be a tuple (before, after) for the last spatial axis, then for the one "
            f"before it and so on, got {numbers!r}."
        )
    if len(numbers) % 2:
        raise ValueError(f"{label}: expected {name} to hold pairs (before, after), got {len(numbers)} numbers.")
    whole = [integer(label, f"{name}[{i}]", n) for i, n in enumerate(numbers)]
    return tuple(zip(whole[-2::-2], whole[::-2], strict=True))


def check_mode(label: str, name: str, mode: Any, modes: Sequence[str]) -> None:
    """Raise unless a mode is one of those that there are."""
    if mode not in modes:
        raise ValueError(f"{label}: expected {name} to be one of {', '.join(map(repr, modes))}, got {mode!r}.")


def checked_pad(xp: Any, label: str, input: Any, pairs: Pairs, mode: str, value: Any = None) -> Any:
    """Return the input with its last spatial axes padded if it can be, or raise."""
    shape = tuple(input.shape)
    rank = len(shape) - 2
    if rank < 1 or len(pairs) > rank:
        hint = " Batch and channels are not padded; add an axis for what is missing, e.g. x[..., None]."
        axes = f"at least {len(pairs)} spatial axes" if len(pairs) > 1 else "at least one spatial axis"
        raise ShapeError(f"{label}: expected (N, *spatial, C) with {axes}, got {shape}.{hint}")
    pairs = ((0, 0),) * (rank - len(pairs)) + pairs
    for axis, (before, after) in enumerate(pairs, start=1):
        length, most = shape[axis], max(before, after)
        if length + before + after < 0 or length < max(-before, 0) or length < max(-after, 0):
            raise ShapeError(
                f"{label}: expected to take at most the {length} elements of axis {axis} away, got {(before, after)} "
                f"for an input of shape {shape}."
            )
        needed = {"reflect": most + 1, "circular": most - min(before, after, 0), "replicate": 1}.get(mode, 0)
        if most > 0 and length < needed:
            raise ShapeError(
                f"{label}: expected at least {needed} elements along axis {axis} to pad {most} with mode {mode!r}, got "
                f"{length} in {shape}; pad less, or use mode 'constant'."
            )
    return pad_axes(xp, input, pairs, mode, 0.0 if value is None else constant_of(label, value, input))


def constant_of(label: str, value: Any, input: Any) -> Any:
    """Return a value as a Python number that the input's dtype can hold, or raise."""
    dtype = dtype_name(input.dtype)
    if dtype.startswith("bool"):
        return boolean(label, "value", value)
    if not is_differentiable(input.dtype):
        return integer(label, "value", value)
    if is_complex(input.dtype) and isinstance(value, Complex):
        return complex(value)
    if not is_number(value):
        raise TypeError(f"{label}: expected value to be a number that {dtype} can hold, got {value!r}.")
    return float(value)


def pad_axes(xp: Any, input: Any, pairs: Pairs, mode: str = "constant", value: Any = 0.0) -> Any:
    """Pad the axes from the second on, one pair each, without checks."""
    for axis, (before, after) in enumerate(pairs, start=1):
        less, more = (max(-before, 0), max(-after, 0)), (max(before, 0), max(after, 0))
        if mode == "circular":  # what is taken away does not come back at the other end; a mirror does show it
            input = _crop(input, axis, *less)
        if any(more):
            head = _piece(xp, input, axis, more[0], False, mode, value)
            tail = _piece(xp, input, axis, more[1], True, mode, value)
            input = xp.concat([head, input, tail], axis=axis)
        if mode != "circular":
            input = _crop(input, axis, *less)
    return input


def _crop(x: Any, axis: int, before: int, after: int) -> Any:
    """Take elements away from both ends of an axis."""
    if not (before or after):
        return x
    return x[(*(slice(None),) * axis, slice(before, x.shape[axis] - after), ...)]


def _piece(xp: Any, x: Any, axis: int, count: int, end: bool, mode: str, value: Any) -> Any:
    """What comes before an axis, or at its end."""
    length = x.shape[axis]
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    if mode == "constant" or not count:
        if not value:
            return xp.zeros(shape, dtype=x.dtype, device=device(x))
        return xp.full(shape, value, dtype=x.dtype, device=device(x))
    if mode == "replicate":
        start, stop = (length - 1, length) if end else (0, 1)
    elif mode == "reflect":
        start, stop = (length - 1 - count, length - 1) if end else (1, count + 1)
    else:
        start, stop = (0, count) if end else (length - count, length)
    part = x[(*(slice(None),) * axis, slice(start, stop), ...)]
    if mode == "replicate":
        return xp.broadcast_to(part, shape)
    return xp.flip(part, axis=axis) if mode == "reflect" else part
