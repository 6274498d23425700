"""On a Hopper GPU: its convolutions against NumPy, and what the simulator assumes of boxes, products and registers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.backend import load_backend
from tests.cuda import test_convolution_hopper as simulated
from tests.cuda import test_hopper_forms as forms
from tests.cuda.own_kernels import array, machine, on, to_numpy
from tests.cuda.test_convolution_hopper import HOPPER, geometry

pytestmark = pytest.mark.gpu
SUMS = 1e-4  # where tensor cores add, they cut off what a float32 has no room for

LAYERS = {
    "56": geometry(3, (56, 56), 64, 64, (3, 3), padding=(1, 1)),
    "28": geometry(5, (28, 28), 128, 128, (3, 3), padding=(1, 1)),
    "14": geometry(9, (14, 14), 256, 256, (3, 3), padding=(1, 1)),
    "7": geometry(20, (7, 7), 512, 512, (3, 3), padding=(1, 1)),
    "56, stride 2": geometry(3, (56, 56), 128, 128, (3, 3), stride=2, padding=(1, 1)),
    "1x1": geometry(3, (28, 28), 256, 512, (1, 1)),
    "many tiles": geometry(33, (61, 37), 40, 200, (3, 3), padding=(1, 1)),
}
CASES = {**simulated.CASES, **LAYERS}
ALL = [
    (name, direction)
    for name, g in CASES.items()
    for direction in simulated.DIRECTIONS
    if HOPPER.refusal(g, direction) is None
]


@pytest.fixture(autouse=True)
def real() -> Iterator[Any]:
    reason = nnx.available_backends()["cupy"]
    if reason is not None:
        pytest.skip(reason)
    with on("cupy"):
        here = machine().architecture(array([0.0]))
        if here != "90a":
            pytest.skip(f"wgmma is of sm_90a only, this is sm_{here}")
        yield load_backend("cupy")


@pytest.mark.parametrize("name", forms.BOXES)
def test_a_box_is_copied_as_in_the_simulator(name: str) -> None:
    found, wanted = forms.run_box(name)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("form", forms.FORMS, ids=str)
def test_a_product_is_that_of_numpy(form: tuple) -> None:
    found, wanted = forms.run_product(*form)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * float(np.abs(wanted).max()))


def test_registers_change_hands() -> None:
    found, wanted = forms.run_registers()
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("dtype", simulated.DTYPES)
@pytest.mark.parametrize(("name", "direction"), ALL)
def test_a_convolution_is_that_of_numpy(name: str, direction: str, dtype: str) -> None:
    simulated.check(CASES[name], dtype, direction, SUMS)


@pytest.mark.parametrize("dtype", simulated.DTYPES)
@pytest.mark.parametrize(("tile", "direction"), simulated.TILES)
def test_every_tile(tile: Any, direction: str, dtype: str) -> None:
    g = geometry(4, (31, 29), 136, 264, (3, 2), padding=(1, 1))
    with simulated.only(tile) if direction != "weight_gradient" else simulated.only(weight_tiles=(tile, tile)):
        simulated.check(g, dtype, direction, SUMS)


@pytest.mark.parametrize("direction", simulated.DIRECTIONS)
def test_every_run_gives_the_same_bits(direction: str) -> None:
    g = LAYERS["14"]
    values = simulated.values_for(g, "bfloat16")
    assert len({simulated.found(g, values, direction).tobytes() for _ in range(5)}) == 1


def test_a_bias_and_relu() -> None:
    g = LAYERS["28"]
    values = simulated.values_for(g, "float16")
    x, weight, bias = (array(values[name]) for name in ("x", "weight", "bias"))
    got = to_numpy(HOPPER.forward(machine(), x, weight, bias, g, relu=True))
    wanted = simulated.wanted_of(g, values, "forward") + values["bias"].astype(float)
    simulated.compare(got, np.maximum(wanted, 0), SUMS)
