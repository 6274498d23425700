"""From a kernel to its cubin: source and defines, NVRTC, the cache on disk. It runs on machines without a GPU."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nnx.errors import BackendError

from . import cache
from .nvrtc import MAJORS, Compiler, Usage, load_compiler
from .source import Declaration, Source, read_source

# The architectures that every kernel is compiled for in the tests.
ARCHITECTURES = ("80", "86", "89", "90", "90a", "100", "120")
OLDEST = (8, 0)
_OPTIONS = ("-std=c++17", "-default-device", "-lineinfo")


@dataclass(frozen=True, eq=False)
class Kernel:
    """A kernel: its file, its name in there, and what is defined when the file is compiled; made once, as a constant.

    `given` is the source, if it is not that of the file among the kernels of nnx. `architectures` are those that it
    is meant for.
    """

    file: str
    name: str
    defines: tuple[tuple[str, str], ...] = ()
    given: Source | None = None
    architectures: tuple[str, ...] = ARCHITECTURES

    def __str__(self) -> str:
        given = ", ".join(f"{key}={value}" for key, value in self.defines)
        return f"{self.name}[{given}]" if given else self.name

    @property
    def source(self) -> Source:
        """The text of its file, and of the headers."""
        return self.given or read_source(self.file)

    @functools.cached_property
    def declaration(self) -> Declaration:
        """Its threads and parameters."""
        declared = self.source.declarations(self.defines)
        if self.name not in declared:
            raise BackendError(f"{self.file}: expected a kernel {self.name!r}, got {', '.join(declared) or 'none'}.")
        return declared[self.name]


@dataclass(frozen=True)
class Cubin:
    """GPU code of a file for one architecture, and what each kernel in it uses."""

    code: bytes
    usage: Mapping[str, Usage]
    from_cache: bool
    seconds: float


@dataclass
class Statistics:
    """What this process has done: files compiled and the seconds that took, cache hits, why something was not kept."""

    compiled: int = 0
    seconds: float = 0.0
    hits: int = 0
    not_kept: str | None = None


statistics = Statistics()
_lock = threading.Lock()
_cubins: dict[tuple[Any, ...], Cubin] = {}


def architecture_of(capability: tuple[int, int]) -> str:
    """Return the architecture to compile for; Hopper's own instructions need the one with an ``a``.

    Raises
    ------
    BackendError
        If the device is older than compute capability 8.0.
    """
    major, minor = capability
    if capability < OLDEST:
        raise BackendError(
            f"nnx's kernels need compute capability {OLDEST[0]}.{OLDEST[1]} or newer, the device has {major}.{minor}"
        )
    return f"{major}{minor}a" if capability == (9, 0) else f"{major}{minor}"


def compile_kernel(kernel: Kernel, architecture: str, newest_cuda: int = MAJORS[0]) -> Cubin:
    """Return the GPU code of the file of a kernel: from memory, from the cache on disk, or compiled.

    Parameters
    ----------
    kernel
        The kernel; others of the same file and defines come along.
    architecture
        Such as ``"90a"``.
    newest_cuda
        The newest major version of CUDA that the driver runs.

    Raises
    ------
    CompileError
        With the compiler's text, if the source has an error.
    BackendError
        If NVRTC is missing; the text names the command that installs it.
    """
    slot = (kernel.source, kernel.defines, architecture, newest_cuda)
    with _lock:  # two threads that need the same kernel compile it once
        if slot not in _cubins:
            _cubins[slot] = _read_or_compile(kernel.source, architecture, kernel.defines, load_compiler(newest_cuda))
        return _cubins[slot]


def _read_or_compile(source: Source, architecture: str, defines: tuple[tuple[str, str], ...], by: Compiler) -> Cubin:
    options = (f"-arch=sm_{architecture}", *_OPTIONS, *(f"-D{name}={value}" for name, value in defines))
    parts = [source.name, source.text, *(text for header in source.headers for text in header)]
    digest = cache.key([*parts, *options, f"NVRTC {by.version}"])
    name = f"{source.name.removesuffix('.cu')}-sm_{architecture}-{digest[:40]}.cubin"
    entry = cache.read(name)
    usage = None if entry is None else _usage(entry.facts)
    if entry is not None and usage is not None:
        statistics.hits += 1
        return Cubin(entry.data, usage, True, entry.seconds)
    start = time.perf_counter()
    code, usage = by.compile(source.name, source.text, source.headers, options)
    seconds = time.perf_counter() - start
    facts = {"usage": {kernel: vars(used) for kernel, used in usage.items()}}
    statistics.compiled += 1
    statistics.seconds += seconds
    statistics.not_kept = cache.write(name, cache.Entry(code, seconds, facts)) or statistics.not_kept
    return Cubin(code, usage, False, seconds)


def _usage(facts: Mapping[str, Any]) -> dict[str, Usage] | None:
    try:
        return {kernel: Usage(**used) for kernel, used in facts["usage"].items()}
    except (KeyError, TypeError, AttributeError):
        return None
