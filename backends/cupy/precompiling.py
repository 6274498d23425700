"""All kernels compiled ahead of their first use, such as when an image for a cluster is built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nnx.errors import BackendError

from . import cache, compiler, diagnosis
from .compiler import ARCHITECTURES, OLDEST, architecture_of, compile_kernel
from .launchers import EVERY
from .nvrtc import MAJORS, load_compiler


@dataclass(frozen=True)
class Compiled:
    """One file of kernels for one architecture: its defines, and the seconds that its compilation takes or took."""

    file: str
    defines: tuple[tuple[str, str], ...]
    architecture: str
    seconds: float
    from_cache: bool


def precompile(architectures: Sequence[str] | None = None) -> list[Compiled]:
    """Compile every kernel into the cache on disk, so that no later run has to wait. No GPU is needed.

    Parameters
    ----------
    architectures
        Such as ``["80", "90a"]``; by default those of the CUDA devices that the driver shows.

    Returns
    -------
    list of Compiled

    Raises
    ------
    BackendError
        If NVRTC is missing (the text names the command that installs it), there is no such architecture or it is older
        than nnx's kernels, or none is given and there is no device.

    Examples
    --------
    >>> from nnx.backends.cupy import precompile
    >>> precompile([])
    []
    """
    found = diagnosis.driver()
    if architectures is None:
        architectures = present(found)
        if not architectures:
            raise BackendError(
                "precompile: no CUDA device was found that nnx has kernels for. Name the architectures to compile for, "
                'e.g. precompile(["80", "90a"]).'
            )
    newest = MAJORS[0] if found is None or found.error else found.cuda[0]
    for architecture in architectures:
        _require_known(architecture, newest)
    compiled: dict[tuple[str, tuple[tuple[str, str], ...], str], Compiled] = {}
    for kernel in EVERY:
        for architecture in architectures:
            slot = (kernel.file, kernel.defines, architecture)
            # the architectures of the tests are no limit, but those of a kernel that names fewer are
            meant = kernel.architectures is ARCHITECTURES or architecture in kernel.architectures
            if slot not in compiled and meant:
                cubin = compile_kernel(kernel, architecture, newest)
                compiled[slot] = Compiled(*slot, cubin.seconds, cubin.from_cache)
    return list(compiled.values())


def _require_known(architecture: str, newest_cuda: int) -> None:
    known = [number for number in load_compiler(newest_cuda).architectures() if (number // 10, number % 10) >= OLDEST]
    number = architecture.removesuffix("a")
    if not number.isdecimal() or int(number) not in known:
        raise BackendError(
            f"precompile: expected architectures among {', '.join(map(str, known))} (an a behind it for what "
            f'is of that one alone, as in "90a"), got {architecture!r}.'
        )


def present(found: diagnosis.Driver | None) -> list[str]:
    """Return the architectures of the devices that nnx has kernels for."""
    names = {device.compute_capability for device in found.devices} if found else set()
    capabilities = sorted((int(major), int(minor)) for major, minor in (name.split(".") for name in names))
    return [architecture_of(capability) for capability in capabilities if capability >= OLDEST]


def report() -> dict[str, Any]:
    """Return what ``python -m nnx doctor`` tells: the compiler, the cache, and the kernels for the devices here.

    For these the kernels are compiled, if they are not in the cache, so that it is known that they can be.
    """
    found: dict[str, Any] = {"nvrtc": None, "problem": None, "architectures": {}}
    try:
        by = load_compiler()
        found["nvrtc"] = f"{by.version[0]}.{by.version[1]}"
        for architecture in present(diagnosis.driver()):
            done = precompile([architecture])
            new = [file for file in done if not file.from_cache]
            found["architectures"][architecture] = {
                "compiled": len(new),
                "seconds": sum(file.seconds for file in new),
                "hits": len(done) - len(new),
            }
    except BackendError as error:
        found["problem"] = str(error)
    kept = cache.contents(".cubin")
    found["cache"] = cache.folder_text()
    found["kept"] = len(kept)
    found["not_kept"] = compiler.statistics.not_kept
    found["kept_bytes"] = sum(entry.facts["bytes"] for entry in kept)
    found["kept_seconds"] = sum(entry.seconds for entry in kept)
    return found
