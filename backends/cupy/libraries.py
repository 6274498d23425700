"""Where NVIDIA's libraries may lie."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path


def candidates(wheel: str, stem: str, pattern: re.Pattern[str], name: str) -> Iterator[str]:
    """Yield paths of a library: in NVIDIA's wheel, in a CUDA toolkit, or its name, where the system finds libraries.

    Parameters
    ----------
    wheel
        The distribution that brings it.
    stem
        What its file names contain.
    pattern
        What its file names are, in full.
    name
        What the system finds it by.
    """
    try:
        files = metadata.files(wheel) or []
    except metadata.PackageNotFoundError:
        files = []
    yield from (str(file.locate()) for file in files if pattern.fullmatch(file.name))
    for variable in ("CUDA_PATH", "CUDA_HOME"):
        root = os.environ.get(variable)
        if root:
            for folder in ("bin", "lib64", "lib"):
                yield from (str(p) for p in sorted(Path(root, folder).glob(f"*{stem}*")) if pattern.fullmatch(p.name))
    yield name
