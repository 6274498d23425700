"""Where random numbers about data come from: the global generator, one's own, or that of a batch in a DataLoader."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from nnx.checks import non_negative_integer
from nnx.random import data_generator

Seed = int | np.random.Generator | None

_of_batch: ContextVar[np.random.Generator | None] = ContextVar("nnx_batch_generator", default=None)


def generator_of(where: str, name: str, seed: Any) -> np.random.Generator:
    """The generator that nnx.seed sets for None, a new one for an integer, and any other as it is."""
    if seed is None:
        return data_generator()
    if isinstance(seed, np.random.Generator):
        return seed
    return np.random.default_rng(non_negative_integer(where, name, seed))


def current_generator() -> np.random.Generator:
    """Return the generator that augmentation without a seed of its own draws from.

    While a `DataLoader` makes a batch, that is a generator for this batch alone, so that what is drawn depends on the
    seed and on the number of the batch, but neither on threads nor on batches that were prepared and not used.
    Elsewhere it is the data generator that `nnx.seed` sets.

    Returns
    -------
    numpy.random.Generator

    Examples
    --------
    >>> import numpy as np, nnx
    >>> def add_noise(x):
    ...     return x + nnx.data.transforms.current_generator().normal(size=x.shape).astype(x.dtype)
    >>> loader = nnx.data.DataLoader(np.zeros((4, 2), dtype=np.float32), batch_size=2, transform=add_noise, seed=0)
    >>> len(list(loader))
    2
    """
    return _of_batch.get() or data_generator()


@contextmanager
def use_generator(generator: np.random.Generator) -> Iterator[None]:
    """Let `current_generator` return another one inside a ``with`` block, in this thread only."""
    token = _of_batch.set(generator)
    try:
        yield
    finally:
        _of_batch.reset(token)
