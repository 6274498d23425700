"""The confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import to_numpy
from ..errors import ShapeError
from .figure import figure_class

_MOST_WITH_TEXT = 25
_CELL = 0.5  # inches


def confusion_matrix(
    matrix: Any, names: Sequence[str] | None = None, path: str | Path | None = None, *, axes: Any = None
) -> Any:
    """Draw a confusion matrix: the true classes downwards, the predicted ones across.

    A cell's colour is its share of its row, so that rare classes are seen as well; the number in it is that of the
    matrix.

    Parameters
    ----------
    matrix
        Of shape (C, C): counts or shares, as from `nnx.metrics.confusion_matrix`.
    names
        The names of the classes; by default their numbers.
    path
        Where to save the picture, by its ending as PNG, PDF or SVG; None saves nothing.
    axes
        Axes of matplotlib to draw in; by default those of a new figure, large enough for the numbers.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ShapeError, ValueError
        If the matrix is not square, holds numbers below 0, or has another number of classes than there are names.
    ModuleNotFoundError
        If matplotlib is not installed.

    Examples
    --------
    >>> import nnx.plots
    >>> import numpy as np
    >>> matrix = nnx.metrics.confusion_matrix(np.asarray([0, 1, 1, 1]), np.asarray([0, 0, 1, 1]))
    >>> figure = nnx.plots.confusion_matrix(matrix, ["cat", "dog"])
    """
    values = to_numpy(matrix)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or not values.size:
        raise ShapeError(f"confusion_matrix: expected a matrix (C, C), got {values.shape}.")
    if not (values >= 0).all():
        raise ValueError(f"confusion_matrix: expected counts or shares of at least 0, got {values.min()}.")
    count = len(values)
    labels = [str(k) for k in range(count)] if names is None else [str(name) for name in names]
    if len(labels) != count:
        raise ValueError(f"confusion_matrix: expected {count} names, one per class, got {len(labels)}.")
    figure = figure_class()
    longest = max(map(len, labels))
    if axes is None:
        side = max(2.0, min(14.0, _CELL * count))
        margin = 0.5 + 0.08 * longest
        axes = figure(figsize=(side + margin + 1.2, side + margin + 0.3), layout="compressed").add_subplot()
    totals = values.sum(axis=1, keepdims=True)
    shares = values / np.where(totals > 0, totals, 1)
    shown = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    axes.figure.colorbar(shown, ax=axes, shrink=0.8, label="share of the true class")
    slanted = longest > 3
    every = max(1, -(-count // 40))
    axes.set_xticks(range(0, count, every), labels[::every], rotation=45 if slanted else 0)
    if slanted:
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(range(0, count, every), labels[::every])
    axes.tick_params(length=0, labelsize="medium" if count <= _MOST_WITH_TEXT else "x-small")
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    if count <= _MOST_WITH_TEXT:
        _write(axes, values, shares)
    if path is not None:
        axes.figure.savefig(path, dpi=120)
    return axes.figure


def _write(axes: Any, values: np.ndarray, shares: np.ndarray) -> None:
    """Write the numbers into the cells, dark on bright and bright on dark, small enough for the longest."""
    whole = np.issubdtype(values.dtype, np.integer) or bool((values == np.round(values)).all() and values.max() > 1)
    texts = [[f"{int(v)}" if whole else f"{v:.2f}" for v in row] for row in values]
    longest = max(len(text) for row in texts for text in row)
    box = axes.get_window_extent()
    cell = min(_CELL, min(box.width, box.height) / axes.figure.dpi / len(values))
    size = min(10.0, 72 * cell * 0.9 / (0.62 * longest))  # a digit is about 0.62 of the size wide
    for row, column in np.ndindex(*values.shape):
        color = "white" if shares[row, column] > 0.55 else "black"
        axes.text(column, row, texts[row][column], ha="center", va="center", color=color, fontsize=size)
