"""Data collections, as arrays: `digits` is bundled, `mnist` and `fashion_mnist` are downloaded once."""

from nnx.data.datasets.digits import digits
from nnx.data.datasets.download import fetch
from nnx.data.datasets.idx import read_idx
from nnx.data.datasets.mnist import FASHION_MNIST_CLASSES, fashion_mnist, mnist

__all__ = ["FASHION_MNIST_CLASSES", "digits", "fashion_mnist", "fetch", "mnist", "read_idx"]
