"""The class of matplotlib's figures, or an error that says how to get it."""

from __future__ import annotations

from typing import Any


def figure_class() -> Any:
    """Return ``matplotlib.figure.Figure``, which needs no window and changes no global state, unlike pyplot."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'nnx.plots needs matplotlib; run `pip install "nnx-array[plots]"`.', name=error.name
        ) from error
    return Figure
