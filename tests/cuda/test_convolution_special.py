"""Convolutions of special shapes by CUDA kernels: depthwise ones, and those of few channels, against float64."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import nnx
from nnx.backend import to_numpy
from tests.cuda.own_kernels import array, machine, module, running

depthwise = module("cupy.launchers.convolution_depthwise")
narrow = module("cupy.launchers.convolution_narrow")
geometry = module("cupy.launchers.geometry")
Geometry, three = geometry.Geometry, geometry.three

DTYPES: dict[str, Any] = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16, "float16": np.float16}
# Relative to the largest result: float32 for its sums, the others for the rounding of one result, too.
TOLERANCES = {"float32": 1e-5, "bfloat16": 2.0**-8, "float16": 2.0**-11}
DIRECTIONS = ("forward", "input_gradient", "weight_gradient")


SCHEDULES = range(8)


def sizes(
    batch: int,
    lengths: tuple[int, ...],
    channels: int,
    outputs: int,
    kernel: tuple[int, ...],
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """A geometry; the padding is (before, after) where it is not the same, a number holds for every axis."""
    rank = len(lengths)
    stride, dilation = (v if isinstance(v, tuple) else (v,) * rank for v in (stride, dilation))
    padding = padding if isinstance(padding, tuple) else (padding,) * rank
    padding = [p if isinstance(p, tuple) else (p, p) for p in padding]
    axes = zip(lengths, kernel, stride, padding, dilation, strict=True)
    out = [(n + sum(p) - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes]
    before = three([p[0] for p in padding], 0)
    rest = (outputs, three(kernel), three(stride), before, three(dilation), groups)
    return Geometry(batch, three(lengths), channels, three(out), *rest)


def shapes(g: Any, rank: int) -> tuple[tuple[int, ...], ...]:
    """Of the input, the weights and the output, with so many spatial axes."""
    first = 3 - rank
    weight = (g.outputs, *g.kernel[first:], g.channels // g.groups)
    return (g.batch, *g.lengths[first:], g.channels), weight, (g.batch, *g.out[first:], g.outputs)


def taps(g: Any) -> Iterator[tuple[tuple[int, ...], tuple, tuple]]:
    """For each tap the places of the output that it reaches, and those of the input that they meet there."""
    for tap in itertools.product(*map(range, g.kernel)):
        places, met = [], []
        for o, n, s, b, d, k in zip(g.out, g.lengths, g.stride, g.before, g.dilation, tap, strict=True):
            at = np.arange(o)
            there = at * s - b + k * d
            good = (there >= 0) & (there < n)
            places.append(at[good])
            met.append(there[good])
        yield tap, np.ix_(*places), np.ix_(*met)


def reference(g: Any, direction: str, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """What a direction gives in float64, with three spatial axes; zeros that pad take no part."""
    shape_x, shape_w, shape_y = shapes(g, 3)
    wanted = {"forward": shape_y, "input_gradient": shape_x, "weight_gradient": shape_w}[direction]
    out = np.zeros(wanted)
    per_group, inputs = g.outputs // g.groups, g.channels // g.groups
    for tap, places, met in taps(g):
        here, there = (slice(None), *places), (slice(None), *met)
        for group in range(g.groups):
            o, c = slice(group * per_group, (group + 1) * per_group), slice(group * inputs, (group + 1) * inputs)
            with np.errstate(invalid="ignore"):
                if direction == "forward":
                    part = first.reshape(shape_x)[there][..., c] @ second.reshape(shape_w)[(o, *tap)].T
                    out[(*here, o)] += part
                elif direction == "input_gradient":
                    part = first.reshape(shape_y)[here][..., o] @ second.reshape(shape_w)[(o, *tap)]
                    out[(*there, c)] += part
                else:
                    x, grad = first.reshape(shape_x)[there][..., c], second.reshape(shape_y)[here][..., o]
                    out[(o, *tap)] += grad.reshape(-1, per_group).T @ x.reshape(-1, inputs)
    return out


def drawn(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(DTYPES[dtype])


def misplaced(values: np.ndarray) -> Any:
    """The array as a view that begins one element behind an aligned place."""
    return array(np.concatenate([values.reshape(-1)[:1], values.reshape(-1)]))[1:].reshape(values.shape)


def run(launcher: Any, g: Any, rank: int, dtype: str, direction: str, place: Any = array, **options: Any) -> Any:
    """What the kernels give, and the two arrays that they were given."""
    x, weight, y = (drawn(shape, dtype, seed) for seed, shape in enumerate(shapes(g, rank)))
    given = {"forward": (x, weight), "input_gradient": (y, weight), "weight_gradient": (x, y)}[direction]
    return called(launcher, g, direction, given, place, **options), given


def called(launcher: Any, g: Any, direction: str, given: Any, place: Any = array, bias: Any = None, **rest: Any) -> Any:
    arrays = [place(v) for v in given]
    assert launcher.fits(machine(), arrays[0], g, str(given[0].dtype), direction)
    if direction == "forward":
        arrays.append(None if bias is None else place(bias))
    return getattr(launcher, direction)(machine(), *arrays, g, **rest)


def check(launcher: Any, g: Any, rank: int, dtype: str, direction: str, place: Any = array) -> None:
    found, given = run(launcher, g, rank, dtype, direction, place)
    wanted = reference(g, direction, *[v.astype("f8") for v in given])
    like = dict(zip(DIRECTIONS, (shapes(g, rank)[i] for i in (2, 0, 1)), strict=True))[direction]
    assert (found.shape, str(found.dtype)) == (like, dtype)
    close(found, wanted, dtype)


def close(found: Any, wanted: np.ndarray, dtype: str) -> None:
    good = wanted[np.isfinite(wanted)]
    atol = TOLERANCES[dtype] * float(np.abs(good).max(initial=0))
    np.testing.assert_allclose(to_numpy(found).astype("f8").reshape(wanted.shape), wanted, rtol=0, atol=atol)


DEPTHWISE = {
    "3x3": (2, sizes(2, (9, 7), 16, 16, (3, 3), padding=1, groups=16)),
    "3x3 by 2": (2, sizes(1, (10, 9), 24, 24, (3, 3), 2, 1, groups=24)),
    "more than a block": (2, sizes(1, (18, 33), 8, 8, (3, 3), padding=1, groups=8)),
    "more channels than a block": (2, sizes(2, (2, 3), 264, 264, (2, 1), groups=264)),
    "odd channels": (2, sizes(2, (6, 11), 5, 5, (3, 4), (2, 3), ((1, 0), (2, 3)), groups=5)),
    "dilation": (2, sizes(1, (11, 13), 8, 8, (3, 3), 1, 2, 2, groups=8)),
    "stride and dilation": (2, sizes(1, (11, 17), 8, 8, (2, 5), (1, 2), (1, 3), (3, 2), groups=8)),
    "stride beyond the kernel": (2, sizes(1, (9, 11), 8, 8, (2, 2), 3, groups=8)),
    "two outputs a channel": (2, sizes(2, (5, 6), 8, 16, (3, 3), 2, 1, groups=8)),
    "three outputs a channel": (2, sizes(1, (4, 5), 3, 9, (3, 2), 1, (1, 0), groups=3)),
    "7x7": (2, sizes(1, (8, 9), 8, 8, (7, 7), padding=3, groups=8)),
    "larger than the image": (2, sizes(1, (2, 3), 8, 8, (13, 11), padding=6, groups=8)),
    "1-D": (1, sizes(2, (37,), 12, 12, (5,), padding=((4, 0),), groups=12)),
    "1-D by 2": (1, sizes(2, (20,), 8, 8, (4,), 2, 1, groups=8)),
    "3-D": (3, sizes(1, (3, 4, 5), 8, 8, (2, 3, 3), (1, 2, 1), 1, groups=8)),
    "1x1": (2, sizes(3, (2, 2), 8, 8, (1, 1), groups=8)),
}
NARROW = {
    "RGB 3x3": (2, sizes(2, (9, 7), 3, 16, (3, 3), padding=1)),
    "RGB 7x7 by 2": (2, sizes(1, (21, 19), 3, 64, (7, 7), 2, 3)),
    "several tiles": (2, sizes(1, (35, 37), 1, 8, (3, 3), padding=1)),
    "more outputs than a block": (2, sizes(1, (6, 5), 2, 72, (3, 3), padding=1)),
    "odd outputs": (2, sizes(2, (7, 6), 4, 19, (2, 3), 1, ((1, 0), (0, 2)))),
    "one output": (2, sizes(2, (6, 6), 2, 1, (3, 3), 2, 1)),
    "stride and dilation": (2, sizes(1, (14, 15), 3, 10, (3, 2), (1, 3), (2, 1), (3, 2))),
    "patches": (2, sizes(2, (8, 8), 3, 24, (4, 4), 4)),
    "larger than the image": (2, sizes(1, (3, 2), 1, 9, (5, 5), padding=2)),
    "1-D": (1, sizes(2, (61,), 1, 12, (9,), 2, ((8, 0),))),
    "3-D": (3, sizes(1, (4, 5, 6), 2, 18, (3, 2, 3), (2, 1, 1), 1, (1, 2, 1))),
    "1x1": (2, sizes(2, (3, 3), 3, 8, (1, 1))),
}
CASES = [(depthwise, name, *case) for name, case in DEPTHWISE.items()]
CASES += [(narrow, name, *case) for name, case in NARROW.items()]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("launcher", "name", "rank", "g"), CASES, ids=[case[1] for case in CASES])
def test_it_is_the_convolution(launcher: Any, name: str, rank: int, g: Any, dtype: str, direction: str) -> None:
    check(launcher, g, rank, dtype, direction)


ONE_OF_EACH = [case for case in CASES if case[1] in ("3x3", "two outputs a channel", "RGB 3x3", "several tiles")]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("launcher", "name", "rank", "g"), ONE_OF_EACH, ids=[case[1] for case in ONE_OF_EACH])
def test_it_is_the_same_again(launcher: Any, name: str, rank: int, g: Any, dtype: str, direction: str) -> None:
    first = to_numpy(run(launcher, g, rank, dtype, direction)[0])
    for schedule in SCHEDULES:
        with running(schedule):
            np.testing.assert_array_equal(to_numpy(run(launcher, g, rank, dtype, direction)[0]), first)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("launcher", "name", "rank", "g"), ONE_OF_EACH, ids=[case[1] for case in ONE_OF_EACH])
def test_arrays_that_begin_anywhere(launcher: Any, name: str, rank: int, g: Any, dtype: str, direction: str) -> None:
    check(launcher, g, rank, dtype, direction, misplaced)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", ["RGB 3x3", "RGB 7x7 by 2", "several tiles", "odd outputs", "3-D"])
def test_tf32_where_it_is_allowed(name: str, direction: str) -> None:
    rank, g = NARROW[name]
    with nnx.use_float32_precision("high"):
        found, given = run(narrow, g, rank, "float32", direction)
    wanted = reference(g, direction, *[v.astype("f8") for v in given])
    worst = np.abs(to_numpy(found).reshape(wanted.shape) - wanted).max() / np.abs(wanted).max()
    assert worst < (1e-5 if direction == "input_gradient" else 2e-3)
    if direction != "input_gradient":
        assert worst > 1e-5  # so these were tensor cores


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("name", ["3x3", "odd channels", "two outputs a channel", "RGB 3x3", "odd outputs"])
def test_bias_and_relu(name: str, relu: bool, dtype: str) -> None:
    launcher, _, rank, g = next(case for case in CASES if case[1] == name)
    x, weight = (drawn(shape, dtype, seed) for seed, shape in enumerate(shapes(g, rank)[:2]))
    bias = drawn((g.outputs,), dtype, 7)
    x[0, 2, 3, 1] = np.nan
    for place in (array, misplaced):
        found = called(launcher, g, "forward", (x, weight), place, bias, relu=relu)
        wanted = reference(g, "forward", x.astype("f8"), weight.astype("f8")) + bias.astype("f8")
        assert np.isnan(wanted).any()
        assert (wanted < 0).any()
        close(found, np.where(wanted < 0, 0, wanted) if relu else wanted, dtype)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("launcher", "g"),
    [
        (depthwise, sizes(1, (10, 12), 8, 8, (2, 2), 3, groups=8)),
        (depthwise, sizes(1, (9, 15), 8, 8, (3, 3), 1, 1, groups=8)),
        (depthwise, sizes(1, (9, 15), 8, 16, (3, 2), (2, 1), groups=8)),
        (narrow, sizes(1, (10, 12), 3, 16, (2, 2), 3)),
        (narrow, sizes(1, (10, 18), 2, 24, (3, 3), 1, 1)),
    ],
)
def test_what_is_not_finite_stays_where_it_is(launcher: Any, g: Any, dtype: str, direction: str) -> None:
    """NaN reaches what a tap brings it to, not what lies in the same tile or run."""
    x, weight, y = (drawn(shape, dtype, seed) for seed, shape in enumerate(shapes(g, 2)))
    untouched = np.ones(shapes(g, 3)[0][1:-1], bool)
    for _, _, met in taps(g):
        untouched[met] = False
    x[:, untouched[0]] = np.nan
    if direction == "weight_gradient":
        wanted = reference(g, direction, x.astype("f8"), y.astype("f8"))
        assert np.isfinite(wanted).all()
        close(called(launcher, g, direction, (x, y)), wanted, dtype)
        y[0, 1, 1, 0] = np.nan
    x[0, 4, 4, 1], y[0, 2, 3, 0], y[0, 1, 1, 3] = np.inf, np.nan, -np.inf
    given = {"forward": (x, weight), "input_gradient": (y, weight), "weight_gradient": (x, y)}[direction]
    wanted = reference(g, direction, *[v.astype("f8") for v in given])
    assert not np.isfinite(wanted).all()
    assert np.isfinite(wanted).any()
    close(called(launcher, g, direction, given), wanted, dtype)


def test_a_block_with_more_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several rows for a thread, several tiles for a block, several rows and tiles for a slice."""
    monkeypatch.setattr(depthwise, "_ENOUGH_BLOCKS", 0)
    monkeypatch.setattr(narrow, "_BLOCKS", 2)
    monkeypatch.setattr(narrow, "_TILES_OF_BLOCK", 100)
    for launcher, g in (
        (depthwise, sizes(2, (23, 9), 128, 128, (3, 3), padding=1, groups=128)),
        (depthwise, sizes(2, (23, 9), 3, 6, (3, 3), padding=1, groups=3)),
        (narrow, sizes(3, (18, 35), 3, 17, (3, 3), padding=1)),
    ):
        for dtype, direction in itertools.product(("float32", "bfloat16"), DIRECTIONS):
            check(launcher, g, 2, dtype, direction)


