"""Explanation by covering parts of the input."""

from __future__ import annotations

from typing import Any

from ..autodiff import stop_gradient
from ..autodiff.namespace import namespace
from ..backend import device
from ..checks import positive_integer
from ..errors import ShapeError
from ..layers import Module
from ..training.modes import evaluation_mode
from .layers import require_module
from .scores import class_scores


def occlusion(
    net: Module,
    x: Any,
    target: Any = None,
    *,
    size: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    value: float = 0.0,
) -> Any:
    """Return how much a class score falls when a rectangle of the image is covered, for each place of it [1]_.

    Needs no gradient, and one forward pass per place, in evaluation mode.

    Parameters
    ----------
    net
        A network from images (N, H, W, channels) to scores (N, C).
    x
        The images, raw.
    target
        A class, one class per image, or None for the class that the network predicts for the whole image.
    size
        Height and width of the rectangle, or one number for both.
    stride
        The steps from one place to the next, likewise; by default `size`. The last places may reach over the edge.
    value
        What the rectangle is filled with.

    Returns
    -------
    array
        Of shape (N, ceil(H / stride), ceil(W / stride)); above 0 where covering lowers the score.

    Raises
    ------
    TypeError, ValueError, ShapeError
        If `net` is no Module, an array has another shape, there is no such class, or `size` or `stride` are not
        positive.

    References
    ----------
    .. [1] Zeiler and Fergus, "Visualizing and understanding convolutional networks", arXiv:1311.2901

    Examples
    --------
    >>> import numpy as np, nnx
    >>> net = nnx.Sequential(nnx.Flatten(), nnx.Linear(16, 2))
    >>> net[1].weight = np.repeat(np.asarray([[0.0], [1.0]], dtype="float32"), 16, axis=1)
    >>> nnx.interpret.occlusion(net, np.ones((1, 4, 4, 1), dtype="float32"), target=1, size=2).round()
    array([[[4., 4.],
            [4., 4.]]], dtype=float32)
    """
    label = "occlusion"
    require_module(label, net)
    height, width = _pair(label, "size", size)
    down, right = (height, width) if stride is None else _pair(label, "stride", stride)
    x = stop_gradient(x)
    if len(getattr(x, "shape", ())) != 4:
        raise ShapeError(f"{label}: expected images (N, H, W, C), got {tuple(getattr(x, 'shape', ()))}.")
    xp = namespace(x)
    filled = xp.full_like(x, value)
    with evaluation_mode(net):
        scores = stop_gradient(net(x))
        whole = class_scores(label, scores, target)
        classes = xp.argmax(scores, axis=-1) if target is None else target
        drops = []
        for top in range(0, x.shape[1], down):
            rows = _between(xp, x, 1, top, height)
            for left in range(0, x.shape[2], right):
                inside = xp.logical_and(rows, _between(xp, x, 2, left, width))
                covered = stop_gradient(net(xp.where(inside, filled, x)))
                drops.append(whole - class_scores(label, covered, classes))
    places = (-(-x.shape[1] // down), -(-x.shape[2] // right))
    return xp.reshape(xp.stack(drops, axis=-1), (x.shape[0], *places))


def _pair(label: str, name: str, value: Any) -> tuple[int, int]:
    pair = value if isinstance(value, (tuple, list)) and len(value) == 2 else (value, value)
    return positive_integer(label, name, pair[0]), positive_integer(label, name, pair[1])


def _between(xp: Any, x: Any, axis: int, start: int, length: int) -> Any:
    """Return which elements of an axis lie from `start` on, `length` of them; it broadcasts against the images."""
    n = x.shape[axis]
    places = xp.arange(n, dtype=xp.int64, device=device(x))
    inside = xp.logical_and(places >= start, places < start + length)
    return xp.reshape(inside, tuple(n if k == axis else 1 for k in range(4)))
