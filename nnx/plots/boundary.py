"""Decision boundaries of classifiers in the plane."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import to_numpy
from ..checks import positive_integer
from ..errors import ShapeError
from .figure import figure_class

_COLORS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:pink", "tab:gray")


def decision_boundary(
    predict: Callable[[Any], Any],
    points: Any,
    labels: Any,
    path: str | Path | None = None,
    *,
    threshold: float = 0.5,
    resolution: int = 300,
    axes: Any = None,
) -> Any:
    """Colour the plane by the class that a classifier predicts there, and draw labelled points over it.

    Parameters
    ----------
    predict
        A function from points (N, 2) to one score per class (N, C), or to one number per point, (N,) or (N, 1), for two
        classes. The `predict` method of a `Model` is one.
    points, labels
        Points (n, 2), and their classes as integers from 0, (n,) or (n, 1).
    path
        Where to save the picture, by its ending as PNG, PDF or SVG; None saves nothing.
    threshold
        The number above which a single output means class 1: 0.5 for probabilities, 0 for logits.
    resolution
        How many points to ask in each direction.
    axes
        Axes of matplotlib to draw in; by default those of a new figure.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ShapeError
        If the points, or what `predict` returns, have another shape.
    ModuleNotFoundError
        If matplotlib is not installed.

    Examples
    --------
    >>> import nnx.plots
    >>> from nnx.data.datasets import spiral
    >>> net = nnx.Sequential(nnx.Linear(2, 8), nnx.Tanh(), nnx.Linear(8, 3))
    >>> figure = nnx.plots.decision_boundary(net, *spiral())
    >>> len(figure.axes)
    1
    """
    x, classes = to_numpy(points), to_numpy(labels).reshape(-1).astype(np.int64)
    if x.ndim != 2 or x.shape[1] != 2 or len(classes) != len(x):
        raise ShapeError(
            f"decision_boundary: expected points (n, 2) and labels (n,), got {x.shape} and {to_numpy(labels).shape}. "
            "Choose two features, e.g. points[:, :2]."
        )
    resolution = positive_integer("decision_boundary", "resolution", resolution)
    low, high = x.min(axis=0), x.max(axis=0)
    margin = 0.08 * (high - low)
    columns, rows = np.linspace(low - margin, high + margin, resolution, dtype=x.dtype).T
    grid = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    found = _classes(to_numpy(predict(grid)), len(grid), threshold).reshape(resolution, resolution)

    figure = figure_class()
    from matplotlib.colors import to_rgb

    if axes is None:
        axes = figure(figsize=(4.5, 4.5), layout="constrained").add_subplot()
    colors = [_COLORS[k % len(_COLORS)] for k in range(1 + max(int(found.max()), int(classes.max())))]
    shades = np.asarray([to_rgb(color) for color in colors])[found]  # (resolution, resolution, 3)
    edges = (*columns[[0, -1]], *rows[[0, -1]])
    axes.imshow(shades, origin="lower", extent=edges, alpha=0.3, interpolation="nearest")
    for k, color in enumerate(colors):
        axes.scatter(*x[classes == k].T, s=14, color=color, edgecolors="white", linewidths=0.4, label=f"class {k}")
    if path is not None:
        axes.figure.savefig(path, dpi=120)
    return axes.figure


def _classes(scores: Any, count: int, threshold: float) -> Any:
    """Return the class of every point."""
    if scores.shape in ((count,), (count, 1)):
        return (scores > threshold).astype(np.int64)
    if scores.ndim != 2 or len(scores) != count:
        raise ShapeError(
            f"decision_boundary: expected predict to return ({count}, C), ({count}, 1) or ({count},), got "
            f"{scores.shape}. Return one score per class for every point."
        )
    return scores.argmax(axis=-1)
