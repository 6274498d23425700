"""The layers of pooling and upsampling: the functions with PyTorch's constructors, and errors that name the layer."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx import functional as F
from nnx.errors import ShapeError

NAMES = [f"{name}{r}d" for name in ("MaxPool", "AvgPool", "LPPool", "MaxUnpool") for r in (1, 2, 3)]
NAMES += [f"Adaptive{name}Pool{r}d" for name in ("Max", "Avg") for r in (1, 2, 3)]
NAMES += ["FractionalMaxPool2d", "FractionalMaxPool3d", "Upsample", "PixelShuffle", "PixelUnshuffle", "ChannelShuffle"]


@pytest.mark.parametrize("name", NAMES)
def test_constructors_are_those_of_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    theirs = inspect.signature(getattr(torch.nn, name)).parameters
    ours = inspect.signature(getattr(nnx, name)).parameters
    assert list(ours) == list(theirs)
    assert [p.default for p in ours.values()] == [p.default for p in theirs.values()]
    forward = list(inspect.signature(getattr(torch.nn, name).forward).parameters)
    assert list(inspect.signature(getattr(nnx, name).forward).parameters) == forward


FUNCTIONS = [f"{name}_pool{r}d" for name in ("max", "avg", "lp") for r in (1, 2, 3)]
FUNCTIONS += [f"adaptive_{name}_pool{r}d" for name in ("max", "avg") for r in (1, 2, 3)]
FUNCTIONS += [f"max_unpool{r}d" for r in (1, 2, 3)]
FUNCTIONS += ["fractional_max_pool2d", "fractional_max_pool3d", "interpolate", "pixel_shuffle", "pixel_unshuffle"]
FUNCTIONS += ["channel_shuffle", "grid_sample", "affine_grid"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_the_arguments_of_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn.functional, name)
    if "max_pool" in name:
        theirs = getattr(torch.nn.functional, f"{name}_with_indices")
    try:
        signature = inspect.signature(theirs)
    except ValueError:  # written in C++: its docstring begins with the signature
        text = theirs.__doc__.strip().splitlines()[0]
        names = [part.split("=")[0].strip() for part in text.partition("(")[2].rpartition(")")[0].split(",")]
    else:
        names = list(signature.parameters)
    assert list(inspect.signature(getattr(F, name)).parameters) == names


CASES: list[tuple[Callable, Callable, tuple]] = [
    (lambda: nnx.MaxPool1d(3, 2, 1), lambda x: F.max_pool1d(x, 3, 2, 1), (2, 7, 3)),
    (lambda: nnx.MaxPool2d(2, ceil_mode=True), lambda x: F.max_pool2d(x, 2, ceil_mode=True), (2, 7, 5, 3)),
    (lambda: nnx.MaxPool2d((2, 1), dilation=2), lambda x: F.max_pool2d(x, (2, 1), dilation=2), (2, 7, 5, 3)),
    (lambda: nnx.MaxPool3d(2, 1), lambda x: F.max_pool3d(x, 2, 1), (2, 3, 4, 5, 3)),
    (lambda: nnx.AvgPool1d(2, ceil_mode=True), lambda x: F.avg_pool1d(x, 2, ceil_mode=True), (2, 7, 3)),
    (
        lambda: nnx.AvgPool2d(3, 2, 1, count_include_pad=False),
        lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        (2, 7, 5, 3),
    ),
    (
        lambda: nnx.AvgPool3d(2, divisor_override=3),
        lambda x: F.avg_pool3d(x, 2, divisor_override=3),
        (2, 4, 4, 4, 3),
    ),
    (lambda: nnx.LPPool1d(2, 3), lambda x: F.lp_pool1d(x, 2, 3), (2, 7, 3)),
    (lambda: nnx.LPPool2d(2, 3, 1, True), lambda x: F.lp_pool2d(x, 2, 3, 1, True), (2, 7, 5, 3)),
    (lambda: nnx.LPPool3d(4, 2), lambda x: F.lp_pool3d(x, 4, 2), (2, 4, 4, 4, 3)),
    (lambda: nnx.AdaptiveMaxPool1d(3), lambda x: F.adaptive_max_pool1d(x, 3), (2, 7, 3)),
    (lambda: nnx.AdaptiveMaxPool2d((3, None)), lambda x: F.adaptive_max_pool2d(x, (3, None)), (2, 7, 5, 3)),
    (lambda: nnx.AdaptiveMaxPool3d(2), lambda x: F.adaptive_max_pool3d(x, 2), (2, 3, 4, 5, 3)),
    (lambda: nnx.AdaptiveAvgPool1d(3), lambda x: F.adaptive_avg_pool1d(x, 3), (2, 7, 3)),
    (lambda: nnx.AdaptiveAvgPool2d(1), lambda x: F.adaptive_avg_pool2d(x, 1), (2, 7, 5, 3)),
    (lambda: nnx.AdaptiveAvgPool3d(2), lambda x: F.adaptive_avg_pool3d(x, 2), (2, 3, 4, 5, 3)),
    (lambda: nnx.GlobalMaxPool(), F.global_max_pool, (2, 7, 5, 3)),
    (lambda: nnx.GlobalAvgPool(), F.global_avg_pool, (2, 7, 3)),
    (lambda: nnx.Upsample(scale_factor=2), lambda x: F.interpolate(x, scale_factor=2), (2, 3, 4, 5)),
    (
        lambda: nnx.Upsample(7, mode="bilinear", align_corners=True),
        lambda x: F.interpolate(x, 7, mode="bilinear", align_corners=True),
        (2, 3, 4, 5),
    ),
    (lambda: nnx.PixelShuffle(2), lambda x: F.pixel_shuffle(x, 2), (2, 3, 4, 8)),
    (lambda: nnx.PixelUnshuffle(2), lambda x: F.pixel_unshuffle(x, 2), (2, 4, 6, 3)),
    (lambda: nnx.ChannelShuffle(2), lambda x: F.channel_shuffle(x, 2), (2, 3, 4, 8)),
]


@pytest.mark.parametrize(("make", "function", "shape"), CASES)
def test_layers_are_the_functions(xp_backend: Any, make: Callable, function: Callable, shape: tuple) -> None:
    x = xp_backend.array(np.random.default_rng(0).standard_normal(shape), "float32")
    layer = make()
    found = layer(x)
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(nnx.to_numpy(found), nnx.to_numpy(function(x)))
    assert layer.state_dict() == {}
    with nnx.record():
        np.testing.assert_array_equal(nnx.to_numpy(layer(x)), nnx.to_numpy(found))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_pooling_with_indices_and_back(xp_backend: Any, rank: int) -> None:
    x = xp_backend.array(np.random.default_rng(0).standard_normal((2, *(5, 7, 4)[:rank], 3)))
    pool = getattr(nnx, f"MaxPool{rank}d")(2, return_indices=True)
    unpool = getattr(nnx, f"MaxUnpool{rank}d")(2)
    output, indices = pool(x)
    back = unpool(output, indices, output_size=x.shape)
    assert tuple(back.shape) == tuple(x.shape)
    np.testing.assert_array_equal(nnx.to_numpy(pool(back)[0]), np.maximum(nnx.to_numpy(output), 0.0))
    smaller, places = getattr(nnx, f"AdaptiveMaxPool{rank}d")(2, return_indices=True)(x)
    assert tuple(smaller.shape) == tuple(places.shape) == (2, *(2,) * rank, 3)


def test_fractional_pooling_follows_the_seed_and_takes_samples(xp_backend: Any) -> None:
    x = xp_backend.array(np.random.default_rng(0).standard_normal((2, 9, 9, 3)), "float32")
    layer = nnx.FractionalMaxPool2d(2, output_ratio=0.6, return_indices=True)
    nnx.seed(0)
    once = layer(x)
    nnx.seed(0)
    for a, b in zip(layer(x), once, strict=True):
        np.testing.assert_array_equal(nnx.to_numpy(a), nnx.to_numpy(b))
    samples = xp_backend.array(np.full((2, 3, 2), 0.5), "float32")
    fixed = nnx.FractionalMaxPool2d(2, output_size=5, _random_samples=samples)
    expected = F.fractional_max_pool2d(x, 2, output_size=5, _random_samples=samples)
    np.testing.assert_array_equal(nnx.to_numpy(fixed(x)), nnx.to_numpy(expected))
    assert nnx.FractionalMaxPool3d(2, (3, 2, 2))(xp_backend.array(np.ones((1, 5, 4, 4, 2)))).shape == (1, 3, 2, 2, 2)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nnx.MaxPool2d(0), "MaxPool2d: expected kernel_size to be a positive integer, got 0."),
        (
            lambda: nnx.MaxPool2d((2, 2, 2)),
            "MaxPool2d: expected kernel_size to be an integer or 2 of them, one per spatial axis, got (2, 2, 2).",
        ),
        (lambda: nnx.AvgPool1d(2, padding=-1), "AvgPool1d: expected padding to be a non-negative integer, got -1."),
        (lambda: nnx.AvgPool2d(2, divisor_override=0), "AvgPool2d: expected divisor_override other than 0, got 0"),
        (lambda: nnx.LPPool2d(-1, 2), "LPPool2d: expected norm_type to be a number above 0, got -1"),
        (lambda: nnx.MaxUnpool3d(2, 0), "MaxUnpool3d: expected stride to be a positive integer, got 0."),
        (lambda: nnx.AdaptiveAvgPool2d(0), "AdaptiveAvgPool2d: expected output_size to be a positive integer, got 0."),
        (lambda: nnx.FractionalMaxPool2d(2), "FractionalMaxPool2d: expected either output_size or output_ratio, got"),
        (lambda: nnx.Upsample(), "Upsample: expected either size or scale_factor, got neither."),
        (lambda: nnx.Upsample(4, mode="linaer"), "Upsample: expected mode to be one of 'nearest', 'nearest-exact',"),
        (lambda: nnx.PixelShuffle(0), "PixelShuffle: expected upscale_factor to be a positive integer, got 0."),
    ],
)
def test_constructors_refuse(make: Callable, text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        make()


def test_errors_name_the_layer() -> None:
    with pytest.raises(ShapeError) as caught:
        nnx.MaxPool2d(5)(np.ones((2, 3, 32, 32), "f4"))
    assert str(caught.value).startswith(
        "MaxPool2d(kernel_size=5, stride=5, padding=0, dilation=1, ceil_mode=False): expected an image of at least"
    )
    with pytest.raises(ShapeError, match=r"^Upsample\(scale_factor=2, mode='bilinear'\): expected \(N, H, W, C\) with"):
        nnx.Upsample(scale_factor=2, mode="bilinear")(np.ones((2, 3, 4)))
    with pytest.raises(ShapeError, match=r"^PixelShuffle\(upscale_factor=2\): expected channels, the last axis"):
        nnx.PixelShuffle(2)(np.ones((2, 3, 4, 5)))
    with pytest.raises(ShapeError, match=r"^AdaptiveAvgPool2d\(output_size=1\): expected \(N, H, W, C\), got \(2, 3\)"):
        nnx.AdaptiveAvgPool2d(1)(np.ones((2, 3)))


def test_layers_are_told_apart_in_print() -> None:
    assert repr(nnx.AvgPool2d(3, 2, 1)) == "AvgPool2d(kernel_size=3, stride=2, padding=1)"
    assert repr(nnx.LPPool1d(2, 3)) == "LPPool1d(norm_type=2.0, kernel_size=3, stride=3, ceil_mode=False)"
    assert repr(nnx.FractionalMaxPool2d(2, output_ratio=0.5)) == "FractionalMaxPool2d(kernel_size=2, output_ratio=0.5)"
    assert repr(nnx.Upsample(size=4)) == "Upsample(size=4, mode='nearest')"
    assert repr(nnx.GlobalAvgPool()) == "GlobalAvgPool()"
