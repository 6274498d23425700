"""Parts of images covered, so that a network does not rely on a single one."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnx.checks import positive_integer
from nnx.data.seeds import Seed
from nnx.data.transforms.arguments import color, color_like, height_and_width, number_range, probability
from nnx.data.transforms.boxes import inside
from nnx.data.transforms.transform import RandomTransform, uniform

_ATTEMPTS = 10


class Cutout(RandomTransform):
    """Cover a rectangle of fixed size in each image, around a pixel drawn uniformly [1]_.

    What of the rectangle lies outside the image is cut off.

    Parameters
    ----------
    size : int or (int, int)
        Height and width in pixels; the paper has 16 for CIFAR-10 and 8 for CIFAR-100.
    holes : int
        The number of rectangles in an image, which may overlap.
    value : float or sequence of float
        The colour of the rectangle: a number, or one for each channel.
    seed : int or numpy.random.Generator, optional
        Default: `nnx.data.transforms.current_generator`.

    References
    ----------
    .. [1] T. DeVries and G. W. Taylor, "Improved regularization of convolutional neural networks with Cutout",
       arXiv:1708.04552 (2017).

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.data.transforms import Cutout
    >>> Cutout(2, seed=1)(np.ones((1, 4, 4, 1)))[0, ..., 0]
    array([[1., 0., 0., 1.],
           [1., 0., 0., 1.],
           [1., 1., 1., 1.],
           [1., 1., 1., 1.]])
    """

    def __init__(
        self,
        size: int | Sequence[int],
        holes: int = 1,
        value: float | Sequence[float] = 0,
        seed: Seed = None,
    ) -> None:
        super().__init__(seed)
        self.size = height_and_width("Cutout", "size", size)
        self.holes = positive_integer("Cutout", "holes", holes)
        self.value = color("Cutout", "value", value)

    def _images(self, images: np.ndarray) -> np.ndarray:
        value = color_like("Cutout", "value", self.value, images)
        result, generator = images.copy(), self._generator()
        count, height, width, _ = images.shape
        rows, columns = (np.full(count, length) for length in self.size)
        for _ in range(self.holes):
            top = generator.integers(height, size=count) - rows // 2
            left = generator.integers(width, size=count) - columns // 2
            result[inside(top, left, rows, columns, images.shape)] = value
        return result


class RandomErasing(RandomTransform):
    """Cover a rectangle of random size and shape in images drawn with probability `p` [1]_.

    Up to ten rectangles are drawn for each image, of which the first that fits is taken. If none does, the image stays
    as it is.

    Parameters
    ----------
    p : float
        Probability of each image to be changed.
    scale : (float, float)
        The range of the area, as a part of that of the image.
    ratio : (float, float)
        The range of height over width.
    value : float, sequence of float, or "random"
        The colour of the rectangle: a number, one for each channel, or one drawn for each pixel and channel, from the
        standard normal distribution (uniformly from 0 to 255 for uint8).
    seed : int or numpy.random.Generator, optional
        Default: `nnx.data.transforms.current_generator`.

    References
    ----------
    .. [1] Z. Zhong, L. Zheng, G. Kang, S. Li, Y. Yang, "Random erasing data augmentation", AAAI 2020,
       arXiv:1708.04896.

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.data.transforms import RandomErasing
    >>> images = RandomErasing(p=1.0, seed=0)(np.ones((4, 32, 32, 3), dtype=np.float32))
    >>> bool((images.mean(axis=(1, 2, 3)) < 1).all())
    True
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: float | Sequence[float] | str = 0,
        seed: Seed = None,
    ) -> None:
        super().__init__(seed)
        self.p = probability("RandomErasing", "p", p)
        self.scale = number_range("RandomErasing", "scale", scale, "(0.02, 0.33)", 0, 1)
        self.ratio = number_range("RandomErasing", "ratio", ratio, "(0.3, 3.3)", 0)
        if self.ratio[0] == 0:
            raise ValueError(f"RandomErasing: expected ratio above 0, got {ratio!r}.")
        if isinstance(value, str) and value != "random":
            raise ValueError(
                f"RandomErasing: expected value as a number, one for each channel, or 'random', got {value!r}."
            )
        self.value: Any = value if isinstance(value, str) else color("RandomErasing", "value", value)

    def _images(self, images: np.ndarray) -> np.ndarray:
        result, generator = images.copy(), self._generator()
        mask = self._mask(generator, images.shape)
        if self.value != "random":
            result[mask] = color_like("RandomErasing", "value", self.value, images)
        elif images.dtype == np.uint8:
            result[mask] = generator.integers(256, size=(mask.sum(), images.shape[-1]), dtype=np.uint8)
        else:
            noise: Any = generator.standard_normal((mask.sum(), images.shape[-1]), dtype=images.dtype.type)
            result[mask] = noise
        return result

    def _mask(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        count, height, width, _ = shape
        chosen = generator.random(count) < self.p
        area = uniform(generator, self.scale, count, _ATTEMPTS) * (height * width)
        logarithms = math.log(self.ratio[0]), math.log(self.ratio[1])
        ratio = np.exp(uniform(generator, logarithms, count, _ATTEMPTS))
        rows, columns = np.rint(np.sqrt(area * ratio)).astype(int), np.rint(np.sqrt(area / ratio)).astype(int)
        fits = (rows < height) & (columns < width)
        first = np.argmax(fits, axis=1)[:, None]
        chosen &= fits.any(axis=1)
        rows, columns = (np.take_along_axis(each, first, axis=1)[:, 0] * chosen for each in (rows, columns))
        top, left = generator.integers(height - rows + 1), generator.integers(width - columns + 1)
        return inside(top, left, rows, columns, shape)
