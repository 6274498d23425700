"""What sm_90a offers, each by itself: boxes that are copied, products of every shape, registers that change hands.

And what a launch and the driver are told about boxes.
"""

from __future__ import annotations

import itertools
import re
import sys
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from nnx.errors import BackendError, ShapeError
from tests.cuda.own_kernels import array, launch, machine, module, own, running, to_numpy
from tests.cuda.test_launch import TILES, Driver
from tests.cuda.test_machine import hopper as hopper
from tests.cupy_standin import Device
from tests.test_cupy_backend import standin as standin

Boxed = module("cupy.launch").Boxed
compiler = module("cupy.compiler")
SimulationError = module("simt.machine").SimulationError
NAMES = {"bf16": ml_dtypes.bfloat16, "f16": np.float16}
FORMS = list(itertools.product(NAMES, (64, 128, 192, 256), (False, True), (False, True)))


def multiplied(name: str, columns: int, of_a: bool, of_b: bool) -> Any:
    given = {"REAL": name, "COLUMNS": columns, "OF_A": str(of_a).lower(), "OF_B": str(of_b).lower()}
    defines = [(key, str(value)) for key, value in given.items()]
    return own("hopper_forms.cu", "multiplied", *defines, architectures=("90a",))


ANY = multiplied("bf16", 64, False, False)
COPIED, SHARED_OUT = (
    own("hopper_forms.cu", name, *ANY.defines, architectures=("90a",)) for name in ("copied", "shared_out")
)
X = np.arange(2 * 3 * 5 * 7 * 72, dtype=np.uint16).reshape(2, 3, 5, 7, 72) + 1
# The first element of a box, how many of each axis, and every how many-th.
BOXES: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = {
    "inside": ((0, 1, 1, 2, 0), (1, 1, 2, 3, 64), (1, 1, 1, 1, 1)),
    "all images": ((0, 0, 0, 0, 8), (2, 3, 5, 7, 64), (1, 1, 1, 1, 1)),
    "before the begin": ((-1, -2, -1, -3, 0), (3, 4, 3, 6, 64), (1, 1, 1, 1, 1)),
    "behind the end": ((1, 2, 3, 5, 64), (2, 2, 3, 4, 64), (1, 1, 1, 1, 1)),
    "outside": ((2, 0, 0, 0, 0), (1, 1, 2, 2, 64), (1, 1, 1, 1, 1)),
    "by steps": ((0, -1, 1, -1, 0), (1, 2, 2, 4, 64), (1, 2, 2, 3, 1)),
    "by steps to the end": ((1, 0, 0, 6, 0), (1, 1, 8, 2, 64), (1, 1, 8, 8, 1)),
}


def run_box(name: str) -> tuple[np.ndarray, np.ndarray]:
    first, box, steps = BOXES[name]
    rows = int(np.prod(box[:4]))
    x = array(X)
    out = machine().empty((rows, 64), "uint16", x)
    launch(machine(), COPIED, 1, (Boxed(x, box, steps), out, *first, rows), shared=rows * 128 + 8)
    wanted = np.zeros(box, np.uint16)
    for at in itertools.product(*map(range, box)):
        place = tuple(f + i * s for f, i, s in zip(first, at, steps, strict=True))
        if all(0 <= p < n for p, n in zip(place, X.shape, strict=True)):
            wanted[at] = X[place]
    return to_numpy(out), wanted.reshape(rows, 64)


def run_product(name: str, columns: int, of_a: bool, of_b: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((rows, 64)).astype(NAMES[name]) for rows in (64, columns))
    laid = [np.ascontiguousarray(v.T if turned else v) for v, turned in ((a, of_a), (b, of_b))]
    arrays = [array(v.reshape((1, 1, 1, *v.shape))) for v in laid]
    boxes = [(1, 1, 1, 64, 64), (1, 1, 1, 64 if of_b else columns, 64)]
    out = machine().empty((64, columns), "float32", arrays[0])
    tiled = [Boxed(held, box) for held, box in zip(arrays, boxes, strict=True)]
    kernel = multiplied(name, columns, of_a, of_b)
    launch(machine(), kernel, 1, (*tiled, out), shared=(64 + columns) * 128 + 8)
    return to_numpy(out), a.astype(float) @ b.astype(float).T


