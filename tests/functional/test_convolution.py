"""Convolutions: against PyTorch over a grid of their arguments, second derivatives, empty arrays, dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nnx
from nnx import functional
from nnx.functional.convolution import convolution, convolution_transpose
from tests.functional.convolution_cases import (
    CHANNELS,
    LENGTHS,
    OUTPUTS,
    assert_agrees,
    covering,
    label,
    mixed,
    normal,
    per_axis,
)


def _fits(rank: int, case: dict) -> bool:
    if case["padding"] == "same":
        return per_axis(case["stride"], rank) == (1,) * rank
    padding = per_axis(0 if case["padding"] == "valid" else case["padding"], rank)
    kernel, dilation = per_axis(case["kernel"], rank), per_axis(case["dilation"], rank)
    return all(n + 2 * p > d * (k - 1) for n, p, d, k in zip(LENGTHS[rank], padding, dilation, kernel, strict=True))


def _cases() -> list:
    cases = []
    for rank in (1, 2, 3):
        options = {
            "stride": [1, 2, mixed(rank, 3, 1, 2)],
            "padding": [0, 1, mixed(rank, 2, 1, 3), "same", "valid"],
            "dilation": [1, mixed(rank, 2, 1, 2)],
            "groups": [1, 2, CHANNELS],
            "kernel": [1, 2, 3, mixed(rank, 4, 3, 2)],
            "bias": [True, False],
        }
        for case in covering(options, lambda case, rank=rank: _fits(rank, case), strength=3 if rank == 2 else 2):
            cases.append(pytest.param(rank, case, id=f"{rank}d {label(case)}"))
    return cases


@pytest.mark.parametrize(("rank", "case"), _cases())
def test_convolutions_agree_with_torch(xp_backend: Any, rank: int, case: dict) -> None:
    torch = pytest.importorskip("torch")
    case = dict(case)
    kernel, bias = per_axis(case.pop("kernel"), rank), case.pop("bias")
    arrays = [normal(2, *LENGTHS[rank], CHANNELS), normal(OUTPUTS, *kernel, CHANNELS // case["groups"])]
    arrays += [normal(OUTPUTS)] if bias else []

    def theirs(*tensors: Any) -> Any:
        if case["padding"] != "same":
            return getattr(torch.nn.functional, f"conv{rank}d")(*tensors, **case)
        # torch's own 'same' of an even kernel warns of a copy that it makes; this is its rule
        reach = [d * (k - 1) for d, k in zip(per_axis(case["dilation"], rank), kernel, strict=True)]
        pairs = [n for total in reversed(reach) for n in (total // 2, total - total // 2)]
        padded = torch.nn.functional.pad(tensors[0], pairs)
        return getattr(torch.nn.functional, f"conv{rank}d")(padded, *tensors[1:], **{**case, "padding": 0})

    def ours(*arrays: Any) -> Any:
        return getattr(functional, f"conv{rank}d")(*arrays, **case)

    assert_agrees(ours, theirs, arrays, xp_backend.array)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize(("kernel", "dilation"), [(2, 1), (3, 1), (4, 1), (4, 3), ((2, 3), (1, 2))], ids=str)
def test_same_is_the_rule_of_torch(kernel: Any, dilation: Any) -> None:
    torch = pytest.importorskip("torch")
    arrays = [normal(2, 6, 7, 3), normal(4, *per_axis(kernel, 2), 3)]
    options = {"padding": "same", "dilation": dilation}
    assert_agrees(
        lambda *a: functional.conv2d(*a, **options),
        lambda *t: torch.nn.functional.conv2d(*t, **options),
        arrays,
        np.asarray,
    )


def _transposed_fits(rank: int, case: dict) -> bool:
    numbers = [per_axis(case[name], rank) for name in ("stride", "padding", "output_padding", "dilation", "kernel")]
    each = zip(LENGTHS[rank], *numbers, strict=True)
    return all(o < max(s, d) and (n - 1) * s - 2 * p + d * (k - 1) + o >= 0 for n, s, p, o, d, k in each)


def _transposed_cases() -> list:
    cases = []
    for rank in (1, 2, 3):
        options = {
            "stride": [1, 2, mixed(rank, 3, 1, 2)],
            "padding": [0, 1, mixed(rank, 2, 1, 0)],
            "output_padding": [0, 1, mixed(rank, 1, 0, 1)],
            "dilation": [1, mixed(rank, 2, 1, 2)],
            "groups": [1, 2, CHANNELS],
            "kernel": [1, 2, 3, mixed(rank, 4, 3, 2)],
            "bias": [True, False],
        }
        allowed = lambda case, rank=rank: _transposed_fits(rank, case)  # noqa: E731
        for case in covering(options, allowed, strength=3 if rank == 2 else 2):
            cases.append(pytest.param(rank, case, id=f"{rank}d {label(case)}"))
    return cases


@pytest.mark.parametrize(("rank", "case"), _transposed_cases())
def test_transposed_convolutions_agree_with_torch(xp_backend: Any, rank: int, case: dict) -> None:
    torch = pytest.importorskip("torch")
    case = dict(case)
    kernel, bias = per_axis(case.pop("kernel"), rank), case.pop("bias")
    arrays = [normal(2, *LENGTHS[rank], CHANNELS), normal(OUTPUTS // case["groups"], *kernel, CHANNELS)]
    arrays += [normal(OUTPUTS)] if bias else []
    name = f"conv_transpose{rank}d"
    assert_agrees(
        lambda *a: getattr(functional, name)(*a, **case),
        lambda *t: getattr(torch.nn.functional, name)(*t, **case),
        arrays,
        xp_backend.array,
        transposed=True,
    )


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_second_derivatives(xp_backend: Any, rank: int) -> None:
    lengths, kernel = (4, 3, 3)[:rank], (2, 2, 1)[:rank]
    stride, dilation = (2, 1, 1)[:rank], (1, 2, 1)[:rank]
    x = xp_backend.array(normal(2, *lengths, 4))
    weight, bias = xp_backend.array(normal(4, *kernel, 2)), xp_backend.array(normal(4))
    pairs = ((1, 0), (0, 1), (0, 0))[:rank]
    nnx.check_grads(lambda *a: convolution(*a, stride, pairs, dilation, 2), (x, weight, bias))
    weight = xp_backend.array(normal(2, *kernel, 4))
    added = (1, 0, 0)[:rank]
    nnx.check_grads(lambda *a: convolution_transpose(*a, stride, pairs, added, dilation, 2), (x, weight, bias))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_transpose_is_the_adjoint(rank: int) -> None:
    """<conv(x), y> = <x, conv_transpose(y)>, with padding that differs before and after."""
    lengths, kernel = (7, 6, 5)[:rank], (3, 2, 2)[:rank]
    stride, dilation = (2, 1, 3)[:rank], (1, 2, 1)[:rank]
    pairs = ((1, 0), (0, 2), (1, 1))[:rank]
    x, weight = normal(2, *lengths, 4), normal(6, *kernel, 2)
    y = convolution(x, weight, None, stride, pairs, dilation, 2)
    z = normal(*y.shape, seed=1)
    least = convolution_transpose(z, _swapped(weight, 2), None, stride, pairs, (0,) * rank, dilation, 2)
    added = tuple(n - m for n, m in zip(lengths, least.shape[1:-1], strict=True))
    back = convolution_transpose(z, _swapped(weight, 2), None, stride, pairs, added, dilation, 2)
    assert back.shape == x.shape
    np.testing.assert_allclose(np.sum(y * z), np.sum(x * back), rtol=1e-12)


def _swapped(weight: np.ndarray, groups: int) -> np.ndarray:
    """(O, *kernel, C / g) to (C / g, *kernel, O), for the way back."""
    outputs, *kernel, channels = weight.shape
    weight = weight.reshape(groups, outputs // groups, *kernel, channels)
    weight = np.moveaxis(weight, -1, 0)  # (C / g, g, O / g, *kernel)
    return np.moveaxis(weight.reshape(channels, outputs, *kernel), 1, -1)


def test_an_image_that_is_known(xp_backend: Any) -> None:
    x = xp_backend.array(np.arange(9.0).reshape(1, 3, 3, 1))
    weight = xp_backend.array(np.asarray([[1.0, 0.0], [0.0, -1.0]]).reshape(1, 2, 2, 1))
    out = nnx.to_numpy(functional.conv2d(x, weight))[0, :, :, 0]
    np.testing.assert_array_equal(out, [[-4, -4], [-4, -4]])
    out = nnx.to_numpy(functional.conv_transpose2d(x[:, :1, :2, ...], weight))[0, :, :, 0]
    np.testing.assert_array_equal(out, [[0, 1, 0], [0, 0, -1]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dtype_stays(xp_backend: Any, dtype: str) -> None:
    x, bias = xp_backend.array(normal(2, 5, 4), dtype), xp_backend.array(normal(6), dtype)
    weight, turned = xp_backend.array(normal(6, 3, 4), dtype), xp_backend.array(normal(6, 3, 4), dtype)
    for function, arrays in (
        (functional.conv1d, (x, weight, bias)),
        (functional.conv_transpose1d, (x, turned, bias)),
    ):
        out, pullback = nnx.vjp(function, *arrays)
        assert {out.dtype, *[g.dtype for g in pullback(out)]} == {x.dtype}


def test_complex_numbers() -> None:
    torch = pytest.importorskip("torch")
    x, weight = (normal(*s) + 1j * normal(*s, seed=1) for s in ((2, 5, 6, 3), (4, 2, 3, 3)))
    expected = torch.nn.functional.conv2d(*[torch.tensor(np.moveaxis(a, -1, 1)) for a in (x, weight)])
    np.testing.assert_allclose(functional.conv2d(x, weight), np.moveaxis(expected.numpy(), 1, -1), rtol=1e-12)


EMPTY = [
    ((0, 5, 6, 2), (4, 3, 3, 2), {}, (0, 3, 4, 4)),
    ((0, 5, 6, 2), (4, 3, 3, 1), {"groups": 2, "stride": 2, "padding": 1}, (0, 3, 3, 4)),
    ((2, 5, 6, 0), (4, 3, 3, 0), {}, (2, 3, 4, 4)),
    ((2, 0, 6, 2), (4, 3, 3, 2), {"padding": (2, 0)}, (2, 2, 4, 4)),
    ((2, 0, 0, 2), (4, 1, 1, 2), {"padding": 1}, (2, 2, 2, 4)),
]


@pytest.mark.parametrize(("shape", "weight", "options", "expected"), EMPTY, ids=str)
def test_empty_arrays(xp_backend: Any, shape: tuple, weight: tuple, options: dict, expected: tuple) -> None:
    """Without batch there is nothing; where only padding or no channel is seen, the bias."""
    arrays = [xp_backend.array(normal(*s)) for s in (shape, weight, weight[:1])]
    out, pullback = nnx.vjp(lambda *a: functional.conv2d(*a, **options), *arrays)
    assert tuple(out.shape) == expected
    np.testing.assert_array_equal(nnx.to_numpy(out), np.broadcast_to(nnx.to_numpy(arrays[2]), expected))
    grads = pullback(xp_backend.array(np.ones(expected)))
    assert [tuple(g.shape) for g in grads] == [shape, weight, weight[:1]]
    assert not nnx.to_numpy(grads[1]).any()
    np.testing.assert_array_equal(nnx.to_numpy(grads[2]), np.full(weight[0], np.prod(expected[:-1])))


EMPTY_TRANSPOSED = [
    ((0, 5, 6, 2), (4, 3, 3, 2), {}, (0, 7, 8, 4)),
    ((0, 5, 6, 2), (2, 3, 3, 2), {"groups": 2, "stride": 2, "output_padding": 1}, (0, 12, 14, 4)),
    ((2, 5, 6, 0), (4, 3, 3, 0), {}, (2, 7, 8, 4)),
    ((2, 0, 6, 2), (4, 3, 3, 2), {}, (2, 2, 8, 4)),
]


@pytest.mark.parametrize(("shape", "weight", "options", "expected"), EMPTY_TRANSPOSED, ids=str)
def test_empty_arrays_transposed(xp_backend: Any, shape: tuple, weight: tuple, options: dict, expected: tuple) -> None:
    arrays = [xp_backend.array(normal(*s)) for s in (shape, weight, expected[-1:])]
    out, pullback = nnx.vjp(lambda *a: functional.conv_transpose2d(*a, **options), *arrays)
    assert tuple(out.shape) == expected
    np.testing.assert_array_equal(nnx.to_numpy(out), np.broadcast_to(nnx.to_numpy(arrays[2]), expected))
    assert [tuple(g.shape) for g in pullback(out)] == [shape, weight, expected[-1:]]


def test_arguments_are_torchs(xp_backend: Any) -> None:
    """By position, in torch's order: the transposed one has groups before dilation."""
    x, weight = xp_backend.array(normal(2, 7, 4)), xp_backend.array(normal(6, 3, 2))
    out = functional.conv1d(x, weight, None, 2, 1, 1, 2)
    named = functional.conv1d(input=x, weight=weight, bias=None, stride=2, padding=1, dilation=1, groups=2)
    np.testing.assert_array_equal(nnx.to_numpy(out), nnx.to_numpy(named))
    weight = xp_backend.array(normal(3, 2, 4))
    out = functional.conv_transpose1d(x, weight, None, 3, 1, 2, 2, 1)
    named = functional.conv_transpose1d(x, weight, stride=3, padding=1, output_padding=2, groups=2, dilation=1)
    np.testing.assert_array_equal(nnx.to_numpy(out), nnx.to_numpy(named))
