"""What was measured, kept as it is measured: one line of JSON for each event, appended to ``DIR/first_light.jsonl``.

A line is written in one call, so that a process that dies leaves whole lines behind; one that is torn all the same is
passed over. Nothing is ever rewritten: a second run into the same folder adds to it. `summary` makes the file that
people and `benchmarks.gpu.report` read out of it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LOG, SUMMARY, OUTPUT = "first_light.jsonl", "first_light.json", "first_light.log"
OK, FAILED, NOT_HERE, CRASHED, LEFT_OUT = "ok", "failed", "not here", "crashed", "left out"
CUT_OFF = "cut off"  # a part of it is measured, its time did not reach the rest
# A better outcome is not replaced by a worse one of a later run.
_WORTH = {OK: 5, CUT_OFF: 4, NOT_HERE: 3, FAILED: 2, CRASHED: 1, LEFT_OUT: 0}


class Log:
    """The log in a folder. What cannot be written, on a full disk, is printed: the output may reach somebody."""

    def __init__(self, folder: Path) -> None:
        self.path = Path(folder) / LOG

    def append(self, **entry: Any) -> None:
        line = text_of(entry)
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                whole = (line + "\n").encode()
                size = os.fstat(handle).st_size
                if size and os.pread(handle, 1, size - 1) != b"\n":
                    whole = b"\n" + whole  # a process died while it wrote the line before
                if os.write(handle, whole) != len(whole):
                    raise OSError("the disk took a part of the line")
            finally:
                os.close(handle)
        except OSError as error:
            print(f"not kept in {self.path} ({error}): {line}", flush=True)

    def entries(self) -> list[dict[str, Any]]:
        """Return what was written, without lines that are torn."""
        found = []
        with contextlib.suppress(OSError), open(self.path, "rb") as file:
            for line in file:
                with contextlib.suppress(ValueError):
                    entry = json.loads(line)
                    if isinstance(entry, dict):
                        found.append(entry)
        return found


def text_of(value: Any) -> str:
    """Return a value as JSON on one line: what is no number in JSON becomes text, NumPy's numbers become Python's."""
    return json.dumps(_plain(value), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(each) for each in value]
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    if isinstance(value, float):
        # Six digits are more than any clock here tells, and a third of the file.
        return float(f"{value:.6g}") if math.isfinite(value) else str(value)
    if hasattr(value, "item") and getattr(value, "size", 1) == 1:
        return _plain(value.item())
    return str(value)


def results(entries: Iterable[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the best outcome of each measurement, of equal ones the latest, by part and name."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in entries:
        if entry.get("event") != "result":
            continue
        slot = (entry["part"], entry["name"])
        if slot not in found or _WORTH.get(entry["status"], 0) >= _WORTH.get(found[slot]["status"], 0):
            found[slot] = entry
    return found


def name_of(machine: Any) -> str | None:
    """Return the name of the device in the facts of a machine, as CuPy tells it or the driver's own tool, or None."""
    found = machine if isinstance(machine, dict) else {}
    if isinstance(found.get("cupy"), dict):
        return found["cupy"].get("name")
    # Two lines of CSV: what is asked, of which the name is the first, and the answers.
    lines = str(found.get("smi", "")).splitlines()
    return lines[1].partition(",")[0].strip() or None if len(lines) > 1 and lines[0].startswith("name") else None


def devices(entries: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return the name of the device of each run that has told it."""
    found: dict[str, str] = {}
    for entry in entries:
        if entry.get("event") == "machine":
            name = name_of(entry["machine"])
            if name:
                found[entry["run"]] = name
    return found


def of_same_device(entries: list[dict[str, Any]], run: str) -> list[dict[str, Any]]:
    """Return what was written on the device of a run: a folder may hold the results of several."""
    known = devices(entries)
    return [entry for entry in entries if known.get(entry.get("run", "")) == known.get(run)]


def unfinished(entries: Iterable[dict[str, Any]], run: str, part: str) -> list[str]:
    """Return the measurements of a part that began in a run and have no outcome."""
    began: dict[str, None] = {}
    for entry in entries:
        if entry.get("run") == run and entry.get("part") == part:
            if entry["event"] == "start":
                began[entry["name"]] = None
            elif entry["event"] == "result":
                began.pop(entry["name"], None)
    return list(began)


def attempted(entries: Iterable[dict[str, Any]], run: str, part: str) -> set[str]:
    """Return the measurements of a part that have an outcome in a run."""
    return {
        entry["name"]
        for entry in entries
        if entry.get("event") == "result" and entry["run"] == run and entry["part"] == part
    }


def summary(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Return runs, parts and the best outcome of every measurement."""
    runs = [entry for entry in entries if entry.get("event") == "run"]
    machines = {entry["run"]: entry["machine"] for entry in entries if entry.get("event") == "machine"}
    parts = [entry for entry in entries if entry.get("event") == "part"]
    measured = list(results(entries).values())
    return {
        "runs": [{**run, "machine": machines.get(run["run"])} for run in runs],
        "parts": parts,
        "results": measured,
    }


def write_summary(folder: Path, log: Log) -> str | None:
    """Write the summary beside the log, whole or not at all; return None, or why that failed."""
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".", suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(_plain(summary(log.entries())), file, indent=1)
            file.write("\n")
        os.chmod(temporary, 0o644)
        os.replace(temporary, Path(folder) / SUMMARY)
        return None
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        return f"{SUMMARY} was not written: {error}"