def run_registers() -> tuple[np.ndarray, np.ndarray]:
    x = array(np.arange(600) % 7, "f4")
    out = machine().empty((384,), "float32", x)
    launch(machine(), SHARED_OUT, 1, (x, out))
    values = to_numpy(x)
    sums = [values[i] if i < 128 else values[i : i + 128].sum() for i in range(384)]
    return to_numpy(out), np.asarray(sums, "f4")


@pytest.mark.parametrize("name", BOXES)
@pytest.mark.parametrize("schedule", [0, 7])
def test_a_box_is_copied(name: str, schedule: int) -> None:
    with running(schedule):
        found, wanted = run_box(name)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_product(form: tuple) -> None:
    """The simulator adds 16 products at a time in float32."""
    with running(schedule=4 * (form[1] % 128 == 0), checked=form[0] == "bf16"):
        found, wanted = run_product(*form)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_registers_change_hands() -> None:
    for schedule in range(8):
        with running(schedule):
            found, wanted = run_registers()
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_wrappers_compile(form: tuple) -> None:
    usage = compiler.compile_kernel(multiplied(*form), "90a").usage
    assert [used.spilled for used in usage.values()] == [0, 0, 0]
    assert usage["shared_out"].registers == 168  # what setmaxnreg starts from


# ------------------------------------------------------------------ what the simulator refuses


@pytest.mark.parametrize(
    ("kernel", "before", "after", "told"),
    [
        (COPIED, "    barrier_fence();\n", "", "a barrier that thread 0 has set up without a barrier_fence"),
        (
            COPIED,
            "copy_box(memory, x, barrier, n, d, h, w, c)",
            "copy_tile(memory, x, barrier, w, c)",
            "2 coordinates of",
        ),
        (COPIED, "copy_box(memory, x", "copy_box(memory + 512, x", "misaligned: a swizzled tile"),
        (COPIED, "    barrier_wait(barrier, 0);\n", "", "under way"),
        (COPIED, "i / 64 % 8 << 4", "i / 64 % 4 << 4", "another result"),
        (ANY, "    products_fence();\n", "", "wgmma without a products_fence"),
        (ANY, "    products_wait<0>();\n", "", "products of matrices that it has not waited for"),
        (ANY, "k += 16", "k += 32", "another result"),
        (ANY, "b, barrier, 0, 0, 0, 0, 0)", "b, barrier, 0, 0, 0, 1, 0)", "another result"),
        (
            ANY,
            "    wait_for_copies(barrier);\n    float",
            "    float",
            "under way|nothing has written|nobody has waited",
        ),
        (SHARED_OUT, "grow<232>", "grow<240>", "deadlock: .* threads wait at setmaxnreg"),
        (SHARED_OUT, "shrink<40>", "shrink<44>", "setmaxnreg: a thread has 168 registers and shall shrink to 44"),
        (SHARED_OUT, "shrink<40>", "grow<40>", "setmaxnreg: a thread has 168 registers and shall grow to 40"),
        (SHARED_OUT, "registers_grow<232>();", "if (threadIdx.x & 1) registers_grow<232>();", "divergence"),
    ],
)
def test_a_bug_is_caught(kernel: Any, before: str, after: str, told: str) -> None:
    text = kernel.source.text
    assert before in text
    changed = own("hopper_forms.cu", kernel.name, *kernel.defines, text=text.replace(before, after))
    run = {"copied": lambda: run_box("by steps"), "shared_out": run_registers}.get(
        kernel.name, lambda: run_product("bf16", 64, False, False)
    )
    outcomes = []
    for schedule in (0, 7):
        with pytest.MonkeyPatch.context() as patch, running(schedule):
            patch.setattr(
                sys.modules[__name__], {"copied": "COPIED", "shared_out": "SHARED_OUT"}.get(kernel.name, "ANY"), changed
            )
            patch.setattr(sys.modules[__name__], "multiplied", lambda *_: changed)
            try:
                found, wanted = run()
                good = np.allclose(found, wanted, rtol=1e-5, atol=1e-5)
                outcomes.append("" if good else "another result")
            except SimulationError as error:
                outcomes.append(str(error))
    assert any(re.search(told, outcome) for outcome in outcomes), outcomes


