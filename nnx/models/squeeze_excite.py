"""Squeeze-and-excitation: channels weighted by what the whole image shows."""

from __future__ import annotations

from typing import Any

from ..functional import relu, sigmoid
from ..layers import AdaptiveAvgPool2d, Conv2d, Module


class SqueezeExcitation(Module):
    """Multiply each channel with a factor between 0 and 1, computed from the means of all channels [1]_.

    Parameters
    ----------
    input_channels
        Those of the images (N, H, W, input_channels).
    squeeze_channels
        The width of the layer between.

    References
    ----------
    .. [1] Hu et al., "Squeeze-and-excitation networks", arXiv:1709.01507; names as in torchvision.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.models.SqueezeExcitation(8, 2)(np.ones((1, 4, 4, 8), dtype="float32")).shape
    (1, 4, 4, 8)
    """

    def __init__(self, input_channels: int, squeeze_channels: int) -> None:
        self.avgpool = AdaptiveAvgPool2d(1)
        self.fc1 = Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = Conv2d(squeeze_channels, input_channels, 1)

    def forward(self, input: Any) -> Any:
        return input * sigmoid(self.fc2(relu(self.fc1(self.avgpool(input)))))
