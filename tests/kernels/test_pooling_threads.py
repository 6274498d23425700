"""Pooling: several threads give the same bits as one; windows with gaps that hang over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import nnx
from nnx import functional

CALLS: list[Callable] = [
    lambda x: functional.max_pool2d(x, 2),
    lambda x: functional.max_pool2d(x, 3, 2, 1),
    lambda x: functional.avg_pool2d(x, 3, 1, 1),
    functional.global_avg_pool,
]


@pytest.fixture
def restored_threads() -> Iterator[None]:
    before = nnx.get_num_threads()
    yield
    nnx.set_num_threads(before)


@pytest.mark.parametrize("f", CALLS)
@pytest.mark.parametrize("shape", [(9, 40, 40, 33), (2, 150, 150, 17)])  # blocks of images, and blocks of rows
def test_threads_change_nothing(restored_threads: None, f: Callable, shape: tuple) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype("f4")
    found = []
    for threads in (1, 2, 5):
        nnx.set_num_threads(threads)
        out, pullback = nnx.vjp(f, x)
        found.append((out, *pullback(np.random.default_rng(1).standard_normal(out.shape).astype("f4"))))
    for other in found[1:]:
        for one, more in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, more)


def test_indices_over_threads(restored_threads: None) -> None:
    x = np.round(np.random.default_rng(0).standard_normal((9, 40, 40, 33))).astype("f4")
    nnx.set_num_threads(3)
    _, indices = functional.max_pool2d(x, 3, 2, return_indices=True)
    with nnx.use_kernels("off"):
        np.testing.assert_array_equal(indices, functional.max_pool2d(x, 3, 2, return_indices=True)[1])


@pytest.mark.parametrize(("shape", "kernel", "stride"), [((2, 3, 2), 3, 3), ((1, 2, 4, 2), 2, (4, 1))], ids=str)
def test_a_dilated_window_as_long_as_the_image_does_not_see_all_of_it(shape: tuple, kernel: int, stride: Any) -> None:
    x = np.random.default_rng(0).standard_normal(shape)
    x[:, 1] += 9
    pool = getattr(functional, f"max_pool{len(shape) - 2}d")
    found = []
    for mode in ("require", "off"):
        with nnx.use_kernels(mode):
            found.append(pool(x, kernel, stride, 0, 2, True, True))
    for ours, wanted in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, wanted)
