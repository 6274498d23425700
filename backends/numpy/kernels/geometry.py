"""The sizes of a convolution, and how its work is cut into pieces for the caches and the threads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np

_T = TypeVar("_T")

TASKS = 16  # into how many parts the work of a call is cut, whatever the number of threads: results do not depend on it
# Bytes of buffers that the tasks of a call may hold together, whatever the batch; but a block has at least one row of
# the first axis, which in three dimensions is a plane.
SCRATCH = 48 * 2**20
# Bytes of the buffers of a block. A third-level cache holds them: smaller blocks would stay in the second, but NumPy
# calls of less than some 100 us make threads wait for each other, for longer than that saves.
BLOCK = 2**23


class Geometry(NamedTuple):
    """The sizes of a convolution with `groups` groups; `channels` and `outputs` are those of all groups together."""

    batch: int
    lengths: tuple[int, ...]
    channels: int
    out: tuple[int, ...]
    outputs: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.batch, *self.lengths, self.channels)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (self.batch, *self.out, self.outputs)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (self.outputs, *self.kernel, self.channels // self.groups)

    @property
    def empty(self) -> bool:
        """Whether nothing is to be multiplied."""
        return 0 in self.input_shape or 0 in self.output_shape or 0 in self.kernel

    def transposed(self) -> Geometry | None:
        """The convolution of the output's gradient that gives the input's, or None if strides or padding forbid it."""
        spans = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True)]
        padding = tuple((n - 1 - p, n - 1 - q) for n, (p, q) in zip(spans, self.padding, strict=True))
        exact = all(
            o == n + p + q - span + 1
            for o, n, (p, q), span in zip(self.out, self.lengths, self.padding, spans, strict=True)
        )
        if set(self.stride) != {1} or not exact or any(min(pair) < 0 for pair in padding):
            return None
        return self._replace(
            lengths=self.out, channels=self.outputs, out=self.lengths, outputs=self.channels, padding=padding
        )

    @property
    def taps(self) -> int:
        return math.prod(self.kernel)


class Block(NamedTuple):
    """Images and rows (steps along the first spatial axis of the output, or tiles of them) that are done together.

    Several images only ever with all their rows.
    """

    images: slice
    rows: slice

    @property
    def n(self) -> int:
        return self.images.stop - self.images.start

    @property
    def height(self) -> int:
        return self.rows.stop - self.rows.start


def block_places(most: int, places: int) -> int:
    """How many of all places to do at a time: at most `most`, in blocks of an even number, for two threads."""
    pairs = -(-places // (2 * max(most, 1)))
    return -(-places // (2 * max(pairs, 1)))


def cut(images: int, rows: int, most: int, start: int = 0) -> list[Block]:
    """Cut images, from number `start` on, into blocks of at most `most` rows (at least one), of nearly one size."""
    if most >= rows:
        number = -(-images // (most // rows))
        found = parts(images, number + number % 2 if number > 1 else 1)
        return [Block(slice(start + part.start, start + part.stop), slice(0, rows)) for part in found]
    cuts = parts(rows, -(-rows // max(most, 1)))
    return [Block(slice(n, n + 1), part) for n in range(start, start + images) for part in cuts]


def cut_for_threads(images: int, rows: int, most: int) -> list[Block]:
    """Cut images as `cut` does, but of two blocks the first is a little larger, perhaps beyond `most`.

    The thread that does it begins earlier, and had it to wait for the other in the end, it would sleep and take some
    50 us to wake up.
    """
    found = cut(images, rows, most)
    if len(found) == 2 and images > 1:
        middle = round(images * 17 / 32)
        found = [Block(slice(0, middle), slice(0, rows)), Block(slice(middle, images), slice(0, rows))]
    return found


def parts(length: int, number: int) -> list[slice]:
    """Cut a range into at most `number` slices, the first of which may be one longer than the last."""
    number = max(1, min(number, length))
    edges = [length * i // number for i in range(number + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def shares(items: list[_T], bytes_each: int = 0) -> list[list[_T]]:
    """Deal items out to tasks, in order; a task holds `bytes_each` bytes of buffers of its own."""
    most = min(TASKS, max(1, SCRATCH // max(bytes_each, 1)))
    return [items[part] for part in parts(len(items), most)] if items else []


def total(arrays: list[Any]) -> np.ndarray:
    """Add up arrays, in order, into the first."""
    first = arrays[0]
    for other in arrays[1:]:
        first += other
    return first


def reach(taps: int, out: int, length: int, stride: int, before: int, dilation: int) -> Iterator[tuple[slice, slice]]:
    """Yield for every tap along an axis which outputs it serves, and from which inputs.

    Where a tap lies in the padding it serves none.
    """
    for tap in range(taps):
        shift = tap * dilation - before  # output i meets input i * stride + shift
        first = max(0, -(shift // stride))
        stop = max(first, min(out, (length - 1 - shift) // stride + 1))
        start = first * stride + shift
        yield (
            slice(first, stop),
            slice(start, start + (stop - first - 1) * stride + 1 if stop > first else start, stride),
        )
