"""Batch normalisation by kernels, with a residual and ReLU or without: the values and gradients of the reference."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import nnx
from nnx import functional
from nnx.backend import to_numpy
from nnx.functional.norm_batch import _batch_norm, _batch_norm_relu, _by_constants
from tests.cuda import bugs_norm_batch
from tests.cuda.own_kernels import array, machine, module, running
from tests.tolerances import TOLERANCES

launcher = module("cupy.launchers.norm_batch")
DTYPES = ["float32", "float64", "float16", "bfloat16"]
# One channel; odd ones; fewer and more than a row of threads has, and none too many; several tiles, several slabs.
SHAPES = [(3, 1), (2, 3), (7, 8), (31, 17), (5, 2, 3, 24), (1100, 6), (700, 16), (9, 272), (3, 70)]
KINDS = ["plain", "relu", "residual", "inference", "inference relu", "inference residual"]


def typed(values: Any, dtype: str) -> np.ndarray:
    return np.asarray(values).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


def arguments(shape: tuple[int, ...], dtype: str, kind: str) -> dict[str, np.ndarray]:
    """The arrays that a call depends on, by name, of numbers that the dtype holds."""
    rng = np.random.default_rng(len(shape) + shape[-1])
    vector = shape[-1:]
    arrays = {"input": rng.standard_normal(shape) * 2 + 1, "weight": rng.uniform(0.5, 1.5, vector)}
    arrays |= {"bias": rng.standard_normal(vector)}
    if "residual" in kind:
        arrays["residual"] = rng.standard_normal(shape)
    if "inference" in kind:
        arrays |= {"mean": rng.standard_normal(vector), "variance": rng.uniform(0.5, 2, vector)}
    return {name: typed(values, dtype) for name, values in arrays.items()}


def call(kind: str, found: list, arrays: dict[str, Any]) -> Any:
    input, weight, bias = arrays["input"], arrays["weight"], arrays["bias"]
    residual = arrays.get("residual")
    if "inference" in kind:
        return _by_constants(input, weight, bias, residual, arrays["mean"], arrays["variance"], 1e-5, kind != KINDS[3])
    if kind == "plain":
        return _batch_norm(input, weight, bias, 1e-5, found)
    return _batch_norm_relu(input, weight, bias, residual, 1e-5, found)


def everything(kind: str, arrays: dict[str, Any], cotangent: Any, mode: str) -> dict[str, np.ndarray]:
    """The output, the statistics and every gradient."""
    statistics: list[Any] = []
    with nnx.use_kernels(mode):
        out, pullback = nnx.vjp(lambda *a: call(kind, statistics, dict(zip(arrays, a, strict=True))), *arrays.values())
        grads = pullback(cotangent)
    results = {"output": out} | {f"gradient of {name}": g for name, g in zip(arrays, grads, strict=True)}
    if statistics:
        results |= dict(zip(("mean", "variance"), statistics[0], strict=True))
    return {name: to_numpy(value) for name, value in results.items()}


def away_from_the_kink(kind: str, arrays: dict[str, np.ndarray], cotangent: np.ndarray) -> np.ndarray:
    """The cotangent with zeros where rounding could decide whether it passes ReLU."""
    if kind in ("plain", "inference"):
        return cotangent
    wide = {name: values.astype("float64") for name, values in arrays.items()}
    with nnx.use_kernels("off"):
        before = call("inference" if "inference" in kind else "plain", [], wide) + wide.get("residual", 0)
    return np.where(np.abs(before) < 0.05, 0, cotangent).astype(cotangent.dtype)


def close(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray], dtype: str) -> None:
    assert set(found) == set(wanted)
    for name, values in wanted.items():
        own = str(found[name].dtype)
        assert own == (launcher.SUMS[dtype] if name in ("mean", "variance") else dtype), name
        rtol, atol = TOLERANCES[dtype]
        scale = max(1.0, float(np.abs(values.astype("f8")).max(initial=0)))
        mine = found[name].astype("f8")
        np.testing.assert_allclose(mine, values.astype("f8"), rtol=rtol, atol=atol * scale + rtol * scale, err_msg=name)


def check(shape: tuple[int, ...], dtype: str, kind: str, place: Callable = array) -> dict[str, np.ndarray]:
    arrays = arguments(shape, dtype, kind)
    cotangent = typed(np.random.default_rng(5).standard_normal(shape), dtype)
    cotangent = away_from_the_kink(kind, arrays, cotangent)
    wide = {name: values.astype("float64") for name, values in arrays.items()}
    wanted = everything(kind, wide, cotangent.astype("float64"), "off")
    found = everything(kind, {name: place(values) for name, values in arrays.items()}, place(cotangent), "require")
    close(found, wanted, dtype)
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients_are_those_of_the_reference(shape: tuple[int, ...], kind: str) -> None:
    check(shape, "float32", kind)


@pytest.mark.parametrize("dtype", DTYPES[1:])
@pytest.mark.parametrize(
    ("shape", "kind"), [*zip(SHAPES[:6], KINDS, strict=True), *itertools.product([(150, 40)], KINDS)], ids=str
)
def test_every_dtype(shape: tuple[int, ...], kind: str, dtype: str) -> None:
    check(shape, dtype, kind)


@pytest.mark.parametrize("dtype", DTYPES[2:])
@pytest.mark.parametrize("kind", KINDS)
def test_sixteen_bits_with_parameters_of_float32(kind: str, dtype: str) -> None:
    arrays = arguments((40, 16), dtype, kind)
    cotangent = away_from_the_kink(kind, arrays, typed(np.random.default_rng(5).standard_normal((40, 16)), dtype))
    large = ("input", "residual")
    mixed = {name: array(values if name in large else values.astype("f4")) for name, values in arrays.items()}
    found = everything(kind, mixed, array(cotangent), "require")
    wide = {name: values.astype("float64") for name, values in arrays.items()}
    wanted = everything(kind, wide, cotangent.astype("float64"), "off")
    for name, values in wanted.items():
        is_wide = name not in ("output", "gradient of input", "gradient of residual")
        assert str(found[name].dtype) == ("float32" if is_wide else dtype), name
        # Nothing but the inputs has been rounded to 16 bits.
        rtol, atol = TOLERANCES["float32" if is_wide else dtype]
        scale = 10 * max(1.0, float(np.abs(values).max()))
        np.testing.assert_allclose(found[name].astype("f8"), values, rtol=rtol, atol=atol * scale, err_msg=name)


@pytest.mark.parametrize(("dtype", "kind"), [("float32", "residual"), ("bfloat16", "relu"), ("float64", "plain")])
def test_the_same_bits_in_every_order(dtype: str, kind: str) -> None:
    results = []
    for schedule in range(8):
        with running(schedule):
            results.append(check((300, 40), dtype, kind))
    for other in results[1:]:
        for name, values in results[0].items():
            assert other[name].tobytes() == values.tobytes(), name


def shifted(values: np.ndarray) -> Any:
    """A contiguous array that begins one element behind an aligned address."""
    place = array(np.concatenate([np.zeros_like(values.reshape(-1)[:1]), values.reshape(-1)]))
    return place[1:].reshape(values.shape)


def turned(values: np.ndarray) -> Any:
    """An array in Fortran's order."""
    return array(np.ascontiguousarray(values.T)).T


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [shifted, turned])
def test_memory_in_another_order(place: Callable, kind: str) -> None:
    check((33, 16), "float32", kind, place)
    check((33, 16), "bfloat16", kind, place)


