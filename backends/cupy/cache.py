"""Compiled kernels on disk: one file each, named by a hash of everything that decides what is in it.

An entry is a line of JSON (hash of what follows, seconds that it took to compile, facts) and the bytes. Whatever keeps
it from being read or written, a broken entry, a full disk or a folder that is read-only, costs a compilation, no more.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FORMAT = 1  # to be raised when entries change, so that old ones are not found


@dataclass(frozen=True)
class Entry:
    """What a compilation gave: the bytes, how long it took (seconds), and facts that JSON can hold."""

    data: bytes
    seconds: float
    facts: Mapping[str, Any]


def folder() -> Path:
    """Where compiled kernels are kept: ``$XDG_CACHE_HOME/nnx/kernels``, otherwise ``~/.cache/nnx/kernels``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "nnx" / "kernels"


def key(parts: Sequence[str]) -> str:
    """Return the hash of texts; their borders count."""
    digest = hashlib.sha256(str(_FORMAT).encode())
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


def read(name: str) -> Entry | None:
    """Return an entry, or None if there is none, or a broken one."""
    try:
        head, _, data = (folder() / name).read_bytes().partition(b"\n")
        facts = json.loads(head)
        if facts.pop("sha256") != hashlib.sha256(data).hexdigest():
            return None
        return Entry(data, float(facts.pop("seconds")), facts)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write(name: str, entry: Entry) -> str | None:
    """Keep an entry; return None, or why it could not be kept."""
    digest = hashlib.sha256(entry.data).hexdigest()
    head = json.dumps({"sha256": digest, "seconds": entry.seconds, **entry.facts}).encode()
    temporary = None
    try:
        path = folder() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # Another process must see all of the file or none of it, so it is moved into place when it is complete.
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(head + b"\n" + entry.data)
        os.replace(temporary, path)
        return None
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        if temporary is not None:
            with contextlib.suppress(OSError):  # the folder may have become read-only meanwhile
                os.unlink(temporary)
        return f"{folder_text()}: {error}"


def folder_text() -> str:
    """The folder for messages, also where there is no home."""
    try:
        return str(folder())
    except RuntimeError as error:
        return f"no folder ({error})"


def contents(suffix: str) -> list[Entry]:
    """Return the entries whose names end so, without their bytes."""
    found = []
    try:
        paths = sorted(folder().glob(f"*{suffix}"))
    except (OSError, RuntimeError):
        return []
    for path in paths:
        entry = read(path.name)
        if entry is not None:
            found.append(Entry(b"", entry.seconds, {**entry.facts, "bytes": path.stat().st_size}))
    return found
