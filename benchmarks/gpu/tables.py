"""Figures out of results: pairs of nnx and PyTorch, ratios, and the short table that ends the command's output."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from .record import OK, results

_LONGEST = 11_000  # characters of the short table


class Pair(NamedTuple):
    """The same work in both libraries: times in microseconds, and nnx's share of its roofline.

    The ratio is PyTorch's time over nnx's: above 1 nnx is faster.
    """

    part: str
    work: str
    direction: str
    ours: float
    theirs: float
    of_floor: float | None
    error: float | None
    facts: Mapping[str, Any]

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours


def pairs(found: Mapping[tuple[str, str], Mapping[str, Any]], part: str) -> list[Pair]:
    """Return what was measured in both libraries in a part."""
    both: dict[str, dict[str, Mapping[str, Any]]] = {}
    for (of, name), entry in found.items():
        library = entry["facts"].get("library") if entry.get("facts") else None
        if of == part and library and entry["status"] == OK:
            both.setdefault(name.rpartition(": ")[0], {})[library] = entry
    listed = []
    for work, entries in both.items():
        if len(entries) < 2:
            continue
        ours, theirs = entries["nnx"]["value"], entries["torch"]["value"]
        for direction in ours:
            if isinstance(ours[direction], dict) and direction in theirs:
                mine, other = ours[direction], theirs[direction]
                error = mine.get("error", ours.get("error") if direction == "forward" else None)
                share = mine.get("of_floor")
                times = mine["median_us"], other["median_us"]
                listed.append(Pair(part, work, direction, *times, share, error, entries["nnx"]["facts"]))
    return listed


def mean_ratio(listed: Iterable[Pair]) -> float | None:
    """Return the geometric mean of ratios, or None."""
    ratios = [pair.ratio for pair in listed]
    return statistics.geometric_mean(ratios) if ratios else None


def short_table(entries: list[dict[str, Any]], run: str) -> str:
    """Return a summary in text of one run: parts, ceilings, ratios, answers, failures."""
    found = {slot: e for slot, e in results(entries).items() if e["run"] == run}
    lines = [f"{'part':12s} {'ok':>4s} {'fail':>4s} {'crash':>5s} {'none':>4s} {'left':>4s} {'time':>6s}  outcome"]
    for entry in entries:
        if entry.get("event") != "part" or entry["run"] != run:
            continue
        counts = Counter(e["status"] for (part, _), e in found.items() if part == entry["part"])
        numbers = [counts[status] for status in (OK, "failed", "crashed", "not here", "left out")]
        columns = " ".join(f"{n:{w}d}" for n, w in zip(numbers, (4, 4, 5, 4, 4), strict=True))
        status = entry["status"].splitlines()[0][:60] if entry["status"] else ""
        lines.append(f"{entry['part']:12s} {columns} {entry['seconds']:5.0f}s  {status}")
    lines += ["", *_ceilings(found), *_ratios(found), *_answers(found), *_failures(found)]
    text = "\n".join(lines)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "\n... (more in the files)"


def _ceilings(found: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[str]:
    lines = []
    for (part, name), entry in found.items():
        if part == "ceilings" and entry["status"] == OK:
            unit = "gb_per_s" if "gb_per_s" in entry["value"] else "tflops"
            lines.append(f"{name:32s} {entry['value'][unit]:8.0f} {'GB/s' if unit == 'gb_per_s' else 'TFLOP/s'}")
    return [*lines, ""] if lines else []


def _ratios(found: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[str]:
    lines = []
    convolutions = pairs(found, "convolution")
    for precision in dict.fromkeys(pair.facts["precision"] for pair in convolutions):
        for direction in ("forward", "input gradient", "weight gradient"):
            chosen = [p for p in convolutions if (p.facts["precision"], p.direction) == (precision, direction)]
            told = []
            for kind in ("Winograd", "other", "depthwise"):
                ratio = mean_ratio(p for p in chosen if p.facts["kind"] == kind)
                names = {"Winograd": "3x3", "other": "others", "depthwise": "depthwise"}
                told.append(f"{names[kind]} {'-' if ratio is None else f'{ratio:.2f}'}")
            lines.append(f"convolution {precision}, {direction}: torch / nnx {', '.join(told)}")
    for pair in pairs(found, "kernels"):
        share = "" if pair.of_floor is None else f", {pair.of_floor:.0%} of the roofline"
        work = f"{pair.work}, {pair.direction}"
        lines.append(f"{work:48s} {pair.ours:9.1f} us, torch {pair.theirs:9.1f} us: {pair.ratio:.2f}{share}")
    for (part, name), entry in found.items():
        if part == "steps" and entry["status"] == OK and "median_us" in (entry["value"] or {}):
            lines.append(f"{name:52s} {entry['value']['median_us']:10.1f} us")
    return [*lines, ""] if lines else []


def _answers(found: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[str]:
    lines = []
    refused = []
    for (part, name), entry in found.items():
        if entry["status"] != OK:
            continue
        value = entry["value"]
        if part == "assumptions" and name.startswith("capture: "):
            if not value["taken"]:
                refused.append(name.removeprefix("capture: "))
        elif part in ("gpu_tests", "library"):
            lines.append(f"{name}: {value['counts']} {value['ended']}")
        elif part == "curves" and " against " in name:
            lines.append(f"{name}: apart by {value['largest relative difference']:.1e}, {value['test accuracy']}")
        elif part == "assumptions" and "cost" not in name and "graph" not in name:
            lines.append(f"{name}: {answer(value)}"[:200])
    if refused:
        lines.append(f"not captured: {', '.join(refused)}")
    return [*lines, ""] if lines else []


def answer(value: Any) -> str:
    """Return a fact in few words: comparisons bit for bit are added up."""
    compared = list(_compared(value))
    if not compared:
        return str(value.get("answer", value)) if isinstance(value, dict) else str(value)
    bits, elements = (sum(each[key] for each in compared) for key in ("bits differ in", "elements"))
    largest = max(each["relative to the largest element"] for each in compared)
    return f"bits differ in {bits} of {elements} numbers, by at most {largest:.1e} of the largest"


def _compared(value: Any) -> Iterator[Mapping[str, Any]]:
    """The comparisons of the simulator with the device in a value; those with a reference are another matter."""
    if isinstance(value, dict):
        if "bits differ in" in value:
            yield value
        else:
            for key, each in value.items():
                if key != "to the reference":
                    yield from _compared(each)


def _failures(found: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[str]:
    lines = []
    for (part, name), entry in found.items():
        if entry["status"] in ("failed", "crashed"):
            text = (entry["error"] or "").strip().splitlines() or [""]
            told = text[-1] if entry["status"] == "failed" else text[0]
            lines.append(f"{entry['status'].upper()} {part}: {name}: {told[:140]}")
    return lines
