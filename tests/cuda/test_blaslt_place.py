"""Which device, stream and workspace cuBLASLt is given, over the stand-ins for it and for CuPy."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import BackendError
from tests.cuda.blaslt_standin import LIBRARY, StandIn
from tests.cuda.test_machine import hopper as hopper
from tests.cupy_standin import Device
from tests.test_cupy_backend import standin as standin


@pytest.fixture(autouse=True)
def forgetful(standin: Any) -> Iterator[None]:
    """The backend over the stand-in is made once: what it found out about a device of a test is not kept."""
    yield
    standin.machine._refusals.clear()
    standin.machine._blas = standin.machine._blas_problem = None


@pytest.fixture
def library(hopper: Any, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """cuBLASLt's stand-in for the machine on CuPy's; `stream` is the current one, `allocated` the memory asked for."""
    place = SimpleNamespace(devices=Device.stack, check=lambda *_: None)
    found = StandIn(place)  # type: ignore[arg-type]
    found.stream, found.allocated = 0, []  # type: ignore[attr-defined]
    cuda, module = sys.modules["cupy"].cuda, sys.modules["nnx.backends.cupy.machine"]

    def alloc(size: int) -> Any:
        memory = np.empty(size + 256, np.uint8)
        found.allocated.append((Device.stack[-1], size))  # type: ignore[attr-defined]
        return SimpleNamespace(ptr=memory.ctypes.data + -memory.ctypes.data % 256, memory=memory)

    current: Callable = lambda: SimpleNamespace(ptr=found.stream)  # type: ignore[attr-defined]  # noqa: E731
    monkeypatch.setattr(cuda, "get_current_stream", current, raising=False)
    monkeypatch.setattr(cuda, "alloc", alloc, raising=False)
    monkeypatch.setattr(module, "load_library", lambda newest: LIBRARY.Library(found, f"of CUDA {newest}"))
    return found


def product(backend: Any, device: int = 0) -> Any:
    x, w = (backend.asarray(np.ones(shape, "f4"), device=device) for shape in ((3, 4), (5, 4)))
    with nnx.use_kernels("require"):
        return nnx.functional.linear(x, w)


def test_calls_run_on_the_device_of_the_arrays(standin: Any, hopper: Any, library: Any) -> None:
    for device in (1, 0, 1):
        out = product(standin, device)
        assert out.device == Device(device)
        np.testing.assert_array_equal(nnx.to_numpy(out), np.full((3, 5), 4.0))
    assert Device.stack == [0]
    handles = [values["device"] for kind, values in library.live.values() if kind == "handle"]
    assert handles == [1, 0]
    assert library.refusals == []
    assert hopper.blas is hopper.blas
    assert (hopper.blas.library.path, hopper.blas_problem) == ("of CUDA 13", None)


def test_each_device_and_stream_has_one_workspace(standin: Any, library: Any) -> None:
    for device, stream in [(0, 0), (0, 0xA0), (0, 0), (1, 0), (0, 0xA0), (1, 0)]:
        library.stream = stream
        product(standin, device)
    assert library.allocated == [(0, 32 << 20), (0, 32 << 20), (1, 32 << 20)]
    assert [call["stream"] for call in library.calls] == [0, 0xA0, 0, 0, 0xA0, 0]
    workspaces = [call["workspace"] for call in library.calls]
    assert workspaces[0] == workspaces[2] != workspaces[1] == workspaces[4]
    assert workspaces[3] == workspaces[5] not in workspaces[:3]


def test_the_stream_of_each_thread_has_its_own(standin: Any, library: Any) -> None:
    library.stream = 2  # cudaStreamPerThread
    product(standin)
    product(standin)
    thread = threading.Thread(target=product, args=(standin,))
    thread.start()
    thread.join()
    assert len(library.allocated) == 2


@pytest.mark.parametrize(("capability", "megabytes"), [("80", 4), ("89", 4), ("100", 32), ("120", 12)])
def test_the_workspace_is_what_nvidia_advises(
    standin: Any, library: Any, monkeypatch: pytest.MonkeyPatch, capability: str, megabytes: int
) -> None:
    monkeypatch.setattr(Device, "compute_capability", capability, raising=False)
    product(standin)
    assert library.allocated == [(0, megabytes << 20)]


def test_a_missing_library_is_a_reason_and_no_error(standin: Any, hopper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def missing(newest: int) -> Any:
        asked.append(newest)
        raise BackendError("cuBLASLt was not found. Install it: `pip install it`.")

    monkeypatch.setattr(sys.modules["nnx.backends.cupy.machine"], "load_library", missing)
    x, w = (standin.asarray(np.ones(shape, "f4")) for shape in ((3, 4), (5, 4)))
    for _ in range(2):
        np.testing.assert_array_equal(nnx.to_numpy(nnx.functional.linear(x, w)), np.full((3, 5), 4.0))
    assert "reference: cuBLASLt was not found. Install it: `pip install it`" in nnx.explain()
    assert hopper.blas is None
    assert set(asked) == {13}
    np.testing.assert_array_equal(nnx.to_numpy(standin.xp.matmul(x, w.T)), np.full((3, 5), 4.0))


def test_an_old_device_takes_the_reference(standin: Any) -> None:
    x, w = (standin.asarray(np.ones(shape, "f4")) for shape in ((3, 4), (5, 4)))
    np.testing.assert_array_equal(nnx.to_numpy(nnx.functional.linear(x, w)), np.full((3, 5), 4.0))
    (line,) = [line for line in nnx.explain().splitlines() if line.startswith("linear ")]
    assert "nnx's kernels need compute capability 8.0 or newer, the device has 7.5" in line
