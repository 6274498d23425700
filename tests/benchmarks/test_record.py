"""What is written down, what is made of it for a run on a device, and the table that ends the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import record, tables, worker
from benchmarks.gpu.session import Session


def test_a_full_disk_loses_no_result(tmp_path, capfd):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    (tmp_path / record.LOG).symlink_to("/dev/full")
    record.Log(tmp_path).append(event="result", value=1.5)
    text = capfd.readouterr().out
    assert "No space left on device" in text
    assert '{"event": "result", "value": 1.5}' in text


def test_a_second_run_adds_to_the_first(tmp_path):
    log = record.Log(tmp_path)
    good = {"event": "result", "part": "p", "facts": {}, "error": None}
    log.append(**good, run="1", name="a", status="ok", value=1)
    log.append(**good, run="1", name="b", status="failed", value=None)
    log.append(**good, run="2", name="a", status="failed", value=None)
    log.append(**good, run="2", name="b", status="ok", value=2)
    log.append(**good, run="3", name="b", status="ok", value=3)
    values = {name: entry["value"] for (_, name), entry in record.results(log.entries()).items()}
    assert values == {"a": 1, "b": 3}


def test_what_was_measured_on_another_device_is_measured_again(tmp_path):
    log = record.Log(tmp_path)
    good = {"event": "result", "part": "p", "facts": {}, "error": None, "status": "ok"}
    for run, name in (("1", "NVIDIA X1"), ("2", "NVIDIA X2"), ("3", "NVIDIA X1")):
        log.append(event="machine", run=run, machine={"cupy": {"name": name}})
    log.append(**good, run="1", name="a", value=1)
    log.append(**good, run="2", name="b", value=2)
    assert worker.skipped(log, "3", "p", resume=True) == {"a"}
    assert worker.skipped(log, "3", "p", resume=False) == set()
    session = Session("q", log, None, run="3", seconds=1)
    assert (session.known("p", "a"), session.known("p", "b")) == (1, None)
    assert "2" not in tables.short_table([*log.entries(), {"event": "part", "part": "p", "run": "3", "status": "done",
        "seconds": 0}], "3").splitlines()[1].split()  # fmt: skip


def test_the_name_of_a_device_is_had_without_cupy():
    smi = "name, driver_version, memory.total [MiB]\nNVIDIA X1, 580.65, 80000 MiB"
    assert record.name_of({"cupy": "ImportError: no CuPy", "smi": smi}) == "NVIDIA X1"
    assert record.name_of({"cupy": {"name": "NVIDIA X2"}, "smi": smi}) == "NVIDIA X2"
    assert record.name_of({"cupy": "ImportError: no CuPy", "smi": "FileNotFoundError: nvidia-smi"}) is None
    assert record.name_of(None) is None


def test_a_torn_line_is_passed_over(tmp_path):
    log = record.Log(tmp_path)
    log.append(event="run", run="1")
    with open(log.path, "a") as file:
        file.write('{"event": "result", "na')
    assert [entry["event"] for entry in log.entries()] == ["run"]
    log.append(event="run", run="2")
    log.append(event="run", run="3")
    assert [entry["run"] for entry in log.entries()] == ["1", "2", "3"]


def test_numbers_become_json(tmp_path):
    import numpy as np

    value = {"a": float("nan"), "b": np.float32(1.5), "c": np.int64(3), "d": (1, 2.123456789), "e": np.arange(3)}
    found = json.loads(record.text_of(value))
    assert found == {"a": "nan", "b": 1.5, "c": 3, "d": [1, 2.12346], "e": "[0 1 2]"}


def test_ratios_are_of_the_same_work():
    def entry(name: str, library: str, time: float, status: str = "ok") -> dict[str, Any]:
        value = {"forward": {"median_us": time, "of_floor": 0.5, "error": 0.01}}
        facts = {"library": library, "precision": "bfloat16", "kind": "Winograd"}
        slots = {"event": "result", "run": "r", "part": "convolution", "error": "no kernel"}
        return {**slots, "name": f"{name}: {library}", "status": status, "value": value, "facts": facts}

    entries = [entry("a", "torch", 50.0), entry("a", "nnx", 100.0), entry("b", "torch", 80.0), entry("b", "nnx", 10.0)]
    entries += [entry("c", "torch", 1.0), entry("c", "nnx", 1.0, "failed")]
    found = tables.pairs(record.results(entries), "convolution")
    assert [(pair.work, pair.ratio) for pair in found] == [("a", 0.5), ("b", 8.0)]
    assert tables.mean_ratio(found) == pytest.approx(2.0)
    part = {"event": "part", "run": "r", "part": "convolution", "status": "done", "seconds": 3.0}
    text = tables.short_table([*entries, part], "r")
    assert "convolution bfloat16, forward: torch / nnx 3x3 2.00, others -, depthwise -" in text
    # Failures stand behind the parts, where nothing cuts them off.
    assert text.splitlines()[3] == "FAILED convolution: c: nnx: no kernel"
    many = [entry(f"d{i}", "nnx", 1.0, "failed") for i in range(500)]
    text = tables.short_table([*entries, *many, part], "r")
    assert "FAILED: 476 more, in the files" in text
    assert "torch / nnx 3x3 2.00" in text
