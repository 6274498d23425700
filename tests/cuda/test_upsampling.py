"""Interpolation by its kernel, against the reference: values, derivatives, second derivatives, what is left to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import nnx
from nnx import functional
from nnx.functional.interpolation import resample
from nnx.functional.interpolation_weights import resampling
from tests.cuda.own_kernels import array, machine, module, running
from tests.cuda.test_pooling import agree

upsampling = module("cupy.launchers.upsampling")


TWICE = resampling("nearest", 4, 8, False, None, False)


def normal(shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


# Shape of the input and options: larger and smaller, whole and broken factors, one place, more than one block, channels
# in vectors and one by one.
CASES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((1, 1, 1, 1), {"size": 3}),
    ((2, 5, 3), {"size": 10}),
    ((2, 5, 3), {"size": 10, "mode": "linear"}),
    ((2, 7, 6, 8), {"scale_factor": 2}),
    ((2, 7, 6, 8), {"scale_factor": 2, "mode": "bilinear"}),
    ((2, 7, 6, 8), {"scale_factor": 2, "mode": "bilinear", "align_corners": True}),
    ((2, 5, 7, 3), {"scale_factor": (3, 1), "mode": "nearest"}),
    ((2, 5, 7, 3), {"scale_factor": (1.7, 0.6), "mode": "bilinear"}),
    ((2, 5, 7, 3), {"size": (5, 3), "mode": "nearest-exact"}),
    ((1, 9, 11, 16), {"size": (4, 23), "mode": "nearest"}),
    ((1, 9, 11, 16), {"size": (4, 23), "mode": "bilinear", "antialias": True}),
    ((1, 6, 5, 5), {"size": (6, 9), "mode": "bicubic"}),
    ((1, 6, 5, 5), {"size": (6, 3), "mode": "bicubic", "antialias": True}),
    ((1, 3, 4, 5, 4), {"scale_factor": 2, "mode": "trilinear"}),
    ((1, 3, 4, 5, 3), {"size": (6, 4, 7)}),
    ((1, 1, 3, 8), {"size": (5, 1), "mode": "bilinear"}),
    ((2, 17, 3, 40), {"scale_factor": 2, "mode": "bilinear"}),
]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize(("shape", "options"), CASES, ids=str)
def test_interpolate(shape: tuple, options: dict, dtype: str) -> None:
    agree(lambda v: functional.interpolate(v, **options), normal(shape, dtype))


@pytest.mark.parametrize("schedule", range(8))
def test_every_schedule_gives_the_same(schedule: int) -> None:
    with running(schedule) as launched:
        for options in ({"mode": "bilinear"}, {"mode": "nearest"}):
            agree(lambda v, o=options: functional.interpolate(v, (9, 30), **o), normal((3, 5, 11, 8)))
    assert {kernel.name for kernel in launched} == {"resample"}


def test_nan_and_infinity_stay_where_they_are() -> None:
    x = normal((1, 6, 6, 4))
    x[0, 1, 1, 0], x[0, 3, 4, 1], x[0, 2, 2, 2] = np.nan, np.inf, -np.inf
    for options in ({"scale_factor": 2}, {"size": (9, 4)}, {"scale_factor": 3, "mode": "bilinear"}):
        with np.errstate(invalid="ignore"):
            agree(lambda v, o=options: functional.interpolate(v, **o), x)


def test_bfloat16_through_the_launcher() -> None:
    x = normal((2, 5, 6, 8)).astype(ml_dtypes.bfloat16)
    axes = (resampling("linear", 5, 9, False, None, False), resampling("nearest", 6, 12, False, None, False))
    kernel = upsampling.Resample(machine())
    assert kernel.supports(array(x), axes) is None
    out, residuals = kernel.forward(array(x), axes)
    grad = normal(out.shape).astype(ml_dtypes.bfloat16)
    (found,) = kernel.backward(array(grad), residuals, (None,))
    with nnx.use_kernels("off"):
        wanted, pullback = nnx.vjp(lambda v: resample(v, axes), x.astype("f4"))
        wanted_grad = pullback(grad.astype("f4"))[0]
    assert str(out.dtype) == str(found.dtype) == "bfloat16"
    np.testing.assert_allclose(nnx.to_numpy(out).astype("f4"), wanted, rtol=2**-8, atol=1e-3)
    np.testing.assert_allclose(nnx.to_numpy(found).astype("f4"), wanted_grad, rtol=2**-8, atol=1e-3)


def test_views() -> None:
    """Memory that begins between two vectors, strides, and a gradient that is broadcast."""
    x = normal((2, 6, 5, 8))
    flat = array(np.concatenate([[0], x.reshape(-1)]).astype("f4"))
    strided = array(np.ascontiguousarray(x[:, ::-1, :, ::-1]))[:, ::-1, :, ::-1]
    for given in (flat[1:].reshape(x.shape), strided):
        agree(lambda v: functional.interpolate(v, (9, 10), mode="bilinear"), x, given)
    with nnx.use_kernels("require"):
        out, pullback = nnx.vjp(lambda v: functional.interpolate(v, scale_factor=2), array(x))
        grad = nnx.namespace(out).broadcast_to(array(np.ones(8, "f4")), out.shape)
        np.testing.assert_array_equal(nnx.to_numpy(pullback(grad)[0]), np.full(x.shape, 4, "f4"))


def test_tables_are_made_once_and_not_kept_for_ever() -> None:
    kernel, x = upsampling.Resample(machine()), array(normal((1, 2, 4)))
    for count in [3, *range(3, 150), 3]:
        kernel.forward(x, (resampling("linear", 2, count, False, None, False),))
    assert len(kernel._kept) == 128
    before = list(kernel._kept)
    kernel.forward(array(normal((5, 2, 1))), (resampling("linear", 2, 149, False, None, False),))
    assert list(kernel._kept) == before


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: functional.interpolate(array(np.zeros((0, 4, 4, 3))), 2), "there is nothing to resample"),
        (lambda: functional.interpolate(array(np.zeros((2, 4, 4, 0))), 2), "there is nothing to resample"),
        (lambda: resample(array(np.ones((1, 4, 1), "c8")), (TWICE,)), "it takes arrays of float32, float64"),
    ],
)
def test_what_is_left_to_the_reference(call: Callable, reason: str) -> None:
    assert call() is not None
    line = next(line for line in nnx.explain().splitlines() if line.startswith("resample "))
    assert "reference: " in line
    assert reason in line


def test_what_32_bits_do_not_count() -> None:
    kernel, x = upsampling.Resample(machine()), array(normal((1, 3, 2)))
    assert "32-bit indices" in kernel.supports(x, (resampling_of(3, 2**30),))
    assert kernel.supports(x, (resampling_of(3, 2**29),)) is None


def resampling_of(length: int, count: int) -> Any:
    """Without tables of that length."""
    return type("Resampling", (), {"length": length, "count": count})
