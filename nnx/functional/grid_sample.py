"""Images sampled at given points: spatial transformers, features last."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from ..autodiff import stop_gradient
from ..autodiff.namespace import namespace
from ..backend import device
from ..checks import boolean, non_negative_integer
from ..errors import ShapeError
from .arguments import floating_namespace
from .checks import check_dtype, namespace_of

_CUBIC = -0.75
_MODES = ("bilinear", "nearest", "bicubic")
_PADDING_MODES = ("zeros", "border", "reflection")


def grid_sample(
    input: Any,
    grid: Any,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Any:
    """Return the values of images, or volumes, at the points of a grid [1]_.

    Parameters
    ----------
    input
        Array of shape (N, H, W, C), or (N, D, H, W, C).
    grid
        Points (x, y) or (x, y, z), of shape (N, H_out, W_out, 2) or (N, D_out, H_out, W_out, 3): x runs along W from
        -1 to 1.
    mode
        "bilinear" (trilinear in a volume), "nearest", or "bicubic" (images only).
    padding_mode
        What lies outside: "zeros", "border" (the nearest pixel of the image), or "reflection".
    align_corners
        Whether -1 and 1 are the centres of the outermost pixels, or their outer edges (False, the default).

    Returns
    -------
    array
        Of shape (N, H_out, W_out, C), or (N, D_out, H_out, W_out, C).

    Raises
    ------
    ShapeError, DTypeError, MixedBackendsError
        If the arrays do not fit together.
    ValueError, TypeError
        If a mode is unknown, or not for such an input.

    References
    ----------
    .. [1] Jaderberg et al., "Spatial Transformer Networks", arXiv:1506.02025

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.reshape(np.arange(4.0), (1, 2, 2, 1))
    >>> centre = np.zeros((1, 1, 1, 2))
    >>> nnx.functional.grid_sample(x, centre)
    array([[[[1.5]]]])
    """
    xp = _checked(input, grid, mode, padding_mode, align_corners)
    n, *lengths, channels = input.shape
    aligned = bool(align_corners)
    rank = len(lengths)
    out = tuple(grid.shape[1:-1])
    points = xp.reshape(grid, (n, math.prod(out), rank))
    # x, the first coordinate, is along the last axis
    along = [_to_pixels(points[:, :, rank - 1 - d], length, aligned) for d, length in enumerate(lengths)]
    images = xp.reshape(input, (n, math.prod(lengths), channels))

    def inside(c: Any, length: int) -> Any:
        return _padded(c, length, padding_mode, aligned)

    if mode == "bicubic":
        taps = [_cubic_taps(c) for c in along]
        taps = [[(inside(c, length), w) for c, w in of] for of, length in zip(taps, lengths, strict=True)]
    else:
        along = [inside(c, length) for c, length in zip(along, lengths, strict=True)]
        taps = [_linear_taps(c) if mode == "bilinear" else [(_nearest(c), None)] for c in along]
    total = None
    for corner in itertools.product(*taps):
        places, weights = zip(*corner, strict=True)
        part = _weighted(xp, images, places, weights, lengths)
        total = part if total is None else total + part
    return xp.reshape(total, (n, *out, channels))


def _checked(input: Any, grid: Any, mode: Any, padding_mode: Any, align_corners: Any) -> Any:
    xp = namespace_of("grid_sample", input=input, grid=grid)
    floating_namespace("grid_sample", input)
    check_dtype("grid_sample", "grid", grid, input, "input")
    if mode not in _MODES:
        raise ValueError(f"grid_sample: expected mode to be one of {', '.join(map(repr, _MODES))}, got {mode!r}.")
    if padding_mode not in _PADDING_MODES:
        allowed = ", ".join(map(repr, _PADDING_MODES))
        raise ValueError(f"grid_sample: expected padding_mode to be one of {allowed}, got {padding_mode!r}.")
    if align_corners is not None:
        boolean("grid_sample", "align_corners", align_corners)
    shape, points = tuple(input.shape), tuple(grid.shape)
    rank = len(shape) - 2
    if rank not in (2, 3) or 0 in shape[1:-1]:
        raise ShapeError(f"grid_sample: expected (N, H, W, C) or (N, D, H, W, C) with pixels, got {shape}.")
    if mode == "bicubic" and rank == 3:
        raise ValueError("grid_sample: mode='bicubic' is for images (N, H, W, C), got a volume; use 'bilinear'.")
    if len(points) != rank + 2 or points[0] != shape[0] or points[-1] != rank:
        wanted = ("N", *("D_out", "H_out", "W_out")[3 - rank :], rank)
        raise ShapeError(
            f"grid_sample: expected grid of shape ({', '.join(map(str, wanted))}) with N={shape[0]}, got {points} for "
            f"an input of shape {shape}."
        )
    return xp


def _to_pixels(c: Any, length: int, aligned: bool) -> Any:
    """A coordinate from -1 to 1 in pixels, the first of which has its centre at 0. Infinity and NaN are outside."""
    xp = namespace(c)
    c = (c + 1.0) * (0.5 * (length - 1)) if aligned else ((c + 1.0) * length - 1.0) * 0.5
    outside = xp.where(c > 0.0, length + 2.0, xp.full_like(stop_gradient(c), -3.0))
    return xp.where(xp.isfinite(c), c, outside)


def _padded(c: Any, length: int, padding_mode: str, aligned: bool) -> Any:
    """The coordinate in the image that stands for one outside. At the borders its derivative is 0, as in PyTorch."""
    xp = namespace(c)
    if padding_mode == "zeros":
        return c
    if padding_mode == "reflection":
        low = 0.0 if aligned else -0.5
        span = float(length - 1 if aligned else length)
        if span == 0.0:
            return xp.zeros_like(c)
        c = xp.where(c < low, low - c, c - low)
        raw = stop_gradient(c)
        turns = namespace(raw).floor(raw / span)
        rest = xp.subtract(c, turns * span)
        odd = namespace(raw).remainder(turns, 2.0) != 0.0
        c = xp.where(odd, span - rest, rest) + low
    return xp.where(c > 0.0, xp.where(c < length - 1.0, c, length - 1.0), 0.0)


def _nearest(c: Any) -> Any:
    c = stop_gradient(c)
    return namespace(c).round(c)


def _linear_taps(c: Any) -> list[tuple[Any, Any]]:
    """The two pixels around each coordinate, with their weights."""
    raw = stop_gradient(c)
    left = namespace(raw).floor(raw)
    far = namespace(c).subtract(c, left)
    return [(left, 1.0 - far), (left + 1.0, far)]


def _cubic_taps(c: Any) -> list[tuple[Any, Any]]:
    """The four pixels around each coordinate, with the weights of the cubic convolution."""
    raw = stop_gradient(c)
    base = namespace(raw).floor(raw)
    t = namespace(c).subtract(c, base)
    weights = (_outer(t + 1.0), _inner(t), _inner(1.0 - t), _outer(2.0 - t))
    return [(base + float(k), weight) for k, weight in zip((-1, 0, 1, 2), weights, strict=True)]


def _inner(x: Any) -> Any:
    """Keys' cubic filter from 0 to 1."""
    return ((_CUBIC + 2.0) * x - (_CUBIC + 3.0)) * x * x + 1.0


