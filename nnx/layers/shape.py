"""Layers that only change the shape."""

from __future__ import annotations

import math
from typing import Any

from ..checks import integer
from ..errors import ShapeError
from ..functional.checks import namespace_of
from .module import Module


class Flatten(Module):
    """Join the axes from `start_dim` to `end_dim` into one.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Flatten()(np.ones((2, 8, 8, 1))).shape
    (2, 64)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = integer("Flatten", "start_dim", start_dim)
        self.end_dim = integer("Flatten", "end_dim", end_dim)

    def forward(self, input: Any) -> Any:
        xp = namespace_of("Flatten", input=input)
        shape = tuple(input.shape)
        rank = len(shape)
        if not (-rank <= self.start_dim < rank and -rank <= self.end_dim < rank):
            raise ShapeError(f"Flatten({self.start_dim}, {self.end_dim}): got an array with {rank} axes, {shape}.")
        start, end = self.start_dim % rank, self.end_dim % rank
        if start > end:
            raise ShapeError(
                f"Flatten: start_dim={self.start_dim} lies after end_dim={self.end_dim} for shape {shape}."
            )
        return xp.reshape(input, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
