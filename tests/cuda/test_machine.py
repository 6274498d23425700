"""What runs kernels on CUDA devices, over the stand-in for CuPy: which code is loaded where, and what is launched."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import BackendError
from tests import cupy_standin
from tests.cuda.own_kernels import module
from tests.cupy_standin import Device, FunctionAttributes, LoadedFunction
from tests.test_cupy_backend import standin as standin

RANDOM = module("cupy.launchers.random")
SCALE = module("cupy.launchers.dropout")


@pytest.fixture
def hopper(standin: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The backend over the stand-in, on a device that nnx has kernels for; its machine."""
    monkeypatch.setattr(Device, "compute_capability", "90", raising=False)
    LoadedFunction.launches.clear()
    FunctionAttributes.asked.clear()
    machine = sys.modules["nnx.backends.cupy.machine"].CudaMachine()
    monkeypatch.setattr(standin, "kernels", module("cupy.launchers").kernels_on(machine))
    return machine


def test_an_old_device_takes_the_reference(standin: Any) -> None:
    x = standin.asarray(np.ones(9, "f4"))
    nnx.seed(0)
    out = nnx.to_numpy(nnx.functional.dropout(x, 0.5))
    told = nnx.explain().splitlines()
    nnx.seed(0)
    np.testing.assert_array_equal(out, nnx.functional.dropout(np.ones(9, "f4"), 0.5))
    for primitive in ("draw_mask", "masked_scale"):
        (line,) = [line for line in told if line.startswith(primitive)]
        assert "cupy     reference: nnx's kernels need compute capability 8.0 or newer, the device has 7.5" in line


def test_dropout_launches_two_kernels(standin: Any, hopper: Any) -> None:
    x = standin.asarray(np.ones((3, 700), "f4"), device=1)
    nnx.seed(5)
    with nnx.use_kernels("require"):
        out = nnx.functional.dropout(x, 0.25)
    assert (type(out), out.shape, out.dtype, out.device) == (cupy_standin.ndarray, (3, 700), np.float32, Device(1))
    drawn, scaled = LoadedFunction.launches
    name, device, grid, block, arguments, shared = drawn
    assert (name, device, grid, block, shared) == ("draw_mask", 1, (2, 1, 1), (256, 1, 1), 0)
    key0, key1, counter, threshold, mask, n = arguments
    assert [type(a) for a in (key0, key1, counter, threshold, n)] == [np.uint64] * 4 + [np.int64]
    assert (key0, key1, counter, threshold, n) == (5, 3, 0, nnx.random.keep_threshold(0.75), 2100)
    assert (mask.dtype, mask.device) == (np.bool_, Device(1))
    name, device, grid, block, arguments, shared = scaled
    assert (name, device, grid, block) == ("masked_scale", 1, (2, 1, 1), (256, 1, 1))
    assert arguments[0] is x
    assert arguments[1] is mask
    assert (type(arguments[2]), arguments[2]) == (np.float32, np.float32(1 / 0.75))
    assert arguments[3] is out
    assert Device.stack == [0]


def test_code_is_loaded_once_for_each_device(hopper: Any) -> None:
    with Device(0):
        first = hopper.function(RANDOM.MASK, 0)
        assert hopper.function(RANDOM.MASK, 0) is first
        assert hopper.function(RANDOM.UNIFORM, 0).name == "draw_uniform"
    with Device(1):
        assert hopper.function(RANDOM.MASK, 1) is not first
    assert len(hopper._modules) == 2  # the two kernels are in one file


def test_much_shared_memory_is_asked_for_once(hopper: Any) -> None:
    for shared in (0, 48 * 1024, 64 * 1024, 60 * 1024, 100 * 1024):
        hopper.function(RANDOM.MASK, 0, shared)
    assert FunctionAttributes.asked == [(7, 8, 64 * 1024), (7, 8, 100 * 1024)]


def test_arrays_of_two_devices_take_the_reference(standin: Any, hopper: Any) -> None:
    x, mask = standin.asarray(np.ones(3, "f4")), standin.asarray(np.ones(3, "?"), device=1)
    assert hopper.refusal(x, mask) == "the arrays are on different devices"


@pytest.mark.parametrize(
    ("x", "mask", "reason"),
    [
        (np.ones(3, "f2"), np.ones(3, "?"), "it takes float32 or float64 arrays"),
        (np.ones(3, "f4"), np.ones(3, "f4"), "it takes a mask of booleans in the shape of the input"),
        (np.ones((3, 1), "f4"), np.ones(3, "?"), "it takes a mask of booleans in the shape of the input"),
        (np.ones((3, 2), "f4").T, np.ones((2, 3), "?"), "it takes contiguous arrays"),
    ],
)
def test_what_the_kernel_refuses(hopper: Any, x: np.ndarray, mask: np.ndarray, reason: str) -> None:
    assert SCALE.MaskedScale(hopper).supports(x, mask, 2.0) == reason


def test_a_missing_compiler_is_a_reason_and_no_error(
    standin: Any, hopper: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: Any) -> Any:
        raise BackendError("NVRTC, the compiler of CUDA kernels, was not found. Install it: `pip install it`.")

    monkeypatch.setattr(sys.modules["nnx.backends.cupy.machine"], "compile_kernel", missing)
    nnx.functional.dropout(standin.asarray(np.ones(3, "f4")), 0.5)
    assert (
        "reference: NVRTC, the compiler of CUDA kernels, was not found. Install it: `pip install it`" in nnx.explain()
    )
