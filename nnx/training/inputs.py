"""From what users hold to what the training loop wants: checked batches, on the model's backend and device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import array_api_compat

from ..autodiff.tree import leaves_of, map_tree
from ..backend import backend_of_type, device, get_backend, to_numpy
from ..checks import boolean, positive_integer
from ..data import ArrayDataset, DataLoader, Dataset, Subset
from ..dtypes import is_floating
from ..errors import ShapeError
from ..layers import Module


class Placement:
    """Moves arrays to where a module's parameters live, and casts floating-point ones to their dtype.

    Integers stay as they are (class indices, tokens). A module without parameters takes everything as it comes.
    """

    def __init__(self, net: Module) -> None:
        values: list[Any] = [parameter.value for parameter in net.parameters()]
        floating = (value for value in values if is_floating(value.dtype))
        first = next(floating, values[0] if values else None)
        self.backend = None if first is None else get_backend(first)
        self.device = None if first is None else device(first)
        self.dtype = None if first is None else first.dtype

    @property
    def on_host(self) -> bool:
        """Whether reading a number costs nothing."""
        return self.backend is not None and self.backend.on_host

    def is_ready(self, array: Any) -> bool:
        """Tell whether an array may stay as it is."""
        if self.backend is None:
            return True
        at_home = isinstance(array, self.backend.array_types)
        if not at_home or device(array) != self.device:
            return False
        return array.dtype == self.dtype or not is_floating(array.dtype)

    def place(self, tree: Any) -> Any:
        """Return nested containers with every array in them moved."""
        return map_tree(self._place, tree)

    def _place(self, value: Any) -> Any:
        if self.backend is None or not array_api_compat.is_array_api_obj(value) or self.is_ready(value):
            return value
        dtype = self.dtype if is_floating(value.dtype) else None
        if not isinstance(value, self.backend.array_types):
            value = to_numpy(value)
        elif device(value) != self.device:
            value = array_api_compat.to_device(value, self.device)
        return self.backend.asarray(value, dtype=dtype, device=self.device)


class Batches:
    """The batches of some data, as often as wanted, ready for the model.

    Parameters
    ----------
    where
        The name of the caller, for messages.
    x, y
        Arrays (N, ...), or a Dataset or DataLoader and None.
    batch_size
        For all but a DataLoader, which has its own.
    shuffle
        The same.
    """

    def __init__(
        self, where: str, x: Any, y: Any, placement: Placement, batch_size: int = 32, shuffle: bool = False
    ) -> None:
        self.where = where
        self.placement = placement
        batch_size = positive_integer(where, "batch_size", batch_size)
        boolean(where, "shuffle", shuffle)
        self.arrays: tuple[Any, ...] = ()
        if isinstance(x, DataLoader):
            _refuse_targets(where, x, y)
            self._loader: Iterable[Any] = x
            return
        dataset = as_dataset(where, x, y)
        if len(dataset) == 0:
            raise ValueError(f"{where}: expected at least one sample, got none.")
        if isinstance(dataset, ArrayDataset):
            self.arrays = dataset.arrays
        in_order = self.arrays and not shuffle
        self._loader = Slices(self.arrays, batch_size) if in_order else DataLoader(dataset, batch_size, shuffle=shuffle)

    def pairs(self) -> Iterable[tuple[Any, Any]]:
        """Return one epoch of (inputs, targets)."""
        if len(self.arrays) == 2 and all(map(self.placement.is_ready, self.arrays)):
            return self._loader  # nothing to do, so nothing is done per batch
        return _Sized(map(self._pair, self._loader), self._loader)

    def inputs(self) -> Iterator[Any]:
        """Return one epoch of inputs; targets, if there are any, are left out."""
        return map(self._input, self._loader)

    def _pair(self, batch: Any) -> tuple[Any, Any]:
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            got = f"{type(batch).__name__} of {len(batch)}" if hasattr(batch, "__len__") else type(batch).__name__
            raise TypeError(f"{self.where}: expected batches (inputs, targets), got a {got}.")
        x, y = batch
        return self.placement.place(x), self.placement.place(y)

    def _input(self, batch: Any) -> Any:
        if isinstance(batch, (tuple, list)):
            if len(batch) not in (1, 2):
                raise TypeError(
                    f"{self.where}: expected batches of inputs, or (inputs, targets), got a {type(batch).__name__} of "
                    f"{len(batch)}."
                )
            return batch[0]
        return batch


class Slices:
    """The batches of arrays in order: views, nothing is gathered."""

    def __init__(self, arrays: tuple[Any, ...], batch_size: int) -> None:
        self.arrays = arrays
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-int(self.arrays[0].shape[0]) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        size, total = self.batch_size, int(self.arrays[0].shape[0])
        for start in range(0, total, size):
            rows = slice(start, min(start + size, total))
            yield tuple([array[rows, ...] for array in self.arrays])


class _Sized:
    """An iterator that knows how many items its source has, for progress bars."""

    def __init__(self, iterator: Iterator[Any], source: Any) -> None:
        self._iterator = iterator
        self._source = source

    def __iter__(self) -> Iterator[Any]:
        return self._iterator

    def __len__(self) -> int:
        return len(self._source)


def as_dataset(where: str, x: Any, y: Any) -> Dataset:
    """Return arrays side by side as a dataset, and a dataset as it is."""
    if array_api_compat.is_array_api_obj(x):
        if y is None:
            return ArrayDataset(x)
        if not array_api_compat.is_array_api_obj(y):
            raise TypeError(f"{where}: expected an array of targets, got {type(y).__name__}; use nnx.asarray(y).")
        if x.ndim == 0 or y.ndim == 0:
            raise ShapeError(f"{where}: expected x and y of shape (N, ...), got {tuple(x.shape)} and {tuple(y.shape)}.")
        if x.shape[0] != y.shape[0]:
            raise ShapeError(
                f"{where}: expected as many targets as inputs, got x {tuple(x.shape)} with {x.shape[0]} samples and "
                f"y {tuple(y.shape)} with {y.shape[0]}."
            )
        return ArrayDataset(x, y)
    if isinstance(x, (tuple, dict, str)) or not isinstance(x, Dataset) or (y is not None and isinstance(x, list)):
        raise TypeError(
            f"{where}: expected x as an array, a Dataset or a DataLoader, got {type(x).__name__}; use nnx.asarray(x) "
            "for numbers."
        )
    if isinstance(x, list) and x and isinstance(x[0], list) and all(map(_is_number, leaves_of(x[0]))):
        raise TypeError(f"{where}: expected x as an array, got a list of lists of numbers; use nnx.asarray(x).")
    _refuse_targets(where, x, y)
    return x


def _is_number(value: Any) -> bool:
    return isinstance(value, (bool, int, float, complex))


def _refuse_targets(where: str, x: Any, y: Any) -> None:
    if y is not None:
        raise TypeError(f"{where}: x ({type(x).__name__}) brings its own targets; leave y out.")


def require_targets(where: str, x: Any, y: Any) -> None:
    """Raise if `x` is an array and there are no targets."""
    if y is None and array_api_compat.is_array_api_obj(x):
        raise TypeError(f"{where}: expected targets y beside the array x.")


def split_last(where: str, x: Any, y: Any, fraction: float) -> tuple[tuple[Any, Any], tuple[Any, Any] | None]:
    """Split off the last fraction of the samples for validation, before any shuffling; 0 splits nothing off."""
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 <= fraction < 1:
        raise ValueError(f"{where}: expected validation_split to be at least 0 and less than 1, got {fraction!r}.")
    if fraction == 0:
        return (x, y), None
    if isinstance(x, DataLoader):
        raise TypeError(f"{where}: a DataLoader cannot be split; pass validation_data instead of validation_split.")
    dataset = as_dataset(where, x, y)
    total = len(dataset)
    last = round(total * fraction)
    if not 0 < last < total:
        raise ValueError(
            f"{where}: validation_split={fraction} of {total} samples leaves {total - last} for training and {last} "
            "for validation; expected at least one each."
        )
    if isinstance(dataset, ArrayDataset):
        first = total - last
        head = [array[:first, ...] for array in dataset.arrays]
        tail = [array[first:, ...] for array in dataset.arrays]
        if len(head) == 2:
            return (head[0], head[1]), (tail[0], tail[1])
        return (ArrayDataset(*head), None), (ArrayDataset(*tail), None)
    indices = list(range(total))
    return (Subset(dataset, indices[: total - last]), None), (Subset(dataset, indices[total - last :]), None)


def samples_in(batch: Any) -> int:
    """Return the number of samples in a batch: the length of its first array."""
    if hasattr(batch, "shape"):
        return batch.shape[0]
    leaves = [leaf for leaf in leaves_of(batch) if hasattr(leaf, "shape")]
    return leaves[0].shape[0] if leaves else len(batch)


def check_axes(where: str, batch: Any, ndim: int | None) -> None:
    """Raise if a batch has fewer axes than those of training had: one sample then passes for a batch of its parts."""
    if ndim is not None and getattr(batch, "ndim", ndim) < ndim:
        shape = tuple(batch.shape)
        raise ShapeError(
            f"{where}: expected batches with {ndim} axes (N, ...), as in fit, got shape {shape}. For one sample write "
            "x[None, ...]."
        )


def check_outputs(where: str, batch: Any, outputs: Any) -> None:
    """Raise unless the outputs for an array of samples are one per sample."""
    samples = batch.shape[0]
    for output in leaves_of(outputs):
        shape = tuple(getattr(output, "shape", ()))
        if not shape or shape[0] != samples:
            raise ShapeError(
                f"{where}: expected outputs of shape ({samples}, ...), one per sample, got {shape} for inputs "
                f"{tuple(batch.shape)}. If that is one sample, write x[None, ...]; if not, return from forward only "
                "what belongs to the samples, with their axis first."
            )


def like(array: Any, outputs: Any) -> Any:
    """Return outputs as the kind of array that `array` is, on its device."""
    wanted = backend_of_type(array)

    def convert(value: Any) -> Any:
        if wanted is None or isinstance(value, wanted.array_types):
            return value
        return wanted.asarray(to_numpy(value), device=device(array))

    return map_tree(convert, outputs)
