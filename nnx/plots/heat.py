"""A heat map over the image that it belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..backend import to_numpy
from ..checks import number
from ..errors import ShapeError
from .figure import figure_class


def heat_map(image: Any, heat: Any, path: str | Path | None = None, *, alpha: float = 0.8, axes: Any = None) -> Any:
    """Draw a heat map over an image, e.g. one of `nnx.interpret.grad_cam`.

    The image is drawn in grey, so that every colour is one of the heat map: from dark to bright, or where it goes below
    0, from blue through grey to red. Where the map is near 0, the image shows through.

    Parameters
    ----------
    image
        Of shape (H, W), (H, W, 1) or (H, W, 3). Bytes, or numbers from 0 to 1; of other numbers the smallest is black
        and the largest white.
    heat
        Of shape (h, w); it is stretched over the image.
    path
        Where to save the picture, by its ending as PNG, PDF or SVG; None saves nothing.
    alpha
        How much the heat map covers the image where it is largest, from 0 to 1.
    axes
        Axes of matplotlib to draw in; by default those of a new figure.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ShapeError
        If an array has another shape.
    ValueError, TypeError
        If `alpha` is out of range.
    ModuleNotFoundError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np, nnx, nnx.plots
    >>> net = nnx.Sequential(nnx.Conv2d(3, 8, 3), nnx.ReLU(), nnx.GlobalAvgPool(), nnx.Linear(8, 2))
    >>> images = np.zeros((1, 12, 12, 3), dtype="float32")
    >>> heat = nnx.interpret.grad_cam(net, images, layer="1")
    >>> figure = nnx.plots.heat_map(images[0], heat[0])
    """
    picture, values = to_numpy(image), to_numpy(heat)
    if picture.ndim == 3 and picture.shape[-1] in (1, 3):
        channels = picture.shape[-1]
    else:
        channels = 1 if picture.ndim == 2 else 0
    if not channels or values.ndim != 2 or 0 in picture.shape + values.shape:
        raise ShapeError(
            f"heat_map: expected an image (H, W), (H, W, 1) or (H, W, 3) and a heat map (h, w), got {picture.shape} "
            f"and {values.shape}. Of a batch take one, e.g. images[0] and heat[0]."
        )
    number("heat_map", "alpha", alpha, 0.0, 1.0)
    figure = figure_class()
    if axes is None:
        axes = figure(figsize=(4.8, 4.0), layout="compressed").add_subplot()
    height, width = picture.shape[:2]
    edges = (-0.5, width - 0.5, height - 0.5, -0.5)
    axes.imshow(_grey(picture, channels), cmap="gray", vmin=0.0, vmax=1.0, extent=edges, interpolation="nearest")
    signed = bool(values.min() < 0)
    values = values.astype(np.float64)
    high = float(np.abs(values).max()) or 1.0
    shown = axes.imshow(
        values,
        cmap="coolwarm" if signed else "inferno",
        vmin=-high if signed else 0.0,
        vmax=high,
        extent=edges,
        alpha=alpha * np.abs(values) / high,
        interpolation="bilinear",
    )
    axes.set_axis_off()
    bar = axes.figure.colorbar(shown, ax=axes, shrink=0.8)
    bar.solids.set(alpha=1)
    if path is not None:
        axes.figure.savefig(path, dpi=120)
    return axes.figure


def _grey(image: np.ndarray, channels: int) -> np.ndarray:
    """Return an image as brightness from 0 to 1."""
    values = image.astype(np.float64) / (255.0 if image.dtype == np.uint8 else 1.0)
    low, high = values.min(), values.max()
    if low < 0 or high > 1:
        values = (values - low) / ((high - low) or 1.0)
    weights = (0.299, 0.587, 0.114) if channels == 3 else (1.0,)  # of luma, ITU-R BT.601
    return values.reshape(*image.shape[:2], channels) @ np.asarray(weights)
