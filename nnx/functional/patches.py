"""Patches: cutting images into the parts that a kernel meets, and adding them up again."""

from __future__ import annotations

import itertools
import math
from typing import Any

from ..autodiff.namespace import namespace
from ..checks import non_negative_integer
from ..errors import ShapeError
from .checks import namespace_of, per_axis
from .convolution import output_length, windows
from .convolution_checks import check_fit
from .padding import Pairs, pad_axes


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Return every part of the input that a kernel meets, as a sequence of vectors ("im2col").

    A vector has the elements of the kernel in order, and for each of them all channels: what
    ``weight.reshape(O, -1)`` of a convolution has, too, so that ``unfold(x, k) @ weight.reshape(O, -1).T`` is that
    convolution. (PyTorch has the channels first there, as it has them everywhere.)

    Parameters
    ----------
    input
        Array of shape (N, *spatial, C), with one to three spatial axes.
    kernel_size, dilation, padding, stride
        As for `conv2d`: integers, or one per spatial axis.

    Returns
    -------
    array
        Of shape (N, places, kernel elements · C), the places of the kernel in the order of rows.

    Raises
    ------
    ShapeError
        If the input has no such shape, or the kernel does not fit into it.
    ValueError, TypeError
        If another argument is out of range, or no integer.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.reshape(np.arange(9.0), (1, 3, 3, 1))
    >>> nnx.functional.unfold(x, 2)
    array([[[0., 1., 3., 4.],
            [1., 2., 4., 5.],
            [3., 4., 6., 7.],
            [4., 5., 7., 8.]]])
    """
    namespace_of("unfold", input=input)
    check_images("unfold", input)
    rank = len(input.shape) - 2
    kernel, dilation, pairs, stride = patch_arguments("unfold", rank, kernel_size, dilation, padding, stride)
    check_fit("unfold", input.shape, kernel, stride, pairs, dilation)
    return unfolded(input, kernel, dilation, pairs, stride)


def fold(input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Return images that are sums of patches ("col2im"): the transpose of `unfold`.

    Elements that several patches cover are added; divide by ``fold(unfold(ones))`` for their mean.

    Parameters
    ----------
    input
        Array of shape (N, places, kernel elements · C), in the order of `unfold`.
    output_size
        The spatial shape of the result: a tuple, or an integer for square images.
    kernel_size, dilation, padding, stride
        Those of `unfold`.

    Returns
    -------
    array
        Of shape (N, *output_size, C).

    Raises
    ------
    ShapeError
        If the input has not as many places, or its vectors do not hold the kernel.
    ValueError, TypeError
        If another argument is out of range, or no integer.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> patches = nnx.functional.unfold(np.ones((1, 3, 3, 1)), 2)
    >>> nnx.functional.fold(patches, (3, 3), 2)[0, :, :, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    namespace_of("fold", input=input)
    size = image_size("fold", output_size)
    kernel, dilation, pairs, stride = patch_arguments("fold", len(size), kernel_size, dilation, padding, stride)
    check_fit("fold", (1, *size, 1), kernel, stride, pairs, dilation, f"an output_size of {size}")
    check_patches("fold", input, size, kernel, dilation, pairs, stride)
    return folded(input, size, kernel, dilation, pairs, stride)


def unfolded(
    input: Any, kernel: tuple[int, ...], dilation: tuple[int, ...], padding: Pairs, stride: tuple[int, ...]
) -> Any:
    """`unfold` without checks."""
    xp = namespace(input)
    batch, *lengths, channels = input.shape
    out = [output_length(*each) for each in zip(lengths, kernel, stride, padding, dilation, strict=True)]
    padded = pad_axes(xp, input, padding)
    parts = [
        padded[(slice(None), *windows(tap, out, stride, dilation), ...)]
        for tap in itertools.product(*map(range, kernel))
    ]
    return xp.reshape(xp.concat(parts, axis=-1), (batch, math.prod(out), math.prod(kernel) * channels))


def folded(
    input: Any,
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: Pairs,
    stride: tuple[int, ...],
) -> Any:
    """`fold` without checks."""
    xp = namespace(input)
    batch, _, features = input.shape
    channels = features // math.prod(kernel)
    out = [output_length(*each) for each in zip(size, kernel, stride, padding, dilation, strict=True)]
    full = [n + before + after for n, (before, after) in zip(size, padding, strict=True)]
    parts = xp.reshape(input, (batch, *out, math.prod(kernel), channels))
    total: Any = None
    for i, tap in enumerate(itertools.product(*map(range, kernel))):
        key = (slice(None), *windows(tap, out, stride, dilation), slice(None))
        placed = xp.indexing.getitem_transpose(parts[..., i, :], key, (batch, *full, channels))
        total = placed if total is None else total + placed
    inner = tuple(slice(before, before + n) for n, (before, _) in zip(size, padding, strict=True))
    return total[(slice(None), *inner, ...)]


# ------------------------------------------------------------------ checks


def patch_arguments(
    label: str, rank: int, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> tuple[tuple[int, ...], tuple[int, ...], Pairs, tuple[int, ...]]:
    """Return kernel, dilation, padding and stride, one per spatial axis, or raise."""
    kernel = per_axis(label, "kernel_size", kernel_size, rank)
    dilation = per_axis(label, "dilation", dilation, rank)
    padding = per_axis(label, "padding", padding, rank, non_negative_integer)
    return kernel, dilation, tuple((n, n) for n in padding), per_axis(label, "stride", stride, rank)


def check_images(label: str, input: Any) -> None:
    """Raise unless the input has a batch axis, one to three spatial axes, and channels."""
    shape = tuple(input.shape)
    if not 3 <= len(shape) <= 5:
        raise ShapeError(f"{label}: expected (N, *spatial, C) with one to three spatial axes, got {shape}.")


def image_size(label: str, output_size: Any) -> tuple[int, ...]:
    """Return the spatial shape of images, or raise; an integer stands for two axes."""
    if isinstance(output_size, (tuple, list)) and not 1 <= len(output_size) <= 3:
        raise ValueError(f"{label}: expected output_size to have one to three lengths, got {output_size!r}.")
    rank = len(output_size) if isinstance(output_size, (tuple, list)) else 2
    return per_axis(label, "output_size", output_size, rank)


def check_patches(
    label: str,
    input: Any,
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: Pairs,
    stride: tuple[int, ...],
) -> None:
    """Raise unless the patches are as many, and as long, as the images need."""
    out = [output_length(*each) for each in zip(size, kernel, stride, padding, dilation, strict=True)]
    places, taps, shape = math.prod(out), math.prod(kernel), tuple(input.shape)
    if len(shape) == 3 and shape[1] == places and not shape[2] % taps:
        return
    hint = ""
    if len(shape) == 3 and shape[2] == places and not shape[1] % taps:
        hint = (
            " This looks like PyTorch's (N, C · kernel, places); there the channels come before the kernel, too: use "
            "nnx.functional.unfold for the patches."
        )
    elif len(shape) == 2 and shape[0] == places:
        hint = " The batch axis is missing; use x[None, ...]."
    raise ShapeError(
        f"{label}: expected (N, {places}, a multiple of {taps}) for output_size {size} and kernel_size {kernel}, got "
        f"{shape}.{hint}"
    )
