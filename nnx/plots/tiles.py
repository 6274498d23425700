"""Filters and feature maps as pictures: many small images in one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import to_numpy
from ..checks import integer, positive_integer
from ..errors import ShapeError
from ..layers import Module
from .figure import figure_class

_SIGNED = "RdBu_r"  # blue below 0, white, red above: told apart with any colour vision
_UNSIGNED = "viridis"
_FINE = 12  # a tile has at least so many pixels along its longer side, and the gap is the share 1 / 12 of it


def filters(layer: Any, path: str | Path | None = None, *, limit: int = 16, columns: int | None = None) -> Any:
    """Draw the kernels of a two-dimensional convolution.

    Kernels for three channels are drawn in colour, grey being 0; for one channel, in red above 0 and blue below. For
    other numbers of channels, each row is a filter and each column a channel of its input.

    Parameters
    ----------
    layer
        The layer, or its weight (filters, height, width, channels).
    path
        Where to save the picture, by its ending as PNG, PDF or SVG; None saves nothing.
    limit
        How many rows, and with one image per channel also columns, to draw at most. The title tells what is left out.
    columns
        How many filters stand in a row, if each is one image; by default about as many as there are rows.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ShapeError
        If the weight has other axes.
    TypeError, ValueError
        If the layer has no weight, or a number is out of range.
    ModuleNotFoundError
        If matplotlib is not installed.

    Examples
    --------
    >>> import nnx, nnx.plots
    >>> figure = nnx.plots.filters(nnx.Conv2d(3, 32, 5))
    """
    if isinstance(layer, Module):
        if not hasattr(layer, "weight"):
            raise TypeError(
                f"filters: expected a convolution or its weight, got {type(layer).__name__}, which has none; choose a "
                "layer inside, e.g. net.module('0')."
            )
        layer = layer.weight
    weight = to_numpy(layer)
    if weight.ndim != 4 or 0 in weight.shape:
        raise ShapeError(f"filters: expected a weight (filters, height, width, channels), got {weight.shape}.")
    limit = positive_integer("filters", "limit", limit)
    weight = weight.astype(np.float64)
    count, _, _, channels = weight.shape
    if channels in (1, 3):
        columns = _columns("filters", columns, count)
        shown = weight[: limit * columns]
        if channels == 3:
            bound = np.abs(shown).max() or 1.0
            tiles = 0.5 + shown / (2 * bound)
            picture = _Picture(tiles, columns, gap=1.0)
        else:
            picture = _Picture(shown[..., 0], columns)
        return picture.draw(path, f"{_count(len(shown), count)} filters", "filter", signed=True)
    if columns is not None:
        raise ValueError(f"filters: expected no columns, got {columns}: a column is one of {channels} channels here.")
    shown = np.moveaxis(weight[:limit, ..., :limit], -1, 1)
    rows, columns = shown.shape[:2]
    picture = _Picture(shown.reshape(rows * columns, *shown.shape[2:]), columns, step=1)
    title = f"{_count(rows, count)} filters, {_count(columns, channels)} channels"
    return picture.draw(path, title, "filter", "channel of the input", signed=True)


def feature_maps(
    maps: Any, path: str | Path | None = None, *, sample: int = 0, limit: int = 16, columns: int | None = None
) -> Any:
    """Draw the feature maps of one image, all on one scale.

    Parameters
    ----------
    maps
        Feature maps (H, W, C), or those of a batch (N, H, W, C), e.g. from `nnx.interpret.activations`.
    path
        Where to save the picture, by its ending as PNG, PDF or SVG; None saves nothing.
    sample
        Which image of the batch.
    limit
        How many rows of maps to draw at most. The title tells what is left out.
    columns
        How many maps stand in a row; by default about as many as there are rows.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ShapeError
        If the maps have other axes.
    ValueError, TypeError
        If a number is out of range.
    ModuleNotFoundError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np, nnx, nnx.plots
    >>> net = nnx.Sequential(nnx.Conv2d(1, 8, 3), nnx.ReLU())
    >>> images = np.ones((2, 9, 9, 1), dtype="float32")
    >>> figure = nnx.plots.feature_maps(nnx.interpret.activations(net, images, "1")["1"])
    """
    array = to_numpy(maps)
    if array.ndim not in (3, 4) or 0 in array.shape:
        raise ShapeError(f"feature_maps: expected maps (H, W, C) or (N, H, W, C), got {array.shape}.")
    if array.ndim == 4:
        sample = integer("feature_maps", "sample", sample)
        if not -len(array) <= sample < len(array):
            raise ValueError(f"feature_maps: expected sample below {len(array)}, the number of images, got {sample}.")
        array = array[sample]
    limit = positive_integer("feature_maps", "limit", limit)
    count = array.shape[-1]
    columns = _columns("feature_maps", columns, count)
    tiles = np.moveaxis(array.astype(np.float64), -1, 0)[: limit * columns]
    title = f"{_count(len(tiles), count)} feature maps"
    return _Picture(tiles, columns).draw(path, title, "feature map", signed=bool(tiles.min() < 0))


def _columns(label: str, columns: int | None, count: int) -> int:
    if columns is None:
        return math.ceil(math.sqrt(count))
    return min(positive_integer(label, "columns", columns), count)


def _count(shown: int, count: int) -> str:
    return f"{count}" if shown == count else f"the first {shown} of {count}"


class _Picture:
    """Tiles (n, height, width) of numbers, or (n, height, width, 3) of colours, side by side with gaps.

    `step` is the difference between the numbers at two rows: by default as many as tiles stand in one.
    """

    def __init__(self, tiles: np.ndarray, columns: int, gap: float = math.nan, step: int | None = None) -> None:
        self.rows, self.columns, self.step = -(-len(tiles) // columns), columns, step or columns
        self.bounds = float(tiles.min()), float(tiles.max())
        times = -(-_FINE // max(tiles.shape[1:3]))  # more pixels, so that gaps can be small beside kernels of 3×3
        tiles = tiles.repeat(times, axis=1).repeat(times, axis=2)
        height, width = tiles.shape[1:3]
        space = max(height, width) // _FINE
        self.pitch = height + space, width + space
        self.centre = (height - 1) / 2, (width - 1) / 2
        shape = (self.rows * self.pitch[0] - space, columns * self.pitch[1] - space)
        self.image = np.full(shape + tiles.shape[3:], gap)
        for k, tile in enumerate(tiles):
            top, left = k // columns * self.pitch[0], k % columns * self.pitch[1]
            self.image[top : top + height, left : left + width] = tile

    def draw(self, path: Any, title: str, down: str, across: str = "", *, signed: bool) -> Any:
        """Return the figure. Without a label `across`, tiles have the number of their row plus that of their column."""
        figure = figure_class()
        height, width = self.image.shape[:2]
        inches = min(7.0, max(3.0, 0.55 * self.columns))
        tall = min(12.0, max(1.2, inches * height / width))
        axes = figure(figsize=(inches + 1.2, tall + 0.9), layout="compressed").add_subplot()
        low, high = self.bounds
        if signed:
            high = max(abs(low), abs(high)) or 1.0
            low = -high
        colors = _SIGNED if signed else _UNSIGNED
        shown = axes.imshow(self.image, cmap=colors, vmin=low, vmax=high, interpolation="nearest")
        if self.image.ndim == 2:
            axes.figure.colorbar(shown, ax=axes, shrink=0.8)
        self._number(axes, min(inches, tall * width / height), min(tall, inches * height / width), bool(across))
        axes.set_xlabel(across)
        axes.set_ylabel(down)
        axes.set_title(title, fontsize="medium")
        axes.spines[:].set_visible(False)
        if path is not None:
            axes.figure.savefig(path, dpi=120)
        return axes.figure

    def _number(self, axes: Any, width: float, height: float, apart: bool) -> None:
        """Number columns and rows, as many as there is room for (in inches), `apart` or as summands."""
        x = range(0, self.columns, -(-self.columns // max(1, int(width / 0.35))))
        y = range(0, self.rows, -(-self.rows // max(1, int(height / 0.2))))
        across = [f"{k}" if apart else f"+{k}" for k in x]
        axes.set_xticks([k * self.pitch[1] + self.centre[1] for k in x], across, fontsize="small")
        down = [f"{k * self.step}" for k in y]
        axes.set_yticks([k * self.pitch[0] + self.centre[0] for k in y], down, fontsize="small")
        axes.tick_params(length=0)
