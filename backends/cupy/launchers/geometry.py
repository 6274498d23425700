"""The sizes of a convolution or of a pooling, with three spatial axes: depth, height, width; those left out are 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Three = tuple[int, int, int]


class Geometry(NamedTuple):
    """The sizes of a convolution with `groups` groups; `channels` and `outputs` are those of all groups together.

    Arrays are (batch, depth, height, width, channels), weights (outputs, *kernel, channels / groups): an array of fewer
    axes has the same memory. What stands after the last window, and the padding behind it, is not seen by anything.
    """

    batch: int
    lengths: Three
    channels: int
    out: Three
    outputs: int
    kernel: Three
    stride: Three
    before: Three  # zeros on the near side of each axis; what lies beyond the far side is zero, too
    dilation: Three
    groups: int

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1] * self.kernel[2]

    @property
    def places(self) -> int:
        """Of the output, in all images."""
        return self.batch * self.out[0] * self.out[1] * self.out[2]

    @property
    def empty(self) -> bool:
        """Whether nothing is to be multiplied."""
        sizes = (self.batch, self.channels, self.outputs, *self.lengths, *self.out, *self.kernel)
        return min(sizes) <= 0


def three(sizes: Sequence[int], filler: int = 1) -> Three:
    """Return the sizes of one to three spatial axes as those of three."""
    d, h, w = (*(filler,) * (3 - len(sizes)), *sizes)
    return d, h, w
