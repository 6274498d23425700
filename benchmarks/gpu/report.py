"""Take over the results of a GPU and write them into both READMEs, between markers of their own.

``python -m benchmarks.gpu.report --take DIR [DIR ...]`` joins the runs of some folders in ``benchmarks/results``, in a
file for each device; ``python -m benchmarks.gpu.report`` writes the pages, and a test compares. What no file holds is
'not yet measured'.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import provenance, tables
from .goals import ROWS, Found
from .record import OK, results
from .taking import take

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE, FRONT = "benchmarks/README.md", "README.md"
BEGIN, END = "<!-- gpu results: begin -->", "<!-- gpu results: end -->"
NOT_YET = "not yet measured"


def load(folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Return the summaries of devices by the names of their files."""
    return {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("first_light_*.json"))}


def goals(found: Found, only: str = "") -> list[str]:
    """Return the table of gates and goals, of work that begins with `only`."""
    rows = [["work, on a GPU", "yardstick", "yardstick's time / nnx's", "gate", "goal"], ["---"] * 5]
    for row in [row for row in ROWS if row.work.startswith(only)]:
        value = row.ratio(found)
        alone = row.baseline(found) if value is None else None
        yardstick = row.yardstick if alone is None else f"{row.yardstick}: {alone}"
        told = [_verdict(value, limit) for limit in (row.gate, row.goal)]
        rows.append([row.work, yardstick, NOT_YET if value is None else f"{value:.2f}", *told])
    return _table(rows)


def _verdict(value: float | None, limit: float) -> str:
    return f"≥ {limit:g}" + ("" if value is None else f": {'met' if value >= limit else 'not met'}")


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
    told = [f"Python {machine.get('python')}, {_versions(machine)}" for machine in _each(content, "machine")]
    told += [provenance.told(nnx) for nnx in _each(content, "nnx")]
    days = sorted({run["date"][:10] for run in content["runs"]})
    period = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return f"Measured on: {'; '.join([content['device'], *dict.fromkeys(told), period])}."


def _each(content: Mapping[str, Any], key: str) -> list[Any]:
    return [run[key] for run in content["runs"] if run.get(key)]


def _versions(machine: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in machine.get("versions", {}).items())


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
        if part == "attention" and entry["status"] == OK and "forward" in entry["value"]:
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
            if times:  # else it says which PyTorch there is
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


def _table(rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in rows]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--take", type=Path, nargs="+", metavar="DIR", help="join the runs in there first")
    options = parser.parse_args()
    for path in take(options.take, RESULTS) if options.take else []:
        print("written:", path.relative_to(ROOT))
    for name, page in stale().items():
        (ROOT / name).write_text(page, encoding="utf-8")
        print("written:", name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