@pytest.mark.parametrize("training", [True, False])
def test_a_gradient_that_is_a_view(training: bool) -> None:
    """That of a sum has no memory of its own."""
    arrays = arguments((6, 4), "float32", "inference residual")
    running = [arrays.pop("mean"), arrays.pop("variance")]

    def loss(place: Callable) -> Any:
        given = [None, None] if training else [place(a) for a in running]

        def total(x: Any, w: Any, b: Any, r: Any) -> Any:
            out = functional.batch_norm_relu(x, *given, weight=w, bias=b, training=training, residual=r)
            return nnx.namespace(out).sum(out)

        return nnx.grad(total, (0, 1, 2, 3))(*[place(a) for a in arrays.values()])

    wanted = loss(lambda a: a.astype("f8"))
    with nnx.use_kernels("auto"):
        found = loss(array)
    for mine, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(to_numpy(mine), theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_each_gradient_alone(kind: str) -> None:
    arrays = {name: array(values) for name, values in arguments((20, 8), "float32", kind).items()}
    cotangent = array(typed(np.random.default_rng(5).standard_normal((20, 8)), "float32"))
    complete = everything(kind, arrays, cotangent, "require")
    for name, values in arrays.items():
        with nnx.use_kernels("require"):
            _, pullback = nnx.vjp(lambda x, name=name: call(kind, [], arrays | {name: x}), values)
            (found,) = pullback(cotangent)
        np.testing.assert_array_equal(to_numpy(found), complete[f"gradient of {name}"])


@pytest.mark.parametrize("given", [(), ("weight",), ("bias",)], ids=str)
@pytest.mark.parametrize("inference", [True, False])
def test_without_weight_or_bias(given: tuple[str, ...], inference: bool) -> None:
    rng = np.random.default_rng(0)
    x, vector, mean = rng.standard_normal((9, 4)), rng.standard_normal(4), rng.standard_normal(4)
    results = []
    for place, mode in ((array, "require"), (np.asarray, "off")):
        running = [place(mean), place(mean**2)] if inference else [None, None]
        named = dict.fromkeys(given, place(vector))
        with nnx.use_kernels(mode):
            out, pullback = nnx.vjp(
                lambda a, running=running, named=named: functional.batch_norm(
                    a, *running, **named, training=not inference
                ),
                place(x),
            )
            results.append((to_numpy(out), to_numpy(pullback(place(x * x))[0])))
    for mine, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives(kind: str) -> None:
    arrays = arguments((7, 4), "float64", kind)
    results = []
    for place, mode in ((array, "require"), (np.asarray, "off")):
        placed = [place(values) for values in arrays.values()]

        def gradients(*values: Any, place: Callable = place) -> Any:
            _, pullback = nnx.vjp(lambda *a: call(kind, [], dict(zip(arrays, a, strict=True))), *values)
            return pullback(place(np.cos(np.arange(28.0)).reshape(7, 4)))

        # Second derivatives are those of the reference, whose ReLU has no kernel here.
        with nnx.use_kernels("auto" if mode == "require" else mode):
            outs, pullback = nnx.vjp(gradients, *placed)
            seconds = pullback([place(np.sin(to_numpy(out) * 9 + 1)) for out in outs])
        results.append([to_numpy(second) for second in seconds])
    for mine, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-10)


