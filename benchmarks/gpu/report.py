"""Take over the results of a GPU and write them into both READMEs, between markers of their own.

``python -m benchmarks.gpu.report --take DIR`` keeps the summary in ``benchmarks/results`` under the name of the device;
``python -m benchmarks.gpu.report`` writes the page, and a test compares. What no file holds is 'not yet measured'.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import tables
from .record import OK, SUMMARY, results

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE, FRONT = "benchmarks/README.md", "README.md"
BEGIN, END = "<!-- gpu results: begin -->", "<!-- gpu results: end -->"
NOT_YET = "not yet measured"
Found = Mapping[tuple[str, str], Mapping[str, Any]]


def _convolution(direction: str) -> Any:
    def ratio(found: Found) -> float | None:
        chosen = [
            pair
            for pair in tables.pairs(found, "convolution")
            if pair.facts["precision"] == "bfloat16" and pair.direction == direction and "3×3" in pair.work
            and pair.facts["kind"] != "depthwise"
        ]  # fmt: skip
        return tables.mean_ratio(chosen)

    return ratio


def _kernel(*works: str) -> Any:
    def ratio(found: Found) -> float | None:
        chosen = [pair for pair in tables.pairs(found, "kernels") if pair.work.startswith(works)]
        return tables.mean_ratio(chosen)

    return ratio


def _steps(against: str) -> Any:
    def ratio(found: Found) -> float | None:
        ratios = []
        for name in ("MNIST MLP 784-128-10", "LeNet-5", "ResNet-20"):
            ours, theirs = (_median(found, "steps", f"{name}, {who}") for who in ("nnx CUDA graph", against))
            if ours is None or theirs is None:
                return None
            ratios.append(theirs / ours)
        return min(ratios)

    return ratio


def _none(found: Found) -> None:
    return None


# The work of DESIGN, section 5, that a GPU has to show: PyTorch's time over nnx's.
ROWS = (
    (
        "attention, bfloat16, forward: D 64, T up to 1k / D 128, T from 4k",
        "best backend of torch SDPA",
        "0.8 / 0.55",
        "1",
        _none,
    ),
    ("attention, bfloat16, backward", "best backend of torch SDPA", "0.65", "1", _none),
    ("convolution, bfloat16, ResNet-50 3×3, forward", "cuDNN", "0.65", "1", _convolution("forward")),
    ("convolution, bfloat16, ResNet-50 3×3, input gradient", "cuDNN", "0.65", "1", _convolution("input gradient")),
    ("convolution, bfloat16, ResNet-50 3×3, weight gradient", "cuDNN", "0.65", "1", _convolution("weight gradient")),
    ("layer normalisation", "torch eager", "1", "1.3", _kernel("layer_norm")),
    ("softmax and cross entropy", "torch eager", "1", "1.3", _kernel("cross_entropy")),
    ("AdamW", "torch fused", "1", "1.3", _kernel("AdamW")),
    ("training steps of small networks, the slowest ratio", "torch eager", "3", "5", _steps("torch eager")),
    ("the same", "compile reduce-overhead", "0.9", "1", _steps("torch compile reduce-overhead")),
    ("training of GPT-2 124M, bfloat16", "torch.compile", "0.9", "1.1", _none),
    ("training of ResNet-50, bfloat16", "torch eager, channels_last", "0.9", "1.1", _none),
)


def _median(found: Found, part: str, name: str) -> float | None:
    entry = found.get((part, name))
    return entry["value"]["median_us"] if entry and entry["status"] == OK else None


def load(folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Return the summaries of devices by the names of their files."""
    return {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("first_light_*.json"))}


def goals(found: Found, only: str = "") -> list[str]:
    """Return the table of gates and goals, of work that begins with `only`."""
    rows = [["work, on a GPU", "yardstick", "yardstick's time / nnx's", "gate", "goal"], ["---"] * 5]
    for work, yardstick, gate, goal, ratio in [row for row in ROWS if row[0].startswith(only)]:
        value = ratio(found)
        told = [f"≥ {limit}" + ("" if value is None else _verdict(value, limit)) for limit in (gate, goal)]
        rows.append([work, yardstick, NOT_YET if value is None else f"{value:.2f}", *told])
    return _table(rows)


def _verdict(value: float, limit: str) -> str:
    return f": {'met' if value >= float(limit) else 'not met'}"


def details(content: Mapping[str, Any]) -> list[str]:
    """Return the tables of one device."""
    found = results([{**entry, "event": "result"} for entry in content["results"]])
    lines = [_where(content), ""]
    lines += _ceilings(found)
    for part, title in (("convolution", "convolution"), ("kernels", "kernel")):
        pairs = tables.pairs(found, part)
        if pairs:
            rows = [[title, "direction", "nnx", "PyTorch", "PyTorch / nnx", "of the roofline", "error"], ["---"] * 7]
            for pair in pairs:
                share = "" if pair.of_floor is None else f"{pair.of_floor:.0%}"
                error = "" if pair.error is None else f"{pair.error:.0e}"
                times = [f"{value:.1f} µs" for value in (pair.ours, pair.theirs)]
                rows.append([pair.work, pair.direction, *times, f"{pair.ratio:.2f}", share, error])
            lines += [*_table(rows), ""]
    lines += _attention(found)
    lines += _timed(found, "steps", "training step") + _timed(found, "layers", "layer of PyTorch")
    lines += _assumptions(found)
    return lines


