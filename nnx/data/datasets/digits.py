"""The 8 x 8 handwritten digits that come with the library."""

from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from nnx.data.datasets.images import check_dtype, check_split, scale

_FILE = Path(__file__).with_name("digits.npz")


def digits(split: str = "train", *, dtype: DTypeLike = "float32") -> tuple[np.ndarray, np.ndarray]:
    """Handwritten digits of 8 x 8 pixels, 1797 images by 13 writers; no download.

    These are the images of ``sklearn.datasets.load_digits``, in the same order: the test part of the "Optical
    Recognition of Handwritten Digits" collection. The split is nnx's own, fixed and stratified: of the images
    of each digit, in file order, the third of every five is for testing.

    Parameters
    ----------
    split : {"train", "test", "all"}
        1438, 359 or 1797 images.
    dtype : {"float32", "uint8"}
        float32 scaled to [0, 1], or the raw values 0..16 (number of ink pixels in a 4 x 4 block).

    Returns
    -------
    images : numpy.ndarray, shape (N, 8, 8, 1)
        Ink is bright.
    labels : numpy.ndarray, shape (N,), int64
        0 to 9: the digit.

    Notes
    -----
    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
    Repository (1998), https://doi.org/10.24432/C50P49, licensed under CC BY 4.0. Changed here: stored as one
    NumPy archive.

    Examples
    --------
    >>> from nnx.data.datasets import digits
    >>> images, labels = digits("test")
    >>> images.shape, images.dtype.name, labels[:5]
    ((359, 8, 8, 1), 'float32', array([0, 1, 2, 3, 4]))
    """
    check_split("digits", split, ("train", "test", "all"))
    check_dtype("digits", dtype)
    with np.load(_FILE, allow_pickle=False) as archive:
        images, labels = archive["images"], archive["labels"].astype(np.int64)
    if split != "all":
        chosen = _is_test(labels) == (split == "test")
        images, labels = images[chosen], labels[chosen]
    return scale(images, 16, dtype), labels


def _is_test(labels: np.ndarray) -> np.ndarray:
    position = np.empty_like(labels)  # of each image among those of its digit
    for digit in range(10):
        same = labels == digit
        position[same] = np.arange(np.count_nonzero(same))
    return position % 5 == 2
