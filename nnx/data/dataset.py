"""Data sets: anything with a length and items by position, and the ones that read whole batches at once."""

import operator
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import array_api_compat
import numpy as np

from nnx.data.collation import collate
from nnx.errors import ShapeError


@runtime_checkable
class Dataset(Protocol):
    """A collection of items, by position: anything with `__len__` and `__getitem__`.

    Subclassing is optional; a list of items is a dataset too. An item is an array, a number, a string, or a
    tuple, list or dict of them.

    A dataset may also define ``gather(indices)``, which takes a NumPy array of int64 positions, all of them
    in ``0 .. len - 1``, and returns one whole batch. `DataLoader` then calls that instead of reading and
    stacking items one by one.

    Examples
    --------
    >>> import numpy as np
    >>> import nnx
    >>> class Squares(nnx.data.Dataset):
    ...     def __len__(self):
    ...         return 5
    ...
    ...     def __getitem__(self, index):
    ...         return np.float32(index), index**2
    >>> x, y = next(iter(nnx.data.DataLoader(Squares(), batch_size=3)))
    >>> x, y
    (array([0., 1., 2.], dtype=float32), array([0, 1, 4]))
    """

    @abstractmethod
    def __len__(self) -> int:
        """Number of items."""

    @abstractmethod
    def __getitem__(self, index: Any, /) -> Any:
        """The item at position `index`."""


class ArrayDataset(Dataset):
    """Arrays of equal length, side by side: item ``i`` is the tuple of their rows ``i``.

    The arrays may be of any library of the Array API standard and stay where they are; nothing is copied.
    Whole batches are read by one gather per array, without Python per item.

    Parameters
    ----------
    *arrays : array
        One or more arrays, of shape (N, ...) each.

    Raises
    ------
    TypeError
        If an argument is not an array.
    ShapeError
        If the arrays have different lengths, or one has no axis.

    Examples
    --------
    >>> import numpy as np
    >>> import nnx
    >>> dataset = nnx.data.ArrayDataset(np.arange(12.0).reshape(6, 2), np.arange(6))
    >>> len(dataset)
    6
    >>> x, y = dataset[2]
    >>> x, y
    (array([4., 5.]), array(2))
    >>> x, y = dataset[[5, 0]]
    >>> x, y
    (array([[10., 11.],
           [ 0.,  1.]]), array([5, 0]))
    """

    def __init__(self, *arrays: Any) -> None:
        if not arrays:
            raise TypeError("ArrayDataset: expected one or more arrays, got none.")
        for position, array in enumerate(arrays):
            if not array_api_compat.is_array_api_obj(array):
                raise TypeError(
                    f"ArrayDataset: expected arrays, got {type(array).__name__} as argument {position}. "
                    f"Convert it first, for example with numpy.asarray."
                )
            if array.ndim == 0:
                raise ShapeError(f"ArrayDataset: argument {position} has no axis; expected shape (N, ...).")
        if len({array.shape[0] for array in arrays}) > 1:
            shapes = ", ".join(f"argument {i} has shape {tuple(array.shape)}" for i, array in enumerate(arrays))
            raise ShapeError(f"ArrayDataset: expected arrays of equal length (first axis), but {shapes}.")
        self.arrays = arrays

    def __len__(self) -> int:
        return int(self.arrays[0].shape[0])

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray, /) -> tuple[Any, ...]:
        """Rows of every array, as a tuple.

        An integer gives views without the batch axis, a slice gives views, and a list or array of integers,
        or a boolean mask, gathers a new batch.
        """
        key = _normalize(index, len(self), "ArrayDataset")
        if isinstance(key, np.ndarray):
            return self.gather(key)
        return tuple(array[key, ...] for array in self.arrays)

    def gather(self, indices: np.ndarray) -> tuple[Any, ...]:
        """The batch at `indices`, int64 positions in ``0 .. len - 1`` (not checked)."""
        return tuple(_take(array, indices) for array in self.arrays)


class Subset(Dataset):
    """Some items of a dataset, in a given order; nothing is copied.

    Parameters
    ----------
    dataset : Dataset
        Where the items come from.
    indices : sequence or array of int
        Their positions in `dataset`; repeats are allowed, and negative ones count from the end.

    Raises
    ------
    IndexError
        If a position is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import nnx
    >>> subset = nnx.data.Subset(nnx.data.ArrayDataset(np.arange(10)), [7, 3])
    >>> len(subset), subset[0]
    (2, (array(7),))
    """

    def __init__(self, dataset: Dataset, indices: Sequence[int] | np.ndarray) -> None:
        self.dataset = dataset
        self.indices = _index_array(indices, len(dataset), "Subset")

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray, /) -> Any:
        """One item for an integer; a whole batch for a slice, a list or array of integers, or a mask."""
        key = _normalize(index, len(self), "Subset")
        if isinstance(key, int):
            return self.dataset[int(self.indices[key])]
        return gather(self.dataset, self.indices[key])

    def gather(self, indices: np.ndarray) -> Any:
        """The batch at `indices`, int64 positions in ``0 .. len - 1`` (not checked)."""
        return gather(self.dataset, self.indices[indices])


def gather(dataset: Dataset, indices: np.ndarray) -> Any:
    """One batch of `dataset`: by its own `gather` where it has one, otherwise item by item."""
    if hasattr(dataset, "gather"):
        return dataset.gather(indices)
    if array_api_compat.is_array_api_obj(dataset):
        return _take(dataset, indices)
    positions = indices.tolist()
    return collate(read_items(dataset, positions), positions)


def read_items(dataset: Dataset, positions: Sequence[int]) -> list[Any]:
    """The items at `positions`; an error on the way gets a note that says which item it was."""
    items = []
    for position in positions:
        try:
            items.append(dataset[position])
        except Exception as error:
            error.add_note(f"This happened while reading item {position} of a {type(dataset).__name__}.")
            raise
    return items


def _take(array: Any, indices: np.ndarray) -> Any:
    if array_api_compat.is_numpy_array(array):
        # Not numpy.take: that copies a non-contiguous array whole, once per batch.
        return array[indices]
    xp = array_api_compat.array_namespace(array)
    return xp.take(array, xp.asarray(indices, device=array_api_compat.device(array)), axis=0)


def _normalize(key: Any, length: int, owner: str) -> int | slice | np.ndarray:
    """A key as a position in ``0 .. length - 1``, a slice, or an array of positions."""
    if isinstance(key, slice):
        return key
    try:
        position = operator.index(key)
    except TypeError:
        return _index_array(key, length, owner)
    if not -length <= position < length:
        raise IndexError(f"{owner}: index {position} is out of range for {length} items.")
    return position % length


def _index_array(key: Any, length: int, owner: str) -> np.ndarray:
    indices = np.asarray(key)
    if indices.size == 0 and indices.dtype != bool:
        indices = indices.astype(np.int64)
    if indices.ndim != 1 or indices.dtype.kind not in "iub":
        raise TypeError(
            f"{owner}: expected as index an integer, a slice, or a list or 1-d array of integers or "
            f"booleans, got {type(key).__name__} (shape {indices.shape}, dtype {indices.dtype})."
        )
    if indices.dtype == bool:
        if len(indices) != length:
            raise IndexError(f"{owner}: a boolean mask of length {len(indices)} does not fit {length} items.")
        return np.flatnonzero(indices)
    indices = indices.astype(np.int64)
    wrong = (indices < -length) | (indices >= length)
    if wrong.any():
        raise IndexError(f"{owner}: index {indices[wrong][0]} is out of range for {length} items.")
    return np.where(indices < 0, indices + length, indices)
