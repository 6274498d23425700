"""Residual networks, for ImageNet and for CIFAR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..init import kaiming_normal
from ..layers import (
    BatchNorm,
    Conv2d,
    GlobalAvgPool,
    Identity,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
)
from ..layers.norm_batch import norm_relu


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> Conv2d:
    conv = Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    conv.weight = kaiming_normal(conv.weight.shape, mode="fan_out", nonlinearity="relu")
    return conv


class BasicBlock(Module):
    """Two 3×3 convolutions and a shortcut [1]_.

    Parameters
    ----------
    in_channels, channels
        Those before, and those of both convolutions.
    stride
        That of the first convolution.
    downsample
        What the shortcut does; None for nothing.

    References
    ----------
    .. [1] He et al., "Deep residual learning for image recognition", arXiv:1512.03385

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.models.BasicBlock(8, 8)(np.zeros((2, 6, 6, 8), dtype="float32")).shape
    (2, 6, 6, 8)
    """

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int = 1, downsample: Module | None = None) -> None:
        self.conv1 = _conv(in_channels, channels, 3, stride)
        self.bn1 = BatchNorm(channels)
        self.conv2 = _conv(channels, channels, 3)
        self.bn2 = BatchNorm(channels)
        self.downsample = Identity() if downsample is None else downsample

    def forward(self, input: Any) -> Any:
        out = norm_relu(self.bn1, self.conv1(input))
        return norm_relu(self.bn2, self.conv2(out), self.downsample(input))


class Bottleneck(Module):
    """1×1, 3×3 and 1×1 convolutions and a shortcut [1]_; the 3×3 one has the stride, as in PyTorch's version.

    Parameters
    ----------
    in_channels, channels
        Those before, and those of the first two convolutions; the last has four times as many.
    stride
        That of the second convolution.
    downsample
        What the shortcut does; None for nothing.

    References
    ----------
    .. [1] He et al., "Deep residual learning for image recognition", arXiv:1512.03385

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.models.Bottleneck(16, 4)(np.zeros((2, 6, 6, 16), dtype="float32")).shape
    (2, 6, 6, 16)
    """

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int = 1, downsample: Module | None = None) -> None:
        self.conv1 = _conv(in_channels, channels, 1)
        self.bn1 = BatchNorm(channels)
        self.conv2 = _conv(channels, channels, 3, stride)
        self.bn2 = BatchNorm(channels)
        self.conv3 = _conv(channels, channels * self.expansion, 1)
        self.bn3 = BatchNorm(channels * self.expansion)
        self.downsample = Identity() if downsample is None else downsample

    def forward(self, input: Any) -> Any:
        out = norm_relu(self.bn1, self.conv1(input))
        out = norm_relu(self.bn2, self.conv2(out))
        return norm_relu(self.bn3, self.conv3(out), self.downsample(input))


class ResNet(Module):
    """A residual network [1]_, with the names and the initial weights of PyTorch's version.

    Parameters
    ----------
    block
        `BasicBlock` or `Bottleneck`.
    layers
        How many blocks each stage has. The first stage keeps the size, every other one halves it.
    num_classes
        The length of the output.
    in_channels
        Those of the images (N, H, W, in_channels).
    width
        The channels of the first stage's blocks; every other stage doubles them.
    stem
        ``"imagenet"``: a 7×7 convolution with stride 2 and a 3×3 max pooling with stride 2; ``"cifar"``: a 3×3
        convolution, for small images.

    References
    ----------
    .. [1] He et al., "Deep residual learning for image recognition", arXiv:1512.03385

    Examples
    --------
    >>> import numpy as np, nnx
    >>> net = nnx.models.ResNet(nnx.models.BasicBlock, (1, 1), num_classes=5, width=8, stem="cifar")
    >>> net(np.zeros((2, 16, 16, 3), dtype="float32")).shape
    (2, 5)
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        in_channels: int = 3,
        width: int = 64,
        stem: str = "imagenet",
    ) -> None:
        if stem not in ("imagenet", "cifar"):
            raise ValueError(f"ResNet: expected stem to be 'imagenet' or 'cifar', got {stem!r}.")
        if not layers:
            raise ValueError(
                "ResNet: expected layers to give the number of blocks of each stage, got none, e.g. (2, 2)."
            )
        self.conv1 = _conv(in_channels, width, 7, 2) if stem == "imagenet" else _conv(in_channels, width, 3)
        self.bn1 = BatchNorm(width)
        self.relu = ReLU()
        self.maxpool = MaxPool2d(3, 2, padding=1) if stem == "imagenet" else Identity()
        channels = width
        for k, count in enumerate(layers):
            stage = []
            for i in range(count):
                stride = 2 if k and not i else 1
                inner = width * 2**k
                outputs = inner * block.expansion
                change = stride > 1 or channels != outputs
                shortcut = Sequential(_conv(channels, outputs, 1, stride), BatchNorm(outputs)) if change else None
                stage.append(block(channels, inner, stride, shortcut))
                channels = outputs
            setattr(self, f"layer{k + 1}", Sequential(*stage))
        self.stages = len(layers)
        self.avgpool = GlobalAvgPool()
        self.fc = Linear(channels, num_classes)

    def forward(self, input: Any) -> Any:
        out = self.conv1(input)
        # Without hooks on it the layer `relu` is part of the normalisation.
        plain = type(self.relu) is ReLU and not self.relu._hooks
        out = self.maxpool(norm_relu(self.bn1, out) if plain else self.relu(self.bn1(out)))
        for k in range(self.stages):
            out = getattr(self, f"layer{k + 1}")(out)
        return self.fc(self.avgpool(out))


def resnet18(num_classes: int = 1000, in_channels: int = 3) -> ResNet:
    """Return ResNet-18 for images of 224×224; see `ResNet`."""
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, in_channels)


def resnet50(num_classes: int = 1000, in_channels: int = 3) -> ResNet:
    """Return ResNet-50 for images of 224×224; see `ResNet`."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, in_channels)


def resnet20(num_classes: int = 10, in_channels: int = 3) -> ResNet:
    """Return the ResNet-20 for CIFAR's images of 32×32, with 1×1 convolutions as shortcuts; see `ResNet`."""
    return ResNet(BasicBlock, (3, 3, 3), num_classes, in_channels, width=16, stem="cifar")