# ------------------------------------------------------------------ statistics


def statistics_of(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    found: list[Any] = []
    with nnx.use_kernels("require"):
        out = _batch_norm(array(x), None, None, 1e-5, found)
    mean, variance = found[0]
    return to_numpy(out), to_numpy(mean), to_numpy(variance)


def far() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((3000, 8)) + 1e3


def begun_far_away() -> np.ndarray:
    """What a thread starts with is not like the rest, as at the black edge of a picture."""
    x = far()
    x[:128] = 0
    return x


def drifting() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((3000, 8)) + np.linspace(0, 1e4, 3000)[:, None]


@pytest.mark.parametrize("blocks", [1, 512])  # 24 rows a thread, or two and several slabs
@pytest.mark.parametrize("make", [far, begun_far_away, drifting])
def test_a_mean_that_is_large_beside_the_deviation(
    monkeypatch: pytest.MonkeyPatch, make: Callable, blocks: int
) -> None:
    monkeypatch.setattr(launcher, "_REDUCING", blocks)
    x = make().astype("f4")
    wide = x.astype("f8")
    out, mean, variance = statistics_of(x)
    # To float32's rounding, or to a millionth of the deviation, which is what an output sees of it.
    np.testing.assert_allclose(mean, wide.mean(0), rtol=1e-7, atol=1e-6 * wide.std(0).max())
    np.testing.assert_allclose(variance, wide.var(0), rtol=2e-6)
    wanted = (wide - wide.mean(0)) / np.sqrt(wide.var(0) + 1e-5)
    np.testing.assert_allclose(out, wanted, rtol=1e-5, atol=1e-6)
    naive = np.mean(x * x, 0) - np.mean(x, 0) ** 2  # what it is to beat: no digit is left
    assert make is not far or np.abs(naive / wide.var(0) - 1).max() > 1e-2


def test_running_statistics_are_those_of_numpy() -> None:
    x = arguments((20, 8), "float32", "plain")["input"]
    results = []
    for place in (array, np.asarray):
        mean, variance = nnx.Buffer(place(np.zeros(8, "f4"))), nnx.Buffer(place(np.ones(8, "f4")))
        for function in (functional.batch_norm, functional.batch_norm_relu):
            function(place(x), mean, variance, training=True, momentum=0.25)
        results.append([to_numpy(buffer.value) for buffer in (mean, variance)])
    for mine, theirs in zip(*results, strict=True):
        assert mine.dtype == theirs.dtype
        rtol, atol = TOLERANCES["float32"]
        np.testing.assert_allclose(mine, theirs, rtol=rtol, atol=atol)


@pytest.mark.parametrize("parts", [1, 3, 130, 1100])
@pytest.mark.parametrize("channels", [1, 8, 19])
def test_statistics_of_partial_sums(parts: int, channels: int) -> None:
    x = np.random.default_rng(0).standard_normal((parts, 7, channels)).astype("f4") + np.float32(0.5)
    wide = x.astype("f8")
    partials = np.stack([wide.sum(1), (wide * wide).sum(1)], 1).astype("f4")
    mean, variance = launcher.statistics_of_partials(machine(), array(partials), parts * 7)
    np.testing.assert_allclose(to_numpy(mean), wide.mean((0, 1)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(to_numpy(variance), wide.var((0, 1)), rtol=1e-5)


def test_partial_sums_of_equal_numbers_have_no_negative_variance() -> None:
    x = np.full((5, 7, 3), np.float32(0.1))
    partials = np.stack([x.sum(1), (x * x).sum(1)], 1)
    _, variance = launcher.statistics_of_partials(machine(), array(partials), 35)
    assert (to_numpy(variance) >= 0).all()


@pytest.mark.parametrize("function", [_batch_norm, _batch_norm_relu])
def test_one_row(function: Callable) -> None:
    """The public functions refuse it, as there is no variance; what is asked of the kernel is well defined."""
    x, bias = np.asarray([[3.0, -4.0, 0.0]], "f4"), np.asarray([1.0, 2.0, -3.0], "f4")
    rest = () if function is _batch_norm else (array(x),)
    found: list[Any] = []
    with nnx.use_kernels("require"):
        out = to_numpy(function(array(x), None, array(bias), *rest, 1e-5, found))
    np.testing.assert_array_equal(out, bias[None] if function is _batch_norm else np.maximum(x + bias, 0))
    np.testing.assert_array_equal(to_numpy(found[0][0]), x[0])
    np.testing.assert_array_equal(to_numpy(found[0][1]), 0)
    text = r"expected more than one value per channel while training, got an input of shape \(1, 3\), whose variance"
    with pytest.raises(nnx.errors.ShapeError, match=text):
        functional.batch_norm_relu(array(x), None, None, training=True)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("row", [0, 5])
def test_what_is_no_number_spreads_as_in_the_reference(row: int, kind: str, value: float) -> None:
    arrays = arguments((12, 4), "float64", kind)
    arrays["input"][row, 1] = value
    if "residual" in arrays:
        arrays["residual"][2, 2] = value
    cotangent = np.ones((12, 4))
    with np.errstate(invalid="ignore"):
        wanted = everything(kind, arrays, cotangent, "off")
    found = everything(kind, {n: array(v) for n, v in arrays.items()}, array(cotangent), "require")
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-10, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("schedule", range(8))
@pytest.mark.parametrize("is_right", sorted({bug[0] for bug in bugs_norm_batch.BUGS}, key=lambda f: f.__name__))
def test_what_looks_for_bugs_finds_none(is_right: Callable, schedule: int) -> None:
    with running(schedule):
        assert is_right(lambda kernel: kernel)
