"""Work that is cut into tasks for the threads, and may be done together with other such work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nnx.backend import each, get_num_threads, single_threaded_blas


class Job(NamedTuple):
    """Calls ``run(item)`` for all items, in any order and at the same time, after which ``result()`` gives an array."""

    run: Callable[[Any], None]
    items: Sequence[Any]
    result: Callable[[], np.ndarray]


def done(*jobs: Job) -> list[np.ndarray]:
    """Do jobs and return their results.

    A thread that has ended its part of one goes on with the next, so that threads wait for each other but once. Tasks
    see BLAS on one thread.
    """
    tasks = [(job.run, item) for job in jobs for item in job.items]
    if len(tasks) < get_num_threads():  # a job at a time: its tasks may share their products out
        with single_threaded_blas():  # in whatever number of threads they are, results have the same bits
            for job in jobs:
                each(job.run, job.items)
    else:
        each(_do, tasks)
    return [job.result() for job in jobs]


def _do(task: tuple[Callable[[Any], None], Any]) -> None:
    run, item = task
    run(item)


def finished(array: np.ndarray) -> Job:
    """Return a job that has nothing left to do."""
    return Job(_nothing, (), lambda: array)


def _nothing(_: Any) -> None:
    pass
