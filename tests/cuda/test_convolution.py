"""Convolutions by CUDA kernels: implicit GEMM, the choice of an algorithm, and sums of columns."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import nnx
from nnx.functional.convolution import convolution, convolution_transpose
from tests.cuda.bugs_convolution import BUGS
from tests.cuda.own_kernels import array, machine, module, running

gemm, own, sums = (module(f"cupy.launchers.{name}") for name in ("convolution_gemm", "convolution", "column_sum"))
ALGORITHMS = own.ALGORITHMS
BF16 = np.dtype(ml_dtypes.bfloat16)

# How numbers are multiplied -> dtype, precision of float32, error relative to the largest result.
NUMBERS: dict[str, tuple[Any, str, float]] = {
    "float32": (np.dtype("f4"), "highest", 1e-5),
    "tf32": (np.dtype("f4"), "high", 2e-3),
    "bfloat16": (BF16, "highest", 1e-2),
    "float16": (np.dtype("f2"), "highest", 2e-3),
}
# x, weight, stride, padding, dilation, groups
Case = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...], tuple[int, ...], int]
CASES: list[Case] = [
    ((1, 1, 1, 1), (1, 1, 1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((3, 6, 5, 64), (16, 1, 1, 64), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((2, 6, 5, 16), (8, 1, 1, 16), (2, 3), ((0, 0), (1, 0)), (1, 1), 1),
    ((2, 7, 9, 8), (33, 3, 3, 8), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((1, 8, 8, 3), (8, 2, 4, 3), (2, 2), ((1, 2), (0, 3)), (1, 1), 1),
    ((1, 9, 7, 33), (5, 3, 3, 33), (3, 2), ((2, 0), (1, 1)), (1, 2), 1),
    ((2, 5, 6, 8), (8, 3, 3, 4), (2, 1), ((1, 1), (2, 2)), (2, 2), 2),
    ((1, 6, 6, 12), (20, 3, 2, 3), (1, 2), ((0, 1), (1, 0)), (1, 1), 4),
    ((3, 4, 4, 5), (1, 4, 3, 5), (2, 2), ((1, 1), (0, 0)), (1, 1), 1),
    ((1, 3, 3, 1), (64, 5, 5, 1), (1, 1), ((2, 2), (2, 2)), (1, 1), 1),  # smaller than the kernel
    ((1, 12, 11, 2), (3, 2, 2, 2), (3, 3), ((4, 4), (4, 0)), (3, 2), 1),  # rows of padding alone; stride and dilation
    ((2, 19, 8), (6, 5, 8), (2,), ((3, 1),), (2,), 1),
    ((1, 40, 4), (12, 3, 1), (1,), ((0, 0),), (1,), 4),
    ((1, 4, 5, 3, 6), (9, 2, 3, 2, 6), (1, 2, 1), ((1, 0), (1, 1), (0, 2)), (2, 1, 1), 1),
    ((1, 5, 4, 4, 8), (16, 3, 3, 3, 4), (2, 2, 2), ((1, 1), (1, 1), (1, 1)), (1, 1, 1), 2),
]
EMPTY: list[Case] = [
    ((0, 4, 4, 3), (2, 3, 3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((2, 2, 4, 3), (2, 3, 3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),  # the kernel does not fit
    ((2, 0, 4, 3), (2, 1, 1, 3), (1, 1), ((1, 1), (0, 0)), (1, 1), 1),
    ((2, 4, 4, 0), (2, 3, 3, 0), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
]


@pytest.fixture(autouse=True)
def _by_implicit_gemm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other algorithms have tests of their own."""
    monkeypatch.setattr(own, "ALGORITHMS", (gemm,))


