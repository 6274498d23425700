"""Folds for cross-validation: the splits of scikit-learn, by its names."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from nnx.checks import boolean, non_negative_integer, positive_integer
from nnx.data.labels import class_codes
from nnx.data.seeds import Seed, generator_of
from nnx.data.splits import number_of_items


class KFold:
    """Cross-validation: every sample is tested once, in one of `n_splits` folds. scikit-learn's, with its splits.

    Parameters
    ----------
    n_splits
        The number of folds, at least 2. The first ``N % n_splits`` have one sample more than the others.
    shuffle
        Whether samples are put into folds at random. By default each fold is a stretch of neighbours.
    random_state
        With `shuffle`, an integer, for the same folds at every call of `split`, or a `numpy.random.Generator`.
        Default: the data generator that `nnx.seed` sets.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> for train, test in nnx.data.KFold(n_splits=2).split(np.zeros((5, 3))):
    ...     print(train, test)
    [3 4] [0 1 2]
    [0 1 2] [3 4]
    """

    def __init__(self, n_splits: int = 5, *, shuffle: bool = False, random_state: Seed = None) -> None:
        where = type(self).__name__
        self.n_splits = _n_splits(where, n_splits)
        self.shuffle = boolean(where, "shuffle", shuffle)
        if random_state is not None:
            if not shuffle:
                raise ValueError(
                    f"{where}: random_state does nothing without a shuffle; pass shuffle=True or leave it."
                )
            generator_of(where, "random_state", random_state)
        self.random_state = random_state

    def split(self, x: Any, y: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (train_indices, test_indices), ascending arrays of int64, for each fold.

        Parameters
        ----------
        x
            The samples: an array of shape (N, ...) or a data set; only their number matters.
        y
            Not used; there as in `StratifiedKFold`.

        Raises
        ------
        ValueError
            If there are fewer samples than folds.
        """
        where = f"{type(self).__name__}.split"
        size = number_of_items(where, "x", x)
        _check_enough(where, self.n_splits, size)
        fold_of = self._fold_of(where, size, y)
        return ((np.flatnonzero(fold_of != k), np.flatnonzero(fold_of == k)) for k in range(self.n_splits))

    def _fold_of(self, where: str, size: int, y: Any) -> np.ndarray:
        """The fold in which each sample is tested."""
        folds = np.sort(np.arange(size) % self.n_splits)
        return generator_of(where, "random_state", self.random_state).permutation(folds) if self.shuffle else folds

    def __repr__(self) -> str:
        drawn = f", shuffle=True, random_state={self.random_state}" if self.shuffle else ""
        return f"{type(self).__name__}(n_splits={self.n_splits}{drawn})"


