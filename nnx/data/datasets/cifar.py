"""CIFAR-10 and CIFAR-100: 60,000 colour images of 32 x 32 pixels each; and a small part of CIFAR-10."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from nnx.data.datasets import cifar_files
from nnx.data.datasets.download import directories, fetch
from nnx.data.datasets.images import check_dtype, check_split, scale

_SPLITS = ("train", "test")
_SUBSET = cifar_files.File(
    "cifar10_10k_2k.npz", 33942412, "baa17d946948b7d8defd7041971f09211e91a71986bd0fdc28b8fe0f0268968e"
)
_OF_EACH_CLASS = {"train": 1000, "test": 200}


def cifar10(
    split: str = "train",
    *,
    dtype: DTypeLike = "uint8",
    root: str | os.PathLike[str] | None = None,
    download: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """CIFAR-10: small photographs of ten kinds of animals and vehicles.

    `CIFAR10_CLASSES` names the ten classes. Files are looked for under ``$NNX_DATA/cifar10`` (never written to), then
    under ``$XDG_CACHE_HOME/nnx/cifar10`` (``~/.cache/nnx/cifar10``), and otherwise downloaded there (170 MB). With
    `root`, ``<root>/cifar10`` is the only place. Both versions will do, packed (``cifar-10-binary.tar.gz``,
    ``cifar-10-python.tar.gz``) or not (``cifar-10-batches-bin``, ``cifar-10-batches-py``); the binary one is
    downloaded. Size and SHA-256 are checked every time, and files of the Python version are read without pickle.

    Parameters
    ----------
    split : {"train", "test"}
        50,000 or 10,000 images.
    dtype : {"uint8", "float32"}
        The raw bytes 0..255, or float32 scaled to [0, 1] (614 MB for the training images; let
        `nnx.data.transforms.ToFloat` scale them batch by batch instead).
    root : path, optional
        The only directory to look in and download to: its subdirectory ``cifar10``.
    download : bool
        False: never use the network.

    Returns
    -------
    images : numpy.ndarray, shape (N, 32, 32, 3)
        Red, green, blue.
    labels : numpy.ndarray, shape (N,), int64
        0 to 9: index into `CIFAR10_CLASSES`.

    Raises
    ------
    DataFileError
        If a file is corrupt (it is left alone), or is missing and cannot be downloaded.

    Notes
    -----
    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009). Its authors state no licence
    and ask for that citation.

    Examples
    --------
    >>> from nnx.data.datasets import CIFAR10_CLASSES, cifar10
    >>> images, labels = cifar10("test")  # doctest: +SKIP
    >>> images.shape, CIFAR10_CLASSES[labels[0]]  # doctest: +SKIP
    ((10000, 32, 32, 3), 'cat')
    """
    check_split("cifar10", split, _SPLITS)
    check_dtype("cifar10", dtype)
    images, labels = cifar_files.load(cifar_files.CIFAR10, split, "fine", root, download)
    return scale(images, 255, dtype), labels


def cifar100(
    split: str = "train",
    *,
    labels: str = "fine",
    dtype: DTypeLike = "uint8",
    root: str | os.PathLike[str] | None = None,
    download: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """CIFAR-100: CIFAR-10's like, of a hundred kinds in twenty groups.

    `CIFAR100_CLASSES` and `CIFAR100_SUPERCLASSES` name them. Files are found as those of `cifar10` are, in directories
    named ``cifar100`` (169 MB; unpacked ``cifar-100-binary`` or ``cifar-100-python``).

    Parameters
    ----------
    split : {"train", "test"}
        50,000 or 10,000 images.
    labels : {"fine", "coarse"}
        One of a hundred classes for each image, or one of twenty superclasses.
    dtype : {"uint8", "float32"}
        The raw bytes 0..255, or float32 scaled to [0, 1].
    root : path, optional
        The only directory to look in and download to: its subdirectory ``cifar100``.
    download : bool
        False: never use the network.

    Returns
    -------
    images : numpy.ndarray, shape (N, 32, 32, 3)
        Red, green, blue.
    labels : numpy.ndarray, shape (N,), int64
        Index into `CIFAR100_CLASSES`, or into `CIFAR100_SUPERCLASSES`.

    Raises
    ------
    DataFileError
        If a file is corrupt (it is left alone), or is missing and cannot be downloaded.

    Notes
    -----
    Source: as for `cifar10`.

    Examples
    --------
    >>> from nnx.data.datasets import CIFAR100_CLASSES, cifar100
    >>> images, labels = cifar100("test")  # doctest: +SKIP
    >>> CIFAR100_CLASSES[labels[0]]  # doctest: +SKIP
    'mountain'
    """
    check_split("cifar100", split, _SPLITS)
    check_dtype("cifar100", dtype)
    if labels not in ("fine", "coarse"):
        raise ValueError(f"cifar100: expected labels='fine' (100 classes) or 'coarse' (20), got {labels!r}.")
    images, numbers = cifar_files.load(cifar_files.CIFAR100, split, labels, root, download)
    return scale(images, 255, dtype), numbers


def cifar10_subset(
    split: str = "train",
    *,
    dtype: DTypeLike = "uint8",
    root: str | os.PathLike[str] | None = None,
    download: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """A fifth of CIFAR-10, for what has to be quick: the first 1,000 training and 200 test images of each class.

    It is read from ``cifar10_subset/cifar10_10k_2k.npz`` under ``$NNX_DATA`` or the cache of `cifar10` (34 MB, checked
    by SHA-256) if that file is there, and otherwise selected from `cifar10` itself, which is downloaded if need be.

    Parameters
    ----------
    split : {"train", "test"}
        10,000 or 2,000 images, in the order of the whole set.
    dtype : {"uint8", "float32"}
        The raw bytes 0..255, or float32 scaled to [0, 1].
    root : path, optional
        The only directory to look in and download to: its subdirectories ``cifar10_subset`` and ``cifar10``.
    download : bool
        False: never use the network.

    Returns
    -------
    images : numpy.ndarray, shape (N, 32, 32, 3)
        Red, green, blue.
    labels : numpy.ndarray, shape (N,), int64
        0 to 9: index into `CIFAR10_CLASSES`.

    Raises
    ------
    DataFileError
        If a file is corrupt (it is left alone), or is missing and cannot be downloaded.

    Notes
    -----
    Source: as for `cifar10`.

    Examples
    --------
    >>> from nnx.data.datasets import cifar10_subset
    >>> images, labels = cifar10_subset("test")  # doctest: +SKIP
    >>> images.shape  # doctest: +SKIP
    (2000, 32, 32, 3)
    """
    check_split("cifar10_subset", split, _SPLITS)
    check_dtype("cifar10_subset", dtype)
    for directory in directories("cifar10_subset", root):
        if (directory / _SUBSET.name).exists():
            path = fetch(_SUBSET.name, [], _SUBSET.sha256, _SUBSET.size, directory, download)
            images, labels = _read_subset(path, split)
            break
    else:
        images, labels = _first_of_each_class(*cifar10(split, root=root, download=download), _OF_EACH_CLASS[split])
    return scale(images, 255, dtype), labels


def _read_subset(path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return file[f"x_{split}"], file[f"y_{split}"].astype(np.int64)


def _first_of_each_class(images: np.ndarray, labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    chosen = np.sort(np.concatenate([np.flatnonzero(labels == label)[:count] for label in np.unique(labels)]))
    return images[chosen], labels[chosen]
