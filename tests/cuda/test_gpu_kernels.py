"""On a GPU: every family of kernels against its reference, by the checks that the simulator passes, with their cases.

A check of another file is collected here once more, and runs on CuPy's arrays. What asks for an order of threads has
the order of the device.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import pytest

from tests.cuda import (
    test_convolution,
    test_convolution_hopper,
    test_convolution_special,
    test_grid,
    test_layers,
    test_norm_batch,
    test_norm_batch_launches,
    test_optim,
    test_pooling,
    test_random,
    test_upsampling,
)

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("gpu")]

# Of the simulator only, or in test_convolution_hopper_gpu.py with cases for a device.
_LEFT_OUT = {
    *("test_the_order_of_threads_changes_no_bit", "test_its_arrays_stay_its_own"),
    "test_where_bugs_are_looked_for_there_are_none",
}
_OF_HOPPER = {
    "test_memory_that_no_copy_may_begin_at",
    "test_relu_lets_nan_through",
    "test_the_primitive_takes_it_on_hopper",
    "test_what_it_refuses",
    "test_it_fits_on_hopper_where_its_tiles_are_half_full",
}
_OF_BLOCKS = {"test_what_a_residual_block_launches", "test_an_empty_batch_takes_the_reference"}


def _once(check: Callable) -> Callable:
    """The check with the first of its schedules, if it is asked for several."""
    marks = [
        mark for mark in getattr(check, "pytestmark", []) if mark.name != "parametrize" or mark.args[0] != "schedule"
    ]
    if len(marks) == len(getattr(check, "pytestmark", [])):
        return check

    def once(**options: Any) -> None:
        check(schedule=0, **options)

    parameters = [p for p in inspect.signature(check).parameters.values() if p.name != "schedule"]
    once.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    )
    once.pytestmark = marks  # type: ignore[attr-defined]
    return once


def checks(module: ModuleType, only: set[str] | None = None) -> Mapping[str, Any]:
    """The checks of a file, as methods of a class."""
    found = {}
    for name, check in vars(module).items():
        wanted = name not in _LEFT_OUT if only is None else name in only
        if name.startswith("test_") and inspect.isfunction(check) and wanted:
            found[name] = staticmethod(_once(check))
    assert only is None or set(found) == only
    return found


class ByImplicitGemm:
    @pytest.fixture(autouse=True)
    def by_implicit_gemm(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(test_convolution.own, "ALGORITHMS", (test_convolution.gemm,))


TestConvolution = type("TestConvolution", (ByImplicitGemm,), {**checks(test_convolution)})
TestConvolutionHopper = type("TestConvolutionHopper", (), {**checks(test_convolution_hopper, _OF_HOPPER)})
TestConvolutionSpecial = type("TestConvolutionSpecial", (), {**checks(test_convolution_special)})
TestPooling = type("TestPooling", (), {**checks(test_pooling)})
TestUpsampling = type("TestUpsampling", (), {**checks(test_upsampling)})
TestNormBatch = type("TestNormBatch", (), {**checks(test_norm_batch)})
TestNormBatchLaunches = type("TestNormBatchLaunches", (), {**checks(test_norm_batch_launches, _OF_BLOCKS)})
TestOptim = type("TestOptim", (), {**checks(test_optim)})
TestRandom = type("TestRandom", (), {**checks(test_random)})
TestLayers = type("TestLayers", (), {**checks(test_layers)})
TestGrid = type("TestGrid", (), {**checks(test_grid)})
