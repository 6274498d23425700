"""Images turned, moved, resized and sheared."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnx.data.seeds import Seed
from nnx.data.transforms.arguments import color, color_like, is_finite_number, number_range, range_around_0
from nnx.data.transforms.transform import RandomTransform, uniform
from nnx.data.transforms.warp import inverse_affine, warp

_INTERPOLATIONS = ("nearest", "bilinear")
_NO_SHEAR = (0.0, 0.0)
_EXAMPLE = "15 or (-15, 15)"


class RandomRotation(RandomTransform):
    """Turn each image about its centre, by an angle drawn uniformly.

    Parameters
    ----------
    degrees : float or (float, float)
        The range of the angle in degrees, counter-clockwise; a number stands for (-degrees, degrees).
    interpolation : {"nearest", "bilinear"}
        Whether a new pixel is the nearest old one, or the weighted mean of four.
    fill : float or sequence of float
        The colour of what lay outside the image: a number, or one for each channel.
    seed : int or numpy.random.Generator, optional
        Default: `nnx.data.transforms.current_generator`.

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.data.transforms import RandomRotation
    >>> RandomRotation((90, 90))(np.asarray([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1))[0, ..., 0]
    array([[2., 4.],
           [1., 3.]])
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: str = "nearest",
        fill: float | Sequence[float] = 0,
        seed: Seed = None,
    ) -> None:
        super().__init__(seed)
        self.degrees = range_around_0("RandomRotation", "degrees", degrees, _EXAMPLE)
        self.interpolation = _interpolation("RandomRotation", interpolation)
        self.fill = color("RandomRotation", "fill", fill)

    def _images(self, images: np.ndarray) -> np.ndarray:
        fill = color_like("RandomRotation", "fill", self.fill, images)
        angles = uniform(self._generator(), self.degrees, len(images))
        zeros = np.zeros_like(angles)
        matrices = inverse_affine(-angles, (zeros, zeros), zeros + 1, (zeros, zeros))
        return warp(images, matrices, self.interpolation, fill)


class RandomAffine(RandomTransform):
    """Turn, move, resize and shear each image about its centre, each by an amount drawn uniformly.

    Parameters
    ----------
    degrees : float or (float, float)
        The range of the angle in degrees, clockwise as in torchvision; a number stands for (-degrees, degrees).
    translate : (float, float), optional
        The largest shifts to either side: as parts, from 0 to 1, of the width and of the height. They are drawn in
        whole pixels.
    scale : (float, float), optional
        The range of the factor of the size.
    shear : float or sequence of float, optional
        The range of the angle in degrees, parallel to the x axis; a number stands for (-shear, shear), and four numbers
        for the ranges parallel to the x axis and to the y axis.
    interpolation : {"nearest", "bilinear"}
        Whether a new pixel is the nearest old one, or the weighted mean of four.
    fill : float or sequence of float
        The colour of what lay outside the image: a number, or one for each channel.
    seed : int or numpy.random.Generator, optional
        Default: `nnx.data.transforms.current_generator`.

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.data.transforms import RandomAffine
    >>> augment = RandomAffine(15, translate=(0.1, 0.1), scale=(0.9, 1.1), shear=5, seed=0)
    >>> augment(np.zeros((8, 32, 32, 3), dtype=np.float32)).shape
    (8, 32, 32, 3)
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: str = "nearest",
        fill: float | Sequence[float] = 0,
        seed: Seed = None,
    ) -> None:
        super().__init__(seed)
        self.degrees = range_around_0("RandomAffine", "degrees", degrees, _EXAMPLE)
        self.translate = _shifts(translate)
        self.scale = (1.0, 1.0) if scale is None else number_range("RandomAffine", "scale", scale, "(0.9, 1.1)", 0)
        if self.scale[0] == 0:
            raise ValueError(f"RandomAffine: expected scale above 0, got {scale!r}.")
        self.shear = _shears(shear)
        self.interpolation = _interpolation("RandomAffine", interpolation)
        self.fill = color("RandomAffine", "fill", fill)

    def _images(self, images: np.ndarray) -> np.ndarray:
        fill = color_like("RandomAffine", "fill", self.fill, images)
        count, height, width, _ = images.shape
        generator = self._generator()
        angles = uniform(generator, self.degrees, count)
        largest = self.translate[0] * width, self.translate[1] * height
        shifts = tuple(np.rint(uniform(generator, (-limit, limit), count)) for limit in largest)
        scales = uniform(generator, self.scale, count)
        shears = tuple(uniform(generator, limits, count) for limits in self.shear)
        return warp(images, inverse_affine(angles, shifts, scales, shears), self.interpolation, fill)


def _interpolation(where: str, value: Any) -> str:
    if value not in _INTERPOLATIONS:
        raise ValueError(f"{where}: expected interpolation='nearest' or 'bilinear', got {value!r}.")
    return value


def _shifts(translate: Any) -> tuple[float, float]:
    if translate is None:
        return 0.0, 0.0
    pair = isinstance(translate, Sequence) and not isinstance(translate, str) and len(translate) == 2
    wanted = "RandomAffine: expected translate as two numbers from 0 to 1, for width and height"
    if not pair or not all(map(is_finite_number, translate)):
        raise TypeError(f"{wanted}, got {translate!r}; pass such as (0.1, 0.1).")
    if not all(0 <= part <= 1 for part in translate):
        raise ValueError(f"{wanted}, got {translate!r}; pass such as (0.1, 0.1).")
    return float(translate[0]), float(translate[1])


def _shears(shear: Any) -> tuple[tuple[float, float], tuple[float, float]]:
    """The ranges of the angles along the x axis and the y axis."""
    if shear is None:
        return _NO_SHEAR, _NO_SHEAR
    along_y: Any = _NO_SHEAR
    if isinstance(shear, Sequence) and len(shear) == 4:
        shear, along_y = shear[:2], shear[2:]
    ranges = tuple(range_around_0("RandomAffine", "shear", each, _EXAMPLE) for each in (shear, along_y))
    if any(not -90 < angle < 90 for angles in ranges for angle in angles):
        raise ValueError(f"RandomAffine: expected shear between -90 and 90 degrees, got {shear!r}.")
    along_x, along_y = ranges
    return along_x, along_y
