"""What runs on GPUs have left in their folders, joined into one result file for each device.

A day with a GPU takes several commands, each with a folder of its own, perhaps on several cards. What the logs hold is
put together by the name of the device; results of two cards never meet in one file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .record import LOG, Log, devices, summary, text_of


def joined(sources: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the events of several logs, each once, results in the order of their time.

    Raises
    ------
    ValueError
        If a folder holds no log, a run was a rehearsal, or results are of a device that is not known.
    """
    entries: dict[str, dict[str, Any]] = {}
    for source in sources:
        found = Log(source).entries()
        if not found:
            raise ValueError(f"{source}: expected a folder with {LOG}, got none or an empty one.")
        if any(entry.get("rehearsal") for entry in found):
            raise ValueError(f"{source}: expected results of a GPU, got those of a rehearsal.")
        known = devices(found)
        lost = {entry["run"] for entry in found if entry.get("event") == "result"} - known.keys()
        if lost:
            raise ValueError(f"{source}: expected the name of the device in each run, got none in {', '.join(lost)}.")
        # The log of a folder that was continued begins with what another one holds.
        entries |= {text_of(entry): entry for entry in found}
    return sorted(entries.values(), key=lambda entry: entry.get("at", 0.0))


def take(sources: Sequence[Path], folder: Path) -> list[Path]:
    """Write the results of the folders into a file for each device; return the files.

    What a file of the same device holds already stays, as if it were one of the folders: to begin anew, delete it.
    """
    entries = joined(sources)
    known = devices(entries)
    written = []
    for device in sorted(set(known.values())):
        path = folder / f"first_light_{re.sub(r'[^a-z0-9]+', '_', device.lower()).strip('_')}.json"
        before = _before(path, device)
        own = [entry for entry in entries if known.get(entry.get("run", "")) == device]
        runs = {entry["run"] for entry in own}
        # Results that are there twice keep their place.
        kept = [entry for entry in before if entry["event"] == "result" or entry["run"] not in runs]
        content = summary([*kept, *own])
        content["runs"].sort(key=lambda run: run["date"])
        path.write_text(json.dumps({"device": device, **content}, indent=1) + "\n", encoding="utf-8")
        written.append(path)
    return written


def _before(path: Path, device: str) -> list[dict[str, Any]]:
    """The events that a result file was made of, as far as they matter."""
    if not path.exists():
        return []
    content = json.loads(path.read_text(encoding="utf-8"))
    if content["device"] != device:
        raise ValueError(f"{path}: expected results of {device}, got those of {content['device']}.")
    events = [{**run, "event": "run"} for run in content["runs"]]
    events += [{"event": "machine", "run": run["run"], "machine": run.pop("machine")} for run in events[:]]
    events += [{**part, "event": "part"} for part in content["parts"]]
    return events + [{**result, "event": "result"} for result in content["results"]]