class StratifiedKFold(KFold):
    """`KFold` with the same proportions of the classes in every fold, to within one sample. scikit-learn's.

    Parameters
    ----------
    n_splits, shuffle, random_state
        Those of `KFold`. Without `shuffle`, the samples of a class keep their order from fold to fold.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> y = np.asarray(["a", "a", "a", "a", "b", "b"])
    >>> for train, test in nnx.data.StratifiedKFold(n_splits=2).split(np.zeros((6, 3)), y):
    ...     print(train, test)
    [2 3 5] [0 1 4]
    [0 1 4] [2 3 5]
    """

    def split(self, x: Any, y: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (train_indices, test_indices), ascending arrays of int64, for each fold.

        Parameters
        ----------
        x
            The samples: an array of shape (N, ...) or a data set; only their number matters.
        y
            The class of each sample, of shape (N,): numbers or strings.

        Raises
        ------
        ValueError
            If every class has fewer samples than there are folds, or `y` looks like measurements.
        TypeError, ShapeError
            If `y` is missing or no label for each sample.

        Warns
        -----
        UserWarning
            If a class has fewer samples than there are folds: some folds will have none of it.
        """
        return super().split(x, y)

    def _fold_of(self, where: str, size: int, y: Any) -> np.ndarray:
        codes = class_codes(where, "y", y, size)
        counts = np.bincount(codes)
        if counts.max() < self.n_splits:
            raise ValueError(
                f"{where}: expected a class of at least n_splits={self.n_splits} samples, got at most {counts.max()} "
                "of one class. Use fewer splits."
            )
        if counts.min() < self.n_splits:
            warnings.warn(
                f"{where}: a class has only {counts.min()} samples, fewer than n_splits={self.n_splits}: some folds "
                "will have none of it.",
                UserWarning,
                stacklevel=4,
            )
        # Dealing out the samples, class after class, in turn decides how many of each class a fold has. Which ones
        # is another matter: within a class, the first samples go to the first fold.
        order = np.argsort(codes, kind="stable")
        dealt = np.arange(size) % self.n_splits
        generator = generator_of(where, "random_state", self.random_state) if self.shuffle else None
        fold_of = np.empty(size, dtype=np.int64)
        for start, stop in zip(np.cumsum(counts) - counts, np.cumsum(counts), strict=True):
            folds = np.sort(dealt[start:stop])
            fold_of[order[start:stop]] = folds if generator is None else generator.permutation(folds)
        return fold_of


class TimeSeriesSplit:
    """Splits of samples in order of time: train on the past, test on what follows. scikit-learn's, with its splits.

    Parameters
    ----------
    n_splits
        The number of splits, at least 2.
    max_train_size
        The largest number of training samples, the latest ones. Default: all.
    test_size
        The number of test samples in each split. Default: ``N // (n_splits + 1)``.
    gap
        The number of samples to leave out between training and test.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> for train, test in nnx.data.TimeSeriesSplit(n_splits=3).split(np.zeros((4, 1))):
    ...     print(train, test)
    [0] [1]
    [0 1] [2]
    [0 1 2] [3]
    """

    def __init__(
        self, n_splits: int = 5, *, max_train_size: int | None = None, test_size: int | None = None, gap: int = 0
    ) -> None:
        where = "TimeSeriesSplit"
        self.n_splits = _n_splits(where, n_splits)
        self.max_train_size = max_train_size
        if max_train_size is not None:
            self.max_train_size = positive_integer(where, "max_train_size", max_train_size)
        self.test_size = None if test_size is None else positive_integer(where, "test_size", test_size)
        self.gap = non_negative_integer(where, "gap", gap)

    def split(self, x: Any, y: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (train_indices, test_indices), ascending arrays of int64, the earliest test first.

        Parameters
        ----------
        x
            The samples, the earliest first: an array of shape (N, ...) or a data set; only their number matters.
        y
            Not used; there as in `StratifiedKFold`.

        Raises
        ------
        ValueError
            If there are too few samples.
        """
        where = "TimeSeriesSplit.split"
        size = number_of_items(where, "x", x)
        _check_enough(where, self.n_splits + 1, size)
        length = size // (self.n_splits + 1) if self.test_size is None else self.test_size
        first = size - self.n_splits * length
        if first - self.gap <= 0:
            raise ValueError(
                f"{where}: expected more than {self.n_splits * length + self.gap} samples for {self.n_splits} tests of "
                f"{length} and a gap of {self.gap}, got {size}; nothing is left to train on. Use a smaller n_splits, "
                "test_size or gap."
            )
        return (self._pair(start, length) for start in range(first, size, length))

    def _pair(self, start: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        end = start - self.gap
        begin = 0 if self.max_train_size is None else max(end - self.max_train_size, 0)
        return np.arange(begin, end), np.arange(start, start + length)

    def __repr__(self) -> str:
        options = (f"{name}={getattr(self, name)}" for name in ("n_splits", "max_train_size", "test_size", "gap"))
        return f"TimeSeriesSplit({', '.join(options)})"


def _n_splits(where: str, n_splits: Any) -> int:
    n_splits = positive_integer(where, "n_splits", n_splits)
    if n_splits < 2:
        raise ValueError(f"{where}: expected n_splits of at least 2, got 1; random_split makes a single split.")
    return n_splits


def _check_enough(where: str, needed: int, size: int) -> None:
    if size < needed:
        raise ValueError(f"{where}: expected at least {needed} samples, got {size}. Use fewer splits.")
