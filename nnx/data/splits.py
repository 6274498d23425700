"""Splits of a data set into random parts, of any classes or with the classes in proportion."""

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np

from nnx.checks import is_number
from nnx.data.dataset import Dataset, Subset
from nnx.data.labels import class_codes
from nnx.data.seeds import Seed, generator_of
from nnx.errors import ShapeError


def random_split(
    dataset: Dataset, lengths: Sequence[float], *, stratify: Any = None, seed: Seed = None
) -> list[Subset]:
    """Split a data set into random parts that do not overlap.

    Parameters
    ----------
    dataset
        Anything with `__len__` and `__getitem__`; put arrays together with `ArrayDataset`.
    lengths
        The numbers of items in the parts, which add up to all; or fractions that add up to 1. Fractions are rounded
        down, and the items left over go to the parts in turn, as in PyTorch.
    stratify
        The class of each item, of shape (N,): numbers or strings. Every part then has its share of each class, to
        within two items.
    seed
        An integer or a `numpy.random.Generator`. Default: the data generator that `nnx.seed` sets.

    Returns
    -------
    list of Subset
        In random order each. Of arrays, ``part[:]`` gives the arrays of a part.

    Raises
    ------
    ValueError
        If `lengths` do not add up, a fraction is too small for a single item, or there are no items.
    TypeError, ShapeError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.seed(0)
    >>> x, y = np.zeros((10, 3)), np.asarray([0, 1] * 5)
    >>> training, held_out = nnx.data.random_split(nnx.data.ArrayDataset(x, y), [0.8, 0.2], stratify=y)
    >>> len(training), sorted(held_out[:][1].tolist())
    (8, [0, 1])
    """
    where = "random_split"
    size = number_of_items(where, "dataset", dataset)
    if size == 0:
        raise ValueError(f"{where}: expected at least one item, got an empty {type(dataset).__name__}.")
    sizes = _sizes(where, lengths, size)
    codes = None if stratify is None else class_codes(where, "stratify", stratify, size)
    generator = generator_of(where, "seed", seed)
    order = generator.permutation(size)
    if codes is None:
        parts = np.split(order, np.cumsum(sizes)[:-1])
    else:
        parts = _stratified(codes[order], order, sizes, generator)
    return [Subset(dataset, part) for part in parts]


# ---- arguments


def number_of_items(where: str, name: str, samples: Any) -> int:
    """The number of samples in an array or a data set."""
    if getattr(samples, "shape", None) == ():
        raise ShapeError(f"{where}: expected {name} of shape (N, ...), got an array without axes.")
    if hasattr(samples, "shape"):
        return int(samples.shape[0])
    if isinstance(samples, tuple | dict | str) or not isinstance(samples, Dataset):
        raise TypeError(
            f"{where}: expected {name} to be an array or a data set, got {type(samples).__name__}. Put arrays "
            "together with ArrayDataset(x, y)."
        )
    return len(samples)


def _sizes(where: str, lengths: Any, size: int) -> list[int]:
    """The lengths of the parts, of numbers or fractions that add up."""
    fix = f"Pass such as [{size - size // 5}, {size // 5}] or [0.8, 0.2]."
    if not isinstance(lengths, Sequence) or isinstance(lengths, str) or not lengths:
        raise TypeError(f"{where}: expected lengths as a list of numbers, got {lengths!r}. {fix}")
    for length in lengths:
        if not is_number(length):
            raise TypeError(f"{where}: expected lengths as a list of numbers, got {length!r} in it. {fix}")
        if not float(length) >= 0:
            raise ValueError(f"{where}: expected lengths of at least 0, got {length!r}. {fix}")
    if all(isinstance(length, Integral) for length in lengths):
        if sum(lengths) != size:
            raise ValueError(
                f"{where}: expected lengths that add up to the {size} items, got {list(lengths)}, which is "
                f"{sum(lengths)} items. {fix}"
            )
        return [int(length) for length in lengths]
    if not math.isclose(sum(lengths), 1.0):
        raise ValueError(
            f"{where}: expected fractions that add up to 1, got {list(lengths)}, which is {sum(lengths):g}. {fix}"
        )
    sizes = [math.floor(size * length) for length in lengths]
    for k in range(size - sum(sizes)):
        sizes[k % len(sizes)] += 1
    for length, count in zip(lengths, sizes, strict=True):
        if length and not count:
            raise ValueError(
                f"{where}: the fraction {length:g} of {size} items leaves a part without any. Pass numbers of items."
            )
    return sizes


# ---- classes in proportion


def _stratified(codes: np.ndarray, items: np.ndarray, sizes: list[int], generator: np.random.Generator) -> list:
    """Parts of the given sizes, with each class in proportion. `codes` are the classes of `items`, in random order."""
    left = np.bincount(codes)
    waiting = np.split(items[np.argsort(codes, kind="stable")], np.cumsum(left)[:-1])
    parts = []
    for size in sizes:
        shares = _shares(left, size, generator)
        taken = [members[:share] for members, share in zip(waiting, shares, strict=True)]
        waiting = [members[share:] for members, share in zip(waiting, shares, strict=True)]
        left = left - shares
        parts.append(generator.permutation(np.concatenate(taken)))  # else class after class
    return parts


def _shares(left: np.ndarray, size: int, generator: np.random.Generator) -> np.ndarray:
    """How many of each class to take, `size` in all: the shares rounded down, and one more for the largest rests."""
    if size == 0:
        return np.zeros_like(left)
    shares, rests = np.divmod(left * size, left.sum())
    drawn = generator.permutation(len(left))  # equal rests are decided by lot
    largest = drawn[np.argsort(-rests[drawn], kind="stable")]
    shares[largest[: size - shares.sum()]] += 1
    return shares
