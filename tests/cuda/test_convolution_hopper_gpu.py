"""On a Hopper GPU: its convolutions against NumPy, and what the simulator assumes of boxes, products and registers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.cuda import test_convolution_hopper as simulated
from tests.cuda import test_hopper_forms as forms
from tests.cuda.own_kernels import array, machine, to_numpy
from tests.cuda.test_convolution_hopper import HOPPER, geometry

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("gpu")]

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


def fitted(g: Any, rehearsing: bool) -> Any:
    """The sizes; in a rehearsal ones with as much in a second of the simulator."""
    if not rehearsing or g.places * g.taps * g.channels * g.outputs < 3e6:
        return g
    small = [max(8, n // 8) // 8 * 8 for n in (g.channels, g.outputs)]
    lengths = tuple(min(n, 12) for n in g.lengths)
    axes = zip(lengths, g.kernel, g.stride, g.before, strict=True)
    out = tuple((n + 2 * b - k) // s + 1 for n, k, s, b in axes)
    return g._replace(batch=min(g.batch, 2), lengths=lengths, out=out, channels=small[0], outputs=small[1])


@pytest.fixture(autouse=True)
def hopper(gpu: Any) -> None:
    here = machine().architecture(array([0.0]))
    if here != "90a":
        pytest.skip(f"wgmma is of sm_90a only, this is sm_{here}")


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
def test_a_convolution_is_that_of_numpy(name: str, direction: str, dtype: str, rehearsing: bool) -> None:
    simulated.check(fitted(CASES[name], rehearsing), dtype, direction)


@pytest.mark.parametrize("dtype", simulated.DTYPES)
@pytest.mark.parametrize(("tile", "direction"), simulated.TILES)
def test_every_tile(tile: Any, direction: str, dtype: str, rehearsing: bool) -> None:
    g = fitted(geometry(4, (31, 29), 136, 264, (3, 2), padding=(1, 1)), rehearsing)
    with simulated.only(tile) if direction != "weight_gradient" else simulated.only(weight_tiles=(tile, tile)):
        simulated.check(g, dtype, direction)


@pytest.mark.parametrize("direction", simulated.DIRECTIONS)
def test_every_run_gives_the_same_bits(direction: str, rehearsing: bool) -> None:
    g = fitted(LAYERS["14"], rehearsing)
    values = simulated.values_for(g, "bfloat16")
    assert len({simulated.found(g, values, direction).tobytes() for _ in range(5)}) == 1


def test_a_bias_and_relu(rehearsing: bool) -> None:
    g = fitted(LAYERS["28"], rehearsing)
    values = simulated.values_for(g, "float16")
    x, weight, bias = (array(values[name]) for name in ("x", "weight", "bias"))
    got = to_numpy(HOPPER.forward(machine(), x, weight, bias, g, relu=True))
    wanted = simulated.wanted_of(g, values, "forward") + values["bias"].astype(float)
    simulated.compare(got, np.maximum(wanted, 0))
