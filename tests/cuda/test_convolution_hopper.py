"""Convolution by groups of warps and tensor copies (wgmma, TMA): the simulator against NumPy in float64."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.cuda.own_kernels import array, machine, module, place, running, to_numpy

HOPPER = module("cupy.launchers.convolution_hopper")
CONVOLUTION = module("cupy.launchers.convolution")
Geometry = module("cupy.launchers.geometry").Geometry
compiler = module("cupy.compiler")
DTYPES = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16}
# Half a unit of the last place of a result; sums in float32 round far less.
ROUNDING = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
DIRECTIONS = ("forward", "input_gradient", "weight_gradient")


def geometry(
    batch: int,
    lengths: tuple[int, ...],
    channels: int,
    outputs: int,
    kernel: tuple[int, ...],
    stride: int = 1,
    padding: tuple[int, int] = (0, 0),
    dilation: int = 1,
    groups: int = 1,
) -> Any:
    """Of up to three axes, with the same stride, padding (before, after) and dilation for those that are given."""
    missing = 3 - len(lengths)
    out = [(n + sum(padding) - dilation * (k - 1) - 1) // stride + 1 for n, k in zip(lengths, kernel, strict=True)]

    def three(values: Any, filler: int = 1) -> tuple[int, ...]:
        return (*(filler,) * missing, *values)

    count = len(lengths)
    return Geometry(
        batch,
        three(lengths),
        channels,
        three(out),
        outputs,
        three(kernel),
        three([stride] * count),
        three([padding[0]] * count, 0),
        three([dilation] * count),
        groups,
    )


CASES: dict[str, Any] = {
    "1x1": geometry(2, (5, 7), 16, 8, (1, 1)),
    "3x3": geometry(2, (6, 5), 16, 24, (3, 3), padding=(1, 1)),
    "two slices of channels": geometry(1, (4, 4), 72, 136, (3, 3), padding=(1, 1)),
    "one place": geometry(1, (3, 3), 8, 8, (3, 3)),
    "several tiles of places": geometry(3, (17, 11), 8, 16, (3, 3), padding=(1, 1)),
    "more tiles than blocks": geometry(4, (16, 16), 8, 72, (1, 2)),
    "stride 2": geometry(2, (9, 8), 8, 16, (3, 3), stride=2, padding=(1, 1)),
    "stride 3, even kernel": geometry(1, (13, 11), 8, 8, (4, 2), stride=3, padding=(2, 1)),
    "stride 8": geometry(1, (70,), 8, 8, (9,), stride=8, padding=(1, 1)),
    "5x5": geometry(1, (7, 6), 8, 8, (5, 5), padding=(2, 2)),
    "uneven padding": geometry(1, (5, 6), 8, 8, (2, 4), padding=(0, 3)),
    "more padding than kernel": geometry(1, (4, 3), 8, 8, (2, 2), padding=(3, 2)),
    "dilation": geometry(1, (9, 8), 8, 8, (3, 3), padding=(2, 2), dilation=2),
    "one axis": geometry(2, (37,), 24, 16, (3,), padding=(1, 1)),
    "three axes": geometry(1, (4, 5, 3), 8, 8, (2, 3, 3), padding=(1, 1)),
}


# ------------------------------------------------------------------ the reference


def taps(g: Any) -> Iterator[tuple[tuple, tuple]]:
    """Each tap of the kernel, as keys: of the weights, and of what lies under it in a padded input."""
    for at in itertools.product(*map(range, g.kernel)):
        axes = zip(at, g.dilation, g.out, g.stride, strict=True)
        yield (slice(None), *at), (slice(None), *[slice(t * d, t * d + (o - 1) * s + 1, s) for t, d, o, s in axes])


def reference(g: Any, x: np.ndarray, weight: np.ndarray, grad: np.ndarray) -> dict[str, np.ndarray]:
    """The output and the gradients, tap by tap, in float64."""
    behind = [o * s + d * k for o, s, d, k in zip(g.out, g.stride, g.dilation, g.kernel, strict=True)]
    padded = np.pad(x, ((0, 0), *zip(g.before, behind, strict=True), (0, 0)))
    inner = (slice(None), *[slice(b, b + n) for b, n in zip(g.before, g.lengths, strict=True)])
    out, of_padded, of_weight = np.zeros(grad.shape), np.zeros(padded.shape), np.zeros(weight.shape)
    for tap, under in taps(g):
        out += padded[under] @ weight[tap].T
        of_padded[under] += grad @ weight[tap]
        of_weight[tap] = np.tensordot(grad, padded[under], ((0, 1, 2, 3), (0, 1, 2, 3)))
    return {"forward": out, "input_gradient": of_padded[inner], "weight_gradient": of_weight}


def values_for(g: Any, dtype: str) -> dict[str, np.ndarray]:
    """Random arrays of a convolution, rounded to the dtype."""
    rng = np.random.default_rng(0)
    shapes = {
        "x": (g.batch, *g.lengths, g.channels),
        "weight": (g.outputs, *g.kernel, g.channels),
        "grad": (g.batch, *g.out, g.outputs),
        "bias": (g.outputs,),
    }
    return {name: rng.standard_normal(shape).astype(DTYPES[dtype]) for name, shape in shapes.items()}


def wanted_of(g: Any, values: dict[str, np.ndarray], direction: str) -> np.ndarray:
    return reference(g, *(values[key].astype(float) for key in ("x", "weight", "grad")))[direction]


def found(g: Any, values: dict[str, np.ndarray], direction: str) -> np.ndarray:
    x, weight, grad = (array(values[name]) for name in ("x", "weight", "grad"))
    if direction == "forward":
        result = HOPPER.forward(machine(), x, weight, None, g)
    elif direction == "input_gradient":
        result = HOPPER.input_gradient(machine(), grad, weight, g)
    else:
        result = HOPPER.weight_gradient(machine(), x, grad, g)
    return to_numpy(result)


def compare(got: np.ndarray, wanted: np.ndarray) -> None:
    """Whether results are rounded ones of sums that are right to a part of the largest."""
    # Where tensor cores add, they cut off what a float32 has no room for.
    sums = 1e-5 if place() == "simt" else 1e-4
    dtype = str(got.dtype)
    assert got.shape == wanted.shape
    scale = float(np.abs(wanted).max())
    np.testing.assert_allclose(got.astype(float), wanted, rtol=1.01 * ROUNDING[dtype], atol=sums * scale)


def check(g: Any, dtype: str, direction: str) -> None:
    values = values_for(g, dtype)
    got = found(g, values, direction)
    assert got.dtype == DTYPES[dtype]
    compare(got, wanted_of(g, values, direction))


@contextmanager
def only(*tiles: Any, weight_tiles: Any = None) -> Iterator[None]:
    """Let the launcher choose among some tiles."""
    kept = HOPPER.TILES, HOPPER.WEIGHT_TILES
    HOPPER.TILES, HOPPER.WEIGHT_TILES = tiles or kept[0], weight_tiles or kept[1]
    HOPPER.choose_tile.cache_clear()
    HOPPER.choose_splits.cache_clear()
    try:
        yield
    finally:
        HOPPER.TILES, HOPPER.WEIGHT_TILES = kept
        HOPPER.choose_tile.cache_clear()
        HOPPER.choose_splits.cache_clear()


# ------------------------------------------------------------------ results

ALL = [
    (name, direction) for name, g in CASES.items() for direction in DIRECTIONS if HOPPER.refusal(g, direction) is None
]


@pytest.mark.parametrize(("name", "direction"), ALL)
def test_a_convolution_is_that_of_numpy(name: str, direction: str) -> None:
    with running(of_device="90a"):
        check(CASES[name], "bfloat16", direction)


TILES = [(t, d) for t in HOPPER.TILES for d in DIRECTIONS[:2]] + [(t, DIRECTIONS[2]) for t in HOPPER.WEIGHT_TILES]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("tile", "direction"), TILES)
def test_every_tile(tile: Any, direction: str, dtype: str) -> None:
    """With more places than the tile has rows, more columns than one, and more steps than stages."""
    g = geometry(2, (13, 11), 72, 72, (3, 2), padding=(1, 1))
    forced = only(tile) if direction != "weight_gradient" else only(weight_tiles=(tile, tile))
    with forced, running(schedule=5, checked=dtype == "bfloat16", of_device="90a"):
        check(g, dtype, direction)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_schedule_gives_the_same_bits(direction: str) -> None:
    g = geometry(3, (9, 7), 72, 24, (3, 3), padding=(1, 1))
    values = values_for(g, "bfloat16")
    results = []
    for schedule, checked in itertools.product(range(8), (True, False)):
        if checked and schedule not in (0, 7):
            continue
        with running(schedule, checked, of_device="90a"):
            results.append(found(g, values, direction).tobytes())
    assert len(set(results)) == 1


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_bias_and_relu(dtype: str, relu: bool) -> None:
    g = CASES["3x3"]
    values = values_for(g, dtype)
    x, weight, bias = (array(values[name]) for name in ("x", "weight", "bias"))
    with running(checked=False, of_device="90a"):
        got = to_numpy(HOPPER.forward(machine(), x, weight, bias, g, relu))
    wanted = wanted_of(g, values, "forward") + values["bias"].astype(float)
    compare(got, np.maximum(wanted, 0) if relu else wanted)


def test_relu_lets_nan_through() -> None:
    g = CASES["1x1"]
    values = values_for(g, "bfloat16")
    values["x"][1, 0, 2, 3, 5] = np.nan
    with running(checked=False, of_device="90a"):
        got = to_numpy(HOPPER.forward(machine(), array(values["x"]), array(values["weight"]), None, g, relu=True))
    missing = np.isnan(got.astype(float))
    assert missing[1, 0, 2, 3].all()
    assert missing.sum() == g.outputs


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_memory_that_no_copy_may_begin_at(direction: str) -> None:
    """The second number of an array: the copies need multiples of 16 bytes."""
    g = CASES["3x3"]
    values = values_for(g, "bfloat16")
    shifted = {}
    for name, value in values.items():
        memory = array(np.concatenate([np.zeros(1, value.dtype), value.reshape(-1)]))
        shifted[name] = memory[1:].reshape(value.shape)
        assert machine().address(shifted[name]) % 16
    with running(checked=False, of_device="90a"):
        if direction == "forward":
            result = HOPPER.forward(machine(), shifted["x"], shifted["weight"], None, g)
        elif direction == "input_gradient":
            result = HOPPER.input_gradient(machine(), shifted["grad"], shifted["weight"], g)
        else:
            result = HOPPER.weight_gradient(machine(), shifted["x"], shifted["grad"], g)
    compare(to_numpy(result), wanted_of(g, values, direction))


def test_the_primitive_takes_it_on_hopper() -> None:
    g = geometry(1, (6, 5), 32, 40, (3, 3), padding=(1, 1))
    values = values_for(g, "float16")
    x, weight, grad = (array(values[name].squeeze(1)) for name in ("x", "weight", "grad"))
    override = CONVOLUTION.Convolution(machine())
    arguments = (x, weight, None, (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    assert override.supports(*arguments) is None
    with running(checked=False, of_device="90a") as launched:
        out, residuals = override.forward(*arguments)
        gradients = override.backward(grad, residuals, (True, True, None))
    assert [kernel.name for kernel in launched][:3] == ["convolve", "convolve", "gradient_of_weight"]
    for direction, got in zip(DIRECTIONS, (out, *gradients[:2]), strict=True):
        compare(to_numpy(got), wanted_of(g, values, direction).reshape(got.shape))


# ------------------------------------------------------------------ what it takes, and how


@pytest.mark.parametrize(
    ("g", "direction", "reason"),
    [
        (geometry(1, (5, 5), 32, 32, (3, 3), groups=2), "forward", "one group"),
        (geometry(0, (5, 5), 32, 32, (3, 3)), "forward", "sizes that are not zero"),
        (geometry(1, (5, 5), 36, 32, (3, 3)), "forward", "multiples of 8"),
        (geometry(1, (5, 5), 32, 36, (3, 3)), "weight_gradient", "multiples of 8"),
        (geometry(1, (50, 50), 32, 32, (3, 3), stride=9), "forward", "every 8th element"),
        (geometry(1, (5, 5), 32, 32, (3, 3), stride=2), "input_gradient", "needs stride 1"),
        (geometry(2**16, (2**15,), 32, 32, (1,)), "forward", "counts places in 32 bits"),
        (geometry(1, (2**31 - 20,), 32, 32, (3,)), "forward", "counts places in 32 bits"),
    ],
)
def test_what_it_refuses(g: Any, direction: str, reason: str) -> None:
    assert reason in HOPPER.refusal(g, direction)
    with running(of_device="90a"):
        assert not HOPPER.fits(machine(), array([0.0]), g, "bfloat16", direction)


def test_it_fits_on_hopper_where_its_tiles_are_half_full() -> None:
    like, good = array([0.0]), geometry(1, (5, 5), 32, 32, (3, 3))

    def fits(g: Any, dtype: str, on: str) -> bool:
        with running(of_device=on):
            return HOPPER.fits(machine(), like, g, dtype, "forward")

    assert [fits(good, dtype, "90a") for dtype in ("bfloat16", "float16", "float32")] == [True, True, False]
    assert not any(fits(good, "bfloat16", on) for on in ("80", "90", "100", "120"))
    assert not fits(good._replace(channels=24), "bfloat16", "90a")
    assert not fits(good._replace(outputs=24), "bfloat16", "90a")


@pytest.mark.parametrize("rows", [64, 128, 256])
@pytest.mark.parametrize("stride", [(1, 1, 1), (1, 2, 2), (2, 8, 3)])
@pytest.mark.parametrize("out", [(1, 1, 1), (1, 7, 7), (1, 56, 56), (1, 1, 1000), (5, 13, 300)])
def test_boxes_cover_an_output(out: tuple[int, ...], stride: tuple[int, ...], rows: int) -> None:
    for batch in (1, 3, 256):
        n, *box = HOPPER.choose_box(batch, out, (3, 3, 3), stride, rows)
        assert n * np.prod(box) <= rows
        assert all(b * s <= 256 for b, s in zip(box, stride, strict=True))
        count = -(-batch // n) * np.prod([-(-o // b) for o, b in zip(out, box, strict=True)])
        # Never worse than whole rows of as many places as fit.
        w = min(rows, out[2], 256 // stride[2])
        assert count <= batch * out[0] * out[1] * -(-out[2] // w)


def test_layers_of_a_resnet_fill_their_tiles() -> None:
    for length, channels in ((56, 64), (28, 128), (14, 256), (7, 512)):
        g = geometry(256, (length, length), channels, channels, (3, 3), padding=(1, 1))
        tile, box = HOPPER.choose_tile(g, 132)
        assert g.places / (HOPPER._boxes(g, box) * tile.rows) > 0.98
        few = HOPPER.choose_tile(g._replace(batch=1), 132)[0]
        assert few.rows * few.columns < tile.rows * tile.columns


@pytest.mark.parametrize("kernel", HOPPER.KERNELS, ids=str)
def test_a_block_has_a_multiprocessor_for_itself(kernel: Any) -> None:
    used = compiler.compile_kernel(kernel, "90a").usage[kernel.name]
    assert (used.registers, used.stack, used.spilled, used.shared) == (168, 0, 0, 0)
    sizes = dict(kernel.defines)
    rows = int(sizes["ROWS"]) if "ROWS" in sizes else 128 * int(sizes["STRIPS"])
    assert HOPPER.Tile(rows, int(sizes["COLUMNS"]), int(sizes["STAGES"])).shared <= 227 * 1024
