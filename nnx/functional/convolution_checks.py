"""The checks of convolutions, and how their arguments are completed."""

from __future__ import annotations

from typing import Any

from ..checks import non_negative_integer, positive_integer
from ..errors import ShapeError
from .checks import check_dtype, namespace_of, per_axis
from .convolution import output_length, transposed_length
from .padding import Pairs

_SPATIAL = {1: ("L",), 2: ("H", "W"), 3: ("D", "H", "W")}


def layout(rank: int, channels: Any) -> str:
    """Return how to write the shape of a batch: ``(N, H, W, 3)``."""
    return f"({', '.join(('N', *_SPATIAL[rank], str(channels)))})"


# ------------------------------------------------------------------ numbers per spatial axis


def padding_of(
    label: str, padding: Any, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> Pairs:
    """Return the zeros before and after each spatial axis, from numbers, 'same' or 'valid'."""
    if not isinstance(padding, str):
        if isinstance(padding, (tuple, list)) and any(isinstance(each, (tuple, list)) for each in padding):
            raise TypeError(
                f"{label}: expected padding to be one number per spatial axis, got {padding!r}; use nnx.functional.pad "
                "for different numbers before and after."
            )
        return tuple((n, n) for n in per_axis(label, "padding", padding, len(kernel), non_negative_integer))
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding != "same":
        raise ValueError(f"{label}: expected padding to be numbers, 'same' or 'valid', got {padding!r}.")
    reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if any(s != 1 for s in stride):
        raise ValueError(
            f"{label}: expected stride 1 with padding 'same', got stride {stride}; write the padding as numbers, "
            f"e.g. {tuple(n // 2 for n in reach)}."
        )
    return tuple((n // 2, n - n // 2) for n in reach)


def check_groups(label: str, groups: Any, **channels: int) -> int:
    """Return the number of groups, or raise unless it divides numbers of channels."""
    groups = positive_integer(label, "groups", groups)
    for name, count in channels.items():
        if count % groups:
            raise ShapeError(f"{label}: expected groups to divide {name}={count}, got groups={groups}.")
    return groups


def check_output_padding(
    label: str, output_padding: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> None:
    """Raise unless it is less than the stride or the dilation."""
    for added, s, d in zip(output_padding, stride, dilation, strict=True):
        if added >= max(s, d):
            raise ValueError(
                f"{label}: expected output_padding below the stride or the dilation, got output_padding "
                f"{output_padding} with stride {stride} and dilation {dilation}."
            )


# ------------------------------------------------------------------ arrays


def check_input(label: str, rank: int, input: Any, channels: int) -> None:
    """Raise unless the input is a batch with so many spatial axes and channels."""
    shape = tuple(input.shape)
    if len(shape) != rank + 2 or shape[-1] != channels:
        wanted = f"{label}: expected {layout(rank, channels)}, got {shape}."
        raise ShapeError(wanted + _input_hint(shape, rank, channels))


def _input_hint(shape: tuple[int, ...], rank: int, channels: int) -> str:
    """What may have gone wrong, and the way to mend it."""
    found = len(shape)
    if found == rank + 2 and shape[1] == channels:
        axes = (0, *range(2, found), 1)
        return f" This looks like channels-first; use xp.permute_dims(x, {axes})."
    if found == rank + 1 and shape[-1] == channels:
        return " The batch axis is missing; use x[None, ...]."
    if found == rank + 1 and channels == 1:
        return " The channel axis is missing; use x[..., None]."
    if found == rank + 1 and shape[0] == channels:
        axes = (*range(1, found), 0)
        fix = f"xp.permute_dims(x, {axes})[None, ...]"
        return f" This looks like channels-first, and the batch axis is missing; use {fix}."
    if found == rank and channels == 1:
        return " The axes of the batch and of the channels are missing; use x[None, ..., None]."
    return ""


def check_arrays(label: str, rank: int, input: Any, weight: Any, bias: Any, groups: Any, transposed: bool) -> None:
    """Raise unless input, weight, bias and groups fit together."""
    namespace_of(label, input=input, weight=weight, bias=bias)
    groups = positive_integer(label, "groups", groups)
    shape = tuple(weight.shape)
    axes = ", ".join(f"k{axis}" for axis in _SPATIAL[rank])
    wanted = f"(out_channels, {axes}, in_channels // groups)"
    if transposed:
        wanted = f"(out_channels // groups, {axes}, in_channels)"
    if len(shape) != rank + 2:
        raise ShapeError(f"{label}: expected weight of shape {wanted}, got {shape}.")
    if 0 in shape[:-1]:
        raise ShapeError(f"{label}: expected weight of shape {wanted} with a kernel and outputs, got {shape}.")
    channels = shape[-1] if transposed else shape[-1] * groups
    outputs = shape[0] * groups if transposed else shape[0]
    _check_layout(label, tuple(input.shape), shape, channels, groups, wanted, transposed)
    if transposed:
        check_groups(label, groups, in_channels=channels)
    else:
        check_groups(label, groups, out_channels=outputs)
    check_input(label, rank, input, channels)
    if bias is not None and tuple(bias.shape) != (outputs,):
        raise ShapeError(f"{label}: expected bias of shape ({outputs},), got {tuple(bias.shape)}.")
    for name, array in (("input", input), ("bias", bias)):
        if array is not None:
            check_dtype(label, name, array, weight, "weight")


def _check_layout(
    label: str,
    input: tuple[int, ...],
    weight: tuple[int, ...],
    channels: int,
    groups: int,
    wanted: str,
    transposed: bool,
) -> None:
    """Raise if the weight does not fit, but would in PyTorch's layout, where the kernel comes last."""
    found = len(weight)
    theirs = weight[0] if transposed else weight[1] * groups
    if len(input) != found or channels in (input[-1], input[1]) or theirs not in (input[-1], input[1]):
        return
    axes = (0, *range(2, found), 1)
    fix = f"xp.permute_dims(weight, {(*range(1, found), 0) if transposed else axes})"
    if input[-1] != theirs:
        fix += f" and xp.permute_dims(x, {axes})"
    raise ShapeError(
        f"{label}: expected weight of shape {wanted}, got {weight} for an input of shape {input}. This looks like "
        f"channels-first; use {fix}."
    )


def check_fit(
    label: str,
    shape: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    given: str | None = None,
) -> None:
    """Raise unless the kernel fits into a padded image (N, *spatial, C); `given` says what the caller passed."""
    lengths = shape[1:-1]
    if all(output_length(*each) > 0 for each in zip(lengths, kernel, stride, padding, dilation, strict=True)):
        return
    covered = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    padded = tuple(n + before + after for n, (before, after) in zip(lengths, padding, strict=True))
    given = given or f"an input of shape {tuple(shape)}"
    raise ShapeError(
        f"{label}: expected at least {_times(covered)} elements, which the kernel covers, got {_times(padded)} with "
        f"padding, for {given}; use a smaller kernel or dilation, or more padding."
    )


def check_transposed_fit(
    label: str,
    shape: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> None:
    """Raise unless the padding leaves something of the output."""
    each = zip(shape[1:-1], kernel, stride, padding, output_padding, dilation, strict=True)
    lengths = tuple(transposed_length(*arguments) for arguments in each)
    if any(n < 1 for n in lengths):
        raise ShapeError(
            f"{label}: expected an output of at least one element along each axis, got {_times(lengths)} for an input "
            f"of shape {tuple(shape)}; padding takes away from the output here: use less."
        )


def _times(lengths: tuple[int, ...]) -> str:
    return " × ".join(map(str, lengths))
