"""How many CPU threads nnx may use, and the one pool that they are in."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, TypeVar

from . import settings
from .checks import positive_integer

_T = TypeVar("_T")


def set_num_threads(n: int) -> None:
    """Set how many CPU threads nnx and the BLAS library beneath NumPy may use (initially ``NNX_NUM_THREADS``, if set).

    Examples
    --------
    >>> import nnx
    >>> nnx.set_num_threads(nnx.get_num_threads())
    """
    n = positive_integer("set_num_threads", "n", n)
    import numpy  # noqa: F401  loads the BLAS library: only one that is there can be limited
    from threadpoolctl import threadpool_limits

    global _num_threads
    threadpool_limits(n, user_api="blas")
    _num_threads = n


def get_num_threads() -> int:
    """Return how many CPU threads nnx may use: by default ``OMP_NUM_THREADS``, or as many as the process has cores.

    Examples
    --------
    >>> import nnx
    >>> nnx.get_num_threads() >= 1
    True
    """
    return _num_threads or _default_num_threads()


def _default_num_threads() -> int:
    global _num_threads
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    text = os.environ.get("OMP_NUM_THREADS", "")
    _num_threads = min(cores, int(text)) if text.isdecimal() and int(text) else cores
    return _num_threads


def each(function: Callable[[_T], Any], items: Sequence[_T]) -> None:
    """Call ``function(item)`` for every item, over all threads that nnx may use; the caller's is one of them.

    Meant for functions that spend their time in NumPy, which lets other threads run meanwhile. They have to write
    their results to where nothing else writes, must not read context variables, and see BLAS on one thread. Within such
    a function, `each` is a plain loop.

    Parameters
    ----------
    function
        What to call. If a call raises, those that have not begun are left out, and the first exception is raised.
    items
        Its arguments. They are handed out one at a time, in order.

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.backend import each
    >>> x = np.ones((4, 1000))
    >>> each(lambda i: np.multiply(x[i], i, out=x[i]), range(4))
    >>> x.sum(axis=1).tolist()
    [0.0, 1000.0, 2000.0, 3000.0]
    """
    workers = min(get_num_threads(), len(items))
    if workers < 2 or getattr(_inside, "flag", False):
        for item in items:
            function(item)
        return
    position, stop = itertools.count(), len(items)

    def work() -> None:
        nonlocal stop
        _inside.flag = True
        try:
            while (i := next(position)) < stop:
                function(items[i])
        except BaseException:
            stop = 0
            raise
        finally:
            _inside.flag = False

    with single_threaded_blas():
        helping = _call_for_help(work, workers - 1)
        try:
            work()
        finally:
            for share in helping:
                share.finish()
        for share in helping:
            if share.error is not None:
                raise share.error


class single_threaded_blas:
    """Keep BLAS on one thread within a ``with`` block, if nnx may use several.

    For small products between other work: the threads of OpenBLAS spin for some 25 ms after a product that they have
    shared, on the cores that the threads of nnx need next.

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.backend import single_threaded_blas
    >>> with single_threaded_blas():
    ...     np.ones((2, 3)) @ np.ones(3)
    array([3., 3.])
    """

    __slots__ = ("_limits",)

    def __enter__(self) -> None:
        self._limits = (_num_threads or _default_num_threads()) > 1 and not getattr(_inside, "flag", False)
        if self._limits:
            _limit_blas()

    def __exit__(self, *_: object) -> None:
        if self._limits:
            _free_blas()


def _limit_blas() -> None:
    global _users, _blas_threads, _blas
    with _lock:
        if _blas is None:  # threadpoolctl's own limits would search the libraries anew each time
            from threadpoolctl import ThreadpoolController

            _blas = ThreadpoolController().select(user_api="blas").lib_controllers
        _users += 1
        if _users == 1:
            _blas_threads = [library.num_threads for library in _blas]
            _set_blas(_blas, [1] * len(_blas))


def _free_blas() -> None:
    global _users
    with _lock:
        _users -= 1
        if not _users and _blas is not None:
            _set_blas(_blas, _blas_threads)


# ------------------------------------------------------------------ the pool

_num_threads: int | None = None
_inside = threading.local()
_lock = threading.Lock()
_calls: SimpleQueue[_Share] = SimpleQueue()  # what the threads of the pool take from
_threads = 0  # how many there are
_blas: list[Any] | None = None  # threadpoolctl's handles of the BLAS libraries
_users = 0  # calls of `each` under way
_blas_threads: list[int] = []  # what to give back to each library after the last of them


class _Share:
    """A thread's part in a call of `each`: done by whoever claims it first, unless nothing is left to do by then."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        self._work = work
        self._claim = threading.Lock()
        self._done = threading.Lock()
        self._done.acquire()

    def take(self) -> None:
        """Do it, in a thread of the pool."""
        if not self._claim.acquire(blocking=False):
            return
        try:
            self._work()
        except BaseException as error:
            self.error = error
        finally:
            self._done.release()

    def finish(self) -> None:
        """Wait for it, or take it back from a thread that has not woken up yet."""
        if not self._claim.acquire(blocking=False):
            self._done.acquire()


def _call_for_help(work: Callable[[], None], number: int) -> list[_Share]:
    global _threads
    with _lock:
        while _threads < number:
            _threads += 1
            threading.Thread(target=_help, args=(_calls,), name=f"nnx_{_threads}", daemon=True).start()
    shares = [_Share(work) for _ in range(number)]
    for share in shares:
        _calls.put(share)
    return shares


def _help(calls: SimpleQueue[_Share]) -> None:
    while True:
        calls.get().take()


def _forget_pool() -> None:
    """In a forked child, where its threads are gone."""
    global _calls, _threads, _users, _lock
    _calls, _threads, _users, _lock = SimpleQueue(), 0, 0, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def _set_blas(libraries: Sequence[Any], numbers: Sequence[int]) -> None:
    for library, number in zip(libraries, numbers, strict=True):
        library.set_num_threads(number)


if "NNX_NUM_THREADS" not in settings.problems():  # a wrong value raises when the first backend is loaded
    if (_requested := settings.num_threads()) is not None:
        set_num_threads(_requested)
