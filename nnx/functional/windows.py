"""The windows of pooling: checks of their arguments, how many there are, and which places each of them covers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ..checks import non_negative_integer
from ..errors import ShapeError
from .arguments import floating_namespace
from .checks import namespace_of, per_axis

Sizes = tuple[int, ...]
Windows = tuple[tuple[range, ...], ...]  # for each spatial axis, the places that each window covers

_AXES = {1: "(N, L, C)", 2: "(N, H, W, C)", 3: "(N, D, H, W, C)"}


def image_namespace(where: Any, input: Any, rank: int) -> Any:
    """Return the namespace of a floating-point array of shape (N, *spatial, C), or raise."""
    namespace_of(where, input=input)
    shape = tuple(input.shape)
    if len(shape) != rank + 2:
        hint = ""
        if len(shape) == rank + 1:
            hint = " Add the batch axis, e.g. xp.expand_dims(x, axis=0)."
        elif 3 <= len(shape) <= 5:
            hint = (
                f" An array with {len(shape)} axes has {len(shape) - 2} spatial ones; take the {len(shape) - 2}d form."
            )
        raise ShapeError(f"{where}: expected {_AXES[rank]}, got {shape}.{hint}")
    return floating_namespace(where, input)


def channels_first_hint(shape: Sizes, fits: Callable[[Sizes], bool]) -> str:
    """Return a hint if an image that does not fit would do with its second axis moved to the end."""
    if shape[1] < min(shape[2:]) and fits(shape[2:]):
        return f" This looks like channels-first; use xp.permute_dims(x, {(0, *range(2, len(shape)), 1)})."
    return ""


def pooled_size(
    where: Any, shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> Sizes:
    """Return how many windows there are along each spatial axis, or raise unless there is one at least."""
    lengths = shape[1:-1]
    size = _window_counts(lengths, kernel, stride, padding, dilation, ceil_mode)
    if size is not None:
        return size
    for k, p in zip(kernel, padding, strict=True):
        if p > k // 2:
            raise ValueError(
                f"{where}: expected padding of at most half of the kernel_size, got padding={p} and kernel_size={k}; "
                f"pad by {k // 2} at most, or pad the image itself."
            )
    if _fits(lengths, kernel, padding, dilation):
        raise ValueError(
            f"{where}: expected windows that meet the image, but with padding={padding} and dilation={dilation} one "
            f"lies in the padding of {shape}; use a smaller padding or dilation."
        )
    spans = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    padded = tuple(n + 2 * p for n, p in zip(lengths, padding, strict=True))
    hint = channels_first_hint(shape, lambda lengths: _fits(lengths, kernel, padding, dilation))
    raise ShapeError(
        f"{where}: expected an image of at least {spans} places, the size of a window, got {padded}"
        f"{' with its padding' if any(padding) else ''} in {shape}; use a smaller kernel_size, or fewer pooling "
        f"layers.{hint}"
    )


def _fits(lengths: Sizes, kernel: Sizes, padding: Sizes, dilation: Sizes) -> bool:
    """Whether an image is no smaller than a window."""
    along = zip(lengths, kernel, padding, dilation, strict=True)
    return all(n > 0 and n + 2 * p >= d * (k - 1) + 1 for n, k, p, d in along)


@functools.lru_cache(maxsize=256)
def _window_counts(
    lengths: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> Sizes | None:
    """How many windows there are along each axis, or None if something is wrong with them."""
    if any(p > k // 2 for k, p in zip(kernel, padding, strict=True)) or min(lengths) < 1:
        return None
    size = []
    for n, k, s, p, d in zip(lengths, kernel, stride, padding, dilation, strict=True):
        count = (n + 2 * p - d * (k - 1) - 1 + (s - 1 if ceil_mode else 0)) // s + 1
        # a window must not begin behind the image
        size.append(count - 1 if ceil_mode and (count - 1) * s >= n + p else count)
    if min(size) < 1:
        return None
    windows = uniform_windows(lengths, kernel, stride, padding, dilation, tuple(size))
    return tuple(size) if all(map(all, windows)) else None  # a range is false if it is empty


@functools.lru_cache(maxsize=256)
def uniform_windows(
    lengths: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, size: Sizes
) -> Windows:
    """Return windows that begin every `stride` places; what lies outside the image is left out of them."""
    found = []
    for n, k, s, p, d, count in zip(lengths, kernel, stride, padding, dilation, size, strict=True):
        starts = [i * s - p for i in range(count)]
        # the first place of the window that is in the image: -start places lie before it
        found.append(tuple(range(a if a >= 0 else a % d, min(a + d * k, n), d) for a in starts))
    return tuple(found)


def adaptive_windows(lengths: Sequence[int], size: Sequence[int]) -> Windows:
    """Return `size` windows that cover an image evenly; neighbours may share a place."""
    return tuple(
        tuple(range(i * n // count, -(-(i + 1) * n // count)) for i in range(count))
        for n, count in zip(lengths, size, strict=True)
    )


@functools.lru_cache(maxsize=256)
def tap_table(windows: tuple[range, ...]) -> tuple[tuple[Sizes, tuple[bool, ...]], ...]:
    """Return for k = 0, 1, ... the k-th place of every window along an axis, and whether the window has that many.

    A window with fewer repeats its last place.
    """
    return tuple(
        (tuple(w[min(k, len(w) - 1)] for w in windows), tuple(k < len(w) for w in windows))
        for k in range(max(map(len, windows)))
    )


def check_windows(
    where: Any, rank: int, kernel_size: Any, stride: Any, padding: Any = 0, dilation: Any = 1
) -> tuple[Sizes, Sizes, Sizes, Sizes]:
    """Return kernel_size, stride (by default the same), padding and dilation as tuples, or raise."""
    kernel = per_axis(where, "kernel_size", kernel_size, rank)
    return (
        kernel,
        kernel if stride is None else per_axis(where, "stride", stride, rank),
        per_axis(where, "padding", padding, rank, non_negative_integer),
        per_axis(where, "dilation", dilation, rank),
    )
