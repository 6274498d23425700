"""MNIST and Fashion-MNIST: 70,000 images of 28 x 28 pixels each, in four gzip-compressed IDX files."""

import os
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from nnx.data.datasets.download import directory_of, fetch
from nnx.data.datasets.idx import read_idx
from nnx.data.datasets.images import check_dtype, check_split, scale

FASHION_MNIST_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


class _File(NamedTuple):
    name: str
    size: int
    sha256: str


class _Collection(NamedTuple):
    name: str  # of the function and of the directory
    mirrors: tuple[str, ...]
    splits: dict[str, tuple[_File, _File]]  # split -> images, labels


_MNIST = _Collection(
    "mnist",
    ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    {
        "train": (
            _File(
                "train-images-idx3-ubyte.gz",
                9912422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            _File(
                "train-labels-idx1-ubyte.gz",
                28881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            ),
        ),
        "test": (
            _File(
                "t10k-images-idx3-ubyte.gz",
                1648877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            ),
            _File(
                "t10k-labels-idx1-ubyte.gz",
                4542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ),
    },
)

_FASHION_MNIST = _Collection(
    "fashion_mnist",
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    {
        "train": (
            _File(
                "train-images-idx3-ubyte.gz",
                26421880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            ),
            _File(
                "train-labels-idx1-ubyte.gz",
                29515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            ),
        ),
        "test": (
            _File(
                "t10k-images-idx3-ubyte.gz",
                4422102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            ),
            _File(
                "t10k-labels-idx1-ubyte.gz",
                5148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        ),
    },
)


def mnist(
    split: str = "train",
    *,
    dtype: DTypeLike = "float32",
    root: str | os.PathLike[str] | None = None,
    download: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """MNIST: handwritten digits, white on black.

    Files are looked for under ``$NNX_DATA/mnist`` (never written to), then under
    ``$XDG_CACHE_HOME/nnx/mnist`` (``~/.cache/nnx/mnist``), and otherwise downloaded there (12 MB). With
    `root`, ``<root>/mnist`` is the only place. Size and SHA-256 are checked every time.

    Parameters
    ----------
    split : {"train", "test"}
        60,000 or 10,000 images.
    dtype : {"float32", "uint8"}
        float32 scaled to [0, 1], or the raw bytes 0..255.
    root : path, optional
        The only directory to look in and download to: its subdirectory ``mnist``.
    download : bool
        False: never use the network.

    Returns
    -------
    images : numpy.ndarray, shape (N, 28, 28, 1)
    labels : numpy.ndarray, shape (N,), int64
        0 to 9: the digit.

    Raises
    ------
    DataFileError
        If a file is corrupt (it is left alone), or is missing and cannot be downloaded.

    Notes
    -----
    Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits" (1998); LeCun et
    al., "Gradient-based learning applied to document recognition", Proc. IEEE 86 (1998). Usually given as
    licensed under CC BY-SA 3.0.

    Examples
    --------
    >>> from nnx.data.datasets import mnist
    >>> images, labels = mnist("test")  # doctest: +SKIP
    >>> images.shape, labels[:5]  # doctest: +SKIP
    ((10000, 28, 28, 1), array([7, 2, 1, 0, 4]))
    """
    return _load(_MNIST, split, dtype, root, download)


def fashion_mnist(
    split: str = "train",
    *,
    dtype: DTypeLike = "float32",
    root: str | os.PathLike[str] | None = None,
    download: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Fashion-MNIST: articles of clothing, in the format of MNIST and harder.

    `FASHION_MNIST_CLASSES` names the ten classes. Files are found as those of `mnist` are, in directories
    named ``fashion_mnist`` (31 MB).

    Parameters
    ----------
    split : {"train", "test"}
        60,000 or 10,000 images.
    dtype : {"float32", "uint8"}
        float32 scaled to [0, 1], or the raw bytes 0..255.
    root : path, optional
        The only directory to look in and download to: its subdirectory ``fashion_mnist``.
    download : bool
        False: never use the network.

    Returns
    -------
    images : numpy.ndarray, shape (N, 28, 28, 1)
    labels : numpy.ndarray, shape (N,), int64
        0 to 9: index into `FASHION_MNIST_CLASSES`.

    Raises
    ------
    DataFileError
        If a file is corrupt (it is left alone), or is missing and cannot be downloaded.

    Notes
    -----
    Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine
    learning algorithms", arXiv:1708.07747 (2017). MIT licence, Zalando SE.

    Examples
    --------
    >>> from nnx.data.datasets import FASHION_MNIST_CLASSES, fashion_mnist
    >>> images, labels = fashion_mnist("test")  # doctest: +SKIP
    >>> FASHION_MNIST_CLASSES[labels[0]]  # doctest: +SKIP
    'Ankle boot'
    """
    return _load(_FASHION_MNIST, split, dtype, root, download)


def _load(
    collection: _Collection,
    split: str,
    dtype: DTypeLike,
    root: str | os.PathLike[str] | None,
    download: bool,
) -> tuple[np.ndarray, np.ndarray]:
    check_split(collection.name, split, tuple(collection.splits))
    check_dtype(collection.name, dtype)
    paths = []
    for file in collection.splits[split]:
        directory = directory_of(file.name, collection.name, root)
        urls = [mirror + file.name for mirror in collection.mirrors]
        paths.append(fetch(file.name, urls, file.sha256, file.size, directory, download))
    images, labels = (read_idx(path) for path in paths)
    return scale(images[..., np.newaxis], 255, dtype), labels.astype(np.int64)
