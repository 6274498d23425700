"""What the environment variables of nnx say.

A wrong one raises when nnx is first used, not when it is imported: otherwise ``python -m nnx doctor`` could not tell.
"""

from __future__ import annotations

import os
from collections.abc import Callable

VARIABLES = ("NNX_BACKEND", "NNX_DATA", "NNX_KERNELS", "NNX_NUM_THREADS", "NNX_TRACK_ALL")
KERNEL_MODES = ("off", "auto", "require")


def kernel_mode() -> str:
    """Return what ``NNX_KERNELS`` says, by default ``"auto"``; raise ValueError if there is no such mode."""
    mode = os.environ.get("NNX_KERNELS", "auto")
    if mode not in KERNEL_MODES:
        modes = ", ".join(map(repr, KERNEL_MODES))
        raise ValueError(f"NNX_KERNELS: expected one of {modes}, got {mode!r}. Correct it or unset it.")
    return mode


def num_threads() -> int | None:
    """Return what ``NNX_NUM_THREADS`` says, None if it is not set; raise ValueError if it is no positive integer."""
    text = os.environ.get("NNX_NUM_THREADS")
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"NNX_NUM_THREADS: expected a positive integer, got {text!r}. Correct it or unset it.")
    return int(text)


_READERS: dict[str, Callable[[], object]] = {"NNX_KERNELS": kernel_mode, "NNX_NUM_THREADS": num_threads}


def problems() -> dict[str, str]:
    """Return for every variable that is set wrongly what is wrong with it.

    Examples
    --------
    >>> from nnx.settings import problems
    >>> problems()
    {}
    """
    found = {}
    for name, read in _READERS.items():
        try:
            read()
        except ValueError as error:
            found[name] = str(error)
    return found


def check() -> None:
    """Raise ValueError if a variable is set wrongly."""
    for problem in problems().values():
        raise ValueError(problem)
