"""Numbers that networks like: from bytes to floats, and to mean 0 and variance 1."""

from typing import Any

import numpy as np

from nnx.data.transforms.arguments import color
from nnx.data.transforms.transform import Transform, check_images
from nnx.errors import ShapeError


class ToFloat(Transform):
    """Images of uint8 as floating-point numbers from 0 to 1; those that have them already as they are.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        What they become.

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.data.transforms import ToFloat
    >>> ToFloat()(np.full((1, 1, 1, 3), 51, dtype=np.uint8))
    array([[[[0.2, 0.2, 0.2]]]], dtype=float32)
    """

    def __init__(self, dtype: str = "float32") -> None:
        if dtype not in ("float32", "float64"):
            raise ValueError(f"ToFloat: expected dtype='float32' or 'float64', got {dtype!r}.")
        self.dtype = dtype

    def _images(self, images: np.ndarray) -> np.ndarray:
        if images.dtype != np.uint8:
            return images.astype(self.dtype)
        dtype: Any = np.dtype(self.dtype)
        return np.divide(images, dtype.type(255), dtype=dtype)


class Normalize(Transform):
    """``(images - mean) / std``, channel by channel.

    Parameters
    ----------
    mean, std : float or sequence of float
        A number for all channels, or one for each. Those of CIFAR-10, from 0 to 1: (0.4914, 0.4822, 0.4465) and
        (0.2470, 0.2435, 0.2616).

    Raises
    ------
    ValueError, TypeError
        If `mean` or `std` is no number, or `std` is not positive.
    DTypeError
        If the images are of uint8; put `ToFloat` before.

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.data.transforms import Normalize
    >>> Normalize(mean=0.5, std=0.25)(np.full((1, 1, 1, 3), 1.0, dtype=np.float32))
    array([[[[2., 2., 2.]]]], dtype=float32)
    """

    def __init__(self, mean: Any, std: Any) -> None:
        self.mean, self.std = color("Normalize", "mean", mean), color("Normalize", "std", std)
        if np.any(np.asarray(self.std) <= 0):
            raise ValueError(f"Normalize: expected std above 0, got {std!r}. Use 1 for a channel that is constant.")

    def _images(self, images: np.ndarray) -> np.ndarray:
        check_images("Normalize", images, floating=True)
        count, height, width, channels = images.shape
        # Whole rows at a time: over three channels, NumPy's innermost loop would be three numbers long.
        rows = images.reshape(count, height, width * channels)
        result = rows - self._row("mean", images)
        result /= self._row("std", images)
        return result.reshape(images.shape)

    def _row(self, name: str, images: np.ndarray) -> np.ndarray:
        width, channels = images.shape[2:]
        values = np.asarray(getattr(self, name), dtype=images.dtype)
        if values.ndim and len(values) != channels:
            raise ShapeError(
                f"Normalize: {name} has {len(values)} numbers, but the images have {channels} channels. Pass one for "
                "each channel, or one for all."
            )
        return np.tile(np.broadcast_to(values, (channels,)), width)
