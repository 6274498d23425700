"""VGG: stacks of 3×3 convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..init import kaiming_normal
from ..layers import AdaptiveAvgPool2d, BatchNorm, Conv2d, Dropout, Flatten, Linear, MaxPool2d, Module, ReLU, Sequential

_POOL = "M"
_VGG11 = (64, _POOL, 128, _POOL, 256, 256, _POOL, 512, 512, _POOL, 512, 512, _POOL)
_VGG16 = (64, 64, _POOL, 128, 128, _POOL, 256, 256, 256, _POOL, 512, 512, 512, _POOL, 512, 512, 512, _POOL)


class VGG(Module):
    """A VGG-style network [1]_.

    Parameters
    ----------
    layers
        The number of filters of each 3×3 convolution, or ``"M"`` for a 2×2 max pooling.
    num_classes
        The length of the output.
    batch_norm
        Whether to normalise after each convolution.
    in_channels
        Those of the images (N, H, W, in_channels).
    pooled
        The side of the feature map that the linear layers see.
    hidden
        The width of the two hidden linear layers.
    dropout
        The probability of an element between them to be dropped.

    References
    ----------
    .. [1] Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition",
       arXiv:1409.1556

    Examples
    --------
    >>> import numpy as np, nnx
    >>> net = nnx.models.VGG((8, "M", 16, "M"), num_classes=3, pooled=2, hidden=32)
    >>> net.eval()(np.zeros((1, 16, 16, 3), dtype="float32")).shape
    (1, 3)
    """

    def __init__(
        self,
        layers: Sequence[int | str],
        num_classes: int = 1000,
        batch_norm: bool = False,
        in_channels: int = 3,
        pooled: int = 7,
        hidden: int = 4096,
        dropout: float = 0.5,
    ) -> None:
        features: list[Module] = []
        channels = in_channels
        for filters in layers:
            if filters == _POOL:
                features.append(MaxPool2d(2))
                continue
            if isinstance(filters, str):
                raise ValueError(f"VGG: expected numbers of filters and {_POOL!r} in layers, got {filters!r}.")
            conv = Conv2d(channels, filters, 3, padding=1)
            conv.weight = kaiming_normal(conv.weight.shape, mode="fan_out", nonlinearity="relu")
            features += [conv, BatchNorm(filters), ReLU()] if batch_norm else [conv, ReLU()]
            channels = filters
        self.features = Sequential(*features)
        self.avgpool = AdaptiveAvgPool2d(pooled)
        self.flatten = Flatten()
        self.classifier = Sequential(
            Linear(channels * pooled * pooled, hidden),
            ReLU(),
            Dropout(dropout),
            Linear(hidden, hidden),
            ReLU(),
            Dropout(dropout),
            Linear(hidden, num_classes),
        )

    def forward(self, input: Any) -> Any:
        return self.classifier(self.flatten(self.avgpool(self.features(input))))


def vgg11(num_classes: int = 1000, batch_norm: bool = False, in_channels: int = 3) -> VGG:
    """Return VGG-11 for images of 224×224 (configuration A of the paper); see `VGG`."""
    return VGG(_VGG11, num_classes, batch_norm, in_channels)


def vgg16(num_classes: int = 1000, batch_norm: bool = False, in_channels: int = 3) -> VGG:
    """Return VGG-16 for images of 224×224 (configuration D of the paper); see `VGG`."""
    return VGG(_VGG16, num_classes, batch_norm, in_channels)
