"""Layers that change the size of images: upsampling, and elements that move between channels and pixels."""

from __future__ import annotations

from typing import Any

from ..checks import positive_integer
from ..functional.interpolation import check_interpolation, interpolate_as
from ..functional.pixel import shuffled_channels, shuffled_pixels, unshuffled_pixels
from .module import Module


class Upsample(Module):
    """Sequences, images or volumes at another size. See `nnx.functional.interpolate`.

    Parameters
    ----------
    size, scale_factor
        The size of the output, or how many times larger it is: one of the two, a number or one per spatial axis.
    mode
        "nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear" or "area".
    align_corners
        For the linear and cubic modes: whether the centres of the corner elements coincide.
    recompute_scale_factor
        With `scale_factor`: whether the output's length divided by the input's takes its place in the computation.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Upsample(scale_factor=2, mode="bilinear")(np.ones((4, 8, 8, 3))).shape
    (4, 16, 16, 3)
    """

    def __init__(
        self,
        size: int | tuple[int, ...] | None = None,
        scale_factor: float | tuple[float, ...] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        check_interpolation("Upsample", size, scale_factor, mode, align_corners, recompute_scale_factor)
        self.size = size
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Any) -> Any:
        return interpolate_as(
            self, input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        size = f"scale_factor={self.scale_factor}" if self.size is None else f"size={self.size}"
        return f"{size}, mode={self.mode!r}"


class PixelShuffle(Module):
    """Images r times as high and wide, made from r² times the channels. See `nnx.functional.pixel_shuffle`.

    Parameters
    ----------
    upscale_factor
        The factor r.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.PixelShuffle(2)(np.ones((4, 8, 8, 12))).shape
    (4, 16, 16, 3)
    """

    def __init__(self, upscale_factor: int) -> None:
        self.upscale_factor = positive_integer("PixelShuffle", "upscale_factor", upscale_factor)

    def forward(self, input: Any) -> Any:
        return shuffled_pixels(self, input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """The inverse of `PixelShuffle`. See `nnx.functional.pixel_unshuffle`.

    Parameters
    ----------
    downscale_factor
        The factor r.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.PixelUnshuffle(2)(np.ones((4, 16, 16, 3))).shape
    (4, 8, 8, 12)
    """

    def __init__(self, downscale_factor: int) -> None:
        self.downscale_factor = positive_integer("PixelUnshuffle", "downscale_factor", downscale_factor)

    def forward(self, input: Any) -> Any:
        return unshuffled_pixels(self, input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """The channels dealt out among groups. See `nnx.functional.channel_shuffle`.

    Parameters
    ----------
    groups
        The number of groups, which divides the channels.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.ChannelShuffle(2)(np.asarray([[0.0, 1.0, 2.0, 3.0]]))
    array([[0., 2., 1., 3.]])
    """

    def __init__(self, groups: int) -> None:
        self.groups = positive_integer("ChannelShuffle", "groups", groups)

    def forward(self, input: Any) -> Any:
        return shuffled_channels(self, input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
