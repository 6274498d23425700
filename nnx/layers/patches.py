"""Layers that cut images into patches, and add them up again."""

from __future__ import annotations

from typing import Any

from ..functional.patches import fold, image_size, patch_arguments, unfold
from .module import Module


class Unfold(Module):
    """Return every part of the input that a kernel meets, as a sequence of vectors; see `nnx.functional.unfold`.

    Parameters
    ----------
    kernel_size, dilation, padding, stride
        As for `Conv2d`: integers, or one per spatial axis. Integers do for inputs of any number of spatial axes.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Unfold(4, stride=4)(np.ones((8, 32, 32, 3), dtype="float32")).shape
    (8, 64, 48)
    """

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        arguments = (kernel_size, dilation, padding, stride)
        rank = next((len(a) for a in arguments if isinstance(a, (tuple, list))), 1)
        patch_arguments("Unfold", rank, *arguments)
        self.kernel_size, self.dilation, self.padding, self.stride = arguments

    def forward(self, input: Any) -> Any:
        return unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Module):
    """Return images that are sums of patches: the transpose of `Unfold`; see `nnx.functional.fold`.

    Parameters
    ----------
    output_size
        The spatial shape of the images: a tuple, or an integer for square ones.
    kernel_size, dilation, padding, stride
        Those of `Unfold`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Fold((32, 32), 4, stride=4)(np.ones((8, 64, 48), dtype="float32")).shape
    (8, 32, 32, 3)
    """

    def __init__(
        self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        rank = len(image_size("Fold", output_size))
        patch_arguments("Fold", rank, kernel_size, dilation, padding, stride)
        self.output_size, self.kernel_size = output_size, kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, input: Any) -> Any:
        return fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )
