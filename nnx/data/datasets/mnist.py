"""MNIST and Fashion-MNIST: 70,000 images of 28 x 28 pixels each, in four gzip-compressed IDX files."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from nnx.data.datasets.download import directories, fetch
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
    name: str  # with .gz, as the mirrors have it
    size: int
    sha256: str
    plain_size: int  # of what is in it: people unpack files
    plain_sha256: str

    def forms(self) -> tuple[tuple[str, int, str], ...]:
        """The (name, size, SHA-256) under which its content may lie, the preferred one first."""
        plain = (self.name.removesuffix(".gz"), self.plain_size, self.plain_sha256)
        return (self.name, self.size, self.sha256), plain


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
                47040016,
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            _File(
                "train-labels-idx1-ubyte.gz",
                28881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                60008,
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
        ),
        "test": (
            _File(
                "t10k-images-idx3-ubyte.gz",
                1648877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                7840016,
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            _File(
                "t10k-labels-idx1-ubyte.gz",
                4542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                10008,
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
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
                47040016,
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            ),
            _File(
                "train-labels-idx1-ubyte.gz",
                29515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                60008,
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            ),
        ),
        "test": (
            _File(
                "t10k-images-idx3-ubyte.gz",
                4422102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                7840016,
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            ),
            _File(
                "t10k-labels-idx1-ubyte.gz",
                5148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                10008,
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
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
    `root`, ``<root>/mnist`` is the only place. They may be compressed (``train-images-idx3-ubyte.gz``) or not
    (``train-images-idx3-ubyte``). Size and SHA-256 are checked every time.

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


def _path(collection: _Collection, file: _File, root: str | os.PathLike[str] | None, download: bool) -> Path:
    """Where a file lies, compressed or not, after its check; downloaded first if it is nowhere."""
    for directory in directories(collection.name, root):
        for name, size, sha256 in file.forms():
            if (directory / name).exists():
                return fetch(name, [], sha256, size, directory, download)
    urls = [mirror + file.name for mirror in collection.mirrors]
    return fetch(file.name, urls, file.sha256, file.size, directory, download)


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
        paths.append(_path(collection, file, root, download))
    images, labels = (read_idx(path) for path in paths)
    return scale(images[..., np.newaxis], 255, dtype), labels.astype(np.int64)
