"""Buffers that the tasks of a call hand on to each other, and that later calls for the same sizes find again.

Making and clearing them anew would cost a call some 100 us while other threads wait, and memory that is given back to
the system and asked for again costs it page faults.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from nnx.backend import get_num_threads

_T = TypeVar("_T")

_KEPT = 60 * 2**20  # bytes of all buffers together


class Scratch(Generic[_T]):
    """Things made as they are needed, and used again; one takes `size` bytes."""

    def __init__(self, make: Callable[[], _T], size: int) -> None:
        self._make = make
        self._size = size
        self._made: list[_T] = []
        self._idle: list[_T] = []

    @contextmanager
    def one(self) -> Iterator[_T]:
        """Lend one out within a ``with`` block; it holds what its last user left in it."""
        try:
            thing = self._idle.pop()
        except IndexError:
            thing = self._make()
            self._made.append(thing)
        try:
            yield thing
        finally:
            self._idle.append(thing)

    @property
    def bytes(self) -> int:
        return self._size * len(self._made)


_scratches: OrderedDict[Hashable, Scratch[Any]] = OrderedDict()
_lock = threading.Lock()


def scratch(key: Hashable, make: Callable[[], _T], size: int, tasks: int) -> Scratch[_T]:
    """Return the scratch of a key: that of the last call with it, unless others have needed the memory since.

    Parameters
    ----------
    key
        Everything that the things depend on.
    make
        Returns a new thing.
    size
        Bytes of a thing.
    tasks
        How many tasks are going to use one.
    """
    with _lock:
        found = _scratches.pop(key, None)
        most = size * min(tasks, get_num_threads())
        while _scratches and sum(other.bytes for other in _scratches.values()) + most > _KEPT:
            _scratches.popitem(last=False)
        if found is None:
            found = Scratch(make, size)
        _scratches[key] = found
        return found
