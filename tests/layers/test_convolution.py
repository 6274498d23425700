"""The convolution layers: against PyTorch's, how they start, their names, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import DTypeError, ShapeError
from nnx.layers.convolution_transpose import ConvolutionTranspose
from tests.functional.convolution_cases import (
    CHANNELS,
    LENGTHS,
    OUTPUTS,
    covering,
    first,
    label,
    last,
    mixed,
    normal,
    per_axis,
    transposed_last,
)

MODES = ["zeros", "reflect", "replicate", "circular"]


def _fits(rank: int, case: dict) -> bool:
    stride, dilation, kernel = (per_axis(case[name], rank) for name in ("stride", "dilation", "kernel_size"))
    if case["padding"] == "same":
        return set(stride) == {1}
    padding = per_axis(0 if case["padding"] == "valid" else case["padding"], rank)
    return all(n + 2 * p > d * (k - 1) for n, p, d, k in zip(LENGTHS[rank], padding, dilation, kernel, strict=True))


def _cases() -> list:
    cases = []
    for rank in (1, 2, 3):
        options = {
            "kernel_size": [2, 3, mixed(rank, 4, 3, 2)],
            "stride": [1, mixed(rank, 2, 1, 2)],
            "padding": [0, mixed(rank, 2, 1, 3), "same", "valid"],
            "dilation": [1, mixed(rank, 1, 2, 1)],
            "groups": [1, 2, CHANNELS],
            "bias": [True, False],
            "padding_mode": MODES,
        }
        for case in covering(options, lambda case, rank=rank: _fits(rank, case), strength=2):
            cases.append(pytest.param(rank, case, id=f"{rank}d {label(case)}"))
    return cases


def _agrees(layer: nnx.Module, theirs: Any, x: np.ndarray, xp_backend: Any, options: dict | None = None) -> None:
    """Compare a float64 layer of ours with one of torch's: names, outputs and gradients."""
    import torch

    transposed = isinstance(layer, ConvolutionTranspose)
    theirs = theirs.double()
    assert list(layer.state_dict()) == list(theirs.state_dict())
    for i, (name, parameter) in enumerate(theirs.named_parameters()):
        values = normal(*parameter.shape, seed=i)
        with torch.no_grad():
            parameter.copy_(torch.tensor(values))
        turned = transposed_last(values) if transposed and values.ndim > 1 else last(values)
        setattr(layer, name, xp_backend.array(np.ascontiguousarray(turned)))
    tensor = torch.tensor(first(x).copy(), requires_grad=True)
    expected = theirs(tensor, **(options or {}))
    cotangent = normal(*expected.shape, seed=9)
    expected.backward(torch.tensor(cotangent))
    with nnx.record():
        variable = nnx.variable(xp_backend.array(x))
        out = layer(variable, **(options or {}))
    out.backward(xp_backend.array(np.ascontiguousarray(last(cotangent))))
    _close(nnx.stop_gradient(out), last(expected.detach().numpy()))
    _close(variable.grad, last(tensor.grad.numpy()))
    for name, parameter in theirs.named_parameters():
        grad = parameter.grad.numpy()
        _close(layer.parameter(name).grad, transposed_last(grad) if transposed and grad.ndim > 1 else last(grad))


def _close(actual: Any, expected: np.ndarray) -> None:
    found = nnx.to_numpy(actual)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize(("rank", "case"), _cases())
