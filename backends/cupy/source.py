"""CUDA source files: their text, the headers that they include, and the kernels that they declare."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

from nnx.errors import BackendError

FOLDER = Path(__file__).parent / "kernels"
_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*[<\"]([^>\"]+)[>\"]", re.MULTILINE)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_DECLARATION = re.compile(r"\bKERNEL\s*\(\s*(\d+)\s*(?:,\s*\d+\s*)?\)\s*(\w+)\s*\(([^)]*)\)")
_PARAMETER = re.compile(r"(const\s+)?(?:__grid_constant__\s+)?(\w+)\s*(\*)?\s*(?:__restrict__\s+)?(\w+)")
TENSOR_MAP = "TensorMap"  # of barrier.cuh: a matrix that is copied by tiles

# C++ type -> dtype. A pointer to one of them takes an array of that dtype.
SCALARS = {
    "bool": "bool",
    "u8": "uint8",
    "u16": "uint16",
    "u32": "uint32",
    "u64": "uint64",
    "i32": "int32",
    "int": "int32",
    "i64": "int64",
    "bf16": "bfloat16",
    "f16": "float16",
    "float": "float32",
    "double": "float64",
}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a kernel: its name, the C++ type, its dtype, and whether it is an array."""

    name: str
    cpp_type: str
    dtype: str
    is_array: bool
    is_written: bool


@dataclass(frozen=True)
class Declaration:
    """A kernel as its source declares it: the threads of a block and the parameters."""

    name: str
    threads: int
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True)
class Source:
    """A .cu file and the headers that it includes, directly or not, by name."""

    name: str
    text: str
    headers: tuple[tuple[str, str], ...]

    def declarations(self, defines: tuple[tuple[str, str], ...] = ()) -> dict[str, Declaration]:
        """Return the kernels of the file by name, with types that the defines give."""
        text = _COMMENT.sub(" ", self.text)
        found = [(name, threads, listed) for threads, name, listed in _DECLARATION.findall(text)]
        return {name: Declaration(name, int(n), _parameters(self.name, name, p, defines)) for name, n, p in found}


def _parameters(file: str, kernel: str, listed: str, defines: tuple[tuple[str, str], ...]) -> tuple[Parameter, ...]:
    types = {**SCALARS, TENSOR_MAP: TENSOR_MAP, **{key: SCALARS[value] for key, value in defines if value in SCALARS}}
    parameters = []
    for text in [part.strip() for part in listed.split(",") if part.strip()]:
        match = _PARAMETER.fullmatch(text)
        if match is None or match[2] not in types:
            raise BackendError(
                f"{file}: {kernel}: expected parameters of the types {', '.join(SCALARS)}, or pointers to them, got "
                f"{text!r}; a type that a define gives has to be given one of these."
            )
        const, cpp_type, star, name = match.groups()
        parameters.append(Parameter(name, cpp_type, types[cpp_type], bool(star), bool(star) and not const))
    return tuple(parameters)


@functools.cache
def read_source(name: str, folder: Path = FOLDER) -> Source:
    """Read a .cu file and its headers, which lie beside it or among those of nnx."""
    return with_headers(name, _read(folder / name), folder)


def with_headers(name: str, text: str, folder: Path = FOLDER) -> Source:
    """Return a source with a given text, and the headers that it includes."""
    headers: dict[str, str] = {}
    left = _INCLUDE.findall(text)
    while left:
        header = left.pop()
        if header not in headers:
            headers[header] = _read(folder / header if (folder / header).exists() else FOLDER / header)
            left += _INCLUDE.findall(headers[header])
    return Source(name, text, tuple(sorted(headers.items())))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BackendError(f"the CUDA source {path} cannot be read ({error}); reinstall nnx-array.") from error
