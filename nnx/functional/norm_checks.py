"""Checks of arguments that the normalisations share."""

from __future__ import annotations

from typing import Any

from ..checks import number, positive_integer
from ..dtypes import dtype_name, is_floating
from ..errors import DTypeError, ShapeError
from .checks import check_dtype, namespace_of


def check_eps(operation: str, eps: Any) -> float:
    """Return eps, or raise unless it is above 0."""
    return number(operation, "eps", eps, 0.0, above=True, fix="it keeps a division by 0 away")


def check_normalized_shape(operation: str, normalized_shape: Any) -> tuple[int, ...]:
    """Return the lengths of the normalised axes, given as an integer or several."""
    if isinstance(normalized_shape, (list, tuple)):
        if not normalized_shape:
            raise ValueError(f"{operation}: expected normalized_shape to have a length, got (); pass such as (64,).")
        return tuple(positive_integer(operation, "every length in normalized_shape", n) for n in normalized_shape)
    return (positive_integer(operation, "normalized_shape", normalized_shape),)


def check_groups(operation: str, num_groups: Any, channels: int) -> int:
    """Return the number of groups, or raise unless it divides the channels."""
    num_groups = positive_integer(operation, "num_groups", num_groups)
    if channels % num_groups:
        divisors = ", ".join(str(n) for n in range(1, channels + 1) if channels % n == 0)
        raise ValueError(
            f"{operation}: expected num_groups to divide the {channels} channels, got {num_groups}; use one of "
            f"{divisors}."
        )
    return num_groups


def check_affine(operation: str, input: Any, lengths: tuple[int, ...], like: str, **arrays: Any) -> Any:
    """Return the namespace of an input of floating-point numbers and of the arrays that go with it.

    Those that are not None must have the shape `lengths`, which belongs to `like`, and the dtype of the first of them,
    which the input must have, too.
    """
    xp = namespace_of(operation, input=input, **arrays)
    if not is_floating(input.dtype):
        raise DTypeError(
            f"{operation}: expected a floating-point array, got dtype {dtype_name(input.dtype)}; cast it first."
        )
    first = ""
    for name, array in arrays.items():
        if array is None:
            continue
        if tuple(array.shape) != lengths:
            raise ShapeError(f"{operation}: expected {name} of shape {lengths}, {like}, got {tuple(array.shape)}.")
        if first:
            check_dtype(operation, name, array, arrays[first], first)
        else:
            first = name
            check_dtype(operation, "input", input, array, name)
    return xp


def check_trailing(operation: str, input: Any, normalized_shape: tuple[int, ...], **arrays: Any) -> Any:
    """Return the namespace of the arguments of a layer or RMS normalisation, or raise."""
    xp = check_affine(operation, input, normalized_shape, "normalized_shape", **arrays)
    shape = tuple(input.shape)
    if shape[-len(normalized_shape) :] != normalized_shape:
        wanted = ", ".join(map(str, normalized_shape))
        hint = _channels_first_hint(shape, normalized_shape[0]) if len(normalized_shape) == 1 else ""
        raise ShapeError(f"{operation}: expected (..., {wanted}), got {shape}.{hint}")
    return xp


def check_channels_last(
    operation: str, input: Any, channels: int | None = None, least: str = "(N, ..., C)", **arrays: Any
) -> Any:
    """Return the namespace of an input whose last axis holds the channels, and of arrays with one element for each.

    `least` shows the axes that the input has at least, `channels` is how many the caller was made for.
    """
    if not hasattr(input, "shape"):
        namespace_of(operation, input=input)
    shape = tuple(input.shape)
    given = [array for array in arrays.values() if hasattr(array, "shape")]
    if channels is None and given and len(given[0].shape) == 1:
        channels = given[0].shape[0]
    wanted = least if channels is None else least.replace("C", str(channels))
    if len(shape) < least.count(","):
        raise ShapeError(f"{operation}: expected {wanted}, got {shape}; the batch is the first axis.")
    if channels is not None and shape[-1] != channels:
        raise ShapeError(f"{operation}: expected {wanted}, got {shape}.{_channels_first_hint(shape, channels)}")
    return check_affine(operation, input, (shape[-1],), "one for each channel", **arrays)


def check_several(operation: str, input: Any, count: int, batch: bool) -> None:
    """Raise if statistics are to be taken of one value per channel."""
    if count != 1:
        return
    shape = tuple(input.shape)
    if batch:
        raise ShapeError(
            f"{operation}: expected more than one value per channel while training, got an input of shape {shape}, "
            "whose variance is 0. Use a larger batch (DataLoader's drop_last=True drops a last one that is too small), "
            "or eval() for the running statistics."
        )
    raise ShapeError(
        f"{operation}: expected more than one value per channel and sample, got an input of shape {shape}, whose "
        "variance is 0. Use larger inputs, or BatchNorm or LayerNorm."
    )


def _channels_first_hint(shape: tuple[int, ...], channels: int) -> str:
    if len(shape) > 2 and shape[1] == channels:
        axes = (0, *range(2, len(shape)), 1)
        return f" This looks like channels-first; use xp.permute_dims(x, {axes})."
    return ""
