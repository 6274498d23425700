"""Where a picture is cut out, and which way round it is."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnx.checks import non_negative_integer
from nnx.data.seeds import Seed
from nnx.data.transforms.arguments import color, color_like, height_and_width, probability
from nnx.data.transforms.transform import RandomTransform
from nnx.errors import ShapeError

_PADDING_MODES = ("constant", "edge", "reflect", "symmetric")


class RandomCrop(RandomTransform):
    """Cut a window out of each image, at a place drawn uniformly, after adding a border.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of the window in pixels.
    padding : int or sequence of int, optional
        Width of the border in pixels: on all sides, (left and right, top and bottom), or (left, top, right, bottom).
    fill : float or sequence of float
        The colour of a constant border: a number, or one for each channel.
    padding_mode : {"constant", "edge", "reflect", "symmetric"}
        What the border is made of: a colour, the outermost pixels, or the image mirrored, without its outermost pixels
        or with them.
    seed : int or numpy.random.Generator, optional
        Default: `nnx.data.transforms.current_generator`.

    Raises
    ------
    ShapeError
        If the images are smaller than the window, border and all.

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.data.transforms import RandomCrop
    >>> RandomCrop(32, padding=4, seed=0)(np.zeros((8, 32, 32, 3), dtype=np.uint8)).shape
    (8, 32, 32, 3)
    """

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        fill: float | Sequence[float] = 0,
        padding_mode: str = "constant",
        seed: Seed = None,
    ) -> None:
        super().__init__(seed)
        self.size = height_and_width("RandomCrop", "size", size)
        self.padding = _sides(padding)
        self.fill = color("RandomCrop", "fill", fill)
        if padding_mode not in _PADDING_MODES:
            listed = ", ".join(map(repr, _PADDING_MODES))
            raise ValueError(f"RandomCrop: expected padding_mode to be one of {listed}, got {padding_mode!r}.")
        self.padding_mode = padding_mode

    def _images(self, images: np.ndarray) -> np.ndarray:
        padded = self._padded(images)
        count, height, width, channels = padded.shape
        rows, columns = self.size
        if height < rows or width < columns:
            border = ", with the border" if any(self.padding) else ""
            raise ShapeError(
                f"RandomCrop: expected images of at least {rows} x {columns} pixels, got {height} x {width}{border}. "
                "Use a larger padding or a smaller size."
            )
        generator = self._generator()
        top = generator.integers(height - rows + 1, size=count)
        left = generator.integers(width - columns + 1, size=count)
        # Every window there is, as a view in which a row of pixels is one axis; one gather takes one window of each.
        flat = padded.reshape(count, height, width * channels)
        windows = np.lib.stride_tricks.sliding_window_view(flat, (rows, columns * channels), axis=(1, 2))
        return windows[np.arange(count), top, left * channels].reshape(count, rows, columns, channels)

    def _padded(self, images: np.ndarray) -> np.ndarray:
        left, top, right, bottom = self.padding
        if not any(self.padding):
            return images
        count, height, width, channels = images.shape
        if self.padding_mode != "constant":
            if self.padding_mode == "reflect" and (max(top, bottom) >= height or max(left, right) >= width):
                raise ShapeError(
                    f"RandomCrop: expected images wider than a mirrored border of {self.padding} (left, top, right, "
                    f"bottom), got {height} x {width} pixels. Use padding_mode='symmetric' or a smaller padding."
                )
            mode: Any = self.padding_mode
            return np.pad(images, ((0, 0), (top, bottom), (left, right), (0, 0)), mode=mode)
        shape = (count, top + height + bottom, left + width + right, channels)
        padded = np.empty(shape, dtype=images.dtype)
        padded[...] = color_like("RandomCrop", "fill", self.fill, images)
        padded[:, top : top + height, left : left + width] = images
        return padded


def _sides(padding: Any) -> tuple[int, int, int, int]:
    """Left, top, right, bottom."""
    values = tuple(padding) if isinstance(padding, Sequence) else (0 if padding is None else padding,)
    if isinstance(padding, str) or len(values) not in (1, 2, 4):
        raise TypeError(
            f"RandomCrop: expected padding as one integer, two (left and right, top and bottom) or four (left, top, "
            f"right, bottom), got {padding!r}."
        )
    checked = [non_negative_integer("RandomCrop", "padding", value) for value in values]
    left, top, right, bottom = checked * (4 // len(checked))
    return left, top, right, bottom


class _RandomFlip(RandomTransform):
    _mirror: tuple[slice, ...]

    def __init__(self, p: float = 0.5, seed: Seed = None) -> None:
        super().__init__(seed)
        self.p = probability(type(self).__name__, "p", p)

    def _images(self, images: np.ndarray) -> np.ndarray:
        chosen = self._generator().random(len(images)) < self.p
        result = images.copy()
        result[chosen] = images[chosen][self._mirror]
        return result


class RandomHorizontalFlip(_RandomFlip):
    """Swap left and right in images drawn with probability `p`.

    Parameters
    ----------
    p : float
        Probability of each image to be mirrored.
    seed : int or numpy.random.Generator, optional
        Default: `nnx.data.transforms.current_generator`.

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.data.transforms import RandomHorizontalFlip
    >>> RandomHorizontalFlip(p=1.0)(np.asarray([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1))[0, ..., 0]
    array([[2., 1.],
           [4., 3.]])
    """

    _mirror = (slice(None), slice(None), slice(None, None, -1))


class RandomVerticalFlip(_RandomFlip):
    """Turn images upside down that are drawn with probability `p`.

    Parameters
    ----------
    p : float
        Probability of each image to be mirrored.
    seed : int or numpy.random.Generator, optional
        Default: `nnx.data.transforms.current_generator`.

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.data.transforms import RandomVerticalFlip
    >>> RandomVerticalFlip(p=1.0)(np.asarray([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1))[0, ..., 0]
    array([[3., 4.],
           [1., 2.]])
    """

    _mirror = (slice(None), slice(None, None, -1))
