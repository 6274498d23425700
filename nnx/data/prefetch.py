"""Batches prepared ahead of their use, by one background thread."""

import contextvars
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Any, Self

_BATCH, _END, _ERROR = "batch", "end", "error"


class Prefetcher(Iterator[Any]):
    """Iterator over ``make(task) for task in tasks``, with `depth` results prepared ahead by a thread.

    The thread ends when the tasks do, when `make` raises (the exception is raised again here, with its
    traceback), and when the iterator dies: at the end of a loop left early, at the latest at exit. It runs
    in a copy of the caller's context, so that context variables read the same as without a thread.
    """

    def __init__(self, make: Callable[[Any], Any], tasks: Iterable[Any], depth: int) -> None:
        # A free slot is a permission to prepare one more batch; both queues block in C, without polling.
        self._slots: SimpleQueue[None] = SimpleQueue()
        self._ready: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        for _ in range(depth):
            self._slots.put(None)
        stopping = threading.Event()
        # The thread holds no reference to self; otherwise an iterator left early would never die.
        thread = threading.Thread(
            target=contextvars.copy_context().run,
            args=(_work, make, tasks, self._slots, self._ready, stopping),
            name="nnx-prefetch",
            daemon=True,
        )
        thread.start()
        self._close = weakref.finalize(self, _stop, thread, self._slots, self._ready, stopping)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        if not self._close.alive:
            raise StopIteration
        kind, value = self._ready.get()
        if kind == _BATCH:
            self._slots.put(None)
            return value
        self._close()
        if kind == _END:
            raise StopIteration
        try:
            if isinstance(value, StopIteration):  # would pass for the end of the data
                raise RuntimeError("The dataset or collate_fn raised StopIteration.") from value
            raise value
        finally:
            del value  # the traceback refers to this frame: without this, a reference cycle


def _work(
    make: Callable[[Any], Any],
    tasks: Iterable[Any],
    slots: "SimpleQueue[None]",
    ready: "SimpleQueue[tuple[str, Any]]",
    stopping: threading.Event,
) -> None:
    try:
        for task in tasks:
            slots.get()
            if stopping.is_set():
                return
            ready.put((_BATCH, make(task)))
        ready.put((_END, None))
    except BaseException as error:  # whatever it is, it belongs to the consumer
        ready.put((_ERROR, error))


def _stop(
    thread: threading.Thread,
    slots: "SimpleQueue[None]",
    ready: "SimpleQueue[tuple[str, Any]]",
    stopping: threading.Event,
) -> None:
    stopping.set()
    slots.put(None)
    if thread is not threading.current_thread():  # the garbage collector may run in the worker itself
        thread.join()
    while not ready.empty():  # an exception left inside would keep the queue alive through its traceback
        ready.get()
