"""Interpolation and the shuffles of pixels and channels: against PyTorch, with second derivatives."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import nnx
from nnx import functional
from tests.functional.against_torch import agree, channels_last, close

MODES = [
    (rank, mode)
    for mode, ranks in {
        "nearest": (1, 2, 3),
        "nearest-exact": (1, 2, 3),
        "linear": (1,),
        "bilinear": (2,),
        "bicubic": (2,),
        "trilinear": (3,),
        "area": (1, 2, 3),
    }.items()
    for rank in ranks
]
# Where scale_factor leaves the length as it is, the derivatives of these are not those of their values in PyTorch 2.13.
OTHER_DERIVATIVES = [(1, "nearest"), (3, "nearest"), (2, "bicubic")]
SMOOTH = ("linear", "bilinear", "bicubic", "trilinear")
SIZES: list[dict] = [{"size": n} for n in (1, 3, 5, 7, 10)]
SIZES += [{"scale_factor": f} for f in (2, 3.0, 0.6, 1.1, 1.7, 0.25)]


def torch_functional() -> Any:
    return pytest.importorskip("torch").nn.functional


def images(lengths: tuple, seed: int = 0, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((2, *lengths, channels))


@pytest.mark.parametrize(("rank", "mode"), MODES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_interpolate(xp_backend: Any, rank: int, mode: str, size: dict) -> None:
    theirs = torch_functional().interpolate
    for align_corners in (None, False, True) if mode in SMOOTH else (None,):
        for recompute in (None, True) if "scale_factor" in size else (None,):
            options = {"mode": mode, "align_corners": align_corners, "recompute_scale_factor": recompute, **size}
            for lengths in ((5, 6, 7), (1, 2, 10), (7, 1, 3)):
                if any(int(n * size.get("scale_factor", 1)) == 0 for n in lengths[:rank]):
                    continue
                agree(
                    xp_backend,
                    lambda x, o=options: functional.interpolate(x, **o),
                    lambda x, o=options: theirs(x, **o),
                    images(lengths[:rank]),
                    gradients=not (size == {"scale_factor": 1.1} and (rank, mode) in OTHER_DERIVATIVES),
                )


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("align_corners", [None, True])
@pytest.mark.parametrize("size", [*SIZES, {"size": (2, 9)}, {"scale_factor": (0.4, 1.6)}], ids=str)
def test_antialias(xp_backend: Any, mode: str, align_corners: bool | None, size: dict) -> None:
    options = {"mode": mode, "align_corners": align_corners, "antialias": True, **size}
    agree(
        xp_backend,
        lambda x: functional.interpolate(x, **options),
        lambda x: torch_functional().interpolate(x, **options),
        images((9, 11)),
        gradients=size != {"scale_factor": 1.1} or align_corners is True,
    )


def test_a_size_per_axis(xp_backend: Any) -> None:
    theirs = torch_functional().interpolate
    for mode, options in itertools.product(
        ("nearest", "bilinear", "area"), ({"size": (3, 8)}, {"size": [6, 10]}, {"scale_factor": (1.5, 0.5)})
    ):
        agree(
            xp_backend,
            lambda x, m=mode, o=options: functional.interpolate(x, mode=m, **o),
            lambda x, m=mode, o=options: theirs(x, mode=m, **o),
            images((6, 5)),
        )


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_the_nearest_of_many_lengths(mode: str) -> None:
    """Where rounding decides: 49 * (1 / 49) is less than 1."""
    torch = pytest.importorskip("torch")
    for length, count in itertools.product((1, 2, 3, 5, 7, 12, 28, 35), range(1, 150)):
        x = np.arange(float(length)).reshape(1, length, 1)
        expected = torch_functional().interpolate(torch.tensor(x.reshape(1, 1, length)), count, mode=mode)
        np.testing.assert_array_equal(functional.interpolate(x, count, mode=mode), channels_last(expected))


def test_nan_stays_where_it_is(xp_backend: Any) -> None:
    values = np.arange(5.0).reshape(1, 5, 1)
    values[0, 4, 0] = np.nan
    out = nnx.to_numpy(functional.interpolate(xp_backend.array(values), 10, mode="linear"))[0, :, 0]
    np.testing.assert_array_equal(np.isnan(out), [False] * 7 + [True] * 3)


@pytest.mark.parametrize(("rank", "mode"), MODES)
def test_second_derivatives_and_dtypes(xp_backend: Any, rank: int, mode: str) -> None:
    lengths = (3, 2, 2)[:rank]
    nnx.check_grads(lambda x: functional.interpolate(x, 4, mode=mode) ** 2, (xp_backend.array(images(lengths)),))
    for options in ({"size": 4}, {"scale_factor": 2}):
        x = xp_backend.array(images(lengths), "float32")
        out, pullback = nnx.vjp(lambda x, o=options: functional.interpolate(x, mode=mode, **o), x)
        assert out.dtype == pullback(out)[0].dtype == x.dtype
        empty = xp_backend.array(np.zeros((0, *lengths, 3)))
        assert tuple(functional.interpolate(empty, mode=mode, **options).shape) == (0, *out.shape[1:-1], 3)


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_pixel_shuffles(xp_backend: Any, factor: int) -> None:
    theirs = torch_functional()
    agree(
        xp_backend,
        lambda x: functional.pixel_shuffle(x, factor),
        lambda x: theirs.pixel_shuffle(x, factor),
        images((2, 4), channels=2 * factor**2),
    )
    agree(
        xp_backend,
        lambda x: functional.pixel_unshuffle(x, factor),
        lambda x: theirs.pixel_unshuffle(x, factor),
        images((2 * factor, 3 * factor)),
    )
    x = xp_backend.array(np.zeros((0, 2, 3, 5, factor**2)))
    assert tuple(functional.pixel_shuffle(x, factor).shape) == (0, 2, 3 * factor, 5 * factor, 1)
    back = functional.pixel_unshuffle(functional.pixel_shuffle(x, factor), factor)
    assert tuple(back.shape) == tuple(x.shape)


def test_shuffles_keep_the_dtype(xp_backend: Any) -> None:
    x = xp_backend.array(np.arange(8).reshape(1, 1, 2, 4))
    out = functional.pixel_shuffle(x, 2)
    assert out.dtype == x.dtype
    np.testing.assert_array_equal(nnx.to_numpy(out)[0, :, :, 0], [[0, 1, 4, 5], [2, 3, 6, 7]])
    np.testing.assert_array_equal(nnx.to_numpy(functional.pixel_unshuffle(out, 2)), nnx.to_numpy(x))


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_channel_shuffle(xp_backend: Any, groups: int) -> None:
    theirs = torch_functional().channel_shuffle
    agree(
        xp_backend,
        lambda x: functional.channel_shuffle(x, groups),
        lambda x: theirs(x, groups),
        images((3, 2), channels=6),
    )
    close(functional.channel_shuffle(xp_backend.array(np.zeros((0, 6))), groups), np.zeros((0, 6)))
