"""Test suites on a device: what crashes, hangs or breaks the context costs one test, and every outcome is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import record, suites
from benchmarks.gpu.session import Session
from benchmarks.gpu.standin import Rehearsal

ROOT = Path(__file__).resolve().parent.parent.parent
TESTS = """
import os, time, warnings
import pytest

def test_passes(): pass
def test_fails(): assert 1 + 1 == 3
def test_skips(): pytest.skip("no pears here")
@pytest.mark.xfail
def test_xfails(): assert False
def test_dies(): os._exit(11)
def test_passes_afterwards(): pass
def test_breaks(): raise RuntimeError("CUDARuntimeError: cudaErrorIllegalAddress: an illegal memory access")
def test_passes_in_another_process(): pass
@pytest.fixture
def untidy():
    yield
    raise ValueError("at teardown")
def test_leaves_a_mess(untidy): pass
"""


def run(folder: Path, text: str, seconds: float = 60, **options: Any) -> dict[str, Any]:
    (folder / "test_some.py").write_text(text)
    environment = {"PYTHONPATH": str(ROOT)}
    return suites.run_slice([str(folder)], [], seconds, environment=environment, **options)


def test_every_test_has_an_outcome(tmp_path):
    found = run(tmp_path, TESTS)
    assert found["counts"] == {"passed": 3, "failed": 2, "skipped": 1, "xfailed": 1, "crashed": 1, "error": 1}
    assert (found["starts"], found["not run"]) == (3, 0)
    names = {name.rpartition("::")[2]: reason for name, reason in found["failures"].items()}
    assert set(names) == {"test_fails", "test_dies", "test_breaks", "test_leaves_a_mess"}
    assert names["test_dies"] == "no outcome"
    assert "assert (1 + 1) == 3" in names["test_fails"]
    assert found["skipped because"] == {"Skipped: no pears here": 1}


SLOW = """
import os, time
def test_a(): open(os.environ["NNX_TEST_MARKER"], "a").write("a")
def test_b(): time.sleep(float(os.environ["NNX_TEST_SECONDS"]))
def test_c(): open(os.environ["NNX_TEST_MARKER"], "a").write("c")
"""


def in_session(folder: Path, run: str, seconds: float, sleep: float, resume: bool) -> dict[str, Any]:
    """Run SLOW as a measurement of a run; return what is then known of it."""
    log = record.Log(folder)
    log.append(event="run", run=run)
    log.append(event="machine", run=run, machine={"cupy": {"name": "X1"}})
    session = Session("library", log, Rehearsal(), run=run, seconds=60, rehearse=True, resume=resume)
    (folder / "test_some.py").write_text(SLOW)
    variables = {"NNX_TEST_MARKER": str(folder / "marker"), "NNX_TEST_SECONDS": str(sleep), "PYTHONPATH": str(ROOT)}
    suites.measure(session, "slow", [str(folder / "test_some.py")], [], seconds, environment=variables)
    return record.results(log.entries())["library", "slow"]


def test_what_the_time_did_not_reach_is_told_and_run_later(tmp_path):
    found = in_session(tmp_path, "1", 5, sleep=100, resume=False)
    assert (found["status"], found["error"]) == ("cut off", "2 tests were not run, which --resume does")
    assert found["value"]["counts"] == {"passed": 1}
    assert found["value"]["not run"] == 2
    # The time was over: it did not crash.
    assert [test.rpartition("::")[2] for test in found["value"]["cut off at"]] == ["test_b"]
    assert found["value"]["ended"].startswith("stopped after")
    found = in_session(tmp_path, "2", 30, sleep=0, resume=True)
    assert (found["status"], found["value"]["counts"], found["value"]["not run"]) == ("ok", {"passed": 3}, 0)
    assert (tmp_path / "marker").read_text() == "ac"
    found = in_session(tmp_path, "3", 30, sleep=0, resume=False)
    assert found["value"]["counts"] == {"passed": 3}
    assert (tmp_path / "marker").read_text() == "acac"


def test_a_slice_without_a_test_is_no_success(tmp_path):
    with pytest.raises(RuntimeError, match="no test was run: exit status 4"):
        suites.run_slice([str(tmp_path / "pears")], [], 30, environment={"PYTHONPATH": str(ROOT)})


def test_a_file_that_does_not_import_is_told(tmp_path):
    (tmp_path / "test_broken.py").write_text("import pears\n")
    found = run(tmp_path, "def test_a(): pass\n")
    assert found["counts"] == {"passed": 1, "error": 1}
    assert any("pears" in reason for reason in found["reasons"])


def test_many_failures_are_counted_by_their_reasons(tmp_path):
    text = (
        "import pytest\n@pytest.mark.parametrize('i', range(200))\ndef test_a(i): raise TypeError('expected pears')\n"
    )
    found = run(tmp_path, text)
    assert found["reasons"] == {"E   TypeError: expected pears": 200}
    assert len(found["failures"]) + len(found["failures not told"]) == 200
    assert len(found["failures"]) == suites._KEPT
