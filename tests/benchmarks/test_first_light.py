"""The command that measures on a GPU, rehearsed without one: every part, and what may go wrong with nobody watching."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import bring, first_light, processes, record, report, tables
from benchmarks.gpu.parts import PARTS, Part

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def nothing_brought(monkeypatch, tmp_path):
    """What somebody has brought to this checkout changes nothing here."""
    monkeypatch.setattr(bring, "SUITE", tmp_path / "no suite")
    monkeypatch.delenv("NNX_ARRAY_API_TESTS", raising=False)


def options(out: Path, **changes: Any) -> argparse.Namespace:
    found = first_light.parse(["--out", str(out), "--rehearse"])
    return argparse.Namespace(**{**vars(found), **changes})


def run_part(out: Path, name: str, module: str = "failing_parts", seconds: float = 30.0) -> dict[str, dict[str, Any]]:
    """Run a part that goes wrong; return what is known of each of its measurements."""
    log = record.Log(out)
    first_light.run_part(
        Part(name, f"tests.benchmarks.{module}", seconds, "a test"), seconds, log, "a run", options(out)
    )
    return {of: entry for (_, of), entry in record.results(log.entries()).items()}


def part_entry(out: Path) -> dict[str, Any]:
    (entry,) = [entry for entry in record.Log(out).entries() if entry["event"] == "part"]
    return entry


# ------------------------------------------------------------------ rehearsals of every part


@pytest.mark.parametrize("name", PARTS)
def test_every_part_is_rehearsed_without_a_failure(name, tmp_path):
    if name not in ("assumptions", "ceilings", "gpu_tests", "library", "conformance"):
        pytest.importorskip("torch")
    assert first_light.main(["--out", str(tmp_path), "--rehearse", "--part", name]) == 0
    content = json.loads((tmp_path / record.SUMMARY).read_text())
    (part,) = content["parts"]
    assert (part["part"], part["status"], part["starts"]) == (name, "done", 1)
    wrong = {e["name"]: e["error"] for e in content["results"] if e["status"] not in ("ok", "not here")}
    assert wrong == {}
    assert content["results"]
    (run,) = content["runs"]
    assert run["rehearsal"] is True
    assert run["machine"]["versions"]["numpy"]
    # What the parts write is what the page is made of.
    page = report.details({"device": "a rehearsal", **content})
    assert page[0].startswith(f"Measured on: a rehearsal; Python {run['machine']['python']}")
    assert len(report.goals(record.results([{**entry, "event": "result"} for entry in content["results"]]))) > 2


# ------------------------------------------------------------------ what goes wrong


@pytest.mark.parametrize(
    ("name", "status", "told"),
    [
        ("raises", "failed", "ValueError: expected two arrays, got a pear"),
        ("hangs", "crashed", "it hung"),
        ("hangs_in_c", "crashed", "it hung"),
        ("hangs_among_threads", "crashed", "it hung: Timeout (0:00:01)!"),
        ("dies", "crashed", "the process ended by SIGKILL"),
        ("crashes", "crashed", "the process ended by SIGSEGV"),
        ("exits", "crashed", "the process exit status 3"),
    ],
)
def test_what_goes_wrong_is_written_down_and_the_rest_goes_on(name, status, told, tmp_path):
    found = run_part(tmp_path, name)
    assert {of: entry["status"] for of, entry in found.items()} == {"before": "ok", "trouble": status, "after": "ok"}
    assert told in found["trouble"]["error"]
    assert part_entry(tmp_path)["status"] == "done"


def test_a_part_that_does_not_start_is_not_started_for_ever(tmp_path):
    assert run_part(tmp_path, "nothing", "worse_parts") == {}
    assert part_entry(tmp_path)["starts"] == 1
    assert "no module named everything" in part_entry(tmp_path)["status"]


def test_a_part_that_always_dies_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(first_light, "_STARTS", 3)
    found = run_part(tmp_path, "always", "worse_parts")
    assert {entry["status"] for entry in found.values()} == {"crashed"}
    assert len(found) == 3
    assert part_entry(tmp_path)["status"] == "given up after 3 starts"


def test_a_run_in_which_everything_fails_has_not_succeeded(tmp_path, monkeypatch, capsys):
    parts = {name: Part(name, "tests.benchmarks.worse_parts", 30, "a test") for name in ("nothing", "long")}
    monkeypatch.setattr(first_light, "PARTS", parts)
    assert first_light.main(["--out", str(tmp_path), "--rehearse", "--part", "nothing"]) == 1
    assert first_light.main(["--out", str(tmp_path), "--rehearse"]) == 0
    capsys.readouterr()
    entries = record.Log(tmp_path).entries()
    run = entries[0]["run"]
    assert tables.nothing_but_failures(entries, run)
    # One that lacks something is no failure, and no success either.
    result = {"event": "result", "run": run, "part": "p", "name": "n", "facts": {}, "error": "", "value": None}
    part = {"event": "part", "run": run, "part": "p", "status": "done", "seconds": 1}
    assert tables.nothing_but_failures([*entries, {**result, "status": "not here"}, part], run)
    assert not tables.nothing_but_failures([*entries, {**result, "status": "cut off"}, part], run)


def test_a_broken_context_is_left_behind(tmp_path):
    found = run_part(tmp_path, "broken", "worse_parts")
    statuses = {name: entry["status"] for name, entry in found.items()}
    assert statuses == {"first": "ok", "second": "failed", "third": "ok"}
    assert part_entry(tmp_path)["starts"] == 2


def test_what_the_time_does_not_reach_is_told(tmp_path):
    log = record.Log(tmp_path)
    command = [sys.executable, "-m", "benchmarks.gpu.worker", "--out", str(tmp_path), "--run", "a run"]
    command += ["--part", "long", "--module", "tests.benchmarks.worse_parts", "--seconds", "1.1"]
    ended = processes.run(command, 60, cwd=ROOT, environment=first_light.environment(options(tmp_path)))
    assert ended.code == 0, ended.tail
    statuses = [entry["status"] for entry in record.results(log.entries()).values()]
    assert statuses[0] == "ok"
    assert statuses[-1] == "left out"
    assert len(statuses) == 5


def test_no_child_outlives_the_part(tmp_path, monkeypatch):
    marker = tmp_path / "marker"
    monkeypatch.setenv("NNX_TEST_MARKER", str(marker))
    found = run_part(tmp_path, "leaves_a_child")
    assert found["trouble"]["status"] == "crashed"
    time.sleep(3)
    assert not marker.exists()


def test_what_was_measured_is_kept_when_somebody_ends_the_command(tmp_path):
    code = (
        "import sys; from benchmarks.gpu import first_light; from benchmarks.gpu.parts import Part;"
        "first_light.PARTS.clear();"
        "first_light.PARTS['hangs'] = Part('hangs', 'tests.benchmarks.slow_part', 300, 'a test');"
        f"sys.exit(first_light.main(['--out', {str(tmp_path)!r}, '--rehearse']))"
    )
    child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    log = record.Log(tmp_path)
    for _ in range(300):
        if any(entry["event"] == "start" and entry["name"] == "second" for entry in log.entries()):
            break
        time.sleep(0.1)
    child.send_signal(signal.SIGTERM)
    printed, _ = child.communicate(timeout=30)
    assert child.returncode == 128 + signal.SIGTERM
    assert "what was measured is kept" in printed
    content = json.loads((tmp_path / record.SUMMARY).read_text())
    assert [entry["name"] for entry in content["results"]] == ["first"]


# ------------------------------------------------------------------ folders and arguments


def test_an_unknown_part_names_the_parts(capsys):
    with pytest.raises(SystemExit, match="2"):
        first_light.main(["--out", "x", "--part", "convolutoin"])
    text = capsys.readouterr().err
    assert "--part: unknown convolutoin; choose from ceilings, assumptions, gpu_tests" in text


def test_the_parts_are_listed(capsys):
    assert first_light.main(["--list"]) == 0
    text = capsys.readouterr().out
    assert [line.split()[0] for line in text.splitlines()] == list(PARTS)
    assert all(part.seconds <= 480 for part in PARTS.values())


def test_a_folder_that_cannot_be_written_to_is_told_at_once(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert first_light.main(["--out", str(tmp_path / "file" / "out"), "--rehearse"]) == 2
    assert "cannot be written to" in capsys.readouterr().err


def test_without_a_driver_nothing_is_tried(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bring, "has_driver", lambda: False)
    assert first_light.main(["--out", str(tmp_path)]) == 2
    assert "--rehearse does without a GPU" in capsys.readouterr().err


def test_no_time_leaves_out_parts_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(first_light, "PARTS", {name: PARTS[name] for name in ("ceilings", "attention")})
    monkeypatch.setattr(bring, "has_driver", lambda: True)
    assert first_light.main(["--out", str(tmp_path), "--budget", "1"]) == 0
    parts = json.loads((tmp_path / record.SUMMARY).read_text())["parts"]
    assert [part["status"] for part in parts] == ["left out: no time is left"] * 2


def test_what_is_there_already_can_be_left_out(tmp_path, capsys):
    arguments = ["--out", str(tmp_path), "--rehearse", "--part", "conformance", "--part", "library"]
    assert first_light.main(arguments) == 0
    before = len([entry for entry in record.Log(tmp_path).entries() if entry["event"] == "result"])
    capsys.readouterr()
    assert first_light.main([*arguments, "--resume"]) == 0
    table = capsys.readouterr().out
    assert re.search(r"^library +0 +4 +0 ", table, re.MULTILINE)  # new, ok, failed: all of it is told
    assert "layers and losses: {'passed': " in table
    entries = [entry for entry in record.Log(tmp_path).entries() if entry["event"] == "result"]
    assert [entry["name"] for entry in entries[before:]] == ["array-api-tests"]  # what has no result yet


# ------------------------------------------------------------------ tables, and what is brought along


def test_what_the_machine_has_is_not_taken_from_elsewhere(tmp_path, monkeypatch):
    for name in ("array-api-compat", "pytest", "tqdm"):
        (tmp_path / name).mkdir()
    versions = {"array-api-compat": "1.16.0", "pytest": "7.4.4"}

    def version(name: str) -> str:
        if name not in versions:
            raise bring.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(bring.metadata, "version", version)
    assert [path.name for path in bring.missing_here(tmp_path)] == ["tqdm", "pytest"]
    assert bring.version_of("2.5.2rc1") == (2, 5, 2)


def test_the_bare_machine_needs_nothing_else(tmp_path):
    # Python alone starts the command; what the parts need is theirs to find.
    code = "import sys; import benchmarks.gpu.first_light; print(*sorted(set(sys.modules) & {'numpy', 'nnx', 'torch'}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_part_says_what_is_missing(tmp_path):
    """Without nnx's dependencies, as on a bare machine, every measurement says what it lacks."""
    site = tmp_path / "hidden"
    site.mkdir()
    (site / "array_api_compat.py").write_text("raise ImportError('No module named array_api_compat')")
    found = options(tmp_path)
    command = first_light._command(PARTS["assumptions"], 60, "a run", found)
    environment = first_light.environment(found)
    environment["PYTHONPATH"] = f"{site}{os.pathsep}{environment['PYTHONPATH']}"
    ended = processes.run(command, 60, cwd=ROOT, environment=environment)
    assert ended.code == 0, ended.tail
    entries = {name: entry for (_, name), entry in record.results(record.Log(tmp_path).entries()).items()}
    first = entries["kernels of nnx can run"]
    assert first["status"] == "not here"
    assert "`python -m benchmarks.gpu.bring` brings what it needs" in first["error"]
    assert entries["bfloat16 in CuPy"]["status"] == "ok"


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_what_is_brought_along_is_not_committed():
    done = subprocess.run(["git", "check-ignore", "-q", ".gpu_wheels/x"], cwd=ROOT, check=False)
    if done.returncode == 128:
        pytest.skip("this is no git checkout")
    assert done.returncode == 0


def test_a_process_that_starts_again_still_has_pytorch(tmp_path):
    pytest.importorskip("torch")
    log = record.Log(tmp_path)
    tried = {"event": "result", "part": "attention", "status": "crashed", "value": None, "error": "", "facts": {}}
    log.append(run="a run", name="PyTorch", **{**tried, "status": "ok"})
    log.append(run="a run", name="flash, 1 x 2 heads, T 16, D 8, causal", **tried)
    first_light.run_part(PARTS["attention"], 60, log, "a run", options(tmp_path))
    names = [entry["name"].partition(",")[0] for entry in log.entries() if entry["event"] == "result"]
    assert names == ["PyTorch", "flash", "cuDNN", "nnx", "math"]
