"""The padding layers: against PyTorch's, their representation, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import ShapeError
from tests.functional.convolution_cases import LENGTHS, assert_agrees, normal

KINDS = ["ZeroPad", "ConstantPad", "ReflectionPad", "ReplicationPad", "CircularPad"]
SIDES = {1: [2, (1, 3), (-1, 2)], 2: [1, (0, 1, 2, 3)], 3: [1, (0, 1, 2, 3, 1, -1)]}
CASES = [(kind, rank, sides) for kind in KINDS for rank in SIDES for sides in SIDES[rank]]


@pytest.mark.parametrize(("kind", "rank", "sides"), CASES, ids=str)
def test_they_agree_with_torch(xp_backend: Any, kind: str, rank: int, sides: Any) -> None:
    torch = pytest.importorskip("torch")
    arguments = (sides, 1.5) if kind == "ConstantPad" else (sides,)
    ours, theirs = (getattr(module, f"{kind}{rank}d")(*arguments) for module in (nnx, torch.nn))
    assert ours.padding == tuple(theirs.padding)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == []
    assert_agrees(ours, theirs, [normal(2, *LENGTHS[rank], 3)], xp_backend.array)


def test_whole_numbers_and_masks_are_padded_too(xp_backend: Any) -> None:
    for dtype, value in (("int64", 7), ("uint8", 255), ("bool", True)):
        x = xp_backend.array(np.zeros((1, 2, 1)), dtype)
        out = nnx.ConstantPad1d((1, 0), value)(x)
        assert out.dtype == x.dtype
        assert nnx.to_numpy(out)[0, 0, 0] == value
        assert nnx.ZeroPad1d(1)(x).dtype == x.dtype


REFUSED: list = [
    (lambda: nnx.ZeroPad2d((1, 1)), "ZeroPad2d: expected padding to be an integer or 4 of them, got (1, 1)."),
    (lambda: nnx.ZeroPad2d(1.5), "ZeroPad2d: expected padding to be an integer, got 1.5."),
    (lambda: nnx.CircularPad1d((1, "a")), "CircularPad1d: expected padding[1] to be an integer, got 'a'."),
    (lambda: nnx.ConstantPad1d(1, "a"), "ConstantPad1d: expected value to be a number, got 'a'."),
    (lambda: nnx.ConstantPad1d(1, None), "ConstantPad1d: expected value to be a number, got None."),
    (
        lambda: nnx.ZeroPad1d(1)([1.0]),
        "ZeroPad1d((1, 1)): expected input to be an array, got list; use nnx.asarray(input).",
    ),
    (
        lambda: nnx.ConstantPad1d(1, 0.5)(np.zeros((1, 2, 1), "int64")),
        "ConstantPad1d((1, 1)): expected value to be an integer, got 0.5.",
    ),
]


@pytest.mark.parametrize(("make", "text"), REFUSED)
def test_wrong_arguments(make: Callable, text: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert str(caught.value) == text


SHAPES = [
    (
        (28, 28, 1),
        "ReflectionPad2d((2, 2, 2, 2)): expected (N, H, W, C), got (28, 28, 1). If the batch axis is missing, use "
        "x[None, ...]; if that of the channels, x[..., None].",
    ),
    ((28, 28), "ReflectionPad2d((2, 2, 2, 2)): expected (N, H, W, C), got (28, 28)."),
    (
        (8, 2, 28, 1),
        "ReflectionPad2d((2, 2, 2, 2)): expected at least 3 elements along axis 1 to pad 2 with mode 'reflect', got 2 "
        "in (8, 2, 28, 1); pad less, or use mode 'constant'.",
    ),
]


@pytest.mark.parametrize(("shape", "text"), SHAPES)
def test_shapes_that_do_not_fit(xp_backend: Any, shape: tuple, text: str) -> None:
    with pytest.raises(ShapeError) as caught:
        nnx.ReflectionPad2d(2)(xp_backend.array(np.zeros(shape)))
    assert str(caught.value) == text
