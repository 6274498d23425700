"""Max, average and power-average pooling: against PyTorch, over every argument, with second derivatives."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import nnx
from nnx import functional
from nnx.errors import ShapeError
from tests.functional.against_torch import agree, channels_last
from tests.tolerances import assert_close

LENGTHS = [(7, 6, 5), (5, 8, 6)]


def torch_functional() -> Any:
    return pytest.importorskip("torch").nn.functional


def images(rank: int, lengths: tuple, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((2, *lengths[:rank], 3))


def tied(rank: int, lengths: tuple) -> np.ndarray:
    """Many equal elements, and whole windows of -inf."""
    values = np.round(images(rank, lengths))
    values[0, :4] = -np.inf
    return values


MAX = list(itertools.product((1, 2, 3), (2, 3), (None, 1, 2, 3), (0, 1), (1, 2), (False, True)))


@pytest.mark.parametrize(("rank", "kernel", "stride", "padding", "dilation", "ceil_mode"), MAX)
def test_max_pool(
    xp_backend: Any, rank: int, kernel: int, stride: int | None, padding: int, dilation: int, ceil_mode: bool
) -> None:
    theirs = getattr(torch_functional(), f"max_pool{rank}d")
    ours = getattr(functional, f"max_pool{rank}d")
    options = {"stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    for lengths in LENGTHS:
        for values in (images(rank, lengths), tied(rank, lengths)):
            agree(xp_backend, lambda x: ours(x, kernel, **options), lambda x: theirs(x, kernel, **options), values)
            x = xp_backend.array(values)
            output, indices = ours(x, kernel, **options, return_indices=True)
            import torch

            moved = torch.tensor(np.ascontiguousarray(np.moveaxis(values, -1, 1)))
            expected = theirs(moved, kernel, **options, return_indices=True)
            np.testing.assert_array_equal(nnx.to_numpy(output), channels_last(expected[0]))
            np.testing.assert_array_equal(nnx.to_numpy(indices), channels_last(expected[1]))
            assert indices.dtype == xp_backend.xp.int64


AVG = [  # avg_pool1d has no divisor_override
    case
    for case in itertools.product((1, 2, 3), (2, 3), (None, 1, 2), (0, 1), (False, True), (False, True), (None, 5, -2))
    if case[0] > 1 or case[-1] is None
]


@pytest.mark.parametrize(("rank", "kernel", "stride", "padding", "ceil_mode", "count", "divisor"), AVG)
def test_avg_pool(
    xp_backend: Any,
    rank: int,
    kernel: int,
    stride: int | None,
    padding: int,
    ceil_mode: bool,
    count: bool,
    divisor: int | None,
) -> None:
    options: dict[str, Any] = {"stride": stride, "padding": padding, "ceil_mode": ceil_mode, "count_include_pad": count}
    if divisor is not None:
        options["divisor_override"] = divisor
    theirs = getattr(torch_functional(), f"avg_pool{rank}d")
    ours = getattr(functional, f"avg_pool{rank}d")
    for lengths in LENGTHS:
        values = images(rank, lengths)
        agree(xp_backend, lambda x: ours(x, kernel, **options), lambda x: theirs(x, kernel, **options), values)


@pytest.mark.parametrize("name", ["max_pool", "avg_pool"])
@pytest.mark.parametrize(
    ("rank", "kernel", "stride", "padding"),
    [
        (1, (3,), (2,), (1,)),
        (2, (3, 2), (1, 3), (1, 0)),
        (2, (1, 4), (2, 2), (0, 2)),
        (2, [7, 1], 1, 0),
        (3, (1, 2, 3), (3, 1, 2), (0, 1, 1)),
    ],
)
def test_a_value_per_axis(xp_backend: Any, name: str, rank: int, kernel: Any, stride: Any, padding: Any) -> None:
    theirs = getattr(torch_functional(), f"{name}{rank}d")
    ours = getattr(functional, f"{name}{rank}d")
    values = images(rank, (7, 6, 5))
    for ceil_mode in (False, True):
        agree(
            xp_backend,
            lambda x, c=ceil_mode: ours(x, kernel, stride, padding, ceil_mode=c),
            lambda x, c=ceil_mode: theirs(x, kernel, stride, padding, ceil_mode=c),
            values,
        )


@pytest.mark.parametrize("p", [1.0, 2, 3.0, 2.5])
@pytest.mark.parametrize(("rank", "kernel", "stride"), [(1, 3, None), (2, 2, 1), (2, (3, 2), (2, 1)), (3, 2, None)])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_lp_pool(xp_backend: Any, rank: int, kernel: Any, stride: Any, ceil_mode: bool, p: float) -> None:
    theirs = getattr(torch_functional(), f"lp_pool{rank}d")
    ours = getattr(functional, f"lp_pool{rank}d")
    values = np.abs(images(rank, (7, 6, 5))) + 0.1
    if p == 2:
        values *= np.sign(images(rank, (7, 6, 5), 1))
    agree(
        xp_backend,
        lambda x: ours(x, p, kernel, stride, ceil_mode),
        lambda x: theirs(x, p, kernel, stride, ceil_mode),
        values,
    )


def test_lp_pool_of_zeros_has_derivative_zero(xp_backend: Any) -> None:
    """PyTorch gives NaN."""
    x = xp_backend.array(np.zeros((1, 4, 4, 1)))
    for p in (1, 2, 3):
        out, pullback = nnx.vjp(lambda x, p=p: functional.lp_pool2d(x, p, 2), x)
        np.testing.assert_array_equal(nnx.to_numpy(out), 0.0)
        np.testing.assert_array_equal(nnx.to_numpy(pullback(out)[0]), 0.0)


SECOND = [
    lambda x: functional.max_pool2d(x, 2),
    lambda x: functional.max_pool2d(x, 3, 2, 1, ceil_mode=True),
    lambda x: functional.max_pool2d(x, (2, 1), 1, dilation=2),
    lambda x: functional.avg_pool2d(x, 2),
    lambda x: functional.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
    lambda x: functional.avg_pool2d(x, 2, 1, divisor_override=3),
    lambda x: functional.lp_pool2d(x, 2, 2),
    lambda x: functional.lp_pool2d(x * x + 1.0, 3, 3, 1),
]


@pytest.mark.parametrize("f", SECOND)
def test_second_derivatives(xp_backend: Any, f: Any) -> None:
    x = xp_backend.array(images(2, (5, 4)))
    nnx.check_grads(lambda x: f(x) * f(x), (x,))  # squared: pooling itself is piecewise linear


@pytest.mark.parametrize("f", SECOND)
def test_float32_stays_float32_and_empty_batches_empty(xp_backend: Any, f: Any) -> None:
    x = xp_backend.array(images(2, (5, 4)), "float32")
    out, pullback = nnx.vjp(f, x)
    assert out.dtype == pullback(out)[0].dtype == x.dtype
    np.testing.assert_allclose(nnx.to_numpy(out), f(nnx.to_numpy(x).astype("f8")), rtol=1e-5, atol=1e-6)
    for shape in ((0, 5, 4, 3), (2, 5, 4, 0)):
        empty = xp_backend.array(np.zeros(shape), "float32")
        expected = (shape[0], *out.shape[1:3], shape[3])
        out_empty, pullback = nnx.vjp(f, empty)
        assert tuple(out_empty.shape) == expected
        assert tuple(pullback(out_empty)[0].shape) == shape


def test_nan_wins_and_takes_the_derivative(xp_backend: Any) -> None:
    values = np.reshape(np.arange(16.0), (1, 4, 4, 1))
    values[0, 1, 0, 0] = np.nan
    for mode in ("auto", "off"):
        with nnx.use_kernels(mode):
            x = xp_backend.array(values)
            out, pullback = nnx.vjp(lambda x: functional.max_pool2d(x, 2), x)
            (grad,) = pullback(xp_backend.array(np.ones((1, 2, 2, 1))))
            _, indices = functional.max_pool2d(x, 2, return_indices=True)
        np.testing.assert_array_equal(nnx.to_numpy(out)[0, :, :, 0], [[np.nan, 7.0], [13.0, 15.0]])
        np.testing.assert_array_equal(nnx.to_numpy(indices)[0, :, :, 0], [[4, 7], [13, 15]])
        np.testing.assert_array_equal(np.flatnonzero(nnx.to_numpy(grad)), [4, 7, 13, 15])


@pytest.mark.parametrize("mode", ["auto", "off"])
def test_an_infinite_cotangent_stays_alone(mode: str) -> None:
    with nnx.use_kernels(mode):
        _, pullback = nnx.vjp(lambda x: functional.max_pool2d(x, 2), np.reshape(np.arange(4.0), (1, 2, 2, 1)))
        (grad,) = pullback(np.full((1, 1, 1, 1), np.inf))
    np.testing.assert_array_equal(grad[0, :, :, 0], [[0.0, 0.0], [0.0, np.inf]])


def test_indices_are_not_tracked(xp_backend: Any) -> None:
    x = nnx.variable(xp_backend.array(images(2, (4, 4))))
    output, indices = functional.max_pool2d(x, 2, return_indices=True)
    assert output.tracked
    assert not isinstance(indices, nnx.Array)


@pytest.mark.parametrize(("size", "kernel", "stride"), [(2, 3, 2), (2, 4, 3)])
@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_ceil_mode_takes_a_window_larger_than_the_image(name, size, kernel, stride, xp_backend):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal((1, size, size, 2))
    found = getattr(nnx.functional, name)(xp_backend.array(x), kernel, stride, ceil_mode=True)
    images = torch.from_numpy(np.moveaxis(x, -1, 1).copy())
    theirs = getattr(torch.nn.functional, name)(images, kernel, stride, ceil_mode=True)
    assert_close(found, np.moveaxis(theirs.numpy(), 1, -1))


@pytest.mark.parametrize("index", [-1, 16])
def test_unpooling_refuses_places_outside_the_output(index, xp_backend):
    x, places = xp_backend.array(np.ones((1, 1, 1, 1))), xp_backend.array(np.full((1, 1, 1, 1), index))
    with pytest.raises(ShapeError, match=r"max_unpool2d: expected indices from 0 to 3, the places of the output, got"):
        nnx.functional.max_unpool2d(x, places, 2)