def test_large_kernels() -> None:
    """What is cut because there are many taps: the channels of a block, chunks of taps, tiles."""
    with running(0, checked=False):
        for launcher, g in (
            (depthwise, sizes(1, (20, 6), 16, 16, (31, 31), padding=15, groups=16)),
            (depthwise, sizes(1, (3, 40), 8, 8, (3, 37), padding=(1, 5), groups=8)),
            (narrow, sizes(1, (40, 41), 3, 64, (11, 11), 4, 2)),
            (narrow, sizes(1, (9, 9), 4, 20, (9, 9), padding=4)),
            (narrow, sizes(1, (40, 70), 3, 16, (8, 8), 8)),
        ):
            for dtype, direction in itertools.product(("float32", "bfloat16"), DIRECTIONS):
                check(launcher, g, 2, dtype, direction)


def test_more_slices_than_a_sum_has_lanes() -> None:
    with running(0, checked=False):
        check(depthwise, sizes(3, (12, 4), 8, 8, (1, 3), padding=1, groups=8), 2, "float32", "weight_gradient")
        check(narrow, sizes(11, (9, 9), 2, 5, (2, 2)), 2, "float32", "weight_gradient")


@pytest.mark.parametrize(
    ("launcher", "g", "dtype"),
    [
        (depthwise, sizes(1, (5, 5), 8, 8, (3, 3), padding=1, groups=8), "float64"),
        (depthwise, sizes(0, (5, 5), 8, 8, (3, 3), padding=1, groups=8), "float32"),
        (depthwise, sizes(1, (2, 5), 8, 8, (3, 3), groups=8), "float32"),
        (depthwise, sizes(1, (5, 5), 8, 0, (3, 3), groups=8), "float32"),
        (depthwise, sizes(1, (5, 5), 0, 0, (3, 3), groups=1), "float32"),
        (depthwise, sizes(1, (5, 5), 8, 8, (3, 3), groups=4), "float32"),
        (depthwise, sizes(1, (5, 5), 1, 8, (3, 3)), "float32"),
        (depthwise, sizes(1, (90, 90), 8, 8, (89, 89), groups=8), "float32"),
        (depthwise, sizes(1, (2**16, 2**15), 8, 8, (3, 3), groups=8), "float32"),
        (depthwise, sizes(1, (5, 5), 8, 8, (3, 3), (1, 2**20), 1, groups=8), "float32"),
        (narrow, sizes(1, (5, 5), 3, 8, (3, 3)), "int32"),
        (narrow, sizes(0, (5, 5), 3, 8, (3, 3)), "float32"),
        (narrow, sizes(1, (5, 5), 0, 8, (3, 3)), "bfloat16"),
        (narrow, sizes(1, (5, 5), 5, 8, (3, 3)), "bfloat16"),
        (narrow, sizes(1, (5, 5), 4, 8, (3, 3), groups=2), "bfloat16"),
        (narrow, sizes(1, (2**16, 2**15), 1, 8, (3, 3)), "float16"),
    ],
)
def test_what_is_left_to_others(launcher: Any, g: Any, dtype: str) -> None:
    assert not any(launcher.fits(machine(), array([0.0]), g, dtype, direction) for direction in DIRECTIONS)


