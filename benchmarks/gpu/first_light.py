"""Everything that is to be measured on a CUDA device, in one command::

    python -m benchmarks.gpu.first_light --out DIR

It runs parts of at most 8 minutes, each in a process of its own, and writes every measurement to ``DIR`` as it ends. A
part that fails, hangs or crashes is written down, and the rest goes on. It needs Python, NumPy, CuPy and PyTorch; what
else nnx imports may lie in ``.gpu_wheels``, see `benchmarks.gpu.bring`. ``--rehearse`` does the same without a GPU.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from . import bring, processes, provenance
from .parts import PARTS, Part
from .record import CRASHED, OUTPUT, Log, attempted, unfinished, write_summary
from .session import AGAIN, HUNG
from .tables import nothing_but_failures, short_table

ROOT = Path(__file__).resolve().parent.parent.parent
_STARTS = 12  # of one part; a device on which nothing works shall not take all the time
_SHORTEST = 5.0  # seconds that a part is started with
_GRACE = 30.0  # seconds beyond its time, for the measurement that is under way
_LOOKING = 60.0  # seconds for looking at the compiled kernels that were carried along
_TOLD = 2500  # characters of either end of what a process printed


class Ended(SystemExit):
    """Somebody ends the command: what was measured is summed up, then it goes."""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder of the results; more runs add to it")
    parser.add_argument("--part", action="append", metavar="NAME", help="only this part; may be given several times")
    parser.add_argument("--budget", type=float, default=float("inf"), metavar="SECONDS", help="for all parts together")
    parser.add_argument("--resume", action="store_true", help="leave out what DIR holds already")
    parser.add_argument("--rehearse", action="store_true", help="without a GPU: stand-ins and tiny sizes")
    parser.add_argument(
        "--data", type=Path, help="folder with mnist/; else $NNX_DATA; else synthetic images, and so said"
    )
    parser.add_argument("--suite", type=Path, help="checkout of array-api-tests, for the part conformance")
    parser.add_argument("--list", action="store_true", help="tell the parts and end")
    options = parser.parse_args(arguments)
    names = options.part or list(PARTS)
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        parser.error(f"--part: unknown {', '.join(unknown)}; choose from {', '.join(PARTS)}")
    if options.out is None and not options.list:
        parser.error("--out: expected a folder for the results")
    options.part = list(dict.fromkeys(names))
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    if options.list:
        for part in PARTS.values():
            print(f"{part.name:12s} {part.seconds:4.0f} s  {part.about}")
        return 0
    if not options.rehearse and not bring.has_driver():
        print("no NVIDIA driver here (libcuda does not load); --rehearse does without a GPU", file=sys.stderr)
        return 2
    problem = _unwritable(options.out)
    if problem:
        print(f"--out: {options.out} cannot be written to: {problem}", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    log = Log(options.out)
    run = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S%f") + f"-{os.getpid()}"
    start = time.monotonic()
    log.append(
        event="run",
        run=run,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        arguments=list(sys.argv[1:] if arguments is None else arguments),
        rehearsal=options.rehearse,
        **_started(options),
    )
    status = 0
    try:
        for name in options.part:
            left = options.budget - (time.monotonic() - start)
            if left < (0 if options.rehearse else _SHORTEST):
                log.append(event="part", run=run, part=name, status="left out: no time is left", seconds=0)
                continue
            try:
                run_part(PARTS[name], min(left, PARTS[name].seconds), log, run, options)
            except Exception:  # such as a full disk: the other parts may still print what they find
                log.append(event="part", run=run, part=name, status=traceback.format_exc()[-3000:], seconds=0)
            _told(write_summary(options.out, log))
    except Ended as ended:
        status = int(ended.code or 0)
        print("ended from outside; what was measured is kept", flush=True)
    except KeyboardInterrupt:
        status = 130
    finally:
        _told(write_summary(options.out, log))
        entries = log.entries()
        print(short_table(entries, run), flush=True)
    return status or int(nothing_but_failures(entries, run))


def _started(options: argparse.Namespace) -> dict[str, Any]:
    try:
        return _start(options)
    except Exception:
        print(traceback.format_exc(), file=sys.stderr)  # the parts may run all the same
        return {}


def _start(options: argparse.Namespace) -> dict[str, Any]:
    """Tell what is measured, and what is here for it; return that for the log."""
    nnx, tools = provenance.checkout(bring.CHECKOUT), provenance.tools()
    print(provenance.told(nnx), flush=True)
    print("tools:", ", ".join(f"{name} {path or 'not here'}" for name, path in tools.items()), flush=True)
    text, kernels = _kernels(options.rehearse, tuple(sorted(environment(options).items())))
    print(text, flush=True)
    return {"nnx": nnx, "tools": tools, "kernels": kernels}


@functools.cache
def _kernels(rehearse: bool, variables: tuple[tuple[str, str], ...]) -> tuple[str, Any]:
    """Look whether compiled kernels are here, and those of this checkout: stale ones cost the time of parts."""
    command = [sys.executable, "-m", "benchmarks.gpu.carried"]
    command += ["--architecture", "90a", "--most", "10"] * rehearse
    ended = processes.run(command, _LOOKING, cwd=ROOT, environment=dict(variables), tail=100_000)
    found = processes.answer(ended.tail)
    if found is None:
        return f"compiled kernels: not known, {ended}: {ended.tail[-300:]}", None
    every, names = found["hits"] + found["misses"], ", ".join(f"sm_{name}" for name in found["architectures"])
    text = f"compiled kernels for {names or 'no device'}, NVRTC {found['nvrtc']}: {found['hits']} of {every} are here"
    if found["misses"]:
        text += f", {found['misses']} are to be compiled: what was carried along is of other sources or another NVRTC"
    return text, found


def run_part(part: Part, seconds: float, log: Log, run: str, options: argparse.Namespace) -> None:
    """Run a part to its end, starting its process again when it dies."""
    end = time.monotonic() + seconds
    print(f"== {part.name}: {part.about} (at most {seconds:.0f} s)", flush=True)
    state, starts = "", 0
    while not state:
        starts += 1
        before = len(attempted(log.entries(), run, part.name))
        ended = processes.run(
            _command(part, max(1.0, end - time.monotonic()), run, options),
            max(1.0, end - time.monotonic()) + _GRACE,
            cwd=ROOT,
            environment=environment(options),
            output=options.out / OUTPUT,
            tail=200_000,  # the stacks of all threads of a process that hung
            live=True,
        )
        told = end_of(ended.tail)
        if ended.code == 0 and not ended.timed_out:
            state = "done"
            break
        hung = ended.timed_out or f"\n{HUNG}" in f"\n{ended.tail}"
        reason = "it hung: " if hung else f"the process {ended}: "
        lost = unfinished(log.entries(), run, part.name)
        for name in lost:
            print(f"[{part.name}] {CRASHED:8s} {name}: {reason}", flush=True)
            entry = {"status": CRASHED, "seconds": ended.seconds, "value": None, "error": reason + told}
            log.append(event="result", run=run, part=part.name, name=name, at=time.time(), **entry, facts={})
        progress = len(attempted(log.entries(), run, part.name)) > before
        if ended.timed_out:
            state = f"stopped: {reason}its time is used up"
        elif not progress:
            state = f"failed: the process {ended}, and nothing more was measured: {told}"
        elif starts >= _STARTS:
            state = f"given up after {starts} starts"
        elif end - time.monotonic() < (0 if options.rehearse else _SHORTEST):
            state = "stopped: its time is used up"
        elif ended.code != AGAIN:
            print(f"[{part.name}] starts again: {reason}", flush=True)
    log.append(
        event="part", run=run, part=part.name, status=state, starts=starts, seconds=seconds - end + time.monotonic()
    )
    print(f"== {part.name}: {state.splitlines()[0] if state != 'done' else state}", flush=True)


def end_of(printed: str) -> str:
    """Return the end of what a process printed: of one that hung from where that is said, since its stacks are long."""
    _, hung, stacks = f"\n{printed}".rpartition(f"\n{HUNG}")
    text = (hung + stacks).strip()
    return text if len(text) <= 2 * _TOLD else f"{text[:_TOLD] if hung else ''}\n...\n{text[-_TOLD:]}"


@functools.cache
def _cache_of_kernels(kept: Path) -> str | None:
    """Copy the compiled kernels that were carried along to where more can be added; return the folder, or None."""
    try:
        shutil.copytree(bring.KERNELS, kept / "cache", dirs_exist_ok=True)
        return str(kept / "cache")
    except OSError as error:  # then kernels are compiled where they are needed
        print(f"the compiled kernels could not be copied: {error}", file=sys.stderr)
        return None


def environment(options: argparse.Namespace) -> dict[str, str]:
    """What the processes of parts get to know: where this checkout and what was brought along lie."""
    paths = [str(ROOT), *map(str, bring.missing_here()), os.environ.get("PYTHONPATH", "")]
    # Compiled code is kept for the processes to come, wherever the home folder of this machine is writable or not.
    kept = Path(tempfile.gettempdir()) / "nnx_first_light"
    found = {
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "CUPY_CACHE_DIR": os.environ.get("CUPY_CACHE_DIR", str(kept / "cupy")),
        "TORCHINDUCTOR_CACHE_DIR": os.environ.get("TORCHINDUCTOR_CACHE_DIR", str(kept / "inductor")),
        "TRITON_CACHE_DIR": os.environ.get("TRITON_CACHE_DIR", str(kept / "triton")),
    }
    if "XDG_CACHE_HOME" not in os.environ and bring.KERNELS.exists() and not options.rehearse:
        place = _cache_of_kernels(kept)
        if place is not None:
            found["XDG_CACHE_HOME"] = place
    if options.data is not None:
        found["NNX_DATA"] = str(options.data.resolve())
    elif "NNX_DATA" not in os.environ and bring.DATA.exists():
        found["NNX_DATA"] = str(bring.DATA)
    return found


def _command(part: Part, seconds: float, run: str, options: argparse.Namespace) -> list[str]:
    command = [sys.executable, "-X", "faulthandler", "-m", "benchmarks.gpu.worker", "--part", part.name]
    command += ["--module", part.module]
    command += ["--out", str(options.out), "--run", run, "--seconds", f"{seconds:.1f}"]
    command += ["--rehearse"] * options.rehearse + ["--resume"] * options.resume
    suite = options.suite or (bring.SUITE if bring.SUITE.exists() else None)
    return command + ([] if suite is None else ["--option", f"suite={Path(suite).resolve()}"])


def _unwritable(folder: Path) -> str | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x" * 4096)
        return None
    except OSError as error:
        return str(error)


def _told(problem: str | None) -> None:
    if problem:
        print(problem, flush=True)


def _end(number: int, frame: FrameType | None) -> None:
    raise Ended(128 + number)


if __name__ == "__main__":
    sys.exit(main())
