"""Elements that change places between channels and pixels, or among channels."""

from __future__ import annotations

from typing import Any

from ..checks import positive_integer
from ..errors import ShapeError
from .checks import namespace_of


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """Return images r times as high and wide, each r × r pixels made from r² channels of one pixel [1]_.

    Channel ``c * r * r + i * r + j`` becomes row i and column j of channel c: PyTorch's order.

    Parameters
    ----------
    input
        Array of shape (..., H, W, C * r * r).
    upscale_factor
        The factor r.

    Returns
    -------
    array
        Of shape (..., H * r, W * r, C).

    Raises
    ------
    ShapeError
        If the channels are no multiple of r².

    References
    ----------
    .. [1] Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional
       Neural Network", arXiv:1609.05158

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.pixel_shuffle(np.asarray([[[[0.0, 1.0, 2.0, 3.0]]]]), 2)[0, :, :, 0]
    array([[0., 1.],
           [2., 3.]])
    """
    return shuffled_pixels("pixel_shuffle", input, upscale_factor)


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """Return images r times less high and wide with r² times the channels: the inverse of `pixel_shuffle`.

    Parameters
    ----------
    input
        Array of shape (..., H * r, W * r, C).
    downscale_factor
        The factor r.

    Returns
    -------
    array
        Of shape (..., H, W, C * r * r).

    Raises
    ------
    ShapeError
        If height or width is no multiple of r.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.pixel_unshuffle(np.reshape(np.arange(4.0), (1, 2, 2, 1)), 2)
    array([[[[0., 1., 2., 3.]]]])
    """
    return unshuffled_pixels("pixel_unshuffle", input, downscale_factor)


def channel_shuffle(input: Any, groups: int) -> Any:
    """Return the input with its channels dealt out: the first of each group, then the second of each, and so on [1]_.

    Parameters
    ----------
    input
        Array of shape (..., C).
    groups
        The number of groups, which divides C.

    Raises
    ------
    ShapeError
        If it does not.

    References
    ----------
    .. [1] Zhang et al., "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices",
       arXiv:1707.01083

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.channel_shuffle(np.asarray([[0.0, 1.0, 2.0, 3.0]]), 2)
    array([[0., 2., 1., 3.]])
    """
    return shuffled_channels("channel_shuffle", input, groups)


def shuffled_pixels(where: Any, input: Any, upscale_factor: Any) -> Any:
    """Do `pixel_shuffle`; `where` names the caller in errors."""
    xp = namespace_of(where, input=input)
    r = positive_integer(where, "upscale_factor", upscale_factor)
    *batch, height, width, channels = _image_shape(where, input)
    if channels % (r * r):
        hint = ""
        if len(batch) == 1 and height % (r * r) == 0:
            hint = " This looks like channels-first; use xp.permute_dims(x, (0, 2, 3, 1))."
        raise ShapeError(
            f"{where}: expected channels, the last axis, that are a multiple of upscale_factor² = {r * r}, got "
            f"{tuple(input.shape)}.{hint}"
        )
    n = len(batch)
    blocks = xp.reshape(input, (*batch, height, width, channels // (r * r), r, r))
    blocks = xp.permute_dims(blocks, (*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return xp.reshape(blocks, (*batch, height * r, width * r, channels // (r * r)))


def unshuffled_pixels(where: Any, input: Any, downscale_factor: Any) -> Any:
    """Do `pixel_unshuffle`; `where` names the caller in errors."""
    xp = namespace_of(where, input=input)
    r = positive_integer(where, "downscale_factor", downscale_factor)
    *batch, height, width, channels = _image_shape(where, input)
    if height % r or width % r:
        raise ShapeError(
            f"{where}: expected height and width that are multiples of downscale_factor={r}, got {tuple(input.shape)}; "
            "crop or pad the images."
        )
    n = len(batch)
    blocks = xp.reshape(input, (*batch, height // r, r, width // r, r, channels))
    blocks = xp.permute_dims(blocks, (*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return xp.reshape(blocks, (*batch, height // r, width // r, channels * r * r))


def shuffled_channels(where: Any, input: Any, groups: Any) -> Any:
    """Do `channel_shuffle`; `where` names the caller in errors."""
    xp = namespace_of(where, input=input)
    groups = positive_integer(where, "groups", groups)
    shape = tuple(input.shape)
    if not shape or shape[-1] % groups:
        raise ShapeError(f"{where}: expected channels, the last axis, that groups={groups} divides, got {shape}.")
    split = xp.reshape(input, (*shape[:-1], groups, shape[-1] // groups))
    return xp.reshape(xp.matrix_transpose(split), shape)


def _image_shape(where: Any, input: Any) -> tuple[int, ...]:
    shape = tuple(input.shape)
    if len(shape) < 3:
        raise ShapeError(f"{where}: expected (..., H, W, C), got {shape}.")
    return shape
