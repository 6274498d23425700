"""What convolutions refuse, and in which words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nnx
from nnx import functional
from nnx.errors import DTypeError, MixedBackendsError, ShapeError

CONV = [
    # the input
    ((8, 3, 32, 32), (16, 3, 3, 3), {}, "expected (N, H, W, 3), got (8, 3, 32, 32). This looks like channels-first; "
     "use xp.permute_dims(x, (0, 2, 3, 1))."),
    ((32, 32, 3), (16, 3, 3, 3), {}, "expected (N, H, W, 3), got (32, 32, 3). The batch axis is missing; use "
     "x[None, ...]."),
    ((3, 32, 32), (16, 3, 3, 3), {}, "expected (N, H, W, 3), got (3, 32, 32). This looks like channels-first, and "
     "the batch axis is missing; use xp.permute_dims(x, (1, 2, 0))[None, ...]."),
    ((8, 28, 28), (16, 3, 3, 1), {}, "expected (N, H, W, 1), got (8, 28, 28). The channel axis is missing; use "
     "x[..., None]."),
    ((28, 28), (16, 3, 3, 1), {}, "expected (N, H, W, 1), got (28, 28). The axes of the batch and of the channels "
     "are missing; use x[None, ..., None]."),
    ((8, 32, 32, 4), (16, 3, 3, 3), {}, "expected (N, H, W, 3), got (8, 32, 32, 4)."),
    ((8, 5, 32, 32, 3), (16, 3, 3, 3), {}, "expected (N, H, W, 3), got (8, 5, 32, 32, 3)."),
    ((), (16, 3, 3, 1), {}, "expected (N, H, W, 1), got ()."),
    # the weight
    ((8, 32, 32, 3), (16, 3, 3), {}, "expected weight of shape (out_channels, kH, kW, in_channels // groups), got "
     "(16, 3, 3)."),
    ((8, 32, 32, 3), (16, 0, 3, 3), {}, "expected weight of shape (out_channels, kH, kW, in_channels // groups) "
     "with a kernel and outputs, got (16, 0, 3, 3)."),
    ((8, 32, 32, 3), (0, 3, 3, 3), {}, "with a kernel and outputs, got (0, 3, 3, 3)."),
    ((8, 32, 32, 6), (16, 6, 5, 5), {}, "expected weight of shape (out_channels, kH, kW, in_channels // groups), "
     "got (16, 6, 5, 5) for an input of shape (8, 32, 32, 6). This looks like channels-first; use "
     "xp.permute_dims(weight, (0, 2, 3, 1))."),
    ((8, 6, 32, 32), (16, 3, 5, 5), {"groups": 2}, "This looks like channels-first; use xp.permute_dims(weight, (0, "
     "2, 3, 1)) and xp.permute_dims(x, (0, 2, 3, 1))."),
    # groups
    ((8, 32, 32, 3), (16, 3, 3, 3), {"groups": 3}, "expected groups to divide out_channels=16, got groups=3."),
    ((8, 32, 32, 3), (16, 3, 3, 1), {"groups": 2}, "expected (N, H, W, 2), got (8, 32, 32, 3)."),
    ((8, 32, 32, 3), (16, 3, 3, 3), {"groups": 0}, "expected groups to be a positive integer, got 0."),
    # the kernel does not fit
    ((8, 2, 3, 3), (16, 3, 3, 3), {}, "expected at least 3 × 3 elements, which the kernel covers, got 2 × 3 with "
     "padding, for an input of shape (8, 2, 3, 3); use a smaller kernel or dilation, or more padding."),
    ((8, 5, 5, 3), (16, 3, 3, 3), {"dilation": (3, 1), "padding": (0, 2)}, "expected at least 7 × 3 elements, which "
     "the kernel covers, got 5 × 9 with padding"),
    ((8, 0, 5, 3), (16, 1, 1, 3), {}, "expected at least 1 × 1 elements, which the kernel covers, got 0 × 5"),
    # numbers
    ((8, 9, 9, 3), (4, 3, 3, 3), {"stride": -1}, "expected stride to be a positive integer, got -1."),
    ((8, 9, 9, 3), (4, 3, 3, 3), {"stride": (1, 0)}, "expected stride[1] to be a positive integer, got 0."),
    ((8, 9, 9, 3), (4, 3, 3, 3), {"stride": (1, 1, 1)}, "expected stride to be an integer or 2 of them, one per "
     "spatial axis, got (1, 1, 1)."),
    ((8, 9, 9, 3), (4, 3, 3, 3), {"dilation": 0}, "expected dilation to be a positive integer, got 0."),
    ((8, 9, 9, 3), (4, 3, 3, 3), {"padding": -1}, "expected padding to be a non-negative integer, got -1."),
    ((8, 9, 9, 3), (4, 3, 3, 3), {"padding": "full"}, "expected padding to be numbers, 'same' or 'valid', got "
     "'full'."),
    ((8, 9, 9, 3), (4, 3, 5, 3), {"padding": "same", "stride": 2}, "expected stride 1 with padding 'same', got "
     "stride (2, 2); write the padding as numbers, e.g. (1, 2)."),
]  # fmt: skip


@pytest.mark.parametrize(("x", "weight", "options", "text"), CONV)
def test_what_conv2d_refuses(xp_backend: Any, x: tuple, weight: tuple, options: dict, text: str) -> None:
    arrays = [xp_backend.array(np.zeros(s)) for s in (x, weight)]
    with pytest.raises((ShapeError, ValueError)) as caught:
        functional.conv2d(*arrays, **options)
    assert str(caught.value).startswith("conv2d: expected")
    assert text in str(caught.value)
    if text.endswith("."):
        assert str(caught.value).endswith(text)


OTHER_RANKS = [
    ("conv1d", (8, 4, 100), (16, 3, 4), "conv1d: expected (N, L, 4), got (8, 4, 100). This looks like "
     "channels-first; use xp.permute_dims(x, (0, 2, 1))."),
    ("conv1d", (100, 4), (16, 3, 4), "conv1d: expected (N, L, 4), got (100, 4). The batch axis is missing; use "
     "x[None, ...]."),
    ("conv1d", (8, 100, 4), (16, 4), "conv1d: expected weight of shape (out_channels, kL, in_channels // groups), "
     "got (16, 4)."),
    ("conv3d", (2, 1, 8, 9, 9), (4, 3, 3, 3, 1), "conv3d: expected (N, D, H, W, 1), got (2, 1, 8, 9, 9). This looks "
     "like channels-first; use xp.permute_dims(x, (0, 2, 3, 4, 1))."),
    ("conv_transpose2d", (8, 3, 9, 9), (16, 2, 2, 3), "conv_transpose2d: expected (N, H, W, 3), got (8, 3, 9, 9). "
     "This looks like channels-first; use xp.permute_dims(x, (0, 2, 3, 1))."),
    ("conv_transpose2d", (8, 9, 9, 6), (6, 4, 2, 2), "conv_transpose2d: expected weight of shape (out_channels // "
     "groups, kH, kW, in_channels), got (6, 4, 2, 2) for an input of shape (8, 9, 9, 6). This looks like "
     "channels-first; use xp.permute_dims(weight, (1, 2, 3, 0))."),
    ("conv_transpose1d", (8, 6, 9), (6, 4, 5), "use xp.permute_dims(weight, (1, 2, 0)) and xp.permute_dims(x, (0, "
     "2, 1))."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "x", "weight", "text"), OTHER_RANKS)
def test_what_the_others_refuse(xp_backend: Any, name: str, x: tuple, weight: tuple, text: str) -> None:
    arrays = [xp_backend.array(np.zeros(s)) for s in (x, weight)]
    with pytest.raises(ShapeError) as caught:
        getattr(functional, name)(*arrays)
    assert str(caught.value).endswith(text)


TRANSPOSED = [
    ({"output_padding": 1}, "expected output_padding below the stride or the dilation, got output_padding (1, 1) "
     "with stride (1, 1) and dilation (1, 1)."),
    ({"padding": 3}, "expected an output of at least one element along each axis, got 0 × 1 for an input of shape "
     "(2, 4, 5, 4); padding takes away from the output here: use less."),
    ({"groups": 3}, "expected groups to divide in_channels=4, got groups=3."),
    ({"padding": "same"}, "expected padding to be a non-negative integer, got 'same'."),
    ({"stride": (2, 2, 2)}, "expected stride to be an integer or 2 of them, one per spatial axis, got (2, 2, 2)."),
    ({"output_padding": -1, "stride": 2}, "expected output_padding to be a non-negative integer, got -1."),
    ({"bias": (5,)}, "expected bias of shape (3,), got (5,)."),
]  # fmt: skip


@pytest.mark.parametrize(("options", "text"), TRANSPOSED, ids=str)
def test_what_conv_transpose2d_refuses(xp_backend: Any, options: dict, text: str) -> None:
    options = {name: xp_backend.array(np.zeros(v)) if name == "bias" else v for name, v in options.items()}
    arrays = [xp_backend.array(np.zeros(s)) for s in ((2, 4, 5, 4), (3, 3, 3, 4))]
    with pytest.raises((ValueError, TypeError)) as caught:
        functional.conv_transpose2d(*arrays, **options)
    assert str(caught.value) == f"conv_transpose2d: {text}"


def test_types_of_arguments() -> None:
    x, weight = np.zeros((2, 9, 3)), np.zeros((4, 3, 3))
    for options, text in (
        ({"stride": 1.0}, "conv1d: expected stride to be a positive integer, got 1.0."),
        ({"stride": (1, 1)}, "conv1d: expected stride to be one integer, got (1, 1)."),
        ({"groups": True}, "conv1d: expected groups to be a positive integer, got True."),
        ({"padding": ((1, 2),)}, "conv1d: expected padding to be one number per spatial axis, got ((1, 2),); use "
         "nnx.functional.pad for different numbers before and after."),
    ):  # fmt: skip
        with pytest.raises((TypeError, ValueError)) as caught:
            functional.conv1d(x, weight, **options)
        assert str(caught.value) == text


def test_dtypes_and_what_is_no_array(xp_backend: Any) -> None:
    x, weight, bias = (xp_backend.array(np.zeros(s), "float32") for s in ((2, 9, 3), (4, 3, 3), (4,)))
    text = (
        r"conv1d: expected input of dtype float32, that of the weight, got uint8\. Cast it, e\.g\. xp\.astype\(input,"
    )
    with pytest.raises(DTypeError, match=text):
        functional.conv1d(xp_backend.array(np.zeros((2, 9, 3)), "uint8"), weight)
    with pytest.raises(DTypeError, match="conv1d: expected bias of dtype float32, that of the weight, got float64"):
        functional.conv1d(x, weight, xp_backend.array(np.zeros(4)))
    with pytest.raises(ShapeError, match=r"conv1d: expected bias of shape \(4,\), got \(1,\)"):
        functional.conv1d(x, weight, bias[:1])
    with pytest.raises(
        TypeError, match=r"conv1d: expected weight to be an array, got list; use nnx\.asarray\(weight\)"
    ):
        functional.conv1d(x, [1.0])


def test_two_backends() -> None:
    with pytest.raises(MixedBackendsError, match="conv1d: expected arrays of one backend, got"):
        functional.conv1d(np.zeros((2, 9, 3)), nnx.asarray(np.zeros((4, 3, 3)), backend="strict"))
