"""What pooling, unpooling, interpolation and sampling refuse, and the words they do it in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx import functional as F
from nnx.errors import DTypeError, MixedBackendsError, ShapeError

IMAGE = np.ones((2, 6, 8, 3))
INDICES = np.zeros((2, 3, 4, 3), "i8")

CASES: list[tuple[Callable, type[Exception], str]] = [
    (
        lambda: F.max_pool2d(IMAGE, 2, padding=2),
        ValueError,
        "max_pool2d: expected padding of at most half of the kernel_size, got padding=2 and kernel_size=2; pad by 1 at "
        "most, or pad the image itself.",
    ),
    (
        lambda: F.avg_pool1d(IMAGE[0], 3, padding=2),
        ValueError,
        "avg_pool1d: expected padding of at most half of the kernel_size, got padding=2 and kernel_size=3",
    ),
    (
        lambda: F.max_pool2d(IMAGE, (7, 2)),
        ShapeError,
        "max_pool2d: expected an image of at least (7, 2) places, the size of a window, got (6, 8) in (2, 6, 8, 3); "
        "use a smaller kernel_size, or fewer pooling layers.",
    ),
    (
        lambda: F.max_pool2d(IMAGE, 5, padding=1, dilation=3),
        ShapeError,
        "expected an image of at least (13, 13) places, the size of a window, got (8, 10) with its padding in",
    ),
    (
        lambda: F.max_pool2d(np.ones((2, 3, 32, 32)), 5),
        ShapeError,
        "This looks like channels-first; use xp.permute_dims(x, (0, 2, 3, 1)).",
    ),
    (
        lambda: F.avg_pool3d(np.ones((2, 1, 8, 8, 8)), 2),
        ShapeError,
        "This looks like channels-first; use xp.permute_dims(x, (0, 2, 3, 4, 1)).",
    ),
    (
        lambda: F.max_pool2d(IMAGE[0], 2),
        ShapeError,
        "max_pool2d: expected (N, H, W, C), got (6, 8, 3). Add the batch axis, e.g. xp.expand_dims(x, axis=0).",
    ),
    (
        lambda: F.max_pool1d(IMAGE, 2),
        ShapeError,
        "max_pool1d: expected (N, L, C), got (2, 6, 8, 3). An array with 4 axes has 2 spatial ones; take the 2d form.",
    ),
    (lambda: F.max_pool3d(np.ones(3), 2), ShapeError, "max_pool3d: expected (N, D, H, W, C), got (3,)."),
    (
        lambda: F.max_pool2d(np.ones((2, 0, 4, 3)), 1),
        ShapeError,
        "expected an image of at least (1, 1) places, the size of a window, got (0, 4)",
    ),
    (
        lambda: F.max_pool2d(np.ones((2, 6, 2, 3)), 2, padding=1, dilation=3),
        ValueError,
        "expected windows that meet the image, but with padding=(1, 1) and dilation=(3, 3) one lies in the padding of",
    ),
    (
        lambda: F.max_pool2d(IMAGE, 0),
        ValueError,
        "max_pool2d: expected kernel_size to be a positive integer, got 0.",
    ),
    (
        lambda: F.max_pool2d(IMAGE, 2.0),
        TypeError,
        "max_pool2d: expected kernel_size to be a positive integer, got 2.0.",
    ),
    (
        lambda: F.max_pool2d(IMAGE, (2, 2, 2)),
        ValueError,
        "max_pool2d: expected kernel_size to be an integer or 2 of them, one per spatial axis, got (2, 2, 2).",
    ),
    (lambda: F.max_pool2d(IMAGE, 2, stride=0), ValueError, "expected stride to be a positive integer, got 0."),
    (lambda: F.max_pool2d(IMAGE, 2, padding=-1), ValueError, "expected padding to be a non-negative integer, got -1."),
    (lambda: F.max_pool2d(IMAGE, 2, dilation=0), ValueError, "expected dilation to be a positive integer, got 0."),
    (lambda: F.max_pool2d(IMAGE, 2, ceil_mode=1), TypeError, "expected ceil_mode to be True or False, got 1."),
    (
        lambda: F.max_pool2d(np.ones((1, 4, 4, 1), int), 2),
        DTypeError,
        "max_pool2d: expected a floating-point array, got dtype int64; cast it first.",
    ),
    (
        lambda: F.max_pool2d([[1.0]], 2),
        TypeError,
        "max_pool2d: expected input to be an array, got list; use nnx.asarray(input).",
    ),
    (
        lambda: F.avg_pool2d(IMAGE, 2, divisor_override=0),
        ValueError,
        "avg_pool2d: expected divisor_override other than 0, got 0; None divides by the window's size.",
    ),
    (
        lambda: F.lp_pool2d(IMAGE, float("inf"), 2),
        ValueError,
        "lp_pool2d: expected norm_type to be a finite number above 0, got inf; infinity is max pooling.",
    ),
    (lambda: F.lp_pool2d(IMAGE, "2", 2), TypeError, "lp_pool2d: expected norm_type to be a number above 0, got '2'"),
    (
        lambda: F.adaptive_avg_pool2d(IMAGE, (2, 2, 2)),
        ValueError,
        "adaptive_avg_pool2d: expected output_size to be an integer or 2 of them, one per spatial axis, got (2, 2, 2).",
    ),
    (
        lambda: F.adaptive_max_pool2d(IMAGE, 0),
        ValueError,
        "adaptive_max_pool2d: expected output_size to be a positive integer, got 0.",
    ),
    (
        lambda: F.adaptive_avg_pool1d(np.ones((2, 0, 3)), 1),
        ShapeError,
        "adaptive_avg_pool1d: expected at least one place along each spatial axis, got (2, 0, 3).",
    ),
    (
        lambda: F.global_avg_pool(np.ones((2, 3))),
        ShapeError,
        "global_avg_pool: expected (N, *spatial, C) with 1 to 3 spatial axes, got (2, 3).",
    ),
    (
        lambda: F.global_max_pool([1.0]),
        TypeError,
        "global_max_pool: expected input to be an array, got list; use nnx.asarray(input).",
    ),
    (
        lambda: F.fractional_max_pool2d(IMAGE, 2),
        ValueError,
        "fractional_max_pool2d: expected either output_size or output_ratio, got neither.",
    ),
    (
        lambda: F.fractional_max_pool2d(IMAGE, 2, 3, 0.5),
        ValueError,
        "fractional_max_pool2d: expected either output_size or output_ratio, got both.",
    ),
    (
        lambda: F.fractional_max_pool2d(IMAGE, 2, output_ratio=1.5),
        ValueError,
        "fractional_max_pool2d: expected output_ratio to be a number from 0 to 1, got 1.5; pass one in that range.",
    ),
    (
        lambda: F.fractional_max_pool2d(IMAGE, 2, output_ratio=(0.5,)),
        ValueError,
        "fractional_max_pool2d: expected output_ratio to be 1 or 2 numbers, got (0.5,).",
    ),
    (
        lambda: F.fractional_max_pool2d(IMAGE, 3, output_size=(5, 5)),
        ShapeError,
        "fractional_max_pool2d: expected an output size from 1 to the image's less kernel_size plus 1, got (5, 5) with "
        "kernel_size=(3, 3) for (2, 6, 8, 3); use a smaller kernel_size or another output_size.",
    ),
    (
        lambda: F.fractional_max_pool2d(IMAGE, 2, output_size=3, _random_samples=np.zeros((2, 2))),
        ShapeError,
        "fractional_max_pool2d: expected _random_samples of shape (2, 3, 2), got (2, 2).",
    ),
    (
        lambda: F.max_unpool2d(np.ones((2, 3, 4, 3)), INDICES[:1], 2),
        ShapeError,
        "max_unpool2d: expected indices of the shape of the input, (2, 3, 4, 3), got (1, 3, 4, 3); pass what the max "
        "pooling returned with return_indices=True.",
    ),
    (
        lambda: F.max_unpool2d(np.ones((2, 3, 4, 3)), INDICES.astype("i4"), 2),
        DTypeError,
        "max_unpool2d: expected indices of dtype int64, got int32; cast them.",
    ),
    (
        lambda: F.max_unpool2d(np.ones((2, 3, 4, 3)), INDICES, 2, output_size=(9, 9)),
        ValueError,
        "max_unpool2d: expected output_size to be the spatial lengths of what was pooled, less than a stride from "
        "(6, 8), got (9, 9).",
    ),
    (
        lambda: F.interpolate(IMAGE),
        ValueError,
        "interpolate: expected either size or scale_factor, got neither.",
    ),
    (
        lambda: F.interpolate(IMAGE, 4, 2.0),
        ValueError,
        "interpolate: expected either size or scale_factor, got both.",
    ),
    (
        lambda: F.interpolate(IMAGE, 4, mode="cubic"),
        ValueError,
        "interpolate: expected mode to be one of 'nearest', 'nearest-exact', 'linear', 'bilinear', 'bicubic', "
        "'trilinear', 'area', got 'cubic'.",
    ),
    (
        lambda: F.interpolate(IMAGE, 4, mode="linear"),
        ShapeError,
        "interpolate: expected (N, L, C) with mode='linear', got (2, 6, 8, 3). Such an array takes mode='bilinear' or "
        "'bicubic'.",
    ),
    (lambda: F.interpolate(np.ones((2, 3)), 4), ShapeError, "interpolate: expected (N, L, C) or (N, H, W, C) or"),
    (
        lambda: F.interpolate(IMAGE, 4, align_corners=True),
        ValueError,
        "interpolate: expected align_corners=None with mode='nearest', got True; it is for the linear and cubic modes.",
    ),
    (
        lambda: F.interpolate(IMAGE, (4, 4, 4)),
        ValueError,
        "expected size to be an integer or 2 of them, one per spatial axis, got (4, 4, 4).",
    ),
    (lambda: F.interpolate(IMAGE, 0), ValueError, "interpolate: expected size to be a positive integer, got 0."),
    (
        lambda: F.interpolate(IMAGE, scale_factor=(2.0,)),
        ValueError,
        "interpolate: expected scale_factor to be 1 or 2 numbers, got (2.0,).",
    ),
    (
        lambda: F.interpolate(IMAGE, scale_factor=-1),
        ValueError,
        "interpolate: expected scale_factor to be a number above 0, got -1; pass one in that range.",
    ),
    (
        lambda: F.interpolate(IMAGE, scale_factor=0.1),
        ValueError,
        "interpolate: scale_factor=0.1 leaves nothing of (2, 6, 8, 3).",
    ),
    (
        lambda: F.interpolate(IMAGE, 3, recompute_scale_factor=True),
        ValueError,
        "interpolate: recompute_scale_factor is for scale_factor, but size was given; leave it out.",
    ),
    (
        lambda: F.interpolate(IMAGE, 3, antialias=True),
        ValueError,
        "interpolate: expected mode 'bilinear' or 'bicubic' with antialias, got 'nearest'.",
    ),
    (
        lambda: F.interpolate(np.ones((2, 0, 3)), 3),
        ShapeError,
        "interpolate: expected at least one place along each spatial axis, got (2, 0, 3).",
    ),
    (
        lambda: F.interpolate(np.ones((2, 3, 3), int), 3),
        DTypeError,
        "interpolate: expected a floating-point array, got dtype int64; cast it first.",
    ),
    (
        lambda: F.pixel_shuffle(np.ones((1, 12, 4, 5)), 2),
        ShapeError,
        "pixel_shuffle: expected channels, the last axis, that are a multiple of upscale_factor² = 4, got "
        "(1, 12, 4, 5). This looks like channels-first; use xp.permute_dims(x, (0, 2, 3, 1)).",
    ),
    (lambda: F.pixel_shuffle(np.ones((4, 5)), 2), ShapeError, "pixel_shuffle: expected (..., H, W, C), got (4, 5)."),
    (
        lambda: F.pixel_unshuffle(IMAGE, 4),
        ShapeError,
        "pixel_unshuffle: expected height and width that are multiples of downscale_factor=4, got (2, 6, 8, 3); crop "
        "or pad the images.",
    ),
    (
        lambda: F.channel_shuffle(IMAGE, 2),
        ShapeError,
        "channel_shuffle: expected channels, the last axis, that groups=2 divides, got (2, 6, 8, 3).",
    ),
    (
        lambda: F.grid_sample(IMAGE, np.ones((2, 4, 5, 3))),
        ShapeError,
        "grid_sample: expected grid of shape (N, H_out, W_out, 2) with N=2, got (2, 4, 5, 3) for an input of shape "
        "(2, 6, 8, 3).",
    ),
    (
        lambda: F.grid_sample(IMAGE, np.ones((2, 4, 5, 2)), "linear"),
        ValueError,
        "grid_sample: expected mode to be one of 'bilinear', 'nearest', 'bicubic', got 'linear'.",
    ),
    (
        lambda: F.grid_sample(IMAGE, np.ones((2, 4, 5, 2)), padding_mode="wrap"),
        ValueError,
        "grid_sample: expected padding_mode to be one of 'zeros', 'border', 'reflection', got 'wrap'.",
    ),
    (
        lambda: F.grid_sample(IMAGE, np.ones((2, 4, 5, 2), "f4")),
        DTypeError,
        "grid_sample: expected grid of dtype float64, that of the input, got float32. Cast it",
    ),
    (
        lambda: F.grid_sample(IMAGE[0], np.ones((2, 4, 2))),
        ShapeError,
        "grid_sample: expected (N, H, W, C) or (N, D, H, W, C) with pixels, got (6, 8, 3).",
    ),
    (
        lambda: F.grid_sample(np.ones((1, 2, 2, 2, 1)), np.ones((1, 2, 2, 2, 3)), "bicubic"),
        ValueError,
        "grid_sample: mode='bicubic' is for images (N, H, W, C), got a volume; use 'bilinear'.",
    ),
    (
        lambda: F.affine_grid(np.ones((2, 3, 3)), (2, 4, 5, 3)),
        ShapeError,
        "affine_grid: expected theta of shape (N, 2, 3) with size (N, H, W, C), or (N, 3, 4) with (N, D, H, W, C), got "
        "(2, 3, 3) and (2, 4, 5, 3).",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), CASES, ids=[text[:60] for _, _, text in CASES])
def test_what_is_refused(call: Callable, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


def test_two_backends() -> None:
    strict: Any = nnx.asarray(np.ones((2, 4, 5, 2)), backend="strict")
    with pytest.raises(MixedBackendsError, match="grid_sample: expected arrays of one backend, got"):
        F.grid_sample(IMAGE, strict)
    with pytest.raises(MixedBackendsError, match="max_unpool2d: expected arrays of one backend, got"):
        F.max_unpool2d(IMAGE, strict, 2)


def test_a_large_channel_count_is_not_taken_for_channels_first() -> None:
    with pytest.raises(ShapeError) as caught:
        F.max_pool2d(np.ones((2, 2, 2, 512)), 3)
    assert "channels-first" not in str(caught.value)
