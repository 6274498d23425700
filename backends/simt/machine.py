"""Runs kernels on NumPy memory, with the launch code that runs them on a GPU."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from nnx.backends.cupy.blaslt import Blas
from nnx.backends.cupy.compiler import ARCHITECTURES, Kernel
from nnx.backends.cupy.launch import Boxed, Tiled
from nnx.backends.cupy.source import TENSOR_MAP
from nnx.errors import BackendError

from .array import SimtArray
from .builder import RUNTIME, kernel_library, runtime

SCHEDULES = range(8)
OLDEST = ARCHITECTURES[0]
_APART = 1 << 20  # bytes
_UNCHECKED = 8  # of runtime.hpp, beside the schedule
_MULTIPROCESSORS = 3  # few, so that a block of a small test has more than one tile


class SimulationError(BackendError):
    """A kernel did something that a GPU would not forgive; the text names the line."""


class _Range(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("size", ctypes.c_uint64), ("writable", ctypes.c_uint64)]


class _Report(ctypes.Structure):
    _fields_ = [
        ("text", ctypes.c_char * 512),
        ("file", ctypes.c_char * 256),
        ("line", ctypes.c_int32),
        ("block", ctypes.c_uint * 3),
        ("thread", ctypes.c_uint * 3),
        ("where", ctypes.c_void_p),
        ("base", ctypes.c_void_p),
    ]


class SimtMachine:
    """Runs a kernel block by block, its threads one at a time.

    A schedule is a number from 0 to 7: bit 0 lets blocks and warps run in reverse order, bit 1 the lanes of a warp, and
    with bit 2 asynchronous copies land at once, otherwise as late as they may. A right kernel gives the same with each.
    With `checked` every access is checked, which costs a factor in time. The `of_device` is the architecture that it
    claims to be: launchers choose kernels by it.
    """

    def __init__(self) -> None:
        self.schedule = 0
        self.checked = True
        self.of_device = OLDEST
        self.launched: list[Kernel] = []
        self.blas: Blas | None = None  # the tests put something there that multiplies in host memory
        self._libraries: dict[tuple[Any, ...], tuple[ctypes.CDLL, Path]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def running(self, schedule: int = 0, checked: bool = True, of_device: str = OLDEST) -> Iterator[list[Kernel]]:
        """Choose how kernels run within a ``with`` block; yields the list of kernels that are launched in it."""
        before = self.schedule, self.checked, self.of_device, self.launched
        self.schedule, self.checked, self.of_device, self.launched = schedule, checked, of_device, []
        try:
            yield self.launched
        finally:
            self.schedule, self.checked, self.of_device, self.launched = before

    def refusal(self, *arrays: Any) -> str | None:
        return None

    def empty(self, shape: tuple[int, ...], dtype: str, like: Any) -> Any:
        array = np.empty(shape, dtype)
        # No plausible value: what a kernel leaves out shall be seen.
        array.reshape(-1).view(np.uint8)[...] = 0xFF if array.dtype != np.bool_ else 1
        return array.view(SimtArray)

    def address(self, array: Any) -> int:
        return array.ctypes.data

    def architecture(self, array: Any) -> str:
        return self.of_device

    def multiprocessors(self, array: Any) -> int:
        return _MULTIPROCESSORS

    @property
    def blas_problem(self) -> str | None:
        return "the simulator has no cuBLASLt" if self.blas is None else None

    def run(self, kernel: Kernel, grid: tuple[int, int, int], shared: int, arguments: Sequence[Any]) -> None:
        own, path = self._library(kernel)
        declared = kernel.declaration
        parameters = list(zip(declared.parameters, arguments, strict=True))
        arrays = [_memory(value) for _, value in parameters if _memory(value) is not None]
        places = _set_apart(arrays) if self.checked else [value.reshape(-1).view(np.ndarray) for value in arrays]
        written = [parameter.is_written for parameter, value in parameters if _memory(value) is not None]
        ranges = (_Range * max(1, len(arrays)))(
            *[_Range(place.ctypes.data, place.nbytes, flag) for place, flag in zip(places, written, strict=True)]
        )
        # One memory for each argument, as for cuLaunchKernel: an array of pointers to the values.
        left = iter(places)
        values = [_passed(value, next(left) if _memory(value) is not None else None) for _, value in parameters]
        pointers = (ctypes.c_void_p * max(1, len(values)))(*[value.ctypes.data for value in values])
        report = _Report()
        with self._lock:  # the runtime has one block at a time
            self.launched.append(kernel)
            failed = runtime().simt_launch(
                getattr(own, f"simt_entry_{kernel.name}"),
                pointers,
                (ctypes.c_uint * 3)(*grid),
                (ctypes.c_uint * 3)(declared.threads, 1, 1),
                ctypes.c_size_t(shared),
                own.simt_bounds,
                ranges,
                len(arrays),
                self.schedule | (0 if self.checked else _UNCHECKED),
                ctypes.byref(report),
            )
        if failed:
            raise SimulationError(self._told(kernel, report, path))
        if self.checked:
            for array, place, flag in zip(arrays, places, written, strict=True):
                if flag:
                    array.reshape(-1).view(np.ndarray)[...] = place

    def _library(self, kernel: Kernel) -> tuple[ctypes.CDLL, Path]:
        slot = (kernel.source, kernel.defines, self.checked)
        if slot not in self._libraries:
            self._libraries[slot] = kernel_library(kernel, self.checked)
        return self._libraries[slot]

    def _told(self, kernel: Kernel, report: _Report, path: Path) -> str:
        text = report.text.decode()
        arrays = [p for p in kernel.declaration.parameters if p.is_array or p.dtype == TENSOR_MAP]
        text = re.sub(r"\barray (\d+)", lambda match: arrays[int(match[1])].name, text)
        if report.file:
            place = f"{Path(report.file.decode()).name}:{report.line}"
        elif report.where and report.base:
            place = _place(path, report.where - report.base - 1)
        else:
            place = kernel.file
        block, thread = tuple(report.block), tuple(report.thread)
        return f"{place}: {kernel}: {text} (block {block}, thread {thread}, schedule {self.schedule})"


def _memory(value: Any) -> Any:
    """The array of an argument, or None for a number."""
    array = value.array if isinstance(value, (Tiled, Boxed)) else value
    return array if isinstance(array, np.ndarray) else None


def _passed(value: Any, place: np.ndarray | None) -> np.ndarray:
    """What the kernel gets, in memory: the address of an array, a number, or 128 bytes that describe a tiled array."""
    if place is None:
        return np.asarray([value])
    if not isinstance(value, (Tiled, Boxed)):
        return np.asarray([place.ctypes.data], np.uintp)
    missing = [1] * (5 - value.array.ndim)
    box = [count | step << 32 for count, step in zip(value.box, value.steps, strict=True)]
    fields = [place.ctypes.data, value.array.ndim, *missing, *value.array.shape, *[1 | 1 << 32] * len(missing), *box]
    memory = np.zeros(24, np.uint64)  # a TensorMap is aligned to 64 bytes
    start = -memory.ctypes.data % 64 // 8
    memory[start : start + len(fields)] = fields
    return memory[start : start + 16]


def _set_apart(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Copies of arrays that lie far from each other: what a kernel reads behind the end of one is not in another.

    Arrays that share memory stay where they are, since what is written to one has to be seen in the other.
    """
    places = []
    for i, array in enumerate(arrays):
        if any(np.shares_memory(array, other) for other in (*arrays[:i], *arrays[i + 1 :])):
            places.append(array.reshape(-1).view(np.ndarray))
            continue
        memory = np.empty(array.nbytes + 2 * _APART, np.uint8)
        # Aligned as on a device, except for views that are not.
        start = _APART - memory.ctypes.data % 256 + array.ctypes.data % 16
        place = memory[start : start + array.nbytes].view(array.dtype)
        place[...] = array.reshape(-1).view(np.ndarray)
        places.append(place)
    return places


def _place(library: Path, offset: int) -> str:
    """The line of the kernel behind an address of its library: the innermost one outside of the simulator's files."""
    tool = shutil.which("addr2line")
    if tool is None:
        return "(install binutils, whose addr2line tells the line)"
    # Where the compiler has moved an access, it does not know its line: then that of the instructions before it.
    addresses = [hex(offset - 4 * i) for i in range(64) if offset > 4 * i]
    command = [tool, "-i", "-e", str(library), *addresses]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split("\n")
    own = {path.name for path in RUNTIME.iterdir()} | {"unit.cpp"}
    for file, _, line in [line.partition(" ")[0].rpartition(":") for line in lines if ":" in line]:
        if Path(file).name not in own and "?" not in file + line and line != "0":
            return f"{Path(file).name}:{line}"
    return "at an unknown line"