def test_what_threads_write_needs_a_fence_before_a_product_reads_it() -> None:
    text = ANY.source.text
    before = "    float sums[COLUMNS / 2] = {};\n"
    write = "    if (threadIdx.x == 0) *(u32*)memory = 0;\n{}    __syncthreads();\n"
    for fence, told in (("", "thread 0 has written without a barrier_fence"), ("    barrier_fence();\n", "")):
        changed = own(
            "hopper_forms.cu", "multiplied", *ANY.defines, text=text.replace(before, write.format(fence) + before)
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys.modules[__name__], "multiplied", lambda *_, kernel=changed: kernel)
            if told:
                with pytest.raises(SimulationError, match=told):
                    run_product("bf16", 64, False, False)
            else:
                run_product("bf16", 64, False, False)


# ------------------------------------------------------------------ what is said of boxes

FIVE = array(np.zeros((2, 3, 4, 5, 16)), "u2")


NO_ARRAY, NO_BOX = (
    "with five axes that is not empty, got",
    "expected boxes of five axes, 64 elements of the last one, got",
)
NO_REACH = "expected boxes that reach over 1 to 256 elements in steps of 1 to 8, got"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Boxed(array(np.zeros((1, 1, 1, 1, 8)), "f4"), (1, 1, 1, 1, 64)), f"{NO_ARRAY} float32"),
        (Boxed(FIVE[0], (1, 1, 1, 64)), f"{NO_ARRAY} uint16 of shape (3, 4, 5, 16)"),
        (Boxed(FIVE[:0], (1, 1, 1, 1, 64)), f"{NO_ARRAY} uint16 of shape (0, 3, 4, 5, 16)."),
        (Boxed(FIVE[..., :8], (1, 1, 1, 1, 64)), "expected a contiguous array of 16-bit numbers"),
        (Boxed(FIVE.reshape(2, 3, 4, 20, 4), (1, 1, 1, 1, 64)), "rows that begin at multiples of 16 bytes, got 4"),
        (Boxed(FIVE, (1, 1, 1, 1, 32)), f"{NO_BOX} (1, 1, 1, 1, 32)"),
        (Boxed(FIVE, (1, 1, 1, 64)), f"{NO_BOX} (1, 1, 1, 64)"),
        (Boxed(FIVE, (1, 1, 1, 1, 64), (1, 1, 1, 1, 2)), NO_BOX),
        (Boxed(FIVE, (1, 1, 0, 1, 64)), f"{NO_REACH} (1, 1, 0, 1, 64)"),
        (Boxed(FIVE, (1, 1, 1, 257, 64)), NO_REACH),
        (Boxed(FIVE, (1, 1, 1, 65, 64), (1, 1, 1, 4, 1)), NO_REACH),
        (Boxed(FIVE, (1, 1, 1, 2, 64), (1, 1, 1, 9, 1)), NO_REACH),
    ],
)
def test_an_array_that_cannot_be_copied_by_boxes(value: Any, text: str) -> None:
    with pytest.raises(ShapeError, match=re.escape(text)):
        launch(machine(), TILES, 1, (value,))


def test_the_driver_describes_an_array() -> None:
    encode, driver = module("cupy.tensor_map").encode, Driver()
    described = encode(Boxed(FIVE, (1, 1, 2, 3, 64), (1, 1, 4, 2, 1)), 4096, driver)
    assert (described.shape, described.itemsize, described.ctypes.data % 64) == ((1,), 128, 0)
    sizes, strides = [16, 5, 4, 3, 2], [32, 160, 640, 1920]
    reach, steps = [64, 6, 8, 1, 1], [1, 2, 4, 1, 1]
    assert driver.arguments == [described.ctypes.data, 1, 5, 4096, sizes, strides, reach, steps, 0, 3, 2, 0]
    with pytest.raises(BackendError, match=r"error 1 for an array of shape \(2, 3, 4, 5, 16\)"):
        encode(Boxed(FIVE, (1, 1, 2, 3, 64)), 4096, Driver(1))


def test_a_device_tells_its_multiprocessors(standin: Any, hopper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "attributes", {"MultiProcessorCount": 132}, raising=False)
    x = standin.asarray(np.ones(3, "f4"))
    assert hopper.multiprocessors(x) == 132
    monkeypatch.setattr(Device, "attributes", {})
    assert hopper.multiprocessors(x) == 132  # asked once
