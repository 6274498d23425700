"""What is measured and with what: the version and commit of the checkout, and the tools that this machine has.

A machine with a GPU may have neither git nor the history. The digest of the sources tells one checkout from another
all the same, and `benchmarks.gpu.bring` writes down beside it which commit it belongs to.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
TOOLS = ("g++", "git", "nvcc", "nvidia-smi", "compute-sanitizer")
_SOURCES = ("nnx", "backends", "benchmarks/gpu", "tests")
_SUFFIXES = (".py", ".cu", ".cuh", ".cpp", ".hpp")


def tools() -> dict[str, str | None]:
    """Return where the tools are that tests and measurements ask for; None for one that is not there."""
    return {name: shutil.which(name) for name in TOOLS}


def checkout(brought: Path | None = None, root: Path = ROOT) -> dict[str, Any]:
    """Return version, commit, whether files differ from it, and the digest of the sources.

    Parameters
    ----------
    brought
        A file with what this function returned where there is git: it tells the commit if the sources are the same.
    root
        The root of the repository.
    """
    text = (root / "nnx" / "__init__.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "(.+)"', text, re.MULTILINE)
    found = {"version": version[1] if version else None, "commit": None, "changed": None, "sources": digest(root)}
    commit = _git(root, "rev-parse", "HEAD")
    if commit:
        return {**found, "commit": commit, "changed": bool(_git(root, "status", "--porcelain", "--", *_SOURCES))}
    try:
        other = json.loads(brought.read_text(encoding="utf-8")) if brought is not None else {}
    except (OSError, ValueError):
        other = {}
    same = other.get("sources") == found["sources"]
    return {**found, "commit": other["commit"], "changed": other["changed"]} if same else found


def digest(root: Path = ROOT) -> str:
    """Return the hash of the names and contents of all sources."""
    found = hashlib.sha256()
    for folder in _SOURCES:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in _SUFFIXES:
                found.update(f"{path.relative_to(root).as_posix()} {path.stat().st_size}\n".encode())
                found.update(path.read_bytes())
    return found.hexdigest()


def _git(root: Path, *arguments: str) -> str | None:
    if not (root / ".git").exists():
        return None  # git would answer for whatever repository is around
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def told(nnx: Mapping[str, Any]) -> str:
    """Return a checkout in few words."""
    if not nnx["commit"]:
        return f"nnx {nnx['version']}, sources {nnx['sources'][:12]}"
    return f"nnx {nnx['version']}, commit {nnx['commit'][:12]}{', changed' if nnx['changed'] else ''}"