def _where(content: Mapping[str, Any]) -> str:
    run = content["runs"][-1]
    machine = run.get("machine") or {}
    device = machine.get("cupy") if isinstance(machine.get("cupy"), dict) else {}
    versions = ", ".join(f"{name} {version}" for name, version in machine.get("versions", {}).items())
    place = f"{device.get('name', 'a device')}; Python {machine.get('python')}, {versions}"
    return f"Measured on: {place}; {run['date'][:10]}."


def _ceilings(found: Found) -> list[str]:
    rows = [["ceiling", "measured"], ["---"] * 2]
    for (part, name), entry in found.items():
        if part == "ceilings" and entry["status"] == OK:
            value = entry["value"]
            moved = "gb_per_s" in value
            rows.append([name, f"{value['gb_per_s']:.0f} GB/s" if moved else f"{value['tflops']:.0f} TFLOP/s"])
    return [*_table(rows), ""] if len(rows) > 2 else []


def _attention(found: Found) -> list[str]:
    rows = [["attention of PyTorch, bfloat16", "forward", "backward"], ["---"] * 3]
    for (part, name), entry in found.items():
        if part == "attention" and entry["status"] == OK and isinstance(entry["value"], dict):
            rows.append([name, *(f"{entry['value'][d]['tflops']:.0f} TFLOP/s" for d in ("forward", "backward"))])
    return [*_table(rows), ""] if len(rows) > 2 else []


def _timed(found: Found, wanted: str, title: str) -> list[str]:
    rows = [[title, "time"], ["---"] * 2]
    for (part, name), entry in found.items():
        value = entry["value"]
        if part != wanted or entry["status"] != OK or not isinstance(value, dict):
            continue
        if "median_us" in value:
            rows.append([name, f"{value['median_us']:.1f} µs"])
        else:
            times = [f"{key} {each['median_us']:.1f} µs" for key, each in value.items() if isinstance(each, dict)]
            rows.append([name, "; ".join(times)])
    return [*_table(rows), ""] if len(rows) > 2 else []


def _assumptions(found: Found) -> list[str]:
    rows = [["assumption", "answer"], ["---"] * 2]
    for (part, name), entry in found.items():
        if part == "assumptions":
            told = tables.answer(entry["value"]) if entry["status"] == OK else f"{entry['status']}: {entry['error']}"
            rows.append([name, " ".join(told.split())[:300].replace("|", "/")])
    return [*_table(rows), ""] if len(rows) > 2 else []


def text(contents: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what belongs between the markers."""
    if not contents:
        return "\n".join(goals({}))
    lines: list[str] = []
    for content in contents.values():
        found = results([{**entry, "event": "result"} for entry in content["results"]])
        lines += [*goals(found), "", *details(content)]
    return "\n".join(lines).rstrip()


def short(contents: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what belongs between the markers of the first page: what nnx has kernels for because CuPy has none."""
    if not contents:
        return "\n".join(goals({}, "convolution"))
    lines: list[str] = []
    for content in contents.values():
        found = results([{**entry, "event": "result"} for entry in content["results"]])
        lines += [*goals(found, "convolution"), "", _where(content), ""]
    return "\n".join(lines).rstrip()


def stale(root: Path = ROOT, folder: Path = RESULTS) -> dict[str, str]:
    """Return the pages that are not as they should be, and how they should."""
    found = {}
    for name, write in ((PAGE, text), (FRONT, short)):
        page = (root / name).read_text(encoding="utf-8")
        if page.count(BEGIN) != 1 or page.count(END) != 1:
            raise ValueError(f"{name}: expected {BEGIN} and {END} once each.")
        before, _, rest = page.partition(BEGIN)
        new = f"{before}{BEGIN}\n{write(load(folder))}\n{END}{rest.partition(END)[2]}"
        if new != page:
            found[name] = new
    return found


def take(source: Path, folder: Path = RESULTS) -> Path:
    """Copy the summary of a run on a GPU to the results; refuse a rehearsal."""
    content = json.loads((source / SUMMARY).read_text(encoding="utf-8"))
    if any(run["rehearsal"] for run in content["runs"]):
        raise ValueError(f"{source}: expected results of a GPU, got those of a rehearsal.")
    device = next((run["machine"]["cupy"]["name"] for run in content["runs"] if _named(run)), "device")
    slug = re.sub(r"[^a-z0-9]+", "_", device.lower()).strip("_")
    path = folder / f"first_light_{slug}.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def _named(run: Mapping[str, Any]) -> bool:
    machine = run.get("machine") or {}
    return isinstance(machine.get("cupy"), dict) and "name" in machine["cupy"]


def _table(rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in rows]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--take", type=Path, metavar="DIR", help="copy the summary of a run from there first")
    options = parser.parse_args()
    if options.take is not None:
        print("written:", take(options.take).relative_to(ROOT))
    for name, page in stale().items():
        (ROOT / name).write_text(page, encoding="utf-8")
        print("written:", name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
