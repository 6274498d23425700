"""Pooling by kernels, against the reference: values, derivatives, second derivatives, and what is left to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import nnx
from nnx import functional
from nnx.functional.pooling_primitives import avg_pool, max_pool, max_pool_places
from tests.cuda.own_kernels import array, machine, module, running
from tests.tolerances import TOLERANCES

pooling = module("cupy.launchers.pooling")
DTYPES = ("float32", "float64", "float16")

# Shape, kernel_size, stride, padding, dilation. Windows that overlap, touch, leave gaps, hang over the edge; one window
# of everything; more than one block; channels in vectors and one by one; windows for all threads of a block.
GEOMETRIES: list[tuple[tuple[int, ...], Any, Any, Any, Any]] = [
    ((1, 1, 1, 1), 1, 1, 0, 1),
    ((2, 7, 1), 2, 3, 1, 1),
    ((3, 11, 5), 3, 1, 1, 2),
    ((2, 5, 7, 8), 2, 2, 0, 1),
    ((1, 13, 11, 16), 3, 2, 0, 1),  # as in AlexNet
    ((2, 4, 6, 3), 2, 2, 1, 1),
    ((2, 9, 8, 5), (3, 2), (2, 1), (1, 0), (3, 2)),
    ((1, 3, 4, 8), (5, 6), (2, 3), (2, 3), 1),  # larger than the image
    ((2, 5, 6, 4, 3), (2, 3, 1), (2, 1, 3), (1, 1, 0), 1),
    ((1, 4, 3, 5, 16), 3, 2, 1, 1),
    ((3, 5, 7, 3), (5, 7), 1, 0, 1),
    ((2, 16, 17, 24), (16, 17), 1, 0, 1),  # 272 places
    ((1, 17, 18, 3), (16, 17), 1, 0, 1),
    ((1, 6, 5, 264), 6, 3, 3, 1),
]


def values(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    """Few different ones, so that there are ties."""
    return np.random.default_rng(seed).integers(-9, 9, shape).astype(dtype) / 4


def pool(name: str, rank: int) -> Callable:
    return getattr(functional, f"{name}_pool{rank}d")


def outcome(function: Callable, x: Any, place: Callable[[np.ndarray], Any]) -> list[np.ndarray]:
    """The output, the gradient, and that of a projection of the gradient."""

    def cotangent(like: Any, seed: int) -> Any:
        drawn = np.random.default_rng(seed).uniform(0.5, 1.5, like.shape)
        return place(drawn.astype(str(like.dtype)))

    def gradient(value: Any) -> Any:
        out, pullback = nnx.vjp(lambda v: function(v) ** 2, value)
        return pullback(cotangent(out, 5))[0]

    once, pullback = nnx.vjp(gradient, x)
    twice = pullback(cotangent(once, 6))[0]
    return [nnx.to_numpy(found) for found in (function(x), once, twice)]


def agree(function: Callable, x: np.ndarray, given: Any = None) -> None:
    """The kernel gives what the reference does, in a wider dtype if that of `x` is narrow."""
    with nnx.use_kernels("require"):
        found = outcome(function, array(x) if given is None else given, array)
    with nnx.use_kernels("off"):
        wanted = outcome(function, x.astype("f4") if x.dtype == np.float16 else x, np.asarray)
    rtol, atol = TOLERANCES[str(x.dtype)]
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine.dtype == x.dtype
        finite = np.abs(theirs[np.isfinite(theirs)])
        scale = rtol * float(finite.max()) if finite.size else 0.0
        np.testing.assert_allclose(mine.astype(theirs.dtype), theirs, rtol=rtol, atol=atol + scale)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_max_pool(geometry: tuple, dtype: str) -> None:
    shape, kernel, stride, padding, dilation = geometry
    for ceil_mode in (False, True):
        options = {"stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
        function = pool("max", len(shape) - 2)
        x = values(shape, dtype)
        agree(lambda v, f=function, o=options: f(v, kernel, **o), x)
        with nnx.use_kernels("require"):
            places = nnx.to_numpy(function(array(x), kernel, **options, return_indices=True)[1])
        with nnx.use_kernels("off"):
            wanted = function(x, kernel, **options, return_indices=True)[1]
        assert places.dtype == np.int64
        np.testing.assert_array_equal(places, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_avg_pool(geometry: tuple, dtype: str) -> None:
    shape, kernel, stride, padding, _ = geometry
    every: list[dict[str, Any]] = [{}, {"ceil_mode": True}, {"ceil_mode": True, "count_include_pad": False}]
    if len(shape) > 3:
        every.append({"divisor_override": -3})
    for options in every:
        function = pool("avg", len(shape) - 2)
        agree(lambda v, f=function, o=options: f(v, kernel, stride, padding, **o), values(shape, dtype))


@pytest.mark.parametrize("schedule", range(8))
def test_every_schedule_gives_the_same(schedule: int) -> None:
    x = values((2, 9, 10, 16), "float32")
    with running(schedule) as launched:
        for function in (
            lambda v: functional.max_pool2d(v, 3, 2, 1),
            lambda v: functional.avg_pool2d(v, 3, 2, 1, count_include_pad=False),
            functional.global_avg_pool,
            lambda v: functional.max_pool1d(functional.avg_pool2d(v, 1)[0], 2),
            lambda v: functional.max_pool2d(functional.interpolate(v, (16, 17)), (16, 17)),
        ):
            agree(function, x)
    names = {"max_pool", "max_pool_backward", "max_pool_wide", "max_pool_wide_backward", "avg_pool", "avg_pool_wide"}
    assert names | {"avg_pool_backward"} <= {kernel.name for kernel in launched}


@pytest.mark.parametrize("channels", [1, 8, 11])
def test_global_and_adaptive_pooling(channels: int) -> None:
    x = values((3, 14, 14, channels), "float32")
    agree(functional.global_avg_pool, x)
    agree(functional.global_max_pool, x)
    agree(lambda v: functional.adaptive_avg_pool2d(v, (7, 2)), x)
    agree(lambda v: functional.adaptive_max_pool2d(v, (2, 7)), x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("places", [4, 300])
def test_special_values(dtype: str, places: int) -> None:
    nan, inf = np.nan, np.inf
    rows = [
        [1, nan, inf, nan],
        [-inf, -inf, -inf, -inf],
        [-inf, nan, -inf, -inf],
        [-0.0, 0.0, -0.0, 0.0],
        [inf, inf, -inf, inf],
        [nan, nan, nan, nan],
        [-1, -2, -1, -3],
    ]
    x = np.repeat(np.asarray(rows, dtype).T[None], places // 4, axis=1)
    for function in (
        lambda v: functional.max_pool1d(v, places, return_indices=True),
        lambda v: functional.max_pool1d(v, 3, 1, 1, return_indices=True),
    ):
        with nnx.use_kernels("require"):
            found = function(array(x))
        with nnx.use_kernels("off"):
            wanted = function(x)
        for mine, theirs in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(nnx.to_numpy(mine), theirs)
    for function in (lambda v: functional.max_pool1d(v, places), lambda v: functional.max_pool1d(v, 3, 1, 1)):
        grads = []
        for given, mode in ((array(x), "require"), (x, "off")):
            with nnx.use_kernels(mode):
                out, pullback = nnx.vjp(function, given)
                cotangent = np.arange(out.size).reshape(out.shape).astype(dtype) % 32
                cotangent[0, 0, 0], cotangent[0, 0, 1] = inf, nan
                grads.append(nnx.to_numpy(pullback(array(cotangent) if mode == "require" else cotangent)[0]))
        np.testing.assert_array_equal(*grads)


def test_infinity_in_an_average() -> None:
    x = values((1, 8, 8, 8), "float32")
    x[0, 3, 3, 2], x[0, 5, 1, 4] = np.inf, np.nan
    with np.errstate(invalid="ignore"):
        agree(lambda v: functional.avg_pool2d(v, 3, 2, 1), x)
        agree(functional.global_avg_pool, x)


def test_bfloat16_through_the_launcher() -> None:
    x = values((2, 7, 9, 8), "float32").astype(ml_dtypes.bfloat16)
    geometry = ((3, 3), (2, 2), (1, 1), (1, 1), (4, 5))
    divisors = tuple(tuple(min(2 * i + 2, n) - max(2 * i - 1, 0) for i in range(s)) for n, s in ((7, 4), (9, 5)))
    wide = ((7, 9), (7, 9), (0, 0), (1, 1), (1, 1))
    for kernel, reference, args in (
        (pooling.MaxPool(machine()), max_pool, geometry),
        (pooling.MaxPool(machine()), max_pool, wide),
        (pooling.AvgPool(machine()), avg_pool, (*geometry[:3], geometry[4], divisors)),
        (pooling.AvgPool(machine()), avg_pool, (*wide[:3], wide[4], ((7,), (9,)))),
    ):
        assert kernel.supports(array(x), *args) is None
        out, residuals = kernel.forward(array(x), *args)
        grad = np.random.default_rng(1).uniform(0.5, 1.5, out.shape).astype(ml_dtypes.bfloat16)
        (found,) = kernel.backward(array(grad), residuals, (None,))
        with nnx.use_kernels("off"):
            wanted, pullback = nnx.vjp(lambda v, f=reference, a=args: f(v, *a), x.astype("f4"))
            wanted_grad = pullback(grad.astype("f4"))[0]
        assert str(out.dtype) == str(found.dtype) == "bfloat16"
        np.testing.assert_allclose(nnx.to_numpy(out).astype("f4"), wanted, rtol=2**-8, atol=1e-3)
        np.testing.assert_allclose(nnx.to_numpy(found).astype("f4"), wanted_grad, rtol=2**-8, atol=1e-3)
    places, _ = pooling.MaxPoolPlaces(machine()).forward(array(x), *geometry)
    np.testing.assert_array_equal(nnx.to_numpy(places), max_pool_places(x.astype("f4"), *geometry))


def test_views() -> None:
    """Memory that begins between two vectors, strides, and gradients that are read-only or broadcast."""
    x = values((2, 6, 6, 8), "float32")
    flat = array(np.concatenate([[0], x.reshape(-1)]).astype("f4"))
    shifted = flat[1:].reshape(x.shape)
    strided = array(np.ascontiguousarray(x[:, ::-1, :, ::-1]))[:, ::-1, :, ::-1]
    for given in (shifted, strided):
        for function in (
            lambda v: functional.max_pool2d(v, 3, 2),
            lambda v: functional.avg_pool2d(v, 3, 2),
            functional.global_avg_pool,
        ):
            agree(function, x, given)
    out, pullback = nnx.vjp(lambda v: functional.max_pool2d(v, 2), array(x))
    grad = nnx.namespace(out).broadcast_to(array(np.ones(8, "f4")), out.shape)
    with nnx.use_kernels("off"):
        wanted = nnx.vjp(lambda v: functional.max_pool2d(v, 2), x)[1](np.ones(out.shape, "f4"))[0]
    np.testing.assert_array_equal(nnx.to_numpy(pullback(grad)[0]), wanted)


@pytest.mark.parametrize(
    ("call", "name", "reason"),
    [
        (
            lambda: avg_pool(array(np.ones((1, 4, 1), "c8")), (2,), (2,), (0,), (2,), ((2, 2),)),
            "avg_pool",
            "it takes arrays of float32, float64",
        ),
        (lambda: functional.max_pool2d(array(np.zeros((0, 4, 4, 3))), 2), "max_pool", "there is nothing to pool"),
        (lambda: functional.avg_pool1d(array(np.zeros((2, 4, 0))), 2), "avg_pool", "there is nothing to pool"),
        (
            lambda: avg_pool(array(np.ones((1, 4, 1))), (2,), (2,), (0,), (2,), ((1, 5),)),
            "avg_pool",
            "one divisor for all windows",
        ),
    ],
)
def test_what_is_left_to_the_reference(call: Callable, name: str, reason: str) -> None:
    assert call() is not None
    line = next(line for line in nnx.explain().splitlines() if line.startswith(f"{name} "))
    assert "reference: " in line
    assert reason in line


def test_what_32_bits_do_not_count() -> None:
    class Large:
        dtype, ndim, shape, size = np.dtype("f4"), 4, (2, 2**15, 2**15, 1), 2**31

    geometry = ((2, 2), (2, 2), (0, 0), (1, 1), (2**14, 2**14))
    assert "32-bit indices" in pooling.MaxPool(machine()).supports(Large(), *geometry)
    x = array(np.zeros((1, 4, 1), "f4"))
    assert "2**21" in pooling.MaxPool(machine()).supports(x, (2,), (2,), (0,), (2**21,), (1,))
    assert "meet the image" in pooling.MaxPool(machine()).supports(x, (2,), (5,), (0,), (1,), (2,))
