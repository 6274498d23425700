"""U-Net: a network that labels every pixel."""

from __future__ import annotations

from typing import Any

from ..autodiff import namespace
from ..checks import positive_integer
from ..errors import ShapeError
from ..layers import BatchNorm, Conv2d, ConvTranspose2d, MaxPool2d, Module, ReLU, Sequential


class _DoubleConv(Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        self.double_conv = Sequential(
            Conv2d(inputs, outputs, 3, padding=1, bias=False),
            BatchNorm(outputs),
            ReLU(),
            Conv2d(outputs, outputs, 3, padding=1, bias=False),
            BatchNorm(outputs),
            ReLU(),
        )

    def forward(self, input: Any) -> Any:
        return self.double_conv(input)


class _Down(Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        self.maxpool_conv = Sequential(MaxPool2d(2), _DoubleConv(inputs, outputs))

    def forward(self, input: Any) -> Any:
        return self.maxpool_conv(input)


class _Up(Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        self.up = ConvTranspose2d(inputs, inputs // 2, 2, stride=2)
        self.conv = _DoubleConv(inputs, outputs)

    def forward(self, input: Any, skip: Any) -> Any:
        xp = namespace(input, skip)
        return self.conv(xp.concat((skip, self.up(input)), axis=-1))


class _Out(Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        self.conv = Conv2d(inputs, outputs, 1)

    def forward(self, input: Any) -> Any:
        return self.conv(input)


class UNet(Module):
    """A U-Net [1]_ with padding and batch normalisation, so that the output has the size of the input.

    Parameters
    ----------
    in_channels
        Those of the images (N, H, W, in_channels).
    num_classes
        How many scores each pixel gets: the output is (N, H, W, num_classes).
    width
        The channels of the first level; each deeper level doubles them.
    depth
        How many times the image is halved. Its sides have to be multiples of ``2**depth``.

    References
    ----------
    .. [1] Ronneberger et al., "U-Net: convolutional networks for biomedical image segmentation", arXiv:1505.04597

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.models.UNet(1, 2, width=4, depth=2)(np.zeros((1, 16, 16, 1), dtype="float32")).shape
    (1, 16, 16, 2)
    """

    def __init__(self, in_channels: int, num_classes: int, width: int = 64, depth: int = 4) -> None:
        self.depth = positive_integer("UNet", "depth", depth)
        self.inc = _DoubleConv(in_channels, width)
        for k in range(depth):
            setattr(self, f"down{k + 1}", _Down(width * 2**k, width * 2 ** (k + 1)))
        for k in range(depth):
            setattr(self, f"up{k + 1}", _Up(width * 2 ** (depth - k), width * 2 ** (depth - k - 1)))
        self.outc = _Out(width, num_classes)

    def forward(self, input: Any) -> Any:
        channels, step = self.inc.double_conv[0].in_channels, 2**self.depth
        if len(input.shape) == 4 and input.shape[-1] != channels and input.shape[1] == channels:
            raise ShapeError(
                f"UNet: expected images (N, H, W, {channels}), got {tuple(input.shape)}. This looks like "
                "channels-first; use xp.permute_dims(x, (0, 2, 3, 1))."
            )
        if len(input.shape) != 4 or input.shape[1] % step or input.shape[2] % step:
            raise ShapeError(
                f"UNet: expected images (N, H, W, C) with H and W multiples of {step}, got {tuple(input.shape)}. Pad "
                "them with nnx.functional.pad, or choose a smaller depth."
            )
        skips = [self.inc(input)]
        for k in range(self.depth):
            skips.append(getattr(self, f"down{k + 1}")(skips[-1]))
        out = skips.pop()
        for k in range(self.depth):
            out = getattr(self, f"up{k + 1}")(out, skips.pop())
        return self.outc(out)
