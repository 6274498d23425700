"""Write the results as tables into both READMEs, between their markers. Run: ``python -m benchmarks.report``."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks import conv

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
_FILES = ("mlp", "mlp_2_threads", "overhead", "recipes")
_LAYERS = ("conv", "conv_2_threads")
_STEPS = ("vision_step", "vision_step_2_threads")
_OPTIONAL = (*_LAYERS, *_STEPS, "optim")  # they take long to measure
_NAMES = {"python": "Python", "numpy": "NumPy", "torch": "PyTorch", "nnx": "nnx"}


def load(folder: Path = RESULTS) -> dict[str, Any]:
    """Return the content of the result files by name."""
    paths = {name: folder / f"{name}.json" for name in (*_FILES, *_OPTIONAL)}
    return {
        name: json.loads(path.read_text(encoding="utf-8"))
        for name, path in paths.items()
        if name in _FILES or path.exists()
    }


def microseconds(value: float) -> str:
    """Return a time with about three digits."""
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} µs"


def summary(results: dict[str, Any]) -> list[str]:
    """Return the table of what has a gate and a goal."""
    rows = [["work, on the CPU", "nnx", "yardstick", "nnx / yardstick", "gate", "goal"], ["---"] * 6]
    for file in ("mlp", "mlp_2_threads"):
        threads = results[file]["machine"]["threads"]
        for row in results[file]["rows"]:
            (_, ours), (name, theirs) = row["results"].items()
            gate, goal = (_verdict(row["ratio"], row[key]) for key in ("gate", "goal"))
            times = [microseconds(ours["median_us"]), f"{name}: {microseconds(theirs['median_us'])}"]
            work = row["work"] if threads == 1 else f"{row['work']}, {threads} threads"
            rows.append([work, *times, f"{row['ratio']:.2f}", gate, goal])
    overhead = results["overhead"]
    addition = next(row for row in overhead["rows"] if row["operation"] == "add")
    over = addition["over_numpy_us"]["tracked"]
    times = [microseconds(addition["results"][key]["median_us"]) for key in ("tracked", "NumPy")]
    gate, goal = (_verdict(over, overhead[key], " µs") for key in ("gate_us", "goal_us"))
    rows.append(
        ["addition of 4×4 arrays, tracked", times[0], f"NumPy: {times[1]}", f"+ {microseconds(over)}", gate, goal]
    )
    for file in filter(results.__contains__, _LAYERS):
        rows.append(_convolutions(results[file]))
    return _table(rows)


def _convolutions(content: dict[str, Any]) -> list[str]:
    threads = content["machine"]["threads"]
    found, last = conv.mean(content["rows"]), conv.mean(content["rows"], "ratio_last")
    work = f"convolution, forward + backward, geometric mean of {conv.dense(content['rows'])} layers"
    if threads != 1:
        work += f", {threads} threads"
    goal = f"≤ {conv.MEAN_GATE:g} of channels_last: {'met' if last <= conv.MEAN_GATE else 'not met'}"
    return [work, "", "torch eager", f"{found:.2f}", _verdict(found, conv.MEAN_GATE), goal]


def overheads(results: dict[str, Any]) -> list[str]:
    """Return the table of what tracking costs, operation by operation."""
    kinds = ("NumPy", "untracked", "tracked")
    rows = [["operation on 4×4 float32", *kinds, "untracked over NumPy", "tracked over NumPy"], ["---"] * 6]
    for row in results["overhead"]["rows"]:
        medians = [microseconds(row["results"][kind]["median_us"]) for kind in kinds]
        rows.append([row["operation"], *medians, *(f"{row['over_numpy_us'][kind]:+.2f} µs" for kind in kinds[1:])])
    return _table(rows)


def recipes(results: dict[str, Any]) -> list[str]:
    """Return the table of what examples reach beside the same recipe in PyTorch."""
    rows = [["example", "held out", "nnx", "PyTorch", "bar"], ["---"] * 5]
    for row in results["recipes"]["rows"]:
        name = ", ".join(filter(None, (f"`{row['example']}.py`", row["part"])))
        ours, theirs = (row["results"][library] for library in ("nnx", "torch"))
        verdict = f"≥ {row['bar']:.3f}: {'met' if statistics.mean(ours) >= row['bar'] else 'not met'}"
        rows.append([name, f"{row['measure']}, {len(ours)} seeds", _mean(ours), _mean(theirs), verdict])
    return _table(rows)


def layers(results: dict[str, Any]) -> list[str]:
    """Return the table of convolutions, layer by layer."""
    lines = []
    for file in filter(results.__contains__, _LAYERS):
        content = results[file]
        threads = content["machine"]["threads"]
        title = f"convolution, {threads} thread{'s' if threads != 1 else ''}"
        heads = [*(f"{part}, ratio" for part in conv.PARTS), "to channels_last", "gate"]
        rows = [[title, "nnx", "PyTorch", "channels_last", *heads], ["---"] * (4 + len(heads))]
        for name in dict.fromkeys(row["layer"] for row in content["rows"]):
            parts = {row["part"]: row for row in content["rows"] if row["layer"] == name}
            whole = parts[conv.PARTS[-1]]
            times = [_milliseconds(whole["results"][key]["median_us"]) for key in ("nnx", conv.DEFAULT, conv.LAST)]
            ratios = [f"{parts[part]['ratio']:.2f}" for part in conv.PARTS]
            gate = _verdict(whole["ratio"], conv.GATES[whole["kind"]])
            rows.append([name, *times, *ratios, f"{whole['ratio_last']:.2f}", gate])
        means = [f"{conv.mean(content['rows'], part=part):.2f}" for part in conv.PARTS]
        last = f"{conv.mean(content['rows'], 'ratio_last'):.2f}"
        gate = _verdict(conv.mean(content["rows"]), conv.MEAN_GATE)
        rows.append(["geometric mean without depthwise", "", "", "", *means, last, gate])
        lines += [*_table(rows), ""]
    return lines


def steps(results: dict[str, Any]) -> list[str]:
    """Return the table of training steps of networks for images."""
    rows = [["training step", "nnx", "PyTorch", "channels_last", "ratio", "to channels_last"], ["---"] * 6]
    for file in filter(results.__contains__, _STEPS):
        threads = results[file]["machine"]["threads"]
        for row in results[file]["rows"]:
            work = row["work"] if threads == 1 else f"{row['work']}, {threads} threads"
            times = [_milliseconds(r["median_us"]) for r in row["results"].values()]
            rows.append([work, *times, *(f"{ratio:.2f}" for ratio in row["ratios"].values())])
    return [*_table(rows), ""] if len(rows) > 2 else []


def optimizers(results: dict[str, Any]) -> list[str]:
    """Return the table of one step of each optimizer."""
    if "optim" not in results:
        return []
    rows = [["one step, float32", "nnx", "PyTorch", "ratio", "gate"], ["---"] * 5]
    for row in results["optim"]["rows"]:
        (_, ours), (name, theirs) = row["results"].items()
        times = [_milliseconds(ours["median_us"]), f"{name}: {_milliseconds(theirs['median_us'])}"]
        rows.append([row["work"], *times, f"{row['ratio']:.2f}", _verdict(row["ratio"], row["gate"])])
    return [*_table(rows), ""]


def machine(found: dict[str, Any]) -> str:
    """Describe where a result file was measured, with which versions, and when."""
    threads = f"{found['threads']} thread{'s' if found['threads'] != 1 else ''}"
    versions = ", ".join(f"{_NAMES.get(name, name)} {version}" for name, version in found["versions"].items())
    return f"{found['cpu']}, {found['cores']} cores, {threads}; {found['system']}; {versions}; {found['date']}"


def texts(results: dict[str, Any]) -> dict[str, str]:
    """Return what belongs between the markers, by path from the root of the repository."""
    short = [*summary(results), "", f"Measured on: {machine(results['mlp']['machine'])}."]
    places = [f"- `{name}.json`{_blocks(content)}: {machine(content['machine'])}." for name, content in results.items()]
    full = [
        *summary(results),
        "",
        *overheads(results),
        "",
        *optimizers(results),
        *layers(results),
        *steps(results),
        *recipes(results),
        "",
        "Where and when:",
        "",
        *places,
    ]
    return {"README.md": "\n".join(short), "benchmarks/README.md": "\n".join(full)}


def rewritten(page: str, text: str) -> str:
    """Return a page with `text` between its markers."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"expected {BEGIN} and {END} once each.")
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}"


