"""Figures out of results: pairs of nnx and PyTorch, ratios, and the short table that ends the command's output."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from .record import CRASHED, CUT_OFF, FAILED, LEFT_OUT, NOT_HERE, OK, attempted, of_same_device, results

_LONGEST = 11_000  # characters of the short table
_MOST = 25  # failures of a kind that it tells
_COLUMNS = ((OK, "ok"), (FAILED, "fail"), (CRASHED, "crash"), (CUT_OFF, "cut"), (NOT_HERE, "none"), (LEFT_OUT, "left"))


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
    """Return a summary in text of the parts of a run: outcomes, failures, ceilings, ratios, answers.

    It tells all that is known of these parts on this device, also from the earlier runs that ``--resume`` goes on with;
    the column `new` tells how many measurements are of this run.
    """
    chosen = [entry for entry in entries if entry.get("event") == "part" and entry["run"] == run]
    names = {entry["part"] for entry in chosen}
    found = {slot: e for slot, e in results(of_same_device(entries, run)).items() if slot[0] in names}
    heads = ("new", *(short for _, short in _COLUMNS))
    lines = [f"{'part':12s} {' '.join(f'{head:>5s}' for head in heads)} {'time':>6s}  outcome"]
    for entry in chosen:
        counts = Counter(e["status"] for (part, _), e in found.items() if part == entry["part"])
        new = len(attempted(entries, run, entry["part"]))
        numbers = " ".join(f"{number:5d}" for number in (new, *(counts[status] for status, _ in _COLUMNS)))
        status = entry["status"].splitlines()[0][:60] if entry["status"] else ""
        lines.append(f"{entry['part']:12s} {numbers} {entry['seconds']:5.0f}s  {status}")
    lines += ["", *_failures(found), *_ceilings(found), *_ratios(found), *_answers(found)]
    text = "\n".join(lines)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "\n... (more in the files)"


def nothing_but_failures(entries: list[dict[str, Any]], run: str) -> bool:
    """Return whether every part of a run that tried something has failed; one that only lacks something has not."""
    failed = []
    for entry in [entry for entry in entries if entry.get("event") == "part" and entry["run"] == run]:
        own = [e for e in entries if e.get("event") == "result" and (e["run"], e["part"]) == (run, entry["part"])]
        statuses = {e["status"] for e in own}
        if statuses & {OK, CUT_OFF}:
            failed.append(False)
        elif statuses & {FAILED, CRASHED} or (not own and not entry["status"].startswith(("done", "left out"))):
            failed.append(True)
    return bool(failed) and all(failed)


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
        if entry["status"] not in (OK, CUT_OFF):
            continue
        value = entry["value"]
        if part == "assumptions" and name.startswith("capture: "):
            if not value["taken"]:
                refused.append(name.removeprefix("capture: "))
        elif part in ("gpu_tests", "library", "conformance") and "counts" in value:
            left = {0: "", None: ", not all were run"}.get(value["not run"], f", {value['not run']} were not run")
            lines.append(f"{name}: {value['counts']} {value['ended']}{left}")
        elif part == "conformance":
            lines.append(f"{name}: {value['compared']} tests, {len(value['of nnx alone'])} fail for nnx alone")
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
    for status in (CRASHED, FAILED, CUT_OFF):
        chosen = [(part, name, e["error"] or "") for (part, name), e in found.items() if e["status"] == status]
        for part, name, error in chosen[:_MOST]:
            text = error.strip().splitlines() or [""]
            told = text[0] if status == CRASHED else text[-1]
            lines.append(f"{status.upper()} {part}: {name}: {told[:140]}")
        if len(chosen) > _MOST:
            lines.append(f"{status.upper()}: {len(chosen) - _MOST} more, in the files")
    return [*lines, ""] if lines else []
