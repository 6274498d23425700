"""How many threads there are, and work divided among them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import nnx
from nnx import settings, threads
from nnx.backend import each

ROOT = Path(__file__).resolve().parent.parent


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture
def own_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(threads, "_num_threads", None)
    before = max(blas_threads(), default=1)
    yield
    nnx.set_num_threads(before)


@pytest.mark.usefixtures("own_threads")
@pytest.mark.parametrize("n", [1, 2])
def test_threads_are_those_of_blas(n: int) -> None:
    nnx.set_num_threads(n)
    assert nnx.get_num_threads() == n
    assert blas_threads() <= {n}


@pytest.mark.usefixtures("own_threads")
def test_threads_are_the_processors_until_set() -> None:
    assert 1 <= nnx.get_num_threads() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("n", "error"),
    [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError), (True, TypeError), (None, TypeError)],
)
def test_a_wrong_number_of_threads_is_refused(n: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^set_num_threads: expected n to be a positive integer, got"):
        nnx.set_num_threads(n)


def test_the_environment_sets_the_threads_before_numpy_is_there() -> None:
    # The ground floor alone: the package above may have imported NumPy already, and with it BLAS.
    code = f"""
import sys, types
sys.modules["nnx"] = package = types.ModuleType("nnx")
package.__path__ = [{str(ROOT / "nnx")!r}]
import nnx.backend, threadpoolctl
print(nnx.backend.get_num_threads(), {{p["num_threads"] for p in threadpoolctl.threadpool_info()}})
"""
    done = run(code, NNX_NUM_THREADS="1", OMP_NUM_THREADS="2", OPENBLAS_NUM_THREADS="2")
    assert done.stdout.split() == ["1", "{1}"], done.stderr


@pytest.mark.parametrize("value", ["0", "-1", "two", "", "1.5", "²"])
def test_a_wrong_number_of_threads_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("NNX_NUM_THREADS", value)
    with pytest.raises(ValueError, match=f"^NNX_NUM_THREADS: expected a positive integer, got '{value}'"):
        settings.num_threads()


# ------------------------------------------------------------------ each


@pytest.fixture
def two_threads(own_threads: None) -> None:
    nnx.set_num_threads(2)


@pytest.mark.usefixtures("own_threads")
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 100])
def test_each_calls_the_function_once_for_every_item(n: int, count: int) -> None:
    nnx.set_num_threads(n)
    calls: list[int] = []
    each(calls.append, range(count))
    assert sorted(calls) == list(range(count))


@pytest.mark.usefixtures("two_threads")
def test_each_runs_on_two_threads_at_a_time() -> None:
    meeting = threading.Barrier(2)
    each(lambda _: meeting.wait(timeout=30), range(2))  # raises BrokenBarrierError if one thread does it all


@pytest.mark.usefixtures("two_threads")
def test_each_keeps_blas_on_one_thread_and_gives_it_back() -> None:
    seen: list[set[int]] = []
    each(lambda _: seen.append(blas_threads()), range(2))
    assert seen == [{1}, {1}]
    assert blas_threads() == {2}


@pytest.mark.usefixtures("two_threads")
def test_each_raises_the_first_exception_and_begins_no_more() -> None:
    begun: list[int] = []

    def work(i: int) -> None:
        begun.append(i)
        if i == 1:
            raise ArithmeticError("of item 1")
        time.sleep(0.01)

    with pytest.raises(ArithmeticError, match="of item 1"):
        each(work, range(100))
    assert len(begun) < 10
    assert blas_threads() == {2}
    each(begun.append, range(2))  # the pool still works


@pytest.mark.usefixtures("two_threads")
def test_each_within_each_is_a_loop() -> None:
    where: dict[int, set[int]] = {}

    def outer(i: int) -> None:
        found = where[i] = set()
        each(lambda _: found.add(threading.get_ident()), range(5))

    each(outer, range(2))
    assert [len(found) for found in where.values()] == [1, 1]


@pytest.mark.usefixtures("two_threads")
def test_each_from_several_threads_at_once() -> None:
    x = np.zeros((4, 50))

    def use(row: int) -> None:
        def add(i: int) -> None:
            x[row, i] += i

        for _ in range(20):
            each(add, range(50))

    users = [threading.Thread(target=use, args=(row,)) for row in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    np.testing.assert_array_equal(x, 20.0 * np.arange(50) * np.ones((4, 1)))
    assert blas_threads() == {2}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_a_pool_of_its_own() -> None:
    code = """
import os, warnings
import nnx
from nnx.backend import each
warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of every fork with threads
nnx.set_num_threads(2)
each(lambda i: None, range(4))
child = os.fork()
if not child:
    done = []
    each(done.append, range(4))
    os._exit(len(done))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run(code).stdout == "4\n"


def test_omp_num_threads_is_the_default() -> None:
    code = "import nnx; print(nnx.get_num_threads())"
    assert run(code, OMP_NUM_THREADS="1").stdout == "1\n"
    assert run(code, OMP_NUM_THREADS="1", NNX_NUM_THREADS="2").stdout == "2\n"
    assert run(code, OMP_NUM_THREADS="").stdout == run(code, OMP_NUM_THREADS="4096").stdout
