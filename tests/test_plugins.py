"""Backends that other packages bring: found by their entry points, and named when they are broken."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import nnx
from nnx import registry
from nnx.backend import backend_class
from nnx.errors import BackendError

PLUGIN = """
import numpy as np
import array_api_compat.numpy as compat

class Array(np.ndarray):
    __module__ = "orchard.arrays"

class Orchard:
    name = "orchard"
    xp = compat
    array_types = (Array,)
    writable, on_host = True, True
    extensions, kernels = {}, {}
    reason = None

    @classmethod
    def unavailable(cls):
        return cls.reason

    def asarray(self, obj, *, dtype=None, device=None, copy=None):
        return np.asarray(obj, dtype=dtype).view(Array)

    def to_numpy(self, x):
        return np.asarray(x)

    def synchronize(self):
        pass

class Bare:
    name = "bare"
"""


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable]:
    """Register entry points, as installed packages do."""
    (tmp_path / "orchard_nnx.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))
    monkeypatch.setattr(registry, "_by_type", dict(registry._by_type))

    def register(**targets: str) -> None:
        found = [SimpleNamespace(name=name, value=value) for name, value in targets.items()]
        monkeypatch.setattr(
            "importlib.metadata.entry_points", lambda *, group: found if group == "nnx.backends" else []
        )
        registry._entry_points.cache_clear()

    yield register
    registry._entry_points.cache_clear()
    sys.modules.pop("orchard_nnx", None)


def test_a_plug_in_of_another_package(register: Callable) -> None:
    register(orchard="orchard_nnx:Orchard")
    assert nnx.available_backends()["orchard"] is None
    with nnx.use_backend("orchard") as backend:
        x = nnx.asarray([1.0, 2.0])
    assert type(x).__module__ == "orchard.arrays"
    assert x.dtype == np.float32
    assert nnx.get_backend(x) is backend
    assert nnx.to_numpy(x).tolist() == [1.0, 2.0]


def test_the_first_array_of_its_library_loads_a_plug_in(register: Callable) -> None:
    register(orchard="orchard_nnx:Orchard")
    import orchard_nnx  # type: ignore[import-not-found]

    assert "orchard" not in registry._loaded
    assert nnx.get_backend(np.zeros(2)).name == "numpy"
    assert nnx.get_backend(np.zeros(2).view(orchard_nnx.Array)).name == "orchard"
    grafted = type("Grafted", (orchard_nnx.Array,), {"__module__": "elsewhere"})
    assert nnx.get_backend(np.zeros(2).view(grafted)).name == "orchard"


def test_a_plug_in_cannot_take_the_place_of_a_built_in(register: Callable) -> None:
    register(numpy="orchard_nnx:Orchard")
    assert backend_class("numpy").name == "numpy"


def test_a_plug_in_that_cannot_run_says_why(register: Callable) -> None:
    register(orchard="orchard_nnx:Orchard")
    backend_class("orchard").reason = "no trees; run `plant --all`."  # type: ignore[attr-defined]
    assert nnx.available_backends()["orchard"] == "no trees; run `plant --all`."
    with pytest.raises(BackendError, match=r"^backend 'orchard' is not available: no trees; run `plant --all`\.$"):
        nnx.set_backend("orchard")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_module:Orchard", "no_such_module:Orchard does not import: No module named 'no_such_module'."),
        ("orchard_nnx:Plum", "orchard_nnx:Plum does not import: module 'orchard_nnx' has no attribute 'Plum'."),
        (
            "orchard_nnx:Bare",
            "orchard_nnx:Bare lacks unavailable, asarray, to_numpy, synchronize of the protocol nnx.backend.Backend.",
        ),
    ],
)
def test_a_broken_plug_in_is_named(register: Callable, target: str, reason: str) -> None:
    register(orchard=target)
    text = f"backend 'orchard' is broken: {reason} Update or uninstall the package that registers it."
    with pytest.raises(BackendError) as caught:
        nnx.set_backend("orchard")
    assert str(caught.value) == text
    assert nnx.available_backends()["orchard"] == text
    assert nnx.available_backends()["numpy"] is None
