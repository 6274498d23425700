"""NVRTC, NVIDIA's run-time compiler, through ctypes: CUDA source -> cubin. It needs no GPU, no driver and no CuPy.

The kernels of nnx include no header of CUDA, so its library is all that is needed.
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnx.errors import BackendError

from .libraries import candidates

MAJORS = (13, 12)
_WHEELS = {13: "nvidia-cuda-nvrtc", 12: "nvidia-cuda-nvrtc-cu12"}
_USED = re.compile(r"Used (\d+) registers")
_SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_SHARED = re.compile(r"(\d+) bytes smem")
_ENTRY = re.compile(r"Compiling entry function '(\w+)'")


class CompileError(BackendError):
    """A kernel does not compile; the text is the compiler's."""


@dataclass(frozen=True)
class Usage:
    """What a thread or block of a compiled kernel takes: registers; bytes of stack, spilled, static shared memory."""

    registers: int
    stack: int
    spilled: int
    shared: int


@dataclass(frozen=True)
class Compiler:
    """A loaded NVRTC."""

    version: tuple[int, int]
    path: str
    library: Any

    def architectures(self) -> list[int]:
        """Return the compute capabilities that it compiles for: 80, 86, ..."""
        count = ctypes.c_int()
        self._check(self.library.nvrtcGetNumSupportedArchs(ctypes.byref(count)))
        numbers = (ctypes.c_int * count.value)()
        self._check(self.library.nvrtcGetSupportedArchs(numbers))
        return list(numbers)

    def compile(
        self, name: str, text: str, headers: Sequence[tuple[str, str]], options: Sequence[str]
    ) -> tuple[bytes, dict[str, Usage]]:
        """Compile a file; return the cubin and what each kernel in it uses."""
        program = ctypes.c_void_p()
        names = (ctypes.c_char_p * len(headers))(*[header.encode() for header, _ in headers])
        texts = (ctypes.c_char_p * len(headers))(*[body.encode() for _, body in headers])
        self._check(
            self.library.nvrtcCreateProgram(
                ctypes.byref(program), text.encode(), name.encode(), len(headers), texts, names
            )
        )
        try:
            arguments = [*options, "--ptxas-options=-v"]  # which makes it tell the registers in its log
            listed = (ctypes.c_char_p * len(arguments))(*[option.encode() for option in arguments])
            failed = self.library.nvrtcCompileProgram(program, len(arguments), listed)
            log = self._text(program, "ProgramLog")
            if failed:
                raise CompileError(
                    f"{name} does not compile with NVRTC {'.'.join(map(str, self.version))} and the options "
                    f"{' '.join(options)}:\n{log.strip() or self._reason(failed)}"
                )
            return self._bytes(program, "CUBIN"), usage_in(log)
        finally:
            self.library.nvrtcDestroyProgram(ctypes.byref(program))

    def _bytes(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        self._check(getattr(self.library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
        buffer = ctypes.create_string_buffer(size.value)
        self._check(getattr(self.library, f"nvrtcGet{what}")(program, buffer))
        return buffer.raw

    def _text(self, program: ctypes.c_void_p, what: str) -> str:
        return self._bytes(program, what).rstrip(b"\0").decode(errors="replace")

    def _check(self, failed: int) -> None:
        if failed:
            raise BackendError(f"NVRTC failed: {self._reason(failed)}; reinstall it: {repair()}.")

    def _reason(self, failed: int) -> str:
        text = self.library.nvrtcGetErrorString
        text.restype = ctypes.c_char_p
        return f"{text(failed).decode()} (code {failed})"


def usage_in(log: str) -> dict[str, Usage]:
    """Read from the log of a compilation what each kernel uses."""
    found: dict[str, Usage] = {}
    name, spills = "", (0, 0, 0)
    for line in log.splitlines():
        if match := _ENTRY.search(line):
            name, spills = match[1], (0, 0, 0)
        if match := _SPILLS.search(line):
            spills = (int(match[1]), int(match[2]), int(match[3]))
        if name and (match := _USED.search(line)):
            shared = _SHARED.search(line)
            found[name] = Usage(int(match[1]), spills[0], spills[1] + spills[2], int(shared[1]) if shared else 0)
    return found


# ------------------------------------------------------------------ finding it


def repair(major: int = MAJORS[0]) -> str:
    """Return the command that installs NVRTC."""
    return f'`pip install "{_WHEELS.get(major, _WHEELS[MAJORS[0]])}=={major}.*"`'


@functools.cache
def load_compiler(newest: int = MAJORS[0]) -> Compiler:
    """Load NVRTC of CUDA `newest`, or of the version before it: a driver runs what its own CUDA version or an older
    one compiled.

    Raises
    ------
    BackendError
        If it is not installed, or does not load; the text names the command that repairs it.
    """
    majors = [major for major in MAJORS if major <= newest] or [MAJORS[-1]]
    problems = []
    for major in majors:
        for path in _candidates(major):
            try:
                return _load(path)
            except OSError as error:
                if os.path.isabs(path):
                    problems.append(str(error))
    told = f" What was found does not load: {'; '.join(problems)}." if problems else ""
    raise BackendError(f"NVRTC, the compiler of CUDA kernels, was not found.{told} Install it: {repair(majors[0])}.")


def _candidates(major: int) -> Iterator[str]:
    windows = sys.platform == "win32"
    pattern = re.compile(rf"nvrtc64_{major}\d_0\.dll" if windows else rf"libnvrtc\.so\.{major}")
    return candidates(
        _WHEELS[major], "nvrtc", pattern, f"nvrtc64_{major}0_0.dll" if windows else f"libnvrtc.so.{major}"
    )


def _load(path: str) -> Compiler:
    # NVRTC opens its second library by name only; once that is loaded from beside it, it is found.
    for builtins in sorted(Path(path).parent.glob("*nvrtc-builtins*")) if os.path.isabs(path) else ():
        if ".alt." not in builtins.name:
            ctypes.CDLL(str(builtins))
    library = ctypes.CDLL(path)
    major, minor = ctypes.c_int(), ctypes.c_int()
    library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return Compiler((major.value, minor.value), path, library)
