"""What the image collections share: the `split` and `dtype` arguments."""

import numpy as np
from numpy.typing import DTypeLike


def check_split(owner: str, split: str, splits: tuple[str, ...]) -> None:
    if split not in splits:
        expected = " or ".join(repr(name) for name in splits)
        raise ValueError(f"{owner}: expected split={expected}, got {split!r}.")


def check_dtype(owner: str, dtype: DTypeLike) -> None:
    if np.dtype(dtype) not in (np.uint8, np.float32):
        raise TypeError(f"{owner}: expected dtype='float32' (scaled to 0..1) or 'uint8' (raw), got {dtype!r}.")


def scale(images: np.ndarray, white: int, dtype: DTypeLike) -> np.ndarray:
    """uint8 images as they are, or as float32 with `white` mapped to 1."""
    if np.dtype(dtype) == np.uint8:
        return images
    return np.divide(images, np.float32(white), dtype=np.float32)
