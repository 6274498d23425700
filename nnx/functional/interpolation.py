"""Images of another size: interpolation, features last."""

from __future__ import annotations

import math
from typing import Any

from ..autodiff.namespace import namespace
from ..autodiff.primitive import primitive
from ..backend import device
from ..checks import boolean, number
from ..errors import ShapeError
from .arguments import floating_namespace
from .checks import namespace_of, per_axis
from .interpolation_weights import Resampling, Taps, resampling
from .pooling_adaptive import adaptive_avg_pool_nd
from .windows import Sizes

_RANKS = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}  # of the modes that have one
_METHODS = {"bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}
MODES = ("nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear", "area")

Number = int | float


def interpolate(
    input: Any,
    size: int | tuple[int, ...] | None = None,
    scale_factor: Number | tuple[Number, ...] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Return sequences, images or volumes at another size.

    Parameters
    ----------
    input
        Array of shape (N, *spatial, C) with one to three spatial axes.
    size
        The spatial lengths of the output: a number for all, or one per axis.
    scale_factor
        Instead of `size`: how many times larger the output is, likewise. Lengths are rounded down.
    mode
        "nearest", "nearest-exact" (which takes the centres of the elements, as Pillow and scikit-image do), "linear"
        for sequences, "bilinear" or "bicubic" [1]_ for images, "trilinear" for volumes, or "area", the mean of what
        each element of the output covers.
    align_corners
        For the linear and cubic modes: whether the centres of the corner elements coincide, so that the corners keep
        their values, or the edges of the corner elements do (False, the default).
    recompute_scale_factor
        With `scale_factor`: whether the output's length divided by the input's takes its place in the computation.
    antialias
        For "bilinear" and "bicubic": whether a smaller output takes the mean of more elements.

    Returns
    -------
    array
        Of shape (N, *size, C).

    Raises
    ------
    ShapeError, DTypeError
        If the input has other axes, is empty, or holds no floating-point numbers.
    ValueError, TypeError
        If both or neither of `size` and `scale_factor` are given, the mode is unknown or not for such an input, or an
        argument does not go with the mode.

    References
    ----------
    .. [1] Keys, "Cubic convolution interpolation for digital image processing", IEEE TASSP 29, 1981; here with
       a = -0.75.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.reshape(np.asarray([1.0, 3.0]), (1, 2, 1))
    >>> nnx.functional.interpolate(x, scale_factor=2)[0, :, 0]
    array([1., 1., 3., 3.])
    >>> nnx.functional.interpolate(x, 5, mode="linear", align_corners=True)[0, :, 0]
    array([1. , 1.5, 2. , 2.5, 3. ])
    """
    return interpolate_as(
        "interpolate", input, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias
    )


def interpolate_as(
    where: Any,
    input: Any,
    size: Any,
    scale_factor: Any,
    mode: Any,
    align_corners: Any,
    recompute_scale_factor: Any,
    antialias: Any = False,
) -> Any:
    """Interpolate; `where` names the caller in errors."""
    namespace_of(where, input=input)
    floating_namespace(where, input)
    check_interpolation(where, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias)
    lengths = _lengths(where, tuple(input.shape), mode)
    rank = len(lengths)
    factors: tuple[float | None, ...] = (None,) * rank
    if size is not None:
        counts = per_axis(where, "size", size, rank)
    else:
        factors = _factors(where, scale_factor, rank)
        counts = tuple(math.floor(n * f) for n, f in zip(lengths, factors, strict=True) if f is not None)
        if 0 in counts:
            raise ValueError(f"{where}: scale_factor={scale_factor!r} leaves nothing of {tuple(input.shape)}.")
        if recompute_scale_factor:
            factors = (None,) * rank
    if mode == "area":
        return adaptive_avg_pool_nd(where, rank, input, counts)
    axes: list[Resampling | None] = []
    for length, count, factor in zip(lengths, counts, factors, strict=True):
        if mode == "nearest" and rank == 2 and count in (length, 2 * length):
            factor = None  # whatever was asked for: PyTorch does so for images, but not for sequences and volumes
        along = resampling(_METHODS.get(mode, mode), length, count, bool(align_corners), factor, antialias)
        stays = along.times == 1 or (antialias and count == length)
        axes.append(None if stays else along)
    return resample(input, tuple(axes)) if any(axes) else input


@primitive("resample", arrays=1)
def resample(input: Any, axes: tuple[Resampling | None, ...]) -> Any:
    """Return an array (N, *spatial, C) with each spatial axis resampled as told, or left as it is where that is None.

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.functional.interpolation import resample
    >>> from nnx.functional.interpolation_weights import resampling
    >>> x = np.reshape(np.asarray([1.0, 3.0]), (1, 2, 1))
    >>> resample(x, (resampling("linear", 2, 3, True, None, False),))[0, :, 0]
    array([1., 2., 3.])
    """
    xp = namespace(input)
    for axis, along in enumerate(axes, start=1):
        if along is not None and along.times is not None:
            input = _repeat(xp, input, axis, along.times)
        elif along is not None:
            input = _resampled(xp, input, axis, along.taps)
    return input


def check_interpolation(
    where: Any, size: Any, scale_factor: Any, mode: Any, align_corners: Any, recompute: Any, antialias: Any = False
) -> None:
    """Raise unless the arguments of `interpolate` go together, whatever the input."""
    if mode not in MODES:
        raise ValueError(f"{where}: expected mode to be one of {', '.join(map(repr, MODES))}, got {mode!r}.")
    if (size is None) == (scale_factor is None):
        got = "neither" if size is None else "both"
        raise ValueError(f"{where}: expected either size or scale_factor, got {got}.")
    if align_corners is not None:
        boolean(where, "align_corners", align_corners)
        if mode not in _RANKS:
            raise ValueError(
                f"{where}: expected align_corners=None with mode={mode!r}, got {align_corners}; it is for the linear "
                "and cubic modes."
            )
    if recompute is not None and boolean(where, "recompute_scale_factor", recompute) and size is not None:
        raise ValueError(f"{where}: recompute_scale_factor is for scale_factor, but size was given; leave it out.")
    if boolean(where, "antialias", antialias) and mode not in ("bilinear", "bicubic"):
        raise ValueError(f"{where}: expected mode 'bilinear' or 'bicubic' with antialias, got {mode!r}.")


def _lengths(where: Any, shape: Sizes, mode: str) -> Sizes:
    """The spatial lengths of an input that the mode takes."""
    ranks = (_RANKS[mode],) if mode in _RANKS else (1, 2, 3)
    rank = len(shape) - 2
    if rank not in ranks:
        names = {1: "(N, L, C)", 2: "(N, H, W, C)", 3: "(N, D, H, W, C)"}
        fits = [name for name, wanted in _RANKS.items() if wanted == rank]
        hint = f" Such an array takes mode={' or '.join(map(repr, fits))}." if fits else ""
        wanted = " or ".join(names[r] for r in ranks)
        raise ShapeError(f"{where}: expected {wanted} with mode={mode!r}, got {shape}.{hint}")
    if 0 in shape[1:-1]:
        raise ShapeError(f"{where}: expected at least one place along each spatial axis, got {shape}.")
    return shape[1:-1]


def _factors(where: Any, scale_factor: Any, rank: int) -> tuple[float, ...]:
    values = scale_factor if isinstance(scale_factor, (tuple, list)) else (scale_factor,) * rank
    if len(values) != rank:
        raise ValueError(f"{where}: expected scale_factor to be 1 or {rank} numbers, got {scale_factor!r}.")
    return tuple(number(where, "scale_factor", value, 0.0, above=True) for value in values)


def _repeat(xp: Any, x: Any, axis: int, times: int) -> Any:
    """Each element `times` times along an axis; as a broadcast, since the derivative is then a plain sum."""
    shape = x.shape
    wide = xp.broadcast_to(xp.expand_dims(x, axis=axis + 1), (*shape[: axis + 1], times, *shape[axis + 1 :]))
    return xp.reshape(wide, (*shape[:axis], shape[axis] * times, *shape[axis + 1 :]))


def _resampled(xp: Any, x: Any, axis: int, taps: Taps) -> Any:
    """The sum over the taps of elements along an axis times their weights."""
    place = device(x)
    column = (-1,) + (1,) * (len(x.shape) - axis - 1)
    total = None
    for index, weights in taps:
        part = xp.take(x, xp.asarray(index, dtype=xp.int64, device=place), axis=axis)
        if set(weights) != {1.0}:
            part = part * xp.reshape(xp.asarray(weights, dtype=x.dtype, device=place), column)
        total = part if total is None else total + part
    return total
