"""Every kernel compiles for every architecture, spills nothing, and uses what `resources.json` says.

After a change of a kernel write the table anew, look at what has changed, and commit it with the kernel::

    python -m tests.cuda.test_compile
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cuda import test_simulator
from tests.cuda.own_kernels import module

TABLE = Path(__file__).parent / "resources.json"
compiler = module("cupy.compiler")
EVERY = module("cupy.launchers").EVERY
# Registers are counted for one version of the compiler, which pyproject.toml names.
VERSION = [13, 0]


def rows(architecture: str) -> dict[str, dict[str, int]]:
    """What each kernel uses on an architecture: registers and stack of a thread, shared memory of a block (bytes)."""
    found = {}
    for kernel in EVERY:
        if architecture in kernel.architectures:
            used = compiler.compile_kernel(kernel, architecture).usage[kernel.name]
            found[str(kernel)] = {"registers": used.registers, "stack": used.stack, "shared": used.shared}
    return found


def spilled(architecture: str) -> list[str]:
    kernels = [k for k in EVERY if architecture in k.architectures]
    usage = {str(k): compiler.compile_kernel(k, architecture).usage[k.name] for k in kernels}
    return [name for name, used in usage.items() if used.spilled]


def written(table: dict[str, Any]) -> str:
    """The table as JSON, a line for each kernel."""
    blocks = []
    for architecture, kernels in table.items():
        lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(used)}" for name, used in kernels.items())
        blocks.append(f'  "{architecture}": {{\n{lines}\n  }}')
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def test_the_compiler_is_the_one_of_the_table() -> None:
    found = compiler.load_compiler().version
    assert list(found) == VERSION, f'NVRTC {found} counts other registers: pip install "nvidia-cuda-nvrtc==13.0.*"'


def test_the_table_has_every_architecture() -> None:
    assert list(json.loads(TABLE.read_text())) == list(compiler.ARCHITECTURES)


@pytest.mark.parametrize("architecture", compiler.ARCHITECTURES)
def test_every_kernel_compiles_and_uses_what_the_table_says(architecture: str) -> None:
    table = json.loads(TABLE.read_text())[architecture]
    assert rows(architecture) == table, "look at the change, then: python -m tests.cuda.test_compile"


@pytest.mark.parametrize("architecture", compiler.ARCHITECTURES)
def test_nothing_is_spilled(architecture: str) -> None:
    assert spilled(architecture) == []


@pytest.mark.parametrize("name", test_simulator.KERNELS)
def test_the_wrappers_of_ptx_compile(name: str) -> None:
    """The kernels of the tests use all of them."""
    kernel = test_simulator.KERNELS[name]
    for architecture in kernel.architectures:
        used = compiler.compile_kernel(kernel, architecture).usage[kernel.name]
        assert used.spilled == 0


def test_what_the_simulator_replaces_is_as_it_was() -> None:
    """Only a device sees their PTX: after a change run ``pytest -m gpu`` there, then take over the digests."""
    folder = module("cupy.source").FOLDER
    replaced = {path.name for path in module("simt.builder").RUNTIME.glob("*.cuh")} & {p.name for p in folder.glob("*")}
    wanted = json.loads((TABLE.parent / "ptx_headers.json").read_text())["sha256"]
    assert {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sorted(replaced)} == wanted


def test_every_file_of_kernels_is_compiled() -> None:
    """A kernel that no launcher names would be tested by nobody."""
    folder = module("cupy.source").FOLDER
    of_some_type = tuple((name, "float") for name in ("REAL", "SUM"))
    declared = {
        (path.name, name)
        for path in folder.glob("*.cu")
        for name in module("cupy.source").read_source(path.name).declarations(of_some_type)
    }
    assert declared == {(kernel.file, kernel.name) for kernel in EVERY}


if __name__ == "__main__":
    TABLE.write_text(written({architecture: rows(architecture) for architecture in compiler.ARCHITECTURES}))
