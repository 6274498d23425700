"""Vectors added to the rows of arrays, and sums of rows, of any shape."""

from __future__ import annotations

import math

import numpy as np
import pytest

import nnx

nnx.get_backend(np.ones(1))  # makes nnx.backends importable from a checkout

from nnx.backends.numpy.kernels.bias import add_bias, sum_rows  # noqa: E402


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (7, 5), (64, 16), (3, 28, 6), (2, 5, 12, 1), (4, 4097), (2, 3, 0)])
@pytest.mark.parametrize("part", [slice(None), slice(1, None), slice(None, None, -1)])
def test_a_bias_is_added_to_the_last_axis(shape: tuple[int, ...], part: slice) -> None:
    whole = np.arange(math.prod(shape), dtype=np.float32).reshape(shape)
    bias = np.arange(shape[-1], dtype=np.float32) + 1
    expected = whole.copy()
    expected[part] += bias
    add_bias(whole[part], bias)
    np.testing.assert_array_equal(whole, expected)


def test_a_bias_is_added_where_rows_do_not_lie_together() -> None:
    whole = np.zeros((4, 6, 5), dtype=np.float32)
    add_bias(whole[:, ::2, :3], np.asarray([1.0, 2.0, 3.0], dtype=np.float32))
    assert whole.sum() == 4 * 3 * 6
    np.testing.assert_array_equal(whole[:, 1::2], 0)
    np.testing.assert_array_equal(whole[:, :, 3:], 0)


@pytest.mark.parametrize("rows", [0, 1, 4096, 4097, 10_000])
def test_the_sum_of_rows(rows: int) -> None:
    x = np.random.default_rng(0).standard_normal((rows, 3)).astype(np.float32)
    wide = x.astype(np.float64)
    error = np.abs(sum_rows(x) - wide.sum(axis=0))
    assert (error <= 1e-7 * np.abs(wide).sum(axis=0)).all()  # rounding grows with what is summed, not with the sum
