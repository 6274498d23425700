"""Data collections, as arrays: `digits` is bundled, `spiral` is made on the spot, the others are downloaded once."""

from nnx.data.datasets.california_housing import CALIFORNIA_HOUSING_FEATURES, california_housing
from nnx.data.datasets.cifar import cifar10, cifar10_subset, cifar100
from nnx.data.datasets.cifar_classes import CIFAR10_CLASSES, CIFAR100_CLASSES, CIFAR100_SUPERCLASSES
from nnx.data.datasets.digits import digits
from nnx.data.datasets.download import fetch
from nnx.data.datasets.idx import read_idx
from nnx.data.datasets.mnist import FASHION_MNIST_CLASSES, fashion_mnist, mnist
from nnx.data.datasets.spiral import spiral

__all__ = ["CALIFORNIA_HOUSING_FEATURES", "FASHION_MNIST_CLASSES", "california_housing", "digits", "fashion_mnist"]
__all__ += ["fetch", "mnist", "read_idx", "spiral"]
__all__ += ["CIFAR10_CLASSES", "CIFAR100_CLASSES", "CIFAR100_SUPERCLASSES", "cifar10", "cifar10_subset", "cifar100"]
