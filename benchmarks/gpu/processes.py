"""Child processes that end when they should: with a time limit, and none left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ANSWER = "ANSWER "  # how the line of a child begins that holds what was asked for
_PATIENCE = 10.0  # seconds for a process that was killed to be gone; one that the driver holds may never be
# The child asks the kernel to end it with its parent (PR_SET_PDEATHSIG), in whatever way that ends; then it becomes the
# command. Linux alone has this.
_WITH_PARENT = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9, 0, 0, 0); os.execvp(sys.argv[1], sys.argv[1:])"


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit status (negative: the signal), its time, and the end of what it printed."""

    code: int
    seconds: float
    timed_out: bool
    tail: str

    def __str__(self) -> str:
        if self.timed_out:
            return f"stopped after {self.seconds:.0f} s"
        if self.code < 0:
            with contextlib.suppress(ValueError):
                return f"ended by {signal.Signals(-self.code).name}"
        return f"exit status {self.code}"


def run(
    command: Sequence[str],
    seconds: float,
    *,
    cwd: Path | None = None,
    environment: dict[str, str] | None = None,
    output: Path | None = None,
    tail: int = 4000,
    live: bool = False,
) -> Ended:
    """Run a command for at most some seconds; its whole group of processes ends with it.

    What it prints goes to a file, which is appended to `output` at the end: pipes could block, and whoever holds one
    open could keep the reader waiting for ever. With `live` only its errors do; the rest is printed as it comes.
    """
    with _room() as printed:
        start = time.monotonic()
        wrapped = [sys.executable, "-c", _WITH_PARENT, *command] if sys.platform == "linux" else list(command)
        child = subprocess.Popen(
            wrapped,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=None if live else printed,
            stderr=printed,
            # A group of its own, so that all of it can be ended; no session of its own, so that whoever ends this
            # process's session ends the child, too.
            process_group=0,
        )
        timed_out = False
        try:
            child.wait(max(0.1, seconds))
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            end_group(child)
        took = time.monotonic() - start
        code = child.returncode if child.returncode is not None else -signal.SIGKILL
        return Ended(code, took, timed_out, _kept(printed, command, output, tail))


def answer(printed: str) -> Any:
    """Return what a child has answered in the last such line of its output, or None."""
    lines = [line for line in printed.splitlines() if line.startswith(ANSWER)]
    return json.loads(lines[-1].removeprefix(ANSWER)) if lines else None


def _room() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError:  # a full disk: what the child prints is lost, what it does is not
        return open(os.devnull, "w+b")


def end_group(child: subprocess.Popen) -> None:
    """End a child and those that it started; never wait long for it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_PATIENCE)


def _kept(printed: IO[bytes], command: Sequence[str], output: Path | None, tail: int) -> str:
    printed.seek(0)
    if output is not None:
        with contextlib.suppress(OSError), open(output, "ab") as file:
            file.write(f"\n$ {' '.join(command)}\n".encode())
            size = os.fstat(printed.fileno()).st_size
            printed.seek(max(0, size - 200_000))  # the end tells what happened
            file.write(printed.read())
    size = os.fstat(printed.fileno()).st_size
    printed.seek(max(0, size - 4 * tail))
    return printed.read().decode(errors="replace")[-tail:].strip()
