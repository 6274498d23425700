"""The page tells what result files of GPUs hold, and what none holds is 'not yet measured'."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import goals, record, report, taking


def entry(part: str, name: str, value: Any, status: str = "ok", **facts: Any) -> dict[str, Any]:
    slots = {"part": part, "name": name, "status": status, "value": value, "facts": facts, "error": "", "run": "r"}
    return {"event": "result", **slots}


def run(name: str, device: str, date: str = "2026-01-02", rehearsal: bool = False) -> list[dict[str, Any]]:
    """The events of a run beside its results."""
    machine = {"python": "3.12.3", "versions": {"cupy-cuda13x": "14.2.0"}, "cupy": {"name": device}}
    nnx = {"version": "1.2.3", "commit": "0123456789abcdef", "changed": False, "sources": "ff"}
    return [
        {"event": "run", "run": name, "date": f"{date}T03:04:05+00:00", "rehearsal": rehearsal, "nnx": nnx},
        {"event": "machine", "run": name, "machine": machine},
        {"event": "part", "run": name, "part": "steps", "status": "done", "seconds": 1.0},
    ]


def measured(rehearsal: bool = False) -> list[dict[str, Any]]:
    """The log of a run in which nnx takes half of cuDNN's time forward, and has no other figures."""
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
    return [
        *convolutions,
        entry("ceilings", "memory, copy", {"gb_per_s": 4300.0}),
        entry("ceilings", "product 8192, bfloat16", {"tflops": 790.4}),
        entry("steps", "LeNet-5, torch eager", {"median_us": 512.0}),
        entry("steps", "PyTorch", {"version": "2.13"}),
        entry("layers", "LSTM", {"forward": {"median_us": 5.0}, "tf32": True}),
        entry("attention", "PyTorch", {"version": "2.13"}),
        entry("attention", "flash, T 512", {"forward": {"tflops": 400.0}, "backward": {"tflops": 300.0}}),
        entry("assumptions", "simulator and device: bf16", {"(1, 1)": comparison, "(2, 2)": comparison}),
        entry("assumptions", "structs by value", {"right": True}),
        entry("assumptions", "tensor maps of CuPy arrays", None, "failed"),
        *run("r", "NVIDIA X1", rehearsal=rehearsal),
    ]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def logged(results: Path, name: str, events: list[dict[str, Any]]) -> Path:
    """A folder with the log of some events."""
    source = results.parent / name
    source.mkdir(exist_ok=True)
    (source / record.LOG).write_text("".join(json.dumps(event) + "\n" for event in events))
    return source


def taken(results: Path, events: list[dict[str, Any]]) -> Path:
    (path,) = taking.take([logged(results, "out", events)], results)
    return path


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
        "Measured on: NVIDIA X1; Python 3.12.3, cupy-cuda13x 14.2.0; nnx 1.2.3, commit 0123456789ab; 2026-01-02.",
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
    content[0]["value"]["forward"]["median_us"] = 30.0
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


# ------------------------------------------------------------------ several runs, several cards


def step(name: str, time: float, of: str, at: float = 0.0, status: str = "ok") -> dict[str, Any]:
    value = {"median_us": time} if status == "ok" else None
    return {**entry("steps", name, value, status), "run": of, "at": at}


def content_of(path: Path) -> dict[str, dict[str, Any]]:
    return {result["name"]: result for result in json.loads(path.read_text())["results"]}


def test_runs_are_joined_by_their_device(results):
    first = [*run("1", "NVIDIA X1"), step("a", 1.0, "1", at=1), step("b", 2.0, "1", at=2)]
    # It was continued: its log begins with the first one, and what was measured again counts.
    second = [*first, *run("2", "NVIDIA X1", "2026-01-03"), step("b", 3.0, "2", at=3), step("c", 4.0, "2", at=4)]
    other = [*run("3", "NVIDIA X2"), step("a", 100.0, "3", at=5)]
    sources = [logged(results, str(i), events) for i, events in enumerate((second, other, first))]
    paths = taking.take(sources, results)
    assert [path.name for path in paths] == ["first_light_nvidia_x1.json", "first_light_nvidia_x2.json"]
    mine, others = (content_of(path) for path in paths)
    assert {name: result["value"]["median_us"] for name, result in mine.items()} == {"a": 1.0, "b": 3.0, "c": 4.0}
    assert {name: result["value"]["median_us"] for name, result in others.items()} == {"a": 100.0}
    assert [each["run"] for each in json.loads(paths[0].read_text())["runs"]] == ["1", "2"]
    text = report.text(report.load(results))
    assert "Measured on: NVIDIA X1; " in text
    assert "2026-01-02 to 2026-01-03." in text
    first_page, _, second_page = text.partition("Measured on: NVIDIA X2; ")
    assert "| a | 1.0 µs |" in first_page
    assert "| a | 100.0 µs |" in second_page


