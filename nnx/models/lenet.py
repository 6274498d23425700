"""LeNet-5."""

from __future__ import annotations

from typing import Any

from ..errors import ShapeError
from ..layers import Conv2d, Flatten, Linear, MaxPool2d, Module, ReLU, Sequential


class LeNet5(Module):
    """LeNet-5 [1]_ as it is built today: with ReLU and max pooling, and a plain linear layer at the end.

    Parameters
    ----------
    num_classes
        The length of the output.
    in_channels
        Those of the images, which are 28×28 (N, 28, 28, in_channels).

    References
    ----------
    .. [1] LeCun et al., "Gradient-based learning applied to document recognition", Proceedings of the IEEE, 1998

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.models.LeNet5()(np.zeros((2, 28, 28, 1), dtype="float32")).shape
    (2, 10)
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        self.in_channels = in_channels
        self.features = Sequential(
            Conv2d(in_channels, 6, 5, padding=2),
            ReLU(),
            MaxPool2d(2),
            Conv2d(6, 16, 5),
            ReLU(),
            MaxPool2d(2),
        )
        self.flatten = Flatten()
        self.classifier = Sequential(Linear(16 * 5 * 5, 120), ReLU(), Linear(120, 84), ReLU(), Linear(84, num_classes))

    def forward(self, input: Any) -> Any:
        if tuple(input.shape[1:3]) != (28, 28):
            raise ShapeError(
                f"LeNet5: expected images (N, 28, 28, {self.in_channels}), got {tuple(input.shape)}. Pad or resize "
                "them, e.g. with nnx.functional.interpolate."
            )
        return self.classifier(self.flatten(self.features(input)))