def stale(root: Path = ROOT, results: Path = RESULTS) -> dict[str, str]:
    """Return the pages that differ from the results, by path, as they should be."""
    found = {}
    for name, text in texts(load(results)).items():
        page = (root / name).read_text(encoding="utf-8")
        new = rewritten(page, text)
        if new != page:
            found[name] = new
    return found


def _milliseconds(value: float) -> str:
    return f"{value / 1e3:.{1 if value >= 1e4 else 2}f} ms"


def _verdict(value: float, limit: float, unit: str = "") -> str:
    return f"≤ {limit:g}{unit}: {'met' if value <= limit else 'not met'}"


def _blocks(content: dict[str, Any]) -> str:
    """How many blocks the medians are over, if times were measured."""
    counts = [
        len(each["samples_us"]) for row in content["rows"] for each in row["results"].values() if "samples_us" in each
    ]
    return f", {min(counts)} blocks each" if counts else ""


def _mean(values: list[float]) -> str:
    return f"{statistics.mean(values):.3f} ({min(values):.3f}–{max(values):.3f})"


def _table(rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in rows]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a page is out of date")
    options = parser.parse_args()
    pages = stale()
    for name, page in pages.items():
        print(f"{name} is out of date" if options.check else f"written: {name}")
        if not options.check:
            (ROOT / name).write_text(page, encoding="utf-8")
    return 1 if options.check and pages else 0


if __name__ == "__main__":
    sys.exit(main())
