"""DataLoader: batches of a dataset, in order or shuffled."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import array_api_compat
import numpy as np

from nnx.checks import boolean, non_negative_integer, positive_integer
from nnx.data.dataset import ArrayDataset, Dataset, Subset, gather, read_items
from nnx.data.prefetch import Prefetcher
from nnx.data.seeds import Seed, generator_of, use_generator

_DEFAULT_PREFETCH = 2


class DataLoader:
    """Iterable over the batches of a dataset.

    Every ``iter(loader)`` is one epoch. With `shuffle`, the order is drawn on the host when the epoch
    begins, so that it depends on the seed only, not on the backend or on `prefetch`. Batches are the kind of
    arrays that the dataset holds; moving them to a device is left to the caller (`Model` does it).

    Parameters
    ----------
    dataset : Dataset
        Anything with `__len__` and `__getitem__`. Put arrays together with `ArrayDataset`, which is read by
        whole batches, without Python per item.
    batch_size : int
        Number of items in a batch.
    shuffle : bool
        Draw a new order for every epoch. Default: the order of the dataset.
    drop_last : bool
        Leave out the last batch if it is smaller than `batch_size`.
    collate_fn : callable, optional
        Makes a batch of a list of items. Default: stack arrays and numbers, through tuples and dicts.
    prefetch : int, optional
        Number of batches that one background thread prepares ahead; 0 prepares each when it is asked for.
        Default: 2, but 0 for arrays in memory (`ArrayDataset` without `collate_fn` and `transform`), where handing a
        batch over costs more than it saves; a memory-mapped file is a reason to ask for 2. Arrays on a device
        are never read by the thread: it would do so on another stream than the consumer's.
    seed : int or numpy.random.Generator, optional
        Where the shuffles, and the draws of `transform`, come from. Default: the data generator that `nnx.seed` sets.
    transform : callable, optional
        A function of the members of a batch, ``transform(x, y)`` for pairs, that returns the new members: one of
        `nnx.data.transforms`, or one's own. A batch that is no tuple is its only argument. It runs in the background
        thread, if there is one.

    Raises
    ------
    ValueError
        If the dataset is empty, `batch_size` is not positive, `prefetch` or `seed` is negative, or `drop_last`
        leaves no batch.
    TypeError
        If an argument has the wrong type.

    Notes
    -----
    With `prefetch`, items are read in another thread. A dataset that draws random numbers itself is
    reproducible if it owns its generator. Transforms without a seed draw from a generator of their batch
    (`nnx.data.transforms.current_generator`), so they are reproducible whatever `prefetch` is.

    Examples
    --------
    >>> import numpy as np
    >>> import nnx
    >>> dataset = nnx.data.ArrayDataset(np.zeros((10, 3)), np.arange(10))
    >>> loader = nnx.data.DataLoader(dataset, batch_size=4)
    >>> len(loader)
    3
    >>> for x, y in loader:
    ...     print(x.shape, y)
    (4, 3) [0 1 2 3]
    (4, 3) [4 5 6 7]
    (2, 3) [8 9]
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 32,
        shuffle: bool = False,
        drop_last: bool = False,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        prefetch: int | None = None,
        seed: Seed = None,
        transform: Callable[..., Any] | None = None,
    ) -> None:
        _check_dataset(dataset)
        self.dataset = dataset
        if collate_fn is not None and not callable(collate_fn):
            raise TypeError(
                f"DataLoader: expected collate_fn to be a function of a list of items, got {collate_fn!r}. Leave it "
                "out to stack arrays and numbers."
            )
        if transform is not None and not callable(transform):
            raise TypeError(
                f"DataLoader: expected transform to be a function of the members of a batch, got {transform!r}. Put "
                "several together with nnx.data.transforms.Compose."
            )
        self.batch_size = positive_integer("DataLoader", "batch_size", batch_size)
        self.shuffle = boolean("DataLoader", "shuffle", shuffle)
        self.drop_last = boolean("DataLoader", "drop_last", drop_last)
        self.collate_fn = collate_fn
        self.prefetch = None if prefetch is None else non_negative_integer("DataLoader", "prefetch", prefetch)
        self.transform = transform
        self._generator = generator_of("DataLoader", "seed", seed)
        if len(self) == 0:
            raise ValueError(
                f"DataLoader: drop_last=True leaves no batch of {len(dataset)} items with batch_size="
                f"{self.batch_size}. Use a smaller batch_size or drop_last=False."
            )

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full if self.drop_last or rest == 0 else full + 1

    def __repr__(self) -> str:
        source = f"{type(self.dataset).__name__} of {len(self.dataset)}"
        flags = "".join(f", {name}=True" for name in ("shuffle", "drop_last") if getattr(self, name))
        return f"DataLoader({source}, batch_size={self.batch_size}{flags})"

    def __iter__(self) -> Iterator[Any]:
        # Not a generator function: what is random is drawn now, not when the first batch is asked for.
        size, count = len(self.dataset), len(self)
        order = self._generator.permutation(size) if self.shuffle else np.arange(size)
        chunks = (order[i * self.batch_size : (i + 1) * self.batch_size] for i in range(count))
        load: Callable[[Any], Any] = partial(_load, self.dataset, self.collate_fn)
        tasks: Iterable[Any] = chunks
        if self.transform is not None:
            key = int(self._generator.integers(2**63))
            load, tasks = partial(_load_transformed, load, self.transform, key), enumerate(chunks)
        depth = self._depth()
        return Prefetcher(load, tasks, depth) if depth else (load(task) for task in tasks)

    def _depth(self) -> int:
        """How many batches to prepare ahead: see the parameter `prefetch`."""
        source = self.dataset
        while isinstance(source, Subset):
            source = source.dataset
        arrays = source.arrays if isinstance(source, ArrayDataset) else (source,)
        in_memory = all(array_api_compat.is_array_api_obj(array) for array in arrays)
        if in_memory and not all(array_api_compat.is_numpy_array(array) for array in arrays):
            return 0
        if self.prefetch is not None:
            return self.prefetch
        return 0 if in_memory and self.collate_fn is None and self.transform is None else _DEFAULT_PREFETCH


def _load(dataset: Dataset, collate_fn: Callable[[list[Any]], Any] | None, indices: np.ndarray) -> Any:
    if collate_fn is None:
        return gather(dataset, indices)
    return collate_fn(read_items(dataset, indices.tolist()))


def _load_transformed(
    load: Callable[[np.ndarray], Any], transform: Callable[..., Any], key: int, task: tuple[int, np.ndarray]
) -> Any:
    number, indices = task
    batch = load(indices)
    # A generator for each batch, because the order in which batches are made and dropped is a matter of threads.
    with use_generator(np.random.Generator(np.random.Philox(key=key + (number << 64)))):
        if not isinstance(batch, tuple):
            return transform(batch)
        result = transform(*batch)
    return result if isinstance(result, tuple) else (result,)


def _check_dataset(dataset: Any) -> None:
    if isinstance(dataset, tuple | dict) or not isinstance(dataset, Dataset):
        raise TypeError(
            f"DataLoader: expected a dataset (an object with __len__ and __getitem__), got "
            f"{type(dataset).__name__}. Put arrays together with ArrayDataset(x, y)."
        )
    if len(dataset) == 0:
        raise ValueError(f"DataLoader: the {type(dataset).__name__} is empty; expected at least one item.")
