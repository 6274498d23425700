"""What transforms have in common: how they are called, where they draw from, what images they take."""

from typing import Any

import array_api_compat
import numpy as np

from nnx.data.seeds import Seed, current_generator, generator_of
from nnx.dtypes import dtype_name
from nnx.errors import DTypeError, ShapeError

_FLOATS = ("float32", "float64")


class Transform:
    """A function of images that lets the other members of a batch through."""

    def __call__(self, images: Any, *others: Any) -> Any:
        """Transform images of shape (N, H, W, C); what else a batch has comes back as it is, in a tuple."""
        result = self._images(check_images(type(self).__name__, images))
        return (result, *others) if others else result

    def _images(self, images: np.ndarray) -> np.ndarray:
        """New images from images (N, H, W, C)."""
        raise NotImplementedError

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{type(self).__name__}({shown})"


class RandomTransform(Transform):
    """A transform that draws random numbers, for each image its own."""

    def __init__(self, seed: Seed = None) -> None:
        self._own = None if seed is None else generator_of(type(self).__name__, "seed", seed)

    def _generator(self) -> np.random.Generator:
        return current_generator() if self._own is None else self._own


def uniform(generator: np.random.Generator, limits: tuple[float, float], *shape: int) -> np.ndarray:
    """Numbers drawn uniformly between two limits."""
    low, high = limits
    return generator.uniform(low, high, size=shape)


def check_images(where: str, images: Any, floating: bool = False) -> np.ndarray:
    """Return images as they are if they are a NumPy array (N, H, W, C) of a dtype that transforms can work in."""
    if not isinstance(images, np.ndarray):
        hint = "Pass an array of images first."
        if array_api_compat.is_array_api_obj(images):
            hint = "Augment on the host, before batches go to a device: keep the data set in NumPy arrays."
        raise TypeError(f"{where}: expected images as a NumPy array, got {type(images).__name__}. {hint}")
    if images.ndim != 4:
        hint = " For a single image, pass images[None]." if images.ndim == 3 else ""
        raise ShapeError(f"{where}: expected images of shape (N, H, W, C), got {images.shape}.{hint}")
    if images.shape[-1] > 4 and images.shape[1] in (1, 3):
        raise ShapeError(
            f"{where}: expected images of shape (N, H, W, C), got {images.shape}. This looks like channels-first; use "
            "np.transpose(images, (0, 2, 3, 1))."
        )
    name = dtype_name(images.dtype)
    if floating and name not in _FLOATS:
        raise DTypeError(f"{where}: expected images of float32 or float64, got {name}. Put ToFloat() before it.")
    if name not in ("uint8", *_FLOATS):
        raise DTypeError(
            f"{where}: expected images of uint8, float32 or float64, got {name}. Cast them, e.g. "
            "images.astype(np.float32)."
        )
    return images
