"""The background thread: it works ahead, it stops, and it leaves nothing behind."""

import contextvars
import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

from nnx.data import DataLoader
from nnx.data.prefetch import Prefetcher

ROOT = Path(__file__).resolve().parents[2]


class Payload:
    """Something whose life can be watched."""


@pytest.fixture(autouse=True)
def _no_thread_left():
    """Every test here starts and ends without a worker, with the garbage collector off in between."""
    assert workers() == []
    gc.collect()
    gc.disable()
    try:
        yield
        assert workers() == []
    finally:
        gc.enable()


def workers():
    return [thread for thread in threading.enumerate() if thread.name == "nnx-prefetch"]


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_results_come_in_order_and_the_thread_ends():
    assert list(Prefetcher(lambda task: task * 2, range(50), 3)) == list(range(0, 100, 2))


def test_it_works_ahead_by_depth_and_no_further():
    made = []
    iterator = Prefetcher(lambda task: made.append(task) or task, range(10), 3)
    wait_for(lambda: len(made) == 3)
    assert next(iterator) == 0
    wait_for(lambda: len(made) == 4)
    time.sleep(0.02)
    assert made == [0, 1, 2, 3]


def test_it_runs_in_another_thread_with_the_caller_s_context():
    variable = contextvars.ContextVar("variable", default="nobody")
    variable.set("caller")
    seen = list(Prefetcher(lambda _: (threading.current_thread().name, variable.get()), range(1), 1))
    assert seen == [("nnx-prefetch", "caller")]


def test_leaving_the_loop_stops_the_thread_and_frees_everything():
    class Watched:
        def __len__(self):
            return 100

        def __getitem__(self, index):
            batch = Payload()
            alive.append(weakref.ref(batch))
            return batch

    alive = []
    dataset = Watched()
    dataset_alive = weakref.ref(dataset)
    for _batch in DataLoader(dataset, batch_size=1, collate_fn=lambda items: items[0], prefetch=2):
        assert len(workers()) == 1
        break
    assert workers() == []
    del _batch, dataset
    assert dataset_alive() is None
    assert [reference() for reference in alive if reference() is not None] == []
    assert len(alive) <= 4


def test_an_exception_in_the_loop_body_stops_the_thread():
    def train():
        for _ in Prefetcher(lambda task: task, range(100), 2):
            raise ValueError("in the loop")

    with pytest.raises(ValueError, match="in the loop"):
        train()
    assert workers() == []


@pytest.mark.parametrize("consumed", [True, False])
def test_an_exception_in_the_thread_leaves_no_cycle(consumed):
    def make(task):
        payload = Payload()  # lives as long as the traceback does
        alive.append(weakref.ref(payload))
        if task == 1:
            raise ValueError("in the thread")
        return task

    alive = []
    iterator = Prefetcher(make, range(5), 2)
    assert next(iterator) == 0
    wait_for(lambda: not workers())
    assert alive[1]() is not None
    if consumed:
        message = ""
        try:  # not pytest.raises: it keeps the traceback
            next(iterator)
        except ValueError as error:
            message = str(error)
        assert message == "in the thread"
        assert list(iterator) == []
    else:
        del iterator
    assert alive[1]() is None


def test_even_a_keyboard_interrupt_of_the_dataset_reaches_the_consumer():
    def make(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        next(Prefetcher(make, range(2), 2))


def test_two_iterations_at_once_do_not_mix():
    loader = DataLoader(list(range(30)), batch_size=3, prefetch=2)
    for one, two in zip(loader, loader, strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_interpreter_exits_with_an_iteration_open():
    code = (
        "from nnx.data import DataLoader\n"
        "iterator = iter(DataLoader(list(range(1000)), batch_size=1, prefetch=2))\n"
        "print(next(iterator))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[0]\n", "")