def _outer(x: Any) -> Any:
    """Keys' cubic filter from 1 to 2."""
    return ((_CUBIC * x - 5.0 * _CUBIC) * x + 8.0 * _CUBIC) * x - 4.0 * _CUBIC


def _weighted(xp: Any, images: Any, places: Sequence[Any], weights: Sequence[Any], lengths: Sequence[int]) -> Any:
    """One pixel for each point, times its weights; 0 where it lies outside (or the point is NaN).

    `images` has the shape (N, pixels, C); places, raw, and weights have one array (N, points) per axis.
    """
    raw = namespace(places[0])
    valid: Any = None
    flat: Any = None
    for place, length in zip(places, lengths, strict=True):
        within = (place >= 0.0) & (place <= length - 1.0)
        index = raw.astype(raw.where(within, place, 0.0), raw.int64)
        valid = within if valid is None else valid & within
        flat = index if flat is None else flat * length + index
    n, _, channels = images.shape
    flat = raw.broadcast_to(raw.expand_dims(flat, axis=-1), (n, flat.shape[1], channels))
    values = xp.take_along_axis(images, flat, axis=1)
    for weight in weights:
        if weight is not None:
            values = xp.multiply(values, xp.expand_dims(weight, axis=-1))
    return xp.where(raw.expand_dims(valid, axis=-1), values, 0.0)


def affine_grid(theta: Any, size: Sequence[int], align_corners: bool | None = None) -> Any:
    """Return the points that affine maps take the pixels of an image to, for `grid_sample` [1]_.

    Parameters
    ----------
    theta
        Matrices of shape (N, 2, 3) for images, or (N, 3, 4) for volumes; the last column is the shift.
    size
        The shape of the images to make: (N, H, W, C), or (N, D, H, W, C).
    align_corners
        As for `grid_sample`.

    Returns
    -------
    array
        Of shape (N, H, W, 2), or (N, D, H, W, 3).

    Raises
    ------
    ShapeError, DTypeError
        If theta does not fit the size.

    References
    ----------
    .. [1] Jaderberg et al., "Spatial Transformer Networks", arXiv:1506.02025

    Examples
    --------
    >>> import numpy as np, nnx
    >>> identity = np.asarray([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> nnx.functional.affine_grid(identity, (1, 1, 2, 3), align_corners=True)
    array([[[[-1.,  0.],
             [ 1.,  0.]]]])
    """
    namespace_of("affine_grid", theta=theta)
    xp = floating_namespace("affine_grid", theta)
    n, *lengths = [non_negative_integer("affine_grid", "every length in size", v) for v in size[:-1]]
    rank = len(lengths)
    if rank not in (2, 3) or tuple(theta.shape) != (n, rank, rank + 1):
        raise ShapeError(
            "affine_grid: expected theta of shape (N, 2, 3) with size (N, H, W, C), or (N, 3, 4) with "
            f"(N, D, H, W, C), got {tuple(theta.shape)} and {tuple(size)}."
        )
    aligned = align_corners is not None and boolean("affine_grid", "align_corners", align_corners)
    vector = (n, *(1,) * rank, rank)
    points = xp.reshape(theta[:, :, rank], vector)
    for d, length in enumerate(lengths):
        column = (1, *(length if a == d else 1 for a in range(rank)), 1)
        line = xp.asarray(_line(length, aligned), dtype=theta.dtype, device=device(theta))
        points = points + xp.reshape(theta[:, :, rank - 1 - d], vector) * xp.reshape(line, column)
    return points


def _line(length: int, aligned: bool) -> list[float]:
    """The coordinates of the pixels along an axis."""
    if aligned:
        return [2.0 * i / (length - 1) - 1.0 for i in range(length)] if length > 1 else [0.0]
    return [(2.0 * i + 1.0) / length - 1.0 for i in range(length)]
