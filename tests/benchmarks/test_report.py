"""The page tells what result files of GPUs hold, and what none holds is 'not yet measured'."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import record, report


def entry(part: str, name: str, value: Any, status: str = "ok", **facts: Any) -> dict[str, Any]:
    return {"part": part, "name": name, "status": status, "value": value, "facts": facts, "error": "", "run": "r"}


def measured(rehearsal: bool = False) -> dict[str, Any]:
    """The summary of a run in which nnx takes half of cuDNN's time forward, and has no other figures."""
    layer = {"precision": "bfloat16", "kind": "Winograd"}
    times = {"torch": 80.0, "nnx": 40.0}
    convolutions = [
        entry(
            "convolution",
            f"ResNet-50 3×3, 64 to 64, bfloat16: {library}",
            {"forward": {"median_us": time, "of_floor": 0.5, "error": 0.002}},
            library=library,
            **layer,
        )
        for library, time in times.items()
    ]
    comparison = {"elements": 10, "bits differ in": 2, "relative to the largest element": 1e-7}
    return {
        "runs": [
            {
                "run": "r",
                "date": "2026-01-02T03:04:05+00:00",
                "rehearsal": rehearsal,
                "machine": {"python": "3.12.3", "versions": {"cupy-cuda13x": "14.2.0"}, "cupy": {"name": "NVIDIA X1"}},
            }
        ],
        "parts": [],
        "results": [
            *convolutions,
            entry("ceilings", "memory, copy", {"gb_per_s": 4300.0}),
            entry("ceilings", "product 8192, bfloat16", {"tflops": 790.4}),
            entry("steps", "LeNet-5, torch eager", {"median_us": 512.0}),
            entry("layers", "LSTM", {"forward": {"median_us": 5.0}, "tf32": True}),
            entry("attention", "flash, T 512", {"forward": {"tflops": 400.0}, "backward": {"tflops": 300.0}}),
            entry("assumptions", "simulator and device: bf16", {"(1, 1)": comparison, "(2, 2)": comparison}),
            entry("assumptions", "structs by value", {"right": True}),
            entry("assumptions", "tensor maps of CuPy arrays", None, "failed"),
        ],
    }


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def taken(results: Path, content: dict[str, Any]) -> Path:
    source = results.parent / "out"
    source.mkdir(exist_ok=True)
    (source / record.SUMMARY).write_text(json.dumps(content))
    return report.take(source, results)


def test_the_page_tells_what_was_measured():
    assert report.stale() == {}, "run `python -m benchmarks.gpu.report`"


def test_nothing_is_measured_without_a_file(results):
    lines = report.text(report.load(results)).splitlines()
    assert len(lines) == 2 + len(report.ROWS)
    assert all(report.NOT_YET in line for line in lines[2:])


def test_a_measured_row_has_its_figure_and_the_others_have_none(results):
    assert taken(results, measured()).name == "first_light_nvidia_x1.json"
    text = report.text(report.load(results))
    row = "| convolution, bfloat16, ResNet-50 3×3, forward | cuDNN | 2.00 | ≥ 0.65: met | ≥ 1: met |"
    assert row in text
    assert text.count(report.NOT_YET) == len(report.ROWS) - 1
    for line in (
        "Measured on: NVIDIA X1; Python 3.12.3, cupy-cuda13x 14.2.0; 2026-01-02.",
        "| memory, copy | 4300 GB/s |",
        "| product 8192, bfloat16 | 790 TFLOP/s |",
        "| ResNet-50 3×3, 64 to 64, bfloat16 | forward | 40.0 µs | 80.0 µs | 2.00 | 50% | 2e-03 |",
        "| LeNet-5, torch eager | 512.0 µs |",
        "| LSTM | forward 5.0 µs |",
        "| flash, T 512 | 400 TFLOP/s | 300 TFLOP/s |",
        "| simulator and device: bf16 | bits differ in 4 of 20 numbers, by at most 1.0e-07 of the largest |",
        "| structs by value | {'right': True} |",
        "| tensor maps of CuPy arrays | failed: |",
    ):
        assert line in text


def test_a_goal_that_is_missed_is_called_missed(results):
    content = measured()
    content["results"][0]["value"]["forward"]["median_us"] = 30.0
    taken(results, content)
    row = "| convolution, bfloat16, ResNet-50 3×3, forward | cuDNN | 0.75 | ≥ 0.65: met | ≥ 1: not met |"
    assert row in report.text(report.load(results))


def test_another_result_makes_the_page_stale(results, tmp_path):
    (tmp_path / "benchmarks").mkdir()
    for page in (report.PAGE, report.FRONT):
        shutil.copy(report.ROOT / page, tmp_path / page)
    taken(results, measured())
    new = report.stale(tmp_path, results)
    assert list(new) == [report.PAGE, report.FRONT]
    for page, content in new.items():
        assert "NVIDIA X1" in content
        (tmp_path / page).write_text(content, encoding="utf-8")
    assert report.stale(tmp_path, results) == {}
    (tmp_path / report.PAGE).write_text("no markers", encoding="utf-8")
    with pytest.raises(ValueError, match="expected <!-- gpu results: begin -->"):
        report.stale(tmp_path, results)


def test_a_rehearsal_is_no_result(results):
    with pytest.raises(ValueError, match="got those of a rehearsal"):
        taken(results, measured(rehearsal=True))
