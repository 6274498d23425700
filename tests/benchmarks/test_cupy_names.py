"""What the measurements ask of CuPy exists there: no rehearsal can tell, and a GPU is there for minutes only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.gpu import standin

FOLDER = Path(standin.__file__).parent
ROOTS = ("cp", "cupyx")
CLASSES = {
    "cuda.Event": standin.Event,
    "cuda.Stream": standin.Stream,
    "cuda.Graph": standin.Graph,
    "cuda.Device": standin.Device,
    "cuda.MemoryPool": standin.MemoryPool,
}
# Of one kind of kernel each: `attributes` is of RawKernel, `load` of the driver's modules.
KERNELS = {"attributes", "max_dynamic_shared_size_bytes", "compile"}


def chains() -> Iterator[tuple[str, str]]:
    """Every ``cp.a.b`` in the sources, also where it is reached through ``gpu.cp``."""
    for path in sorted(FOLDER.glob("*.py")):
        if path.name == "standin.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            while isinstance(node, ast.Attribute):
                names.append(node.attr)
                node = node.value
            if isinstance(node, ast.Name):
                names.append(node.id)
            names.reverse()
            for root in ROOTS:
                if root in names[:-1]:
                    yield root, ".".join(names[names.index(root) + 1 :])


def test_the_sources_are_read():
    found = set(chains())
    assert {("cp", "cuda.Stream"), ("cp", "from_dlpack"), ("cupyx", "scatter_add")} <= found


@pytest.mark.skipif(find_spec("cupy") is None, reason="CuPy is not installed")
def test_cupy_has_what_is_asked_for():
    import cupy
    import cupyx

    missing = []
    for root, chain in sorted(set(chains())):
        value = {"cp": cupy, "cupyx": cupyx}[root]
        for name in chain.split("."):
            if not hasattr(value, name):
                missing.append(f"{root}.{chain}")
                break
            value = getattr(value, name)
    assert missing == []


@pytest.mark.skipif(find_spec("cupy") is None, reason="CuPy is not installed")
def test_the_stand_in_has_nothing_that_cupy_has_not():
    import cupy
    from cupy.cuda.function import Module

    for name, of_stand_in in CLASSES.items():
        value = cupy
        for part in name.split("."):
            value = getattr(value, part)
        own = {key for key in vars(of_stand_in) if not key.startswith("_")}
        assert {key for key in own if not hasattr(value, key)} == set(), name
    assert all(hasattr(cupy.RawKernel, name) for name in KERNELS)
    assert hasattr(cupy.RawModule, "get_function")
    assert hasattr(Module, "load")
    assert hasattr(Module, "get_function")
    assert [name for name in standin._NUMPY if not hasattr(cupy, name)] == []
