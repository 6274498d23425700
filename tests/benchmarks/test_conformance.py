"""The official suite in slices: what nnx alone fails is told, also of what the time allowed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import conformance, processes, record
from benchmarks.gpu.session import Session
from benchmarks.gpu.standin import Rehearsal

# In place of the suite: the names of its options, the plug-in that it asks for, and tests that tell nnx from the bare
# library.
OPTIONS = """
import pytest

@pytest.fixture(autouse=True)
def as_the_suite_does(json_metadata): pass

def pytest_addoption(parser):
    for name in ("--derandomize", "--disable-deadline"):
        parser.addoption(name, action="store_true")
    parser.addoption("--max-examples", type=int)
"""
TESTS = """
import os
import pytest
NNX = os.environ["ARRAY_API_TESTS_MODULE"].startswith("nnx_over")

def test_both_pass(): pass
def test_both_fail(): assert False
def test_nnx_fails(): assert not NNX, "pears"
def test_nnx_skips():
    if NNX: pytest.skip("none")
def test_fails_with_more_examples(pytestconfig): assert not NNX and pytestconfig.getoption("--max-examples") < 10
def test_slow():
    if NNX and "NNX_TEST_SLOW" in os.environ: os._exit(99)
def test_last(): assert not NNX
"""


def run(folder: Path, name: str, seconds: float, resume: bool = False) -> dict[str, dict[str, Any]]:
    (folder / "suite" / "array_api_tests").mkdir(parents=True, exist_ok=True)
    (folder / "suite" / "conftest.py").write_text(OPTIONS)
    (folder / "suite" / "array_api_tests" / "test_constants.py").write_text(TESTS)
    log = record.Log(folder)
    log.append(event="run", run=name)
    session = Session("conformance", log, Rehearsal(), run=name, seconds=seconds, rehearse=True, resume=resume)
    session.options = {"suite": str(folder / "suite")}
    conformance.run(session)
    return {slot[1]: entry for slot, entry in record.results(log.entries()).items()}


def test_what_was_reached_is_compared_and_the_rest_later(tmp_path, monkeypatch):
    pytest.importorskip("pytest_jsonreport")
    real = processes.run

    def run_until_slow(*arguments: Any, **options: Any) -> processes.Ended:
        """The time is over at the slow test; a real limit takes long, and is over elsewhere on a busy machine."""
        ended = real(*arguments, **options)
        return replace(ended, timed_out=ended.code == 99)

    monkeypatch.setattr(processes, "run", run_until_slow)
    monkeypatch.setenv("NNX_TEST_SLOW", "1")
    found = run(tmp_path, "1", 60)
    assert {name: entry["status"] for name, entry in found.items()} == {
        conformance.BARE: "ok",
        conformance.OURS: "cut off",
        conformance.COMPARED: "cut off",
    }
    assert found[conformance.OURS]["value"]["not run"] == 2
    value = found[conformance.COMPARED]["value"]
    assert value["compared"] == 5
    blamed = {test.rpartition("::")[2]: told for test, told in value["of nnx alone"].items()}
    assert set(blamed) == {"test_nnx_fails", "test_nnx_skips"}
    assert "pears" in blamed["test_nnx_fails"]
    excused = value["of the library, too, with other examples"]
    assert {test.rpartition("::")[2] for test in excused} == {"test_fails_with_more_examples"}

    monkeypatch.delenv("NNX_TEST_SLOW")
    found = run(tmp_path, "2", 60, resume=True)
    assert {entry["status"] for entry in found.values()} == {"ok"}
    value = found[conformance.COMPARED]["value"]
    assert value["compared"] == 7
    assert {test.rpartition("::")[2] for test in value["of nnx alone"]} == {*blamed, "test_last"}


def test_a_suite_that_does_not_run_compares_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(conformance, "_PLUGINS", ())
    compared = run(tmp_path, "1", 60)[conformance.COMPARED]
    assert compared["status"] == "failed"
    assert "no test passes over the bare library: E       fixture 'json_metadata' not found" in compared["error"]


def test_without_a_checkout_it_says_so(tmp_path, monkeypatch):
    monkeypatch.delenv("NNX_ARRAY_API_TESTS", raising=False)
    log = record.Log(tmp_path)
    conformance.run(Session("conformance", log, Rehearsal(), run="1", seconds=60, rehearse=True))
    (entry,) = record.results(log.entries()).values()
    assert entry["status"] == "not here"
    assert "pass --suite" in entry["error"]


@pytest.mark.skipif(os.name != "posix", reason="needs a PATH of its own")
def test_another_commit_is_refused_where_git_can_tell(tmp_path, monkeypatch):
    with pytest.raises(Exception, match="is at no commit, expected"):
        conformance.checkout(str(tmp_path))
    monkeypatch.setenv("PATH", "")
    assert conformance.checkout(str(tmp_path)) == tmp_path.resolve()
