"""Learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .figure import figure_class


def learning_curves(history: Mapping[str, Sequence[float]], path: str | Path | None = None) -> Any:
    """Draw every loss and metric over the epochs, training and validation in one panel each.

    Parameters
    ----------
    history
        What `Model.fit` returned, or any mapping from name to a list with one value per epoch; the names of validation
        begin with ``val_``.
    path
        Where to save the picture, by its ending as PNG, PDF or SVG; None saves nothing.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is not installed.

    Examples
    --------
    >>> import nnx.plots
    >>> figure = nnx.plots.learning_curves({"loss": [1.0, 0.5], "val_loss": [1.1, 0.7]})
    >>> len(figure.axes)
    1
    """
    names = [name for name in history if not name.startswith("val_")]
    figure = figure_class()(figsize=(4.5 * max(1, len(names)), 3.5), layout="constrained")
    for k, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), k + 1)
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            if key in history:
                epochs = range(1, len(history[key]) + 1)
                axes.plot(epochs, history[key], label=label, marker="." if len(history[key]) < 30 else None)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("epoch")
        axes.set_ylabel(name)
        axes.grid(alpha=0.3)
        axes.legend()
    if path is not None:
        figure.savefig(path, dpi=120)
    return figure