def test_convolutions_agree_with_torch(xp_backend: Any, rank: int, case: dict) -> None:
    torch = pytest.importorskip("torch")
    layer = getattr(nnx, f"Conv{rank}d")(CHANNELS, OUTPUTS, **case, dtype="float64")
    theirs = getattr(torch.nn, f"Conv{rank}d")(CHANNELS, OUTPUTS, **case)
    assert tuple(layer.weight.shape) == (OUTPUTS, *per_axis(case["kernel_size"], rank), CHANNELS // case["groups"])
    _agrees(layer, theirs, normal(2, *LENGTHS[rank], CHANNELS), xp_backend)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_transposed_convolutions_agree_with_torch(xp_backend: Any, rank: int, bias: bool) -> None:
    torch = pytest.importorskip("torch")
    arguments = (CHANNELS, OUTPUTS, 3, mixed(rank, 2, 1, 2), 1, mixed(rank, 1, 0, 1), 2, bias, 1)
    layer = getattr(nnx, f"ConvTranspose{rank}d")(*arguments, dtype="float64")
    assert tuple(layer.weight.shape) == (OUTPUTS // 2, *(3,) * rank, CHANNELS)
    theirs = getattr(torch.nn, f"ConvTranspose{rank}d")(*arguments)
    _agrees(layer, theirs, normal(2, *LENGTHS[rank], CHANNELS), xp_backend)


@pytest.mark.parametrize("size", [(11, 7), (12, 8), [11, 8]], ids=str)
def test_an_output_size_is_kept(xp_backend: Any, size: Any) -> None:
    torch = pytest.importorskip("torch")
    arguments = (3, 4, 3, 2, 1)
    layer = nnx.ConvTranspose2d(*arguments, dtype="float64")
    x = normal(2, 6, 4, 3)
    _agrees(layer, torch.nn.ConvTranspose2d(*arguments), x, xp_backend, {"output_size": size})
    whole = layer(xp_backend.array(x), output_size=(2, *size, 4))
    assert tuple(whole.shape) == (2, *size, 4)


@pytest.mark.parametrize(
    ("make", "arguments"),
    [(nnx.SeparableConv1d, {}), (nnx.SeparableConv2d, {"padding": 1, "padding_mode": "reflect", "stride": (1, 2)})],
)
def test_separable_convolutions_are_two_of_torchs(xp_backend: Any, make: Any, arguments: dict) -> None:
    torch = pytest.importorskip("torch")
    rank = 1 if make is nnx.SeparableConv1d else 2
    layer = make(3, 5, 3, **arguments, depth_multiplier=2, dtype="float64")
    conv = getattr(torch.nn, f"Conv{rank}d")
    two = [("depthwise", conv(3, 6, 3, groups=3, bias=False, **arguments)), ("pointwise", conv(6, 5, 1))]
    pairs = torch.nn.ModuleDict(dict(two))
    assert list(layer.state_dict()) == list(pairs.state_dict())
    x = normal(2, *LENGTHS[rank], 3)
    for name, theirs in two:
        _agrees(layer.module(name), theirs, x if name == "depthwise" else normal(2, *LENGTHS[rank], 6), xp_backend)
    expected = pairs["pointwise"](pairs["depthwise"](torch.tensor(first(x).copy()))).detach().numpy()
    _close(layer(xp_backend.array(x)), last(expected))


INITIAL = [
    (nnx.Conv1d, (40, 60, 5), {}, 200),
    (nnx.Conv2d, (40, 60, (3, 5)), {"groups": 20}, 30),
    (nnx.Conv3d, (20, 20, 3), {}, 540),
    (nnx.ConvTranspose1d, (40, 60, 5), {}, 300),
    (nnx.ConvTranspose2d, (40, 60, (3, 5)), {"groups": 20}, 45),
    (nnx.ConvTranspose3d, (20, 20, 3), {}, 540),
]


@pytest.mark.parametrize(("make", "arguments", "options", "fan_in"), INITIAL)
def test_they_start_as_torch_does(make: Any, arguments: tuple, options: dict, fan_in: int) -> None:
    nnx.seed(0)
    layer, bound = make(*arguments, **options), 1 / math.sqrt(fan_in)
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = getattr(torch.nn, make.__name__)(*arguments, **options)
    for name in ("weight", "bias"):
        array = getattr(layer, name)
        assert array.dtype == np.float32
        for extreme in (np.abs(array).max(), getattr(theirs, name).abs().max().item()):
            assert 0.85 * bound < extreme <= bound * (1 + 1e-6)
    assert np.abs(layer.weight).max() > 0.99 * bound
    assert abs(float(layer.weight.mean())) < 0.05 * bound
    nnx.seed(0)
    np.testing.assert_array_equal(make(*arguments, **options).weight, layer.weight)


def test_weights_are_the_same_bits_everywhere() -> None:
    found = []
    for name in ("numpy", "strict"):
        nnx.seed(5)
        with nnx.use_backend(name):
            found.append(nnx.to_numpy(nnx.Conv2d(3, 2, 3).weight))
    np.testing.assert_array_equal(*found)


TEXTS = [
    (nnx.Conv2d(3, 16, 3), "Conv2d(3, 16, kernel_size=(3, 3), stride=(1, 1))"),
    (
        nnx.Conv2d(4, 6, (3, 5), 2, 1, groups=2, bias=False, padding_mode="reflect"),
        "Conv2d(4, 6, kernel_size=(3, 5), stride=(2, 2), padding=(1, 1), groups=2, padding_mode='reflect', bias=False)",
    ),
    (nnx.Conv1d(3, 8, 5, padding="same"), "Conv1d(3, 8, kernel_size=(5,), stride=(1,), padding='same')"),
    (
        nnx.ConvTranspose2d(3, 8, 3, 2, 1, 1, dilation=2),
        "ConvTranspose2d(3, 8, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), output_padding=(1, 1), "
        "dilation=(2, 2))",
    ),
]


@pytest.mark.parametrize(("layer", "text"), TEXTS, ids=lambda value: value if isinstance(value, str) else "")
def test_representation(layer: nnx.Module, text: str) -> None:
    assert repr(layer) == text


CALLS: list = [
    (lambda: nnx.Conv2d(3, 16, 3), (8, 3, 32, 32), "Conv2d(3, 16): expected (N, H, W, 3), got (8, 3, 32, 32). This "
     "looks like channels-first; use xp.permute_dims(x, (0, 2, 3, 1))."),
    (lambda: nnx.Conv2d(1, 16, 3), (8, 28, 28), "Conv2d(1, 16): expected (N, H, W, 1), got (8, 28, 28). The channel "
     "axis is missing; use x[..., None]."),
    (lambda: nnx.Conv1d(4, 2, 3), (100, 4), "Conv1d(4, 2): expected (N, L, 4), got (100, 4). The batch axis is "
     "missing; use x[None, ...]."),
    (lambda: nnx.Conv2d(3, 16, 5), (8, 4, 9, 3), "Conv2d(3, 16): expected at least 5 × 5 elements, which the kernel "
     "covers, got 4 × 9 with padding, for an input of shape (8, 4, 9, 3); use a smaller kernel or dilation, or "
     "more padding."),
    (lambda: nnx.Conv2d(3, 16, 5, padding=4, padding_mode="reflect"), (8, 4, 9, 3), "Conv2d(3, 16): expected at "
     "least 5 elements along axis 1 to pad 4 with mode 'reflect', got 4 in (8, 4, 9, 3); pad less, or use mode "
     "'constant'."),
    (lambda: nnx.ConvTranspose2d(3, 16, 2), (8, 3, 9, 9), "ConvTranspose2d(3, 16): expected (N, H, W, 3), got (8, "
     "3, 9, 9). This looks like channels-first; use xp.permute_dims(x, (0, 2, 3, 1))."),
    (lambda: nnx.ConvTranspose2d(3, 16, 1, padding=1), (8, 2, 3, 3), "ConvTranspose2d(3, 16): expected an output of "
     "at least one element along each axis, got 0 × 1 for an input of shape (8, 2, 3, 3); padding takes away from "
     "the output here: use less."),
    (lambda: nnx.SeparableConv2d(3, 16, 3), (8, 3, 9, 9), "SeparableConv2d(3, 16): expected (N, H, W, 3), got (8, "
     "3, 9, 9). This looks like channels-first; use xp.permute_dims(x, (0, 2, 3, 1))."),
    (lambda: nnx.SeparableConv1d(3, 16, 3), (8, 2, 3), "SeparableConv1d(3, 16): expected at least 3 elements, which "
     "the kernel covers, got 2 with padding, for an input of shape (8, 2, 3); use a smaller kernel or dilation, or "
     "more padding."),
]  # fmt: skip


@pytest.mark.parametrize("recording", [False, True])
@pytest.mark.parametrize(("make", "shape", "text"), CALLS)
def test_they_name_themselves_and_the_fix(
    xp_backend: Any, make: Callable, shape: tuple, text: str, recording: bool
) -> None:
    layer, x = make(), xp_backend.array(np.zeros(shape), "float32")
    with pytest.raises(ShapeError) as caught, nnx.record() if recording else nullcontext():
        layer(x)
    assert str(caught.value) == text


def test_dtypes_and_what_is_no_array(xp_backend: Any) -> None:
    x = xp_backend.array(np.zeros((2, 9, 9, 3)))
    text = r"^{}\(3, 4\): expected input of dtype float32, that of the weight, got float64\. Cast it, e\.g\. xp\.astype"
    for make in (nnx.Conv2d, nnx.ConvTranspose2d):
        with pytest.raises(DTypeError, match=text.format(make.__name__)):
            make(3, 4, 3)(x)
    with pytest.raises(TypeError, match=r"^Conv2d\(3, 4\): expected input to be an array, got list; use nnx\.asarray"):
        nnx.Conv2d(3, 4, 3)([1.0])


def test_output_sizes_that_cannot_be() -> None:
    layer, x = nnx.ConvTranspose2d(3, 4, 3, stride=2), np.zeros((1, 4, 4, 3), "float32")
    text = r"^ConvTranspose2d\(3, 4\): expected output_size from \(9, 9\) to \(10, 10\) for an input of shape "
    with pytest.raises(ShapeError, match=text + r"\(1, 4, 4, 3\), got \(12, 10\)\.$"):
        layer(x, output_size=(12, 10))
    text = "expected output_size to have 2 lengths, one per spatial axis, or to be the whole shape, got "
    for size in ((9,), 9):
        with pytest.raises(ValueError, match=text):
            layer(x, output_size=size)


MADE: list = [
    (lambda: nnx.Conv2d(0, 4, 3), "Conv2d: expected in_channels to be a positive integer, got 0."),
    (lambda: nnx.Conv2d(3, 4.0, 3), "Conv2d: expected out_channels to be a positive integer, got 4.0."),
    (lambda: nnx.Conv2d(3, 4, 0), "Conv2d: expected kernel_size to be a positive integer, got 0."),
    (lambda: nnx.Conv2d(3, 4, (3, 3, 3)), "Conv2d: expected kernel_size to be an integer or 2 of them, one per "
     "spatial axis, got (3, 3, 3)."),
    (lambda: nnx.Conv1d(3, 4, (3, 3)), "Conv1d: expected kernel_size to be one integer, got (3, 3)."),
    (lambda: nnx.Conv2d(3, 4, 3, -1), "Conv2d: expected stride to be a positive integer, got -1."),
    (lambda: nnx.Conv2d(3, 4, 3, padding=-1), "Conv2d: expected padding to be a non-negative integer, got -1."),
    (lambda: nnx.Conv2d(3, 4, 3, padding="full"), "Conv2d: expected padding to be numbers, 'same' or 'valid', got "
     "'full'."),
    (lambda: nnx.Conv2d(3, 4, 3, 2, "same"), "Conv2d: expected stride 1 with padding 'same', got stride (2, 2); "
     "write the padding as numbers, e.g. (1, 1)."),
    (lambda: nnx.Conv2d(3, 4, 3, groups=2), "Conv2d: expected groups to divide in_channels=3, got groups=2."),
    (lambda: nnx.Conv2d(4, 3, 3, groups=2), "Conv2d: expected groups to divide out_channels=3, got groups=2."),
    (lambda: nnx.Conv2d(3, 4, 3, bias=1), "Conv2d: expected bias to be True or False, got 1."),
    (lambda: nnx.Conv2d(3, 4, 3, padding_mode="mirror"), "Conv2d: expected padding_mode to be one of 'zeros', "
     "'reflect', 'replicate', 'circular', got 'mirror'."),
    (lambda: nnx.Conv2d(3, 4, 3, dtype="int32"), "Conv2d: expected a floating-point dtype, such as 'float32', got "
     "'int32'."),
    (lambda: nnx.ConvTranspose2d(3, 4, 3, output_padding=1), "ConvTranspose2d: expected output_padding below the "
     "stride or the dilation, got output_padding (1, 1) with stride (1, 1) and dilation (1, 1)."),
    (lambda: nnx.ConvTranspose2d(3, 4, 3, padding_mode="reflect"), "ConvTranspose2d: expected padding_mode 'zeros', "
     "the only one it has, got 'reflect'."),
    (lambda: nnx.ConvTranspose2d(3, 4, 3, padding="same"), "ConvTranspose2d: expected padding to be a non-negative "
     "integer, got 'same'."),
    (lambda: nnx.SeparableConv2d(3, 4, 3, depth_multiplier=0), "SeparableConv2d: expected depth_multiplier to be a "
     "positive integer, got 0."),
    (lambda: nnx.SeparableConv2d(3, 4, (3, 0)), "SeparableConv2d: expected kernel_size[1] to be a positive integer, "
     "got 0."),
    (lambda: nnx.SeparableConv2d(3, 4, 3, padding="full"), "SeparableConv2d: expected padding to be numbers, 'same' or "
     "'valid', got 'full'."),
    (lambda: nnx.SeparableConv1d(3, 4, 3, bias=None), "SeparableConv1d: expected bias to be True or False, got None."),
    (lambda: nnx.SeparableConv2d(0, 4, 3), "SeparableConv2d: expected in_channels to be a positive integer, got 0."),
]  # fmt: skip


@pytest.mark.parametrize(("make", "text"), MADE)
def test_wrong_arguments(make: Callable, text: str) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        make()
    assert str(caught.value) == text


def test_empty_batches(xp_backend: Any) -> None:
    x = xp_backend.array(np.zeros((0, 8, 8, 3)), "float32")
    assert tuple(nnx.Conv2d(3, 4, 3, padding=1, padding_mode="circular")(x).shape) == (0, 8, 8, 4)
    assert tuple(nnx.ConvTranspose2d(3, 4, 2, stride=2)(x).shape) == (0, 16, 16, 4)
    assert tuple(nnx.SeparableConv2d(3, 4, 3)(x).shape) == (0, 6, 6, 4)


def test_changed_arguments_count(xp_backend: Any) -> None:
    """As networks for segmentation do it: less stride, more dilation, after the layer was made."""
    x = xp_backend.array(normal(1, 9, 9, 3))
    layer = nnx.Conv2d(3, 4, 3, stride=2, padding=1, dtype="float64")
    layer.stride, layer.dilation, layer.padding = (1, 1), (2, 2), (2, 2)
    expected = nnx.functional.conv2d(x, layer.weight, layer.bias, 1, 2, 2)
    np.testing.assert_array_equal(nnx.to_numpy(layer(x)), nnx.to_numpy(expected))