def test_one_log_may_hold_two_cards(results):
    both = [*run("1", "NVIDIA X1"), step("a", 1.0, "1"), *run("2", "NVIDIA X2"), step("a", 2.0, "2")]
    paths = taking.take([logged(results, "out", both)], results)
    assert [content_of(path)["a"]["value"]["median_us"] for path in paths] == [1.0, 2.0]


def test_what_was_taken_before_stays(results):
    (path,) = taking.take(
        [logged(results, "1", [*run("1", "NVIDIA X1"), step("a", 1.0, "1"), step("b", 2.0, "1")])], results
    )
    taking.take([logged(results, "2", [*run("2", "NVIDIA X2"), step("a", 9.0, "2")])], results)
    later = [*run("3", "NVIDIA X1", "2026-01-05"), step("a", 3.0, "3"), step("b", 0.0, "3", status="failed")]
    taking.take([logged(results, "3", later)], results)
    assert {name: result["value"]["median_us"] for name, result in content_of(path).items()} == {"a": 3.0, "b": 2.0}
    assert [each["run"] for each in json.loads(path.read_text())["runs"]] == ["1", "3"]
    before = path.read_text()
    taking.take([logged(results, "3", later)], results)
    assert path.read_text() == before
    with pytest.raises(ValueError, match="expected results of nvidia x1, got those of NVIDIA X1"):
        taking.take([logged(results, "4", [*run("4", "nvidia x1"), step("a", 1.0, "4")])], results)


def test_a_folder_without_results_or_device_is_refused(results):
    with pytest.raises(ValueError, match="expected a folder with first_light"):
        taking.take([results], results)
    with pytest.raises(ValueError, match="expected the name of the device in each run, got none in 1"):
        taking.take([logged(results, "1", [run("1", "")[0], step("a", 1.0, "1")])], results)


# ------------------------------------------------------------------ gates and goals


def attended(backend: str, shape: tuple, time: float) -> dict[str, Any]:
    value = {direction: {"median_us": time, "tflops": 1e4 / time} for direction in ("forward", "backward")}
    return entry("attention", f"{backend}, {shape}", value, backend=backend, shape=list(shape))


def rows_of(*entries: dict[str, Any]) -> dict[str, list[str]]:
    lines = report.goals(record.results(entries))
    return {cells[1]: cells[2:-1] for cells in ([cell.strip() for cell in line.split("|")] for line in lines)}


def test_attention_is_held_against_the_best_backend():
    short, long, between = (16, 16, 512, 64, True), (4, 16, 4096, 128, False), (4, 16, 4096, 64, False)
    torch = [attended(b, s, t) for s in (short, long, between) for b, t in (("flash", 50.0), ("cuDNN", 40.0))]
    alone = rows_of(*torch)
    work = "attention, bfloat16, forward, D 64, T up to 1k"
    assert alone[work] == ["best backend of torch SDPA: 250 TFLOP/s", report.NOT_YET, "≥ 0.8", "≥ 1"]
    both = rows_of(*torch, attended("nnx", short, 50.0), attended("nnx", long, 80.0), attended("nnx", between, 10.0))
    assert both[work] == ["best backend of torch SDPA", "0.80", "≥ 0.8: met", "≥ 1: not met"]
    assert both["attention, bfloat16, forward, D 128, T from 4k"][1:] == ["0.50", "≥ 0.55: not met", "≥ 1: not met"]
    assert both["attention, bfloat16, backward"][1] == "1.17"  # the mean of 0.8, 0.5 and 4


def test_large_networks_are_held_against_their_yardsticks():
    steps = {"GPT-2 124M bfloat16, torch compile default": 90e3, "ResNet-50 bfloat16, torch eager": 50e3}
    steps["GPT-2 124M bfloat16, torch compile reduce-overhead"] = 80e3
    torch = [entry("steps", name, {"median_us": time}) for name, time in steps.items()]
    alone = rows_of(*torch)
    assert alone["training of GPT-2 124M, bfloat16"][:2] == ["torch.compile: 80.0 ms", report.NOT_YET]
    assert alone["training of ResNet-50, bfloat16"][:2] == ["torch eager, channels_last: 50.0 ms", report.NOT_YET]
    ours = entry("steps", "ResNet-50 bfloat16, nnx eager", {"median_us": 40e3})
    row = rows_of(*torch, ours)["training of ResNet-50, bfloat16"]
    assert row == ["torch eager, channels_last", "1.25", "≥ 0.9: met", "≥ 1.1: met"]


def test_every_row_has_limits_that_can_be_compared():
    assert all(isinstance(limit, (int, float)) for row in goals.ROWS for limit in (row.gate, row.goal))