def transposed(case: Case) -> tuple[Any, ...]:
    """Arguments of the transposed convolution whose input is the case's output."""
    x, weight, stride, padding, dilation, groups = case
    axes = zip(x[1:-1], weight[1:-1], stride, padding, dilation, strict=True)
    places = [(n + sum(p) - d * (k - 1) - 1, s) for n, k, s, p, d in axes]
    out, output_padding = tuple(n // s + 1 for n, s in places), tuple(n % s for n, s in places)
    shape = (weight[-1], *weight[1:-1], weight[0])
    return (x[0], *out, weight[0]), shape, stride, padding, output_padding, dilation, groups


def drawn(shape: tuple[int, ...], dtype: Any, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def compare(function: Any, name: str, case: Any, bias: bool = True) -> list[np.ndarray]:
    """Check a primitive and its gradients against float64 on NumPy, and return what the kernels gave."""
    dtype, precision, tolerance = NUMBERS[name]
    x, weight, *sizes = case
    outputs = weight[0] if function is convolution else weight[0] * sizes[-1]
    arrays = [drawn(x, dtype, 1), drawn(weight, dtype, 2), *([drawn((outputs,), dtype, 3)] if bias else [])]

    def call(*given: Any) -> Any:
        return function(*given, *([] if bias else [None]), *sizes)

    with nnx.use_kernels("off"):
        wanted, pull = nnx.vjp(call, *[a.astype("f8") for a in arrays])
        grad = drawn(wanted.shape, dtype, 4)
        wanted = [wanted, *pull(grad.astype("f8"))]
    with nnx.use_kernels("require"):
        with nnx.use_float32_precision(precision):
            out, pull = nnx.vjp(call, *[array(a) for a in arrays])
        found = [out, *pull(array(grad))]  # with the precision of the forward pass
    results = []
    for what, mine, theirs in zip(("output", "input", "weight", "bias"), found, wanted, strict=False):
        assert (mine.shape, mine.dtype) == (theirs.shape, dtype), what
        results.append(nnx.to_numpy(mine).astype("f8"))
        scale = float(np.abs(theirs).max(initial=0))
        np.testing.assert_allclose(results[-1], theirs, rtol=0, atol=tolerance * scale, err_msg=what)
    return results


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_is_the_convolution(name: str, case: Case) -> None:
    compare(convolution, name, case, bias=len(case[0]) != 3)


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
@pytest.mark.parametrize("case", CASES[2:], ids=str)
def test_it_is_the_transposed_convolution(name: str, case: Case) -> None:
    compare(convolution_transpose, name, transposed(case), bias=len(case[0]) != 3)


@pytest.mark.parametrize("case", EMPTY, ids=str)
def test_nothing_to_multiply(case: Case) -> None:
    compare(convolution, "float32", case)
    compare(convolution, "bfloat16", case)


@pytest.mark.parametrize("case", [((0, 4, 4, 3), (2, 3, 3, 3)), ((2, 4, 4, 0), (2, 3, 3, 0))], ids=str)
def test_nothing_to_multiply_transposed(case: Any) -> None:
    compare(convolution_transpose, "float32", (*case, (2, 1), ((0, 0), (0, 0)), (1, 0), (1, 1), 1))


@pytest.mark.parametrize(("name", "tile"), gemm.GATHER, ids=str)
def test_every_tile_gathers(name: str, tile: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one block of each tile, with rests at the ends of rows, columns and terms."""
    monkeypatch.setattr(gemm, "choose_tile", lambda *_: tile)
    case = ((1, tile[0] // 8 + 1, 8, 12), (tile[1] + 3, 3, 1, 12), (1, 1), ((1, 1), (0, 0)), (1, 1), 1)
    dtype, precision, tolerance = NUMBERS[name]
    x, weight = (drawn(shape, dtype, i) for i, shape in enumerate(case[:2]))
    with nnx.use_kernels("require"), nnx.use_float32_precision(precision):
        found = nnx.to_numpy(convolution(array(x), array(weight), None, *case[2:])).astype("f8")
    wanted = convolution(x.astype("f8"), weight.astype("f8"), None, *case[2:])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


@pytest.mark.parametrize(("name", "tile"), gemm.WEIGHT_GRADIENT, ids=str)
def test_every_tile_makes_the_gradient_of_weights(name: str, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gemm, "weight_tile", lambda *_: tile)
    monkeypatch.setattr(gemm, "split_steps", lambda steps, *_: (2, -(-steps // 2)))
    dtype, precision, tolerance = NUMBERS[name]
    case = ((2, 5, 9, tile // 2 + 2), (tile + 1, 2, 1, tile // 2 + 2), (1, 1), ((0, 1), (0, 0)), (1, 1), 1)
    shapes = (case[0], (2, 5, 9, tile + 1))
    x, grad = (drawn(shape, dtype, i) for i, shape in enumerate(shapes))
    g = geometry_of(case)
    with nnx.use_float32_precision(precision):
        found = nnx.to_numpy(gemm.weight_gradient(machine(), array(x), array(grad), g)).astype("f8")
    with nnx.use_kernels("off"):
        _, pull = nnx.vjp(lambda w: convolution(x.astype("f8"), w, None, *case[2:]), np.zeros(case[1]))
    (wanted,) = pull(grad.astype("f8"))
    np.testing.assert_allclose(found.reshape(case[1]), wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


def geometry_of(case: Case) -> Any:
    return own.geometry(*case)[0]


# ------------------------------------------------------------------ bias, ReLU and sums for a norm, all at once


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("groups", [1, 2])
def test_bias_relu_and_statistics(name: str, groups: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dtype, precision, tolerance = NUMBERS[name]
    case = ((2, 9, 8, 8 * groups), (10 * groups, 1, 2, 8), (1, 1), ((0, 0), (0, 0)), (1, 1), groups)
    x, weight, bias = (drawn(shape, dtype, i) for i, shape in enumerate((*case[:2], case[1][:1])))
    g = geometry_of(case)
    for tile in gemm.TILES[name][1:]:
        monkeypatch.setattr(gemm, "choose_tile", lambda *_, tile=tile: tile)
        with nnx.use_float32_precision(precision):
            arguments = (machine(), array(x), array(weight), array(bias), g)
            out, partial = gemm.forward(*arguments, relu=True, statistics=True)
            plain = gemm.forward(*arguments)
        values = nnx.to_numpy(out).astype("f8").reshape(g.places, g.outputs)
        wanted = convolution(*[a.astype("f8") for a in (x, weight, bias)], *case[2:]).reshape(values.shape)
        np.testing.assert_allclose(values, np.maximum(wanted, 0), atol=tolerance * np.abs(wanted).max())
        np.testing.assert_array_equal(values, np.maximum(nnx.to_numpy(plain).astype("f8"), 0).reshape(values.shape))
        # Of what is stored, not of what it has been rounded from.
        parts = [values[i : i + tile[0]] for i in range(0, len(values), tile[0])]
        assert (partial.shape, partial.dtype) == ((len(parts), 2, 10 * groups), np.float32)
        expected = [np.stack([part.sum(0), (part * part).sum(0)]) for part in parts]
        np.testing.assert_allclose(nnx.to_numpy(partial), expected, rtol=2e-6, atol=1e-5)


def test_relu_keeps_nan() -> None:
    case = ((1, 1, 3, 8), (1, 1, 1, 8), (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    x = np.ones(case[0], "f4")
    x[0, 0, 1, 0] = np.nan
    x[0, 0, 2] = -1
    out = gemm.forward(machine(), array(x), array(np.ones(case[1], "f4")), None, geometry_of(case), relu=True)
    np.testing.assert_array_equal(nnx.to_numpy(out).reshape(-1), [8, np.nan, 0])


@pytest.mark.parametrize("precision", ["highest", "high"])
def test_backward_has_the_precision_of_forward(precision: str) -> None:
    x, weight = array(drawn((1, 9, 9, 16), "float32", 1)), array(drawn((16, 3, 3, 16), "float32", 2))
    with nnx.use_float32_precision(precision):
        out, pull = nnx.vjp(lambda a, b: convolution(a, b, None, (1, 1), ((1, 1), (1, 1)), (1, 1), 1), x, weight)
    with machine().running() as launched:
        pull(out)
    products = [dict(kernel.defines) for kernel in launched if "convolution_gemm" in kernel.file]
    tensor = [defines["TENSOR"] for defines in products if "TENSOR" in defines]
    assert tensor == (["1"] if precision == "high" else ["0"]) * 2


def test_factors_are_rounded_to_tf32_not_cut() -> None:
    x = array(np.full((1, 8, 8, 16), 1 + 2.0**-11, "f4"))
    weight = np.zeros((16, 3, 3, 16), "f4")
    weight[range(16), 1, 1, range(16)] = 1
    with nnx.use_kernels("require"), nnx.use_float32_precision("high"):
        out, pull = nnx.vjp(lambda a: convolution(a, array(weight), None, (1, 1), ((1, 1), (1, 1)), (1, 1), 1), x)
        (back,) = pull(x)
    for found in (out, back):
        np.testing.assert_array_equal(nnx.to_numpy(found), np.float32(1 + 2.0**-10))


# ------------------------------------------------------------------ the same bits, in every run and from any array


def runs(name: str) -> list[np.ndarray]:
    """Results of convolutions with rests everywhere and a sum over places in several splits."""
    first = compare(convolution, name, ((2, 17, 15, 9), (12, 3, 3, 9), (2, 1), ((1, 0), (1, 1)), (1, 1), 1))
    return first + compare(convolution_transpose, name, transposed(CASES[6]))


@pytest.mark.parametrize("name", NUMBERS)
def test_two_runs_give_the_same_bits(name: str) -> None:
    for a, b in zip(runs(name), runs(name), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("schedule", range(1, 8))
@pytest.mark.parametrize("name", NUMBERS)
def test_the_order_of_threads_changes_no_bit(name: str, schedule: int) -> None:
    usual = runs(name)
    with running(schedule):
        other = runs(name)
    for a, b in zip(usual, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("device", "name"), [*[("80", name) for name in NUMBERS], ("90a", "bfloat16")])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_whatever_algorithm_is_chosen(name: str, case: Case, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "ALGORITHMS", ALGORITHMS)
    with running(of_device=device):
        compare(convolution, name, case)
        if math.prod(case[0]) < 1000:
            compare(convolution_transpose, name, transposed(case))


def test_the_sum_over_places_is_split() -> None:
    g = geometry_of(((8, 30, 30, 8), (8, 3, 3, 8), (1, 1), ((1, 1), (1, 1)), (1, 1), 1))
    steps, splits = gemm.split_steps(-(-g.places // 16), 2, 8 * 9 * 8)
    assert (steps, splits) == (8, 57)
    assert gemm.split_steps(10**6, 4, 2**10) == (15152, 66)
    assert gemm.split_steps(10**6, 1, 2**23)[1] == 2  # as many as the workspace holds
    assert gemm.split_steps(3, 1000, 2**30) == (3, 1)


def test_arrays_of_any_layout() -> None:
    """Read-only ones, views that start anywhere, transposed ones: also as gradients."""
    case = CASES[3]
    x, weight, bias = (drawn(shape, "f4", i) for i, shape in enumerate((*case[:2], case[1][:1])))
    wanted, pull = nnx.vjp(lambda *a: convolution(*a, *case[2:]), *map(array, (x, weight, bias)))
    grad = drawn(wanted.shape, "f4", 4)
    wanted = [wanted, *pull(array(grad))]

    def odd(values: np.ndarray) -> Any:
        """The values in memory that starts at no multiple of 16 bytes."""
        room = array(np.zeros(values.size + 1, "f4"))
        room[1:] = array(values.reshape(-1))
        return room[1:].reshape(values.shape)

    def turned(values: np.ndarray) -> Any:
        return array(values.T.copy()).T

    for change in (odd, turned):
        changed = [change(a) for a in (x, weight, bias)]
        with nnx.use_kernels("require"):
            out, pull = nnx.vjp(lambda *a: convolution(*a, *case[2:]), *changed)
            found = [out, *pull(change(grad))]
        for mine, theirs in zip(found, wanted, strict=True):
            np.testing.assert_allclose(nnx.to_numpy(mine), nnx.to_numpy(theirs), rtol=1e-5, atol=1e-5)


def test_a_gradient_that_is_one_number_everywhere() -> None:
    """What the sum of all outputs gives: an array without strides that cannot be written to."""
    case = CASES[6]
    x, weight = (array(drawn(shape, "f4", i)) for i, shape in enumerate(case[:2]))
    found = nnx.grad(lambda w: nnx.namespace(w).sum(convolution(x, w, None, *case[2:])))(weight)
    on_host = nnx.to_numpy(x)
    wanted = nnx.grad(lambda w: nnx.namespace(w).sum(convolution(on_host, w, None, *case[2:])))(nnx.to_numpy(weight))
    np.testing.assert_allclose(nnx.to_numpy(found), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("function", [convolution, convolution_transpose])
def test_second_derivatives(function: Any) -> None:
    case = CASES[6] if function is convolution else transposed(CASES[6])
    x, weight = (drawn(shape, "f4", i) for i, shape in enumerate(case[:2]))

    def squares(x: Any, weight: Any) -> Any:
        xp = nnx.namespace(x, weight)
        slope = nnx.grad(lambda a: xp.sum(function(a, weight, None, *case[2:]) ** 3), 0)(x)
        return xp.sum(slope * slope)

    found = nnx.grad(squares, (0, 1))(array(x), array(weight))
    wanted = nnx.grad(squares, (0, 1))(x.astype("f8"), weight.astype("f8"))
    for mine, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(nnx.to_numpy(mine), theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())


# ------------------------------------------------------------------ what the kernels refuse, and the choice of them


def test_what_does_not_fit_takes_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = own.Convolution(machine())
    monkeypatch.setattr(kernel._machine, "refusal", lambda *_: None)

    def reason(x: Any, weight: Any, padding: Any = ((0, 0),) * 2, dilation: Any = (1, 1), groups: int = 1) -> Any:
        arrays = [np.broadcast_to(np.zeros((), dtype), shape) for shape, dtype in (x, weight)]
        return kernel.supports(*arrays, None, (1, 1), padding, dilation, groups)

    assert reason(((2, 9, 9, 3), "f4"), ((4, 3, 3, 3), "f4")) is None
    assert "float32" in reason(((2, 9, 9, 3), "f8"), ((4, 3, 3, 3), "f8"))
    assert "one dtype" in reason(((2, 9, 9, 3), "f4"), ((4, 3, 3, 3), "f2"))
    assert "shapes" in reason(((2, 9, 9, 3), "f4"), ((4, 3, 3, 2), "f4"))
    assert "shapes" in reason(((2, 9, 9, 6), "f4"), ((4, 3, 3, 2), "f4"), groups=3)
    assert "32-bit" in reason(((2, 2**15, 2**15, 1), "f4"), ((1, 3, 3, 1), "f4"))
    # What is counted are the channels as the kernels hold them.
    assert "32-bit" in reason(((2, 2**14, 2**14, 1), "f4"), ((1, 3, 3, 1), "f4"))
    assert "32-bit" in reason(((2, 2**13, 2**13, 1), "f4"), ((32, 3, 3, 1), "f4"))
    assert "2**30" in reason(((2, 9, 9, 3), "f4"), ((4, 3, 3, 3), "f4"), padding=((0, 0), (2**30, 0)))
    assert "taps" in reason(((1, 300, 300, 1), "f4"), ((1, 300, 300, 1), "f4"))


def test_the_reason_is_told() -> None:
    x = array(np.ones((1, 3, 3, 2), "f8"))
    convolution(x, array(np.ones((1, 1, 1, 2), "f8")), None, (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    assert "reference: it takes float32, bfloat16 or float16" in nnx.explain()


def test_the_tile_wastes_little_and_fills_the_device() -> None:
    assert gemm.choose_tile("bfloat16", 10**6, 256, 1) == (128, 128)
    assert gemm.choose_tile("bfloat16", 10**6, 64, 1) == (128, 64)
    assert gemm.choose_tile("bfloat16", 10**3, 256, 1) == (64, 64)
    assert gemm.choose_tile("float32", 10**6, 16, 1) == (128, 32)
    assert gemm.choose_tile("float32", 10**6, 512, 1) == (128, 128)
    assert gemm.choose_tile("float32", 10**6, 64, 1) == (128, 64)
    assert gemm.choose_tile("float32", 100, 16, 1) == (128, 32)
    assert gemm.choose_tile("float32", 10**4, 64, 1) == (64, 64)


def test_no_tap_is_read_in_vain() -> None:
    """For every place of the input, the classes of the stride see exactly the taps that have met it."""
    case = ((1, 10, 11, 8), (8, 3, 4, 8), (2, 3), ((1, 2), (0, 1)), (1, 2), 1)
    g = geometry_of(case)
    met = np.zeros((10, 11), int)
    for tap in itertools.product(range(3), range(4)):
        for place in itertools.product(range(g.out[1]), range(g.out[2])):
            y, x = (p * s + k * d - b for p, s, k, d, b in zip(place, (2, 3), tap, (1, 2), (1, 0), strict=True))
            if 0 <= y < 10 and 0 <= x < 11:
                met[y, x] += 1
    plans = gemm.input_plans(g, 8)
    assert len(plans) == 6
    assert sum(plan[0] for plan in plans) == 110
    for plan in plans:
        counts, first = plan[15:18], plan[-2:]
        assert met[first[0] :: 2, first[1] :: 3].max() <= math.prod(counts) <= 4


@pytest.mark.parametrize("is_right", sorted({bug[0] for bug in BUGS}, key=lambda check: check.__name__))
@pytest.mark.parametrize("schedule", range(0, 8, 3))
def test_without_a_bug_all_is_well(is_right: Callable, schedule: int) -> None:
    with running(schedule):
        assert is_right(lambda kernel: kernel)


# ------------------------------------------------------------------ sums of columns


@pytest.mark.parametrize("dtype", [np.dtype("f4"), BF16, np.dtype("f2")], ids=str)
@pytest.mark.parametrize(
    "shape", [(0, 3), (1, 1), (3, 0), (7, 33), (1030, 5), (2100, 16), (40, 300), (90000, 3)], ids=str
)
def test_sums_of_columns(dtype: Any, shape: tuple[int, int]) -> None:
    matrix = drawn(shape, dtype, 0)
    found = sums.column_sum(machine(), array(matrix))
    wanted = matrix.astype("f8").sum(0)
    assert (found.shape, found.dtype) == (wanted.shape, dtype)
    error = {4: 1e-5, 2: 5e-3}[dtype.itemsize]
    scale = max(1.0, float(np.abs(wanted).max(initial=0)))
    np.testing.assert_allclose(nnx.to_numpy(found).astype("f8"), wanted, rtol=error, atol=error * scale)
    exact = sums.column_sum(machine(), array(matrix), "float32")
    assert exact.dtype == np.float32
    np.testing.assert_allclose(nnx.to_numpy(exact), wanted, rtol=1e-5, atol=1e-5 * scale)
