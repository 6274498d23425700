"""Buffers that the tasks of a call hand on to each other, so that there are no more of them than threads at work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Scratch(Generic[_T]):
    """Things made as they are needed, and used again."""

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._idle: list[_T] = []

    @contextmanager
    def one(self) -> Iterator[_T]:
        """Lend one out within a ``with`` block; it holds what its last user left in it."""
        try:
            thing = self._idle.pop()
        except IndexError:
            thing = self._make()
        yield thing
        self._idle.append(thing)
