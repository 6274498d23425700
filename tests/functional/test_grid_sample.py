"""Sampling of images at points: against PyTorch, kinks included, with second derivatives."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest

import nnx
from nnx import functional
from tests.functional.against_torch import agree

CASES = [
    (rank, mode, padding, align)
    for rank, mode, padding, align in itertools.product(
        (2, 3), ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection"), (True, False)
    )
    if rank == 2 or mode != "bicubic"
]


def points(rank: int) -> np.ndarray:
    """Inside, outside, far outside, and on the corners, edges and centre, where the derivative jumps."""
    grid = np.random.default_rng(1).uniform(-2.7, 2.7, (2, *(5, 3, 2)[:rank], rank))
    grid[0, 0], grid[1, 0], grid[1, 1] = -1.0, 1.0, 0.0
    grid[0, 1, ..., 0] = 40.0
    return grid


@pytest.mark.parametrize(("rank", "mode", "padding_mode", "align_corners"), CASES)
def test_grid_sample(xp_backend: Any, rank: int, mode: str, padding_mode: str, align_corners: bool) -> None:
    torch = pytest.importorskip("torch")
    for lengths in ((3, 4, 5), (1, 1, 1), (2, 1, 6)):
        values = np.random.default_rng(0).standard_normal((2, *lengths[:rank], 3))
        agree(
            xp_backend,
            lambda x, g: functional.grid_sample(x, g, mode, padding_mode, align_corners),
            lambda x, g: torch.nn.functional.grid_sample(x, g, mode, padding_mode, align_corners),
            values,
            points(rank),
            plain=(1,),
        )


@pytest.mark.parametrize(("rank", "mode", "padding_mode", "align_corners"), CASES)
def test_derivatives(xp_backend: Any, rank: int, mode: str, padding_mode: str, align_corners: bool) -> None:
    generator = np.random.default_rng(2)
    x = xp_backend.array(generator.standard_normal((1, *(3, 4, 3)[:rank], 2)))
    grid = xp_backend.array(generator.uniform(-0.6, 0.6, (1, *(2, 1, 1)[:rank], rank)))

    def sample(x: Any, grid: Any) -> Any:
        return functional.grid_sample(x, grid, mode, padding_mode, align_corners)

    nnx.check_grads(lambda x: sample(x, grid) ** 2, (x,), directions=1)
    if mode != "nearest":
        nnx.check_grads(sample, (x, grid), directions=1)
    narrow = [xp_backend.array(nnx.to_numpy(a), "float32") for a in (x, grid)]
    out, pullback = nnx.vjp(sample, *narrow)
    assert {out.dtype, *(g.dtype for g in pullback(out))} == {narrow[0].dtype}


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_points_that_are_no_numbers_are_outside(xp_backend: Any, mode: str) -> None:
    x = xp_backend.array(np.asarray([1.0, 1.0, 2.0, 2.0]).reshape(1, 2, 2, 1))
    grid = xp_backend.array(np.asarray([[[[0.0, np.nan], [np.inf, 0.0], [0.0, -np.inf], [0.0, np.inf]]]]))
    out, pullback = nnx.vjp(lambda x, g: functional.grid_sample(x, g, mode), x, grid)
    np.testing.assert_array_equal(nnx.to_numpy(out), 0.0)
    assert all(np.isfinite(nnx.to_numpy(g)).all() for g in pullback(out))
    out = functional.grid_sample(x, grid, mode, "border")
    assert nnx.to_numpy(out)[0, 0, [0, 2, 3], 0].tolist() == [1.0, 1.0, 2.0]


def test_empty_batches_and_grids(xp_backend: Any) -> None:
    x, grid = np.zeros((0, 3, 4, 2)), np.zeros((0, 5, 6, 2))
    assert tuple(functional.grid_sample(xp_backend.array(x), xp_backend.array(grid)).shape) == (0, 5, 6, 2)
    x, grid = np.zeros((1, 3, 4, 2)), np.zeros((1, 0, 6, 2))
    assert tuple(functional.grid_sample(xp_backend.array(x), xp_backend.array(grid)).shape) == (1, 0, 6, 2)


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("align_corners", [None, False, True])
def test_affine_grid(xp_backend: Any, rank: int, align_corners: bool | None) -> None:
    torch = pytest.importorskip("torch")
    theta = np.random.default_rng(3).standard_normal((2, rank, rank + 1))
    lengths = (3, 1, 5)[:rank]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch tells of a change of its default
        expected = torch.nn.functional.affine_grid(torch.tensor(theta), (2, 4, *lengths), align_corners)
    found = functional.affine_grid(xp_backend.array(theta), (2, *lengths, 4), align_corners)
    np.testing.assert_allclose(nnx.to_numpy(found), expected.numpy(), rtol=1e-9, atol=1e-12)
    nnx.check_grads(lambda t: functional.affine_grid(t, (2, *lengths, 4)) ** 2, (xp_backend.array(theta),))


def test_the_identity_leaves_an_image_as_it_is(xp_backend: Any) -> None:
    values = np.random.default_rng(4).standard_normal((2, 4, 5, 3))
    theta = np.asarray([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]] * 2)
    for align_corners in (False, True):
        grid = functional.affine_grid(xp_backend.array(theta), values.shape, align_corners)
        out = functional.grid_sample(xp_backend.array(values), grid, align_corners=align_corners)
        np.testing.assert_allclose(nnx.to_numpy(out), values, rtol=1e-9, atol=1e-12)
