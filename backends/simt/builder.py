"""From CUDA source to a library for the CPU: g++, the simulator's runtime, and a cache of what has been built."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from nnx.backends.cupy import cache
from nnx.backends.cupy.compiler import Kernel
from nnx.backends.cupy.source import Declaration
from nnx.errors import BackendError

RUNTIME = Path(__file__).parent / "runtime"
_UNITS = ("runtime", "checks", "async", "clocks", "tensor", "hopper")
_COMMON = ("-std=c++17", "-fPIC", "-fno-strict-aliasing", "-ffp-contract=off")
# DWARF 4, because in version 5 addr2line takes one file for another.
_KERNEL = (*_COMMON, "-w", "-gdwarf-4", "-fvisibility=hidden", f"-I{RUNTIME}", "-include", str(RUNTIME / "cuda.cuh"))
# Of the sanitizers only what the compiler inserts; what that calls is in runtime/checks.cpp.
_CHECKED: tuple[str, ...] = ("-Og", "-fsanitize=thread", "--param=tsan-instrument-func-entry-exit=0")
_CHECKED += ("-fsanitize=bounds,alignment,shift,signed-integer-overflow,integer-divide-by-zero",)
_FAST = ("-O2",)


def unavailable() -> str | None:
    """Return None if kernels can be built here, else the reason and what repairs it."""
    if not (RUNTIME / "runtime.cpp").exists():
        return "the sources of the simulator are not installed; use a checkout of nnx."
    if _gpp() is None:
        return "g++ was not found, which builds the kernels for the CPU; run `apt-get install g++`."
    return None


def _gpp() -> str | None:
    return shutil.which(os.environ.get("CXX", "g++"))


@functools.cache
def _version() -> str:
    return _run([_gpp() or "g++", "--version"]).splitlines()[0]


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        text = "\n".join((done.stderr or done.stdout).splitlines()[:30])
        raise BackendError(f"g++ does not compile it ({' '.join(command[-3:])}):\n{text}")
    return done.stdout


# ------------------------------------------------------------------ the libraries


@functools.cache
def runtime() -> ctypes.CDLL:
    """Build and load what all kernels share."""
    sources = [RUNTIME / f"{unit}.cpp" for unit in _UNITS]
    options = (*_COMMON, "-O2")
    texts = [path.read_text(encoding="utf-8") for path in (*sources, RUNTIME / "runtime.hpp")]

    def build(folder: Path, target: Path) -> None:
        objects = [str(folder / f"{path.stem}.o") for path in sources]
        for path, output in zip(sources, objects, strict=True):
            _run([_gpp() or "g++", *options, "-c", str(path), "-o", output])
        _run([_gpp() or "g++", "-shared", *objects, "-ldl", "-o", str(target)])

    path = _kept("runtime", [*texts, *options], build)
    return ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


def kernel_library(kernel: Kernel, checked: bool) -> tuple[ctypes.CDLL, Path]:
    """Build and load the library of the file of a kernel."""
    runtime()
    source = kernel.source
    declared = source.declarations(kernel.defines)
    options = (*_KERNEL, *(_CHECKED if checked else _FAST), *(f"-D{key}={value}" for key, value in kernel.defines))
    unit = "\n".join([f'#include "{source.name}"', _BOUNDS, *(_entry(kernel) for kernel in declared.values())])
    own = [path.name for path in RUNTIME.glob("*.cuh")]
    emulated = [(RUNTIME / name).read_text(encoding="utf-8") for name in sorted(own)]

    def build(folder: Path, target: Path) -> None:
        # The simulator's own headers come first, in place of those with PTX.
        for name, text in [(source.name, source.text), *source.headers, ("unit.cpp", unit)]:
            if name not in own:
                (folder / name).write_text(text, encoding="utf-8")
        output = str(folder / "unit.o")
        _run([_gpp() or "g++", *options, f"-I{folder}", "-c", str(folder / "unit.cpp"), "-o", output])
        _run([_gpp() or "g++", "-shared", output, "-o", str(target)])

    texts = [source.text, *(text for pair in source.headers for text in pair), unit, *emulated, *options]
    path = _kept(source.name.removesuffix(".cu"), texts, build)
    return ctypes.CDLL(str(path)), path


_BOUNDS = """
extern char begin[] __asm__("__start_simt_shared") __attribute__((weak, visibility("hidden")));
extern char end[] __asm__("__stop_simt_shared") __attribute__((weak, visibility("hidden")));
#define OF_THE_LAUNCH extern "C" __attribute__((visibility("default"), no_sanitize("thread", "undefined")))
OF_THE_LAUNCH void simt_bounds(char** from, char** to) { *from = begin; *to = end; }
"""


def _entry(declared: Declaration) -> str:
    """A function that takes the arguments as cuLaunchKernel does: an array of pointers to them."""
    arguments = []
    for number, parameter in enumerate(declared.parameters):
        const = "" if parameter.is_written else "const "
        star = "*" if parameter.is_array else ""
        arguments.append(f"*({const}{parameter.cpp_type}{star}*)arguments[{number}]")
    return (
        f"OF_THE_LAUNCH void simt_entry_{declared.name}(void** arguments) "
        f"{{ {declared.name}({', '.join(arguments)}); }}"
    )


# ------------------------------------------------------------------ what has been built before


def _kept(name: str, texts: Sequence[str], build: Callable[[Path, Path], None]) -> Path:
    """Return a library from the cache, built if it is not there; in a temporary folder if there can be no cache."""
    folder = cache.folder().parent / "simt"
    path = folder / f"{name}-{cache.key([_version(), *texts])[:40]}.so"
    if path.exists():
        return path
    with tempfile.TemporaryDirectory(prefix="nnx-simt-") as temporary:
        built = Path(temporary) / "built.so"
        build(Path(temporary), built)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle, moved = tempfile.mkstemp(dir=folder, suffix=".tmp")
            os.close(handle)
            shutil.copyfile(built, moved)
            os.replace(moved, path)
        except OSError:
            path = Path(tempfile.mkdtemp(prefix="nnx-simt-")) / path.name
            shutil.copyfile(built, path)
    return path
