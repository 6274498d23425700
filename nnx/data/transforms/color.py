"""Images brighter or darker, with more contrast or less, in other colours."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nnx.data.seeds import Seed
from nnx.data.transforms.arguments import Range, is_finite_number, number_range, range_around_0
from nnx.data.transforms.transform import RandomTransform, uniform
from nnx.errors import ShapeError

_Change = Callable[[np.ndarray, np.ndarray], np.ndarray]

_LUMA = np.asarray([0.2989, 0.587, 0.114])  # how bright red, green and blue look (ITU-R BT.601)


class ColorJitter(RandomTransform):
    """Change brightness, contrast, saturation and hue of each image, each by an amount drawn uniformly.

    The order of the changes is drawn, too, for each image. Grey images, of one channel, have neither saturation nor
    hue to change.

    Parameters
    ----------
    brightness, contrast, saturation : float or (float, float)
        The range of the factor, 1 for no change; a number b stands for (max(0, 1 - b), 1 + b). Factor 0 makes the image
        black, all of its mean grey, and grey.
    hue : float or (float, float)
        The range of the shift around the colour circle, which has length 1; a number stands for (-hue, hue). At
        most 0.5.
    seed : int or numpy.random.Generator, optional
        Default: `nnx.data.transforms.current_generator`.

    Raises
    ------
    ValueError
        If images of floating-point numbers are not from 0 to 1.
    ShapeError
        If the images have neither one channel nor three.

    Notes
    -----
    Images of uint8 are rounded once, at the end.

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.data.transforms import ColorJitter
    >>> ColorJitter(brightness=(0.5, 0.5))(np.full((1, 1, 1, 3), 0.5))
    array([[[[0.25, 0.25, 0.25]]]])
    """

    def __init__(
        self,
        brightness: float | Sequence[float] = 0,
        contrast: float | Sequence[float] = 0,
        saturation: float | Sequence[float] = 0,
        hue: float | Sequence[float] = 0,
        seed: Seed = None,
    ) -> None:
        super().__init__(seed)
        self.brightness = _factors("brightness", brightness)
        self.contrast = _factors("contrast", contrast)
        self.saturation = _factors("saturation", saturation)
        self.hue = range_around_0("ColorJitter", "hue", hue, "0.1 or (-0.1, 0.1)", 0.5)

    def _images(self, images: np.ndarray) -> np.ndarray:
        channels = images.shape[-1]
        if channels not in (1, 3):
            raise ShapeError(
                f"ColorJitter: expected images of 1 or 3 channels, got {images.shape}. Change the colour channels only."
            )
        result = _from_0_to_1(images)
        generator = self._generator()
        changes = self._changes(grey=channels == 1)
        amounts = [uniform(generator, limits, len(images)).astype(result.dtype) for _, limits in changes]
        order = np.argsort(generator.random((len(images), len(changes))), axis=1)
        for turn in order.T:
            for number, (change, _) in enumerate(changes):
                chosen = turn == number
                if chosen.any():
                    result[chosen] = change(result[chosen], amounts[number][chosen, None, None, None])
        return np.rint(result * 255).astype(np.uint8) if images.dtype == np.uint8 else result

    def _changes(self, grey: bool) -> list[tuple[_Change, Range]]:
        """The functions that may change anything, with the ranges of their amounts."""
        table: list[tuple[_Change, Range, float]]
        table = [(_brighten, self.brightness, 1.0), (_contrast, self.contrast, 1.0)]
        if not grey:
            table += [(_saturate, self.saturation, 1.0), (_turn_hue, self.hue, 0.0)]
        return [(change, limits) for change, limits, neutral in table if limits != (neutral, neutral)]


def _factors(name: str, value: Any) -> Range:
    if is_finite_number(value):
        if value < 0:
            raise ValueError(f"ColorJitter: expected {name} of at least 0, or two numbers, got {value!r}.")
        value = (max(0.0, 1 - value), 1 + value)
    return number_range("ColorJitter", name, value, "0.2 or (0.8, 1.2)", 0)


def _from_0_to_1(images: np.ndarray) -> np.ndarray:
    if images.dtype == np.uint8:
        return np.divide(images, np.float32(255), dtype=np.float32)
    if images.size and not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(
            f"ColorJitter: expected numbers from 0 to 1, got some from {images.min():g} to {images.max():g}. Put it "
            "before Normalize, and divide by 255 what is up to 255."
        )
    return images.copy()


# The changes get copies of the images, into which they may write.


def _brighten(images: np.ndarray, factor: np.ndarray) -> np.ndarray:
    images *= factor
    return np.clip(images, 0, 1, out=images)


def _contrast(images: np.ndarray, factor: np.ndarray) -> np.ndarray:
    mean = (images @ _luma(images)).mean(axis=(1, 2))[:, None, None, None]
    images *= factor
    images += mean * (1 - factor)
    return np.clip(images, 0, 1, out=images)


def _saturate(images: np.ndarray, factor: np.ndarray) -> np.ndarray:
    # As a product of matrices, grey comes in three channels at once.
    grey = (images.reshape(-1, 3) @ np.repeat(_luma(images)[:, None], 3, axis=1)).reshape(images.shape)
    images *= factor
    grey *= 1 - factor
    images += grey
    return np.clip(images, 0, 1, out=images)


def _turn_hue(images: np.ndarray, shift: np.ndarray) -> np.ndarray:
    red, green, blue = (np.ascontiguousarray(images[..., channel]) for channel in range(3))
    value = np.maximum(np.maximum(red, green), blue)
    chroma = value - np.minimum(np.minimum(red, green), blue)
    # The hue in sixths of the circle: between which two of red, green and blue, and where. By products, since
    # processors cannot foresee which one is the largest, and choosing takes several times as long.
    from_red = value == red
    from_green = (value == green) & ~from_red
    from_blue = ~(from_red | from_green)
    hue = from_red * (green - blue) + from_green * (blue - red) + from_blue * (red - green)
    hue /= chroma + (chroma == 0)
    hue += from_green * images.dtype.type(2) + from_blue * images.dtype.type(4)
    hue += 6 * shift[..., 0]
    result = np.empty_like(images)
    for channel, offset in enumerate((5, 3, 1)):
        place = hue + offset
        place -= 6 * np.floor(place / 6)  # many times as fast as %
        result[..., channel] = value - chroma * np.clip(np.minimum(place, 4 - place), 0, 1)
    return result


def _luma(images: np.ndarray) -> np.ndarray:
    """The weights of the channels; a grey image is its own."""
    return (_LUMA if images.shape[-1] == 3 else np.ones(1)).astype(images.dtype)
