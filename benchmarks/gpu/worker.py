"""The process of one part: ``python -m benchmarks.gpu.worker``; `first_light` starts it."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from . import processes
from .device import open_device
from .record import OK, Log, attempted, of_same_device, results, text_of
from .session import Session


def probe(target: str, rehearse: bool) -> int:
    """Run one function in this process and print what it returns."""
    module, _, function = target.partition(":")
    answer = getattr(importlib.import_module(module), function)(open_device(rehearse))
    print(processes.ANSWER + json.dumps(json.loads(text_of(answer))), flush=True)
    return 0


def skipped(log: Log, run: str, part: str, resume: bool) -> frozenset[str]:
    """What is not to be measured: what this run has tried, and with `resume` what one on this device has measured."""
    entries = log.entries()
    done = attempted(entries, run, part)
    if resume:
        measured = results(of_same_device(entries, run))
        done |= {name for (of, name), entry in measured.items() if of == part and entry["status"] == OK}
    return frozenset(done)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", help="its name, for the results")
    parser.add_argument("--module", help="which has its run(session)")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--run", default="")
    parser.add_argument("--seconds", type=float, default=480.0)
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--option", action="append", default=[], help="NAME=VALUE, for the part")
    parser.add_argument("--probe", help="MODULE:FUNCTION to run instead")
    options = parser.parse_args(arguments)
    if options.probe:
        return probe(options.probe, options.rehearse)
    log = Log(options.out)
    gpu = open_device(options.rehearse)
    # First, since what is known already depends on the device.
    log.append(event="machine", run=options.run, machine=_facts(gpu))
    session = Session(
        options.part,
        log,
        gpu,
        run=options.run,
        seconds=options.seconds,
        skip=skipped(log, options.run, options.part, options.resume),
        rehearse=options.rehearse,
        resume=options.resume,
    )
    session.options = dict(option.partition("=")[::2] for option in options.option)
    importlib.import_module(options.module).run(session)
    return 0


def _facts(gpu: Any) -> Any:
    try:
        return gpu.facts()
    except Exception as error:
        return {"problem": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Libraries of CUDA may hang or crash while they are taken down; everything is written.
    os._exit(status)
