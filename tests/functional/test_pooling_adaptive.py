"""Adaptive, global and fractional pooling, and unpooling: against PyTorch, with second derivatives."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import nnx
from nnx import functional
from tests.functional.against_torch import agree, channels_first, channels_last, close

LENGTHS = (7, 6, 5)


def torch_functional() -> Any:
    return pytest.importorskip("torch").nn.functional


def images(rank: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((2, *LENGTHS[:rank], 3))


def first(values: np.ndarray) -> Any:
    return pytest.importorskip("torch").tensor(np.ascontiguousarray(channels_first(values)))


SIZES: list[tuple[int, Any]] = [
    (1, 1), (1, 2), (1, 3), (1, 7), (1, 9),
    (2, 1), (2, 2), (2, (3, 4)), (2, (7, 3)), (2, (None, 2)), (2, (1, 6)), (2, 10),
    (3, 1), (3, 2), (3, (3, 1, 4)), (3, (None, 6, 5)), (3, (8, 2, 7)),
]  # fmt: skip


@pytest.mark.parametrize(("rank", "size"), SIZES)
def test_adaptive_pooling(xp_backend: Any, rank: int, size: Any) -> None:
    theirs = torch_functional()
    for values in (images(rank), np.round(images(rank, 1))):
        for name in (f"adaptive_max_pool{rank}d", f"adaptive_avg_pool{rank}d"):
            agree(
                xp_backend,
                lambda x, name=name: getattr(functional, name)(x, size),
                lambda x, name=name: getattr(theirs, name)(x, size),
                values,
            )
        name = f"adaptive_max_pool{rank}d"
        output, indices = getattr(functional, name)(xp_backend.array(values), size, return_indices=True)
        expected = getattr(theirs, name)(first(values), size, return_indices=True)
        close(output, channels_last(expected[0]))
        np.testing.assert_array_equal(nnx.to_numpy(indices), channels_last(expected[1]))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_global_pooling(xp_backend: Any, rank: int) -> None:
    values = np.round(images(rank))
    x = xp_backend.array(values)
    axes = tuple(range(1, rank + 1))
    close(functional.global_avg_pool(x), values.mean(axes))
    close(functional.global_max_pool(x), values.max(axes))
    out, pullback = nnx.vjp(functional.global_max_pool, x)
    (grad,) = pullback(xp_backend.array(np.ones(out.shape)))
    flat = values.reshape(2, -1, 3)
    expected = np.arange(flat.shape[1])[None, :, None] == flat.argmax(1)[:, None, :]  # the first of equals
    np.testing.assert_array_equal(nnx.to_numpy(grad).reshape(flat.shape), expected)
    nnx.check_grads(lambda x: functional.global_avg_pool(x) ** 2, (x,))


FRACTIONAL: list[tuple[int, Any, dict]] = [
    (2, 2, {"output_size": 3}),
    (2, (2, 3), {"output_size": (5, 1)}),
    (2, 1, {"output_ratio": (0.7, 0.7)}),
    (2, 2, {"output_ratio": (0.5, 0.7)}),
    (3, 2, {"output_size": (3, 4, 2)}),
    (3, (1, 2, 3), {"output_ratio": (0.6, 0.6, 0.5)}),
]


@pytest.mark.parametrize(("rank", "kernel", "options"), FRACTIONAL)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fractional_pooling(xp_backend: Any, rank: int, kernel: Any, options: dict, seed: int) -> None:
    name = f"fractional_max_pool{rank}d"
    ours, theirs = getattr(functional, name), getattr(torch_functional(), name)
    values = np.round(images(rank), 1)
    samples = np.random.default_rng(seed).uniform(size=(2, 3, rank))
    given = xp_backend.array(samples)
    expected_samples = pytest.importorskip("torch").tensor(samples)
    agree(
        xp_backend,
        lambda x: ours(x, kernel, **options, _random_samples=given),
        lambda x: theirs(x, kernel, **options, _random_samples=expected_samples),
        values,
    )
    _, indices = ours(xp_backend.array(values), kernel, **options, return_indices=True, _random_samples=given)
    expected = theirs(first(values), kernel, **options, return_indices=True, _random_samples=expected_samples)
    np.testing.assert_array_equal(nnx.to_numpy(indices), channels_last(expected[1]))


def test_fractional_pooling_draws_from_the_seed(xp_backend: Any) -> None:
    values = np.random.default_rng(0).standard_normal((3, 20, 20, 4))

    def drawn() -> np.ndarray:
        return nnx.to_numpy(functional.fractional_max_pool2d(xp_backend.array(values, "float32"), 2, output_size=13))

    nnx.seed(3)
    once, again = drawn(), drawn()
    assert (once != again).any()
    nnx.seed(3)
    np.testing.assert_array_equal(drawn(), once)
    nnx.seed(3)
    host = functional.fractional_max_pool2d(values.astype("f4"), 2, output_size=13)
    np.testing.assert_array_equal(host, once)  # the same on every backend


UNPOOL = [  # without windows that overlap: they may choose one place twice, which PyTorch leaves open
    case
    for case in itertools.product((1, 2, 3), (2, 3), (None, 2, 3), (0, 1), (False, True))
    if case[2] is None or case[2] >= case[1]
]


@pytest.mark.parametrize(("rank", "kernel", "stride", "padding", "sized"), UNPOOL)
def test_unpooling(xp_backend: Any, rank: int, kernel: int, stride: int | None, padding: int, sized: bool) -> None:
    theirs = torch_functional()
    lengths = LENGTHS[:rank]
    if not sized:  # the lengths that follow from those of the output
        counts = [(n + 2 * padding - kernel) // (stride or kernel) + 1 for n in lengths]
        lengths = tuple((n - 1) * (stride or kernel) - 2 * padding + kernel for n in counts)
    values = np.random.default_rng(0).standard_normal((2, *lengths, 3))
    _, places = getattr(theirs, f"max_pool{rank}d")(first(values), kernel, stride, padding, return_indices=True)
    indices = channels_last(places)
    pooled = np.random.default_rng(4).standard_normal(indices.shape)
    given = xp_backend.array(np.ascontiguousarray(indices))
    size = lengths if sized else None
    agree(
        xp_backend,
        lambda x: getattr(functional, f"max_unpool{rank}d")(x, given, kernel, stride, padding, size),
        lambda x: getattr(theirs, f"max_unpool{rank}d")(x, places, kernel, stride, padding, size),
        pooled,
    )


def test_unpooling_where_windows_overlap_writes_the_last(xp_backend: Any) -> None:
    values = np.reshape(np.asarray([0.0, 5.0, 1.0, 2.0]), (1, 4, 1))
    output, indices = functional.max_pool1d(xp_backend.array(values), 2, stride=1, return_indices=True)
    back, pullback = nnx.vjp(lambda y: functional.max_unpool1d(y, indices, 2, stride=1), output)
    np.testing.assert_array_equal(nnx.to_numpy(back)[0, :, 0], [0.0, 5.0, 0.0, 2.0])
    (grad,) = pullback(xp_backend.array(np.ones((1, 4, 1))))
    np.testing.assert_array_equal(nnx.to_numpy(grad)[0, :, 0], [0.0, 1.0, 1.0])
    nnx.check_grads(lambda y: functional.max_unpool1d(y, indices, 2, stride=1) ** 2, (output,))


def test_unpooling_of_random_windows_that_share_a_place(xp_backend: Any) -> None:
    values = xp_backend.array(np.reshape(np.arange(9.0), (1, 3, 3, 1)))
    samples = xp_backend.array(np.full((1, 1, 2), 0.5))
    output, indices = functional.fractional_max_pool2d(values, 2, 2, return_indices=True, _random_samples=samples)
    back = functional.max_unpool2d(output, indices, 2, output_size=(3, 3))
    np.testing.assert_array_equal(nnx.to_numpy(back)[0, :, :, 0], [[0, 0, 0], [0, 4, 5], [0, 7, 8]])
    same = xp_backend.array(np.full((1, 2, 2, 1), 3))
    back = functional.max_unpool2d(output, same, 2)
    np.testing.assert_array_equal(np.flatnonzero(nnx.to_numpy(back)), [3])
    assert float(nnx.to_numpy(back).max()) == 8.0  # not a sum


def test_unpooling_takes_the_whole_shape_and_pools_back(xp_backend: Any) -> None:
    x = xp_backend.array(images(2))
    output, indices = functional.max_pool2d(x, 3, return_indices=True)
    back = functional.max_unpool2d(output, indices, 3, output_size=x.shape)
    assert tuple(back.shape) == tuple(x.shape)
    flat = nnx.to_numpy(back).reshape(2, -1, 3)
    picked = np.take_along_axis(flat, nnx.to_numpy(indices).reshape(2, -1, 3), axis=1)
    np.testing.assert_array_equal(picked.reshape(output.shape), nnx.to_numpy(output))


SECOND = [
    lambda x: functional.adaptive_max_pool2d(x, (3, 2)),
    lambda x: functional.adaptive_avg_pool2d(x, (3, 2)),
    lambda x: functional.adaptive_avg_pool2d(x, (7, 3)),
    lambda x: functional.max_unpool2d(*functional.max_pool2d(x, 2, return_indices=True), 2),
]


@pytest.mark.parametrize("f", SECOND)
def test_second_derivatives_and_dtypes(xp_backend: Any, f: Any) -> None:
    x = xp_backend.array(images(2))
    nnx.check_grads(lambda x: f(x) ** 2, (x,))
    out, pullback = nnx.vjp(f, xp_backend.array(images(2), "float32"))
    assert out.dtype == pullback(out)[0].dtype == xp_backend.xp.float32
    empty = xp_backend.array(np.zeros((0, 7, 6, 3)))
    out_empty, pullback = nnx.vjp(f, empty)
    assert tuple(out_empty.shape) == (0, *out.shape[1:])
    assert tuple(pullback(out_empty)[0].shape) == (0, 7, 6, 3)


def test_an_empty_batch_of_random_windows(xp_backend: Any) -> None:
    out = functional.fractional_max_pool2d(xp_backend.array(np.zeros((0, 7, 6, 3))), 2, output_size=3)
    assert tuple(out.shape) == (0, 3, 3, 3)