def test_patches_that_shared_memory_does_not_hold() -> None:
    """The input gradient needs none."""
    g = sizes(1, (224, 224), 3, 192, (64, 64), 64)
    for dtype in DTYPES:
        assert [narrow.fits(machine(), array([0.0]), g, dtype, direction) for direction in DIRECTIONS] == [0, 1, 0]


def test_a_tile_fits_whatever_the_sizes() -> None:
    """Tiles are powers of two, in the shared memory of every architecture, and need not be larger than the output."""
    for out, kernel, stride in itertools.product((1, 5, 224), (1, 3, 16), (1, 2, 16)):
        for outputs, dtype in itertools.product((1, 16, 96), DTYPES):
            g = sizes(1, (out * stride + kernel, 2 * out * stride + kernel), 3, outputs, (kernel, kernel), stride)
            for plan in (narrow._forward_plan(g, dtype), narrow._weight_plan(g, dtype)):
                if plan is not None:
                    assert plan.shared <= 96 * 1024
                    assert plan.rows & (plan.rows - 1) == plan.columns & (plan.columns - 1) == 0 < plan.rows
                    assert plan.columns >= 4
                    assert plan.rows < 2 * g.out[1]


def test_where_bugs_are_looked_for_there_are_none() -> None:
    from tests.cuda.bugs_convolution_special import RUNS

    assert all(run(lambda kernel: kernel) for run in RUNS)
