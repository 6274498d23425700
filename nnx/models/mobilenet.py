"""MobileNetV2: depthwise convolutions between narrow layers."""

from __future__ import annotations

from typing import Any

from ..checks import check_range
from ..init import kaiming_normal, normal
from ..layers import BatchNorm, Conv2d, Dropout, GlobalAvgPool, Linear, Module, ReLU6, Sequential

# expansion, channels, blocks, stride of the first block: table 2 of the paper
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> Conv2d:
    conv = Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    conv.weight = kaiming_normal(conv.weight.shape, mode="fan_out")
    return conv


def _conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> Sequential:
    return Sequential(_conv(inputs, outputs, kernel, stride, groups), BatchNorm(outputs), ReLU6())


class InvertedResidual(Module):
    """Widen by a 1×1 convolution, filter each channel alone, narrow by another; add the input if the size allows [1]_.

    Parameters
    ----------
    in_channels, out_channels
        Those before and after.
    stride
        That of the 3×3 convolution.
    expand_ratio
        How much wider the part between is.

    References
    ----------
    .. [1] Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", arXiv:1801.04381

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.models.InvertedResidual(8, 16, 2, 6)(np.zeros((1, 8, 8, 8), dtype="float32")).shape
    (1, 4, 4, 16)
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, expand_ratio: int = 6) -> None:
        hidden = in_channels * expand_ratio
        parts: list[Module] = [] if expand_ratio == 1 else [_conv_norm(in_channels, hidden, 1)]
        parts += [
            _conv_norm(hidden, hidden, 3, stride, groups=hidden),
            _conv(hidden, out_channels, 1),
            BatchNorm(out_channels),
        ]
        self.conv = Sequential(*parts)
        self.adds_input = stride == 1 and in_channels == out_channels

    def forward(self, input: Any) -> Any:
        out = self.conv(input)
        return input + out if self.adds_input else out


class MobileNetV2(Module):
    """MobileNetV2 [1]_ for images of 224×224, with the names and the initial weights of torchvision's version.

    Parameters
    ----------
    num_classes
        The length of the output.
    width_mult
        A factor for all numbers of channels, which are then rounded to multiples of 8.
    dropout
        The probability of an element before the last layer to be dropped.
    in_channels
        Those of the images (N, H, W, in_channels).

    References
    ----------
    .. [1] Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", arXiv:1801.04381

    Examples
    --------
    >>> import numpy as np, nnx
    >>> net = nnx.models.MobileNetV2(num_classes=4, width_mult=0.25).eval()
    >>> net(np.zeros((1, 32, 32, 3), dtype="float32")).shape
    (1, 4)
    """

    def __init__(
        self, num_classes: int = 1000, width_mult: float = 1.0, dropout: float = 0.2, in_channels: int = 3
    ) -> None:
        check_range("MobileNetV2", "width_mult", width_mult, 0.05)
        channels = _rounded(32 * width_mult)
        last = _rounded(1280 * max(1.0, width_mult))
        features: list[Module] = [_conv_norm(in_channels, channels, 3, stride=2)]
        for expansion, outputs, count, stride in _STAGES:
            outputs = _rounded(outputs * width_mult)
            for i in range(count):
                features.append(InvertedResidual(channels, outputs, stride if i == 0 else 1, expansion))
                channels = outputs
        features.append(_conv_norm(channels, last, 1))
        self.features = Sequential(*features)
        self.avgpool = GlobalAvgPool()
        linear = Linear(last, num_classes)
        linear.weight = normal(linear.weight.shape, 0.0, 0.01)
        linear.bias = linear.bias * 0.0
        self.classifier = Sequential(Dropout(dropout), linear)

    def forward(self, input: Any) -> Any:
        return self.classifier(self.avgpool(self.features(input)))


def _rounded(channels: float) -> int:
    """Round to a multiple of 8, by no more than a tenth down."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
