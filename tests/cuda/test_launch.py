"""Launches: what is checked before a kernel runs, how a grid is computed, and what is said of it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from nnx.errors import BackendError, DTypeError, ShapeError
from tests.cuda.own_kernels import Tiled, array, machine, module, own

launching = module("cupy.launch")
TEXT = """
#include <common.cuh>
KERNEL(64, 2) probe(const float* x, /* a */ i32* out, float f, double d, u64 big, bool flag, i32 n) { // b
    if (thread_index() == 0) { out[0] = n; out[1] = flag; out[2] = f == 0.1f; out[3] = d == 0.1; out[4] = big >> 40; }
}
"""
PROBE = own("tiled.cu", "probe", text=TEXT)
X, OUT = array(np.ones((4, 6)), "f4"), array(np.zeros(5), "i4")
GOOD: dict[str, Any] = {"x": X, "out": OUT, "f": 0.1, "d": 0.1, "big": 7 << 40, "flag": True, "n": -3}


def launch(grid: Any = 1, shared: int = 0, **changed: Any) -> None:
    launching.launch(machine(), PROBE, grid, tuple({**GOOD, **changed}.values()), shared)


def test_the_declaration_is_read_from_the_source() -> None:
    declared = PROBE.declaration
    assert (declared.name, declared.threads) == ("probe", 64)
    assert [p.name for p in declared.parameters] == list(GOOD)
    assert [p.dtype for p in declared.parameters] == [
        "float32",
        "int32",
        "float32",
        "float64",
        "uint64",
        "bool",
        "int32",
    ]
    assert [p.is_array for p in declared.parameters] == [True, True] + [False] * 5
    assert [p.is_written for p in declared.parameters] == [False, True] + [False] * 5


def test_numbers_arrive_in_the_declared_type() -> None:
    OUT[...] = 0
    launch()
    assert OUT.tolist() == [-3, 1, 1, 1, 7]
    launch(n=np.int64(5), f=np.float64(0.1), flag=np.bool_(False))
    assert OUT.tolist() == [5, 0, 1, 1, 7]


@pytest.mark.parametrize(
    ("changed", "error", "text"),
    [
        ({"x": array(np.ones(3))}, DTypeError, "probe: argument x: expected an array of float32, got float64."),
        ({"x": None}, DTypeError, "probe: argument x: expected an array of float32, got NoneType."),
        (
            {"x": X.T},
            ShapeError,
            "argument x: expected a contiguous array (C order), got strides (4, 24)",
        ),
        ({"x": X[:, ::2]}, ShapeError, "argument x: expected a contiguous array"),
        ({"f": True}, DTypeError, "argument f: expected a number for float32, got True."),
        ({"f": "1"}, DTypeError, "argument f: expected a number for float32, got '1'."),
        ({"f": 1e39}, BackendError, "argument f: 1e+39 is too large for float32."),
        ({"flag": 1}, DTypeError, "argument flag: expected True or False, got 1."),
        ({"n": 1.0}, DTypeError, "argument n: expected an int for int32, got 1.0."),
        ({"n": 2**31}, BackendError, "expected an int from -2147483648 to 2147483647 (int32), got 2147483648."),
        ({"big": -1}, BackendError, "argument big: expected an int from 0 to 18446744073709551615 (uint64), got -1."),
        (
            {"grid": (1, 65536)},
            BackendError,
            "expected a grid of at most (2147483647, 65535, 65535) blocks, got",
        ),
        ({"grid": (1, 1, 1, 1)}, BackendError, "expected a grid of at most"),
        ({"grid": -1}, BackendError, "expected a grid of at most"),
        ({"shared": 300_000}, BackendError, "expected 0 to 232448 bytes of shared memory, got 300000."),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        launch(**changed)


def test_a_read_only_array_is_not_written_to() -> None:
    frozen = array(np.zeros(5), "i4")
    frozen.flags.writeable = False
    with pytest.raises(BackendError, match="argument out: expected an array that can be written to"):
        launch(out=frozen)
    read = X.copy()
    read.flags.writeable = False
    launch(x=read)


def test_a_misaligned_array_is_refused() -> None:
    raw = array(np.zeros(4 * 6 + 1), "u1")
    with pytest.raises(BackendError, match="argument x: expected memory aligned to 4 bytes; copy it"):
        launch(x=raw[1:].view(np.float32))


def test_the_number_of_arguments() -> None:
    with pytest.raises(BackendError, match=r"probe: expected the arguments x, out, f, d, big, flag, n, got 2 values"):
        launching.launch(machine(), PROBE, 1, (X, OUT))


def test_an_empty_grid_launches_nothing() -> None:
    with machine().running() as launched:
        launch(grid=0)
        launch(grid=(3, 0))
    assert launched == []
    with pytest.raises(DTypeError):  # but is checked
        launch(grid=0, n=0.5)


def test_the_grid_covers_all_elements() -> None:
    blocks = [launching.blocks_for(n, PROBE, 8) for n in (0, 1, 512, 513, 2**33)]
    assert blocks == [0, 1, 1, 2, 2**24]
    assert launching.too_large(2**31 - 1, 5) is None
    assert launching.too_large(5, 2**31) == "2147483648 elements are more than 32-bit indices reach"


def test_the_arguments_may_share_memory() -> None:
    kernel = own(
        "tiled.cu",
        "double_it",
        text="#include <common.cuh>\nKERNEL(32) double_it(const float* x, float* y, i32 n) "
        "{ const i64 i = thread_index(); if (i < n) y[i] = 2 * x[i]; }\n",
    )
    x = array(np.arange(5), "f4")
    launching.launch(machine(), kernel, 1, (x, x, 5))
    assert x.tolist() == [0, 2, 4, 6, 8]


# ------------------------------------------------------------------ matrices that are copied by tiles


TILES = own(
    "tiled.cu",
    "tiles",
    text="#include <barrier.cuh>\nKERNEL(32) tiles(const __grid_constant__ TensorMap x) {}\n",
    architectures=("90a",),
)
MATRIX = array(np.zeros((4, 16)), "u2")


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (MATRIX, DTypeError, "tiles: argument x: expected an array as Tiled(array, rows), got SimtArray."),
        (Tiled(X, 64), ShapeError, "expected a contiguous matrix of 16-bit numbers that is not empty, got float32"),
        (Tiled(MATRIX[0], 64), ShapeError, "expected a contiguous matrix of 16-bit numbers"),
        (Tiled(MATRIX[:, :8], 64), ShapeError, "expected a contiguous matrix of 16-bit numbers"),
        (Tiled(MATRIX[:0], 64), ShapeError, "that is not empty, got uint16 of shape (0, 16)."),
        (Tiled(MATRIX.reshape(16, 4), 64), ShapeError, "rows that begin at multiples of 16 bytes, got 4 columns."),
        (Tiled(MATRIX, 257), ShapeError, "expected tiles of 1 to 256 rows and 64 columns, got 257 and 64."),
        (Tiled(MATRIX, 64, 32), ShapeError, "expected tiles of 1 to 256 rows and 64 columns, got 64 and 32."),
    ],
)
def test_a_matrix_that_cannot_be_copied_by_tiles(value: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        launching.launch(machine(), TILES, 1, (value,))


class Driver:
    """What is asked of NVIDIA's driver."""

    def __init__(self, failed: int = 0) -> None:
        self.failed = failed

    def cuTensorMapEncodeTiled(self, *arguments: Any) -> int:
        self.arguments = [list(a) if hasattr(a, "__len__") else a.value for a in arguments]
        return self.failed


def test_the_driver_describes_a_matrix() -> None:
    encode, driver = module("cupy.tensor_map").encode, Driver()
    described = encode(Tiled(MATRIX, 2), 4096, driver)
    assert (described.shape, described.itemsize, described.ctypes.data % 64) == ((1,), 128, 0)
    place = described.ctypes.data
    assert driver.arguments == [place, 1, 2, 4096, [16, 4], [32], [64, 2], [1, 1], 0, 3, 2, 0]
    with pytest.raises(BackendError, match=r"failed with CUDA error 1 for a matrix of shape \(4, 16\)"):
        encode(Tiled(MATRIX, 2), 4096, Driver(1))
