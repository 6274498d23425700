"""One part of the measurements in its own process: what a part is given, and how it goes on when something fails.

A measurement that raises is written down with its traceback, and the next one runs. One that breaks the CUDA context
ends the process with `AGAIN`; one that hangs is ended by the watchdog; a crash ends the process by itself. In each case
the command starts the part again, which then passes over what has been tried.
"""

from __future__ import annotations

import contextlib
import faulthandler
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import processes
from .record import CUT_OFF, FAILED, LEFT_OUT, NOT_HERE, OK, Log, of_same_device, results

AGAIN = 75  # exit status: start me again, without what has been tried
HUNG = "Timeout ("  # how faulthandler begins
_ROOT = Path(__file__).resolve().parent.parent.parent


class NotHere(Exception):
    """Something that a measurement needs is not on this machine, or not in nnx yet; the text says what."""


class CutOff(Exception):
    """The time was over before all was done; `value` is what was, the text says what was not."""

    def __init__(self, text: str, value: Any) -> None:
        super().__init__(text)
        self.value = value


class Session:
    """What a part measures with.

    Attributes
    ----------
    gpu
        The device, or its stand-in in a rehearsal, see `benchmarks.gpu.device`.
    rehearse
        Whether sizes shall be tiny.
    resume
        Whether what an earlier run has measured on this device counts.
    """

    def __init__(
        self,
        part: str,
        log: Log,
        gpu: Any,
        *,
        run: str,
        seconds: float,
        skip: frozenset[str] = frozenset(),
        rehearse: bool = False,
        resume: bool = False,
        limit: float = 60.0,
    ) -> None:
        self.part, self.log, self.gpu, self.run, self.rehearse = part, log, gpu, run, rehearse
        self.resume = resume
        self.options: dict[str, str] = {}
        self._end = time.monotonic() + seconds
        self._skip, self._limit = skip, limit
        self._seen: set[str] = set()

    def left(self) -> float:
        """Return the seconds that the part still has."""
        return self._end - time.monotonic()

    def sized(self, usual: Any, tiny: Any) -> Any:
        """Return a size, or the one for a rehearsal."""
        return tiny if self.rehearse else usual

    def measure(
        self, name: str, function: Callable[[], Any], *, expected: float = 1.0, limit: float | None = None, **facts: Any
    ) -> Any:
        """Run a measurement and write down what it returns; return that, or None if there is nothing.

        Parameters
        ----------
        name
            Its name within the part, which tells it from all others.
        function
            Returns what is to be kept: a dict, or something that fits into JSON.
        expected
            The seconds that it takes; it is left out if the part has fewer left.
        limit
            The seconds after which it hangs.
        **facts
            What is written down beside it: sizes, bytes, operations.
        """
        if name in self._seen:
            raise ValueError(f"{self.part}: two measurements are called {name!r}.")
        self._seen.add(name)
        if name in self._skip:
            return None
        if self.left() < (0 if self.rehearse else expected):
            self._keep(name, LEFT_OUT, 0.0, None, "the part's time is used up", facts)
            return None
        self.log.append(event="start", run=self.run, part=self.part, name=name)
        limit = min(limit or self._limit, max(self.left(), 5.0) + 15.0, 60.0 if self.rehearse else 1e9)
        start = time.perf_counter()
        value, status, error = None, OK, None
        before = self._clocks()
        faulthandler.dump_traceback_later(limit, exit=True)
        try:
            value = function()
        except NotHere as reason:
            status, error = NOT_HERE, str(reason)
        except CutOff as reason:
            value, status, error = reason.value, CUT_OFF, str(reason)
        except Exception:
            status, error = FAILED, traceback.format_exc()[-6000:]
        finally:
            faulthandler.cancel_dump_traceback_later()
        seconds = time.perf_counter() - start
        self._keep(name, status, seconds, value, error, {**facts, "clocks": [before, self._clocks()]})
        if status not in (OK, CUT_OFF):
            self._recover()
        return value

    def has_torch(self) -> bool:
        """Import PyTorch, and say which; whether it is there."""
        self.measure("PyTorch", self.gpu.torch_facts, expected=0, limit=120)
        try:
            return self.gpu.torch is not None  # also where this was measured before the process started again
        except Exception:
            return False

    def isolated(self, name: str, target: str, *, seconds: float = 60.0, **facts: Any) -> Any:
        """Measure in a process of its own what may break the device's context for others: ``"module:function"``.

        The function takes the device and returns what fits into JSON.
        """
        return self.measure(name, lambda: self._in_child(target, seconds), expected=8.0, limit=seconds + 30, **facts)

    def known(self, part: str, name: str) -> Any:
        """Return what was measured on this device in a part, by this run or an earlier one in the folder, or None."""
        found = results(of_same_device(self.log.entries(), self.run)).get((part, name))
        return found["value"] if found is not None and found["status"] == OK else None

    def _in_child(self, target: str, seconds: float) -> Any:
        command = [sys.executable, "-m", "benchmarks.gpu.worker", "--probe", target]
        command += ["--rehearse"] * self.rehearse
        ended = processes.run(command, seconds, cwd=_ROOT, tail=20_000)
        answer = processes.answer(ended.tail)
        if answer is not None:
            return {"answer": answer, "ended": str(ended)}
        return {"answer": None, "ended": str(ended), "tail": ended.tail[-1500:]}

    def _keep(self, name: str, status: str, seconds: float, value: Any, error: str | None, facts: Any) -> None:
        entry = {"status": status, "seconds": seconds, "value": value, "error": error, "facts": facts}
        self.log.append(event="result", run=self.run, part=self.part, name=name, at=time.time(), **entry)
        last = "" if error is None else ": " + error.strip().splitlines()[-1][:160]
        print(f"[{self.part}] {status:8s} {name} ({seconds:.1f} s){last}", flush=True)

    def _clocks(self) -> Any:
        with contextlib.suppress(Exception):
            return self.gpu.clocks()
        return None

    def _recover(self) -> None:
        """Give back the memory that a failure left behind; end the process if the context is broken."""
        try:
            self.gpu.free()
            self.gpu.synchronize()
        except Exception as error:
            print(f"[{self.part}] the device's context is broken: {error}", flush=True)
            sys.stdout.flush()
            sys.exit(AGAIN)
