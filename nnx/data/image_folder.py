"""Images in folders, one for each class."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnx.checks import positive_integer
from nnx.data.dataset import Dataset
from nnx.errors import DataFileError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".tif", ".tiff", ".webp")
_MODES = {"RGB": 3, "L": 1}


class ImageFolder(Dataset):
    """The images of a directory with one folder for each class, such as ``root/cat/1.jpg``: items (image, class).

    Files are read when they are asked for. The folders within that of a class count as part of it. Names that begin
    with a dot, and files with other suffixes than those of images, are left out.

    Parameters
    ----------
    root : path
        The directory that has the folders.
    size : int or (int, int), optional
        Height and width that all images get, in pixels: they are scaled, keeping their proportions, and what is left
        over on two sides is cut off. Default: as they are, which does for a batch if all are of one size.
    mode : {"RGB", "L"}
        Colour or grey.

    Attributes
    ----------
    classes : tuple of str
        The names of the folders, sorted.
    paths : list of pathlib.Path
        The files, sorted within each class.
    labels : numpy.ndarray, shape (N,), int64
        Their classes: index into `classes`.

    Raises
    ------
    ModuleNotFoundError
        If Pillow is not installed.
    DataFileError
        If the directory or its folders are not there, or a class has no image. Reading an item: if its file is no
        intact image.

    Notes
    -----
    Items are arrays (H, W, 3), or (H, W, 1), of uint8, turned as the camera noted it. `nnx.data.transforms` make the
    most of them: pass them to the `DataLoader`, which also reads ahead in the background.

    Examples
    --------
    >>> import nnx
    >>> from nnx.data.transforms import ToFloat
    >>> dataset = nnx.data.ImageFolder("pets/train", size=64)  # doctest: +SKIP
    >>> dataset.classes  # doctest: +SKIP
    ('cat', 'dog')
    >>> loader = nnx.data.DataLoader(dataset, batch_size=32, shuffle=True, transform=ToFloat())  # doctest: +SKIP
    """

    def __init__(
        self, root: str | os.PathLike[str], size: int | Sequence[int] | None = None, mode: str = "RGB"
    ) -> None:
        _pillow()
        if mode not in _MODES:
            raise ValueError(f"ImageFolder: expected mode='RGB' (colour) or 'L' (grey), got {mode!r}.")
        self.root, self.mode = Path(root), mode
        self.size = None if size is None else _height_and_width(size)
        self.classes = _classes(self.root)
        files = [_images(self.root / name) for name in self.classes]
        self.paths = [path for of_class in files for path in of_class]
        self.labels = np.repeat(np.arange(len(files)), [len(of_class) for of_class in files])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int, /) -> tuple[np.ndarray, int]:
        """The image at a position, and its class."""
        return self._read(self.paths[index]), int(self.labels[index])

    def __repr__(self) -> str:
        return f"ImageFolder({str(self.root)!r}, size={self.size}, mode={self.mode!r})"

    def _read(self, path: Path) -> np.ndarray:
        Image, ImageOps = _pillow()
        try:
            with Image.open(path) as opened:
                image = ImageOps.exif_transpose(opened).convert(self.mode)
        # Decoders of damaged files raise whatever comes to them: OSError, SyntaxError, ValueError, struct.error, ...
        except Exception as error:
            raise DataFileError(
                f"ImageFolder: {path} is no intact image ({type(error).__name__}: {error}). Repair or delete it."
            ) from error
        if self.size is not None:
            height, width = self.size
            image = ImageOps.fit(image, (width, height), method=Image.Resampling.BILINEAR)
        return np.array(image).reshape(image.height, image.width, _MODES[self.mode])


def _pillow() -> tuple[Any, Any]:
    """The modules ``PIL.Image`` and ``PIL.ImageOps``, or an error that says how to get them."""
    try:
        from PIL import Image, ImageOps
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'ImageFolder needs Pillow; run `pip install "nnx-array[images]"`.', name=error.name
        ) from error
    return Image, ImageOps


def _height_and_width(size: Any) -> tuple[int, int]:
    pair = size if isinstance(size, Sequence) else (size, size)
    if isinstance(size, str) or len(pair) != 2:
        raise TypeError(f"ImageFolder: expected size as an integer or (height, width), got {size!r}.")
    return positive_integer("ImageFolder", "size", pair[0]), positive_integer("ImageFolder", "size", pair[1])


def _classes(root: Path) -> tuple[str, ...]:
    if not root.is_dir():
        raise DataFileError(f"ImageFolder: {root} is not a directory.")
    names = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise DataFileError(
            f"ImageFolder: expected a folder for each class in {root}, got none. Move images into some."
        )
    return tuple(names)


def _images(folder: Path) -> list[Path]:
    found = [path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    found = sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    if not found:
        raise DataFileError(
            f"ImageFolder: {folder} has no image ({', '.join(IMAGE_SUFFIXES)}). Remove the folder, or add some."
        )
    return found
