"""Checks of the arguments of transforms."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnx.checks import is_number, positive_integer
from nnx.errors import DTypeError, ShapeError

Range = tuple[float, float]


def probability(where: str, name: str, value: Any) -> float:
    if not is_finite_number(value):
        raise TypeError(f"{where}: expected {name} to be a probability from 0 to 1, got {value!r}.")
    if not 0 <= value <= 1:
        raise ValueError(f"{where}: expected {name} to be a probability from 0 to 1, got {value!r}.")
    return float(value)


def is_finite_number(value: Any) -> bool:
    """Whether a value is a finite real number; True and False are none."""
    return is_number(value) and math.isfinite(value)


def number_range(
    where: str, name: str, value: Any, example: str, low: float = -math.inf, high: float = math.inf
) -> Range:
    """Two numbers within bounds, the smaller first."""
    wanted = f"{where}: expected {name} as two numbers, the smaller first"
    if low > -math.inf:
        wanted += f", from {low:g} on" if high == math.inf else f", from {low:g} to {high:g}"
    if (
        not isinstance(value, Sequence)
        or isinstance(value, str)
        or len(value) != 2
        or not all(map(is_finite_number, value))
    ):
        raise TypeError(f"{wanted}, got {value!r}; pass such as {example}.")
    start, end = value
    if not low <= start <= end <= high:
        raise ValueError(f"{wanted}, got {value!r}; pass such as {example}.")
    return float(start), float(end)


def range_around_0(where: str, name: str, value: Any, example: str, limit: float = math.inf) -> Range:
    """Two numbers, the smaller first; one number stands for itself to both sides of 0."""
    if is_finite_number(value) and value < 0:
        raise ValueError(f"{where}: expected {name} of at least 0, or two numbers, got {value!r}.")
    return number_range(where, name, (-value, value) if is_finite_number(value) else value, example, -limit, limit)


def height_and_width(where: str, name: str, value: Any) -> tuple[int, int]:
    """Two positive integers; one stands for both."""
    if not isinstance(value, Sequence):
        value = (value, value)
    if isinstance(value, str) or len(value) != 2:
        raise TypeError(f"{where}: expected {name} as an integer or (height, width), got {value!r}.")
    return positive_integer(where, name, value[0]), positive_integer(where, name, value[1])


def color(where: str, name: str, value: Any) -> float | tuple[float, ...]:
    """A number for all channels, or a number for each."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if is_finite_number(value):
        return value
    if isinstance(value, Sequence) and not isinstance(value, str) and value and all(map(is_finite_number, value)):
        return tuple(value)
    raise TypeError(f"{where}: expected {name} as a number, or as one for each channel, got {value!r}.")


def color_like(where: str, name: str, value: float | tuple[float, ...], images: np.ndarray) -> np.ndarray:
    """A colour in the dtype of the images, of shape () or (C,)."""
    values = np.asarray(value)
    if values.ndim and len(values) != images.shape[-1]:
        raise ShapeError(
            f"{where}: {name} has {len(values)} numbers, but the images have {images.shape[-1]} channels. Pass one for "
            "each channel, or one for all."
        )
    if images.dtype == np.uint8 and not np.all((values >= 0) & (values <= 255) & (values == np.floor(values))):
        raise DTypeError(f"{where}: expected {name} of integers from 0 to 255 for images of uint8, got {value!r}.")
    return values.astype(images.dtype)
