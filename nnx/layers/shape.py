"""Layers that only change the shape."""

from __future__ import annotations

import math
from typing import Any

from ..checks import integer, positive_integer
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


class Unflatten(Module):
    """Split one axis into several: the reverse of `Flatten`.

    Parameters
    ----------
    dim
        The axis to split.
    unflattened_size
        The lengths of the new axes; one of them may be -1, to be computed from the others.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Unflatten(1, (8, 8, -1))(np.ones((2, 64))).shape
    (2, 8, 8, 1)
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        self.dim = integer("Unflatten", "dim", dim)
        if not isinstance(unflattened_size, (tuple, list)) or not unflattened_size:
            raise TypeError(f"Unflatten: expected unflattened_size such as (8, 8), got {unflattened_size!r}.")
        free = sum(type(n) is int and n == -1 for n in unflattened_size)
        if free > 1:
            raise ValueError(f"Unflatten: expected -1 at most once in unflattened_size, got {unflattened_size!r}.")
        name = "every length in unflattened_size"
        self.unflattened_size = tuple(
            -1 if type(n) is int and n == -1 else positive_integer("Unflatten", name, n) for n in unflattened_size
        )

    def forward(self, input: Any) -> Any:
        xp = namespace_of("Unflatten", input=input)
        shape = tuple(input.shape)
        rank = len(shape)
        label = f"Unflatten({self.dim}, {self.unflattened_size})"
        if not -rank <= self.dim < rank:
            raise ShapeError(f"{label}: got an array with {rank} axes, {shape}.")
        dim = self.dim % rank
        known = math.prod(n for n in self.unflattened_size if n != -1)
        if shape[dim] % known if -1 in self.unflattened_size else shape[dim] != known:
            wanted = f"a multiple of {known}" if -1 in self.unflattened_size else f"{known}"
            raise ShapeError(f"{label}: expected an axis {self.dim} of length {wanted}, got {shape}.")
        sizes = [shape[dim] // known if n == -1 else n for n in self.unflattened_size]
        return xp.reshape(input, (*shape[:dim], *sizes, *shape[dim + 1 :]))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
