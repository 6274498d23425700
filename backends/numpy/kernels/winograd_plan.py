"""How the work of a Winograd convolution is cut: sizes, blocks, and the input rows that the tiles of a block see."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from .geometry import BLOCK, TASKS, Block, Geometry, block_places, cut_for_threads, parts, shares

N = 6  # rows of the input that a tile sees
_LARGE = 2**15  # from so many weights per row of the kernel on, products want many rows, and are worth a task each
_ROWS = 768  # how many they want; beyond, they gain little


class Shape(NamedTuple):
    """A convolution of one or two spatial axes with stride 1, as Winograd's algorithm sees it."""

    images: int
    height: int
    width: int
    channels: int
    out_height: int
    out_width: int
    outputs: int
    kernel: tuple[int, int]
    top: int
    left: int
    pitch: int  # a row with its zeros

    @property
    def tile(self) -> int:
        return N + 1 - self.kernel[0]

    @property
    def tiles(self) -> int:
        """Of an image, along its height."""
        return -(-self.out_height // self.tile)

    def blocks(self) -> list[Block]:
        """Blocks of rows of tiles, which give large products if there are many weights."""
        most = BLOCK // (4 * N * (self.channels + self.outputs))
        places = block_places(most, self.images * self.tiles * self.pitch)
        if self.large:
            places = max(places, min(_ROWS, 16 * places))
        return cut_for_threads(self.images, self.tiles, max(1, places // self.pitch))

    def outputs_cut(self) -> list[slice]:
        """How to share the transforms of the weights out."""
        return parts(self.outputs, TASKS if self.large else 1)

    def held(self, tiles: int) -> int:
        """How many numbers the buffers for so many rows of tiles hold, roughly."""
        return tiles * self.pitch * N * (self.channels + self.outputs)

    @property
    def row(self) -> int:
        """The places of a row among the results that the gradient of the weight wants."""
        return self.out_width if self.large else self.pitch

    @property
    def large(self) -> bool:
        """Whether there are so many weights that copying windows costs little beside multiplying them."""
        return self.kernel[1] * self.channels * self.outputs >= _LARGE


class Plan(NamedTuple):
    """How the work of a shape is cut."""

    tasks: list[list[Work]]
    tiles: int  # the most rows of tiles of a block
    size: int  # bytes of its buffers


class Work(NamedTuple):
    """A block: its images, the input rows that its tiles see, the output rows that they give."""

    images: slice
    rows: slice
    out_rows: slice
    form: Form


class Form(NamedTuple):
    """How the tiles of a block lie among its rows; the same for most blocks of a convolution."""

    images: int
    height: int  # rows of tiles of an image
    rows: int  # of the input
    out_rows: int
    first: int  # the first of the tiles of which all input rows exist
    stop: int  # behind the last of them
    offset: int  # the input row at which the first of them begins
    edges: tuple[
        tuple[int, int, int, int], ...
    ]  # other tiles: which of their six rows exist, from and to, and from where

    @property
    def tiles(self) -> int:
        return self.images * self.height


@lru_cache(maxsize=256)
def plan_of(s: Shape, itemsize: int) -> Plan:
    works = [_work(s, block) for block in s.blocks()]
    tiles = max(work.form.tiles for work in works)
    size = itemsize * s.held(tiles)
    windows = itemsize * tiles * s.pitch * s.kernel[1] * s.channels if s.large else 0  # copies, made as they are needed
    sums = itemsize * N * s.kernel[1] * s.channels * s.outputs
    return Plan(shares(works, size + windows + sums), tiles, size)


def _work(s: Shape, block: Block) -> Work:
    top = block.rows.start * s.tile - s.top  # the first input row of the first tile
    rows = slice(max(top, 0), min(top + (block.height - 1) * s.tile + N, s.height))
    first = min(-(top // s.tile) if top < 0 else 0, block.height)
    stop = max(first, min(block.height, (s.height - top - N) // s.tile + 1))
    edges = []
    for tile in (*range(first), *range(stop, block.height)):
        begin = top + tile * s.tile
        low, high = max(begin, 0), min(begin + N, s.height)
        edges.append((tile, low - begin, high - begin, low - rows.start))
    offset = top + first * s.tile - rows.start
    out_rows = slice(block.rows.start * s.tile, min(block.rows.stop * s.tile, s.out_height))
    lengths = (block.n, block.height, rows.stop - rows.start, out_rows.stop - out_rows.start)
    return Work(block.images, rows, out_rows, Form(*lengths, first, stop, offset, tuple(edges)))


@lru_cache(maxsize=256)
def shape_of(g: Geometry) -> Shape:
    height, width = (*g.lengths, 1)[:2]
    out_height, out_width = (*g.out, 1)[:2]
    (top, _), (left, right) = (*g.padding, (0, 0))[:2]
    kernel = (g.kernel[0], (*g.kernel, 1)[1])
    pitch = width + max(left, right)
    return Shape(g.batch, height, width, g.channels, out_height, out_width, g.outputs, kernel, top, left, pitch)
