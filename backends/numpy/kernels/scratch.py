"""Buffers that the tasks of a call hand on to each other, and that later calls for the same sizes find again.

Making and clearing them anew would cost a call some 100 us while other threads wait, and memory that is given back to
the system and asked for again costs it page faults.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from nnx.backend import get_num_threads

_T = TypeVar("_T")

_KEPT = 48 * 2**20  # bytes of all buffers together


class Scratch(Generic[_T]):
    """Things made as they are needed, and used again; one takes `size` bytes."""

    def __init__(self, make: Callable[[], _T], size: int) -> None:
        self._make = make
        self._size = size
        self._made: list[_T] = []
        self._idle: list[_T] = []

    def one(self) -> _Loan[_T]:
        """Lend one out within a ``with`` block; it holds what its last user left in it."""
        return _Loan(self)

    def _take(self) -> _T:
        try:
            return self._idle.pop()
        except IndexError:
            thing = self._make()
            self._made.append(thing)
            return thing

    def _take_back(self, thing: _T) -> None:
        self._idle.append(thing)

    @property
    def bytes(self) -> int:
        return self._size * len(self._made)


class _Loan(Generic[_T]):
    """What `contextlib.contextmanager` would make takes longer, while other threads wait for Python."""

    __slots__ = ("_owner", "_thing")

    def __init__(self, owner: Scratch[_T]) -> None:
        self._owner = owner

    def __enter__(self) -> _T:
        self._thing = self._owner._take()
        return self._thing

    def __exit__(self, *_: object) -> None:
        self._owner._take_back(self._thing)


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
