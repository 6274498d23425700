"""Test suites on a device: what crashes, hangs or breaks the context costs one test, and every outcome is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.gpu import suites

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
    assert found["starts"] == 3
    names = {name.rpartition("::")[2]: reason for name, reason in found["failures"].items()}
    assert set(names) == {"test_fails", "test_dies", "test_breaks", "test_leaves_a_mess"}
    assert names["test_dies"] == "no outcome"
    assert "assert (1 + 1) == 3" in names["test_fails"]
    assert found["skipped because"] == {"Skipped: no pears here": 1}


def test_what_takes_too_long_is_stopped_and_the_rest_told(tmp_path):
    found = run(tmp_path, "import time\ndef test_a(): pass\ndef test_b(): time.sleep(100)\ndef test_c(): pass\n", 6)
    assert found["counts"] == {"passed": 1}
    assert [test.rpartition("::")[2] for test in found["cut off at"]] == [
        "test_b"
    ]  # the time was over: it did not crash
    assert found["ended"].startswith("stopped after")


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
