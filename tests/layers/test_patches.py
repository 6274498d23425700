"""Unfold and Fold as layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx import functional
from tests.functional.convolution_cases import normal


def test_they_call_the_functions_with_their_arguments(xp_backend: Any) -> None:
    x = xp_backend.array(normal(2, 6, 7, 3))
    options = {"kernel_size": (2, 3), "dilation": (2, 1), "padding": 1, "stride": (1, 2)}
    patches = nnx.Unfold(*options.values())(x)
    np.testing.assert_array_equal(nnx.to_numpy(patches), nnx.to_numpy(functional.unfold(x, **options)))
    images = nnx.Fold((6, 7), *options.values())(patches)
    np.testing.assert_array_equal(nnx.to_numpy(images), nnx.to_numpy(functional.fold(patches, (6, 7), **options)))


def test_integers_do_for_any_rank(xp_backend: Any) -> None:
    layer = nnx.Unfold(2, stride=2)
    for rank in (1, 2, 3):
        assert tuple(layer(xp_backend.array(np.zeros((1, *(4,) * rank, 3)))).shape) == (1, 2**rank, 3 * 2**rank)
    assert tuple(nnx.Fold(4, 2, stride=2)(xp_backend.array(np.zeros((1, 4, 12)))).shape) == (1, 4, 4, 3)


def test_representation() -> None:
    torch = pytest.importorskip("torch")
    assert repr(nnx.Unfold(3, 1, (0, 1), 2)) == repr(torch.nn.Unfold(3, 1, (0, 1), 2))
    assert repr(nnx.Fold((3, 4), 2)) == repr(torch.nn.Fold((3, 4), 2))


REFUSED: list = [
    (lambda: nnx.Unfold(0), "Unfold: expected kernel_size to be a positive integer, got 0."),
    (
        lambda: nnx.Unfold((2, 2), 1, 0, (1, 1, 1)),
        "Unfold: expected stride to be an integer or 2 of them, one per spatial axis, got (1, 1, 1).",
    ),
    (lambda: nnx.Unfold(2, padding=-1), "Unfold: expected padding to be a non-negative integer, got -1."),
    (lambda: nnx.Fold((), 2), "Fold: expected output_size to have one to three lengths, got ()."),
    (
        lambda: nnx.Fold((8, 8), (2, 2, 2)),
        "Fold: expected kernel_size to be an integer or 2 of them, one per spatial axis, got (2, 2, 2).",
    ),
]


@pytest.mark.parametrize(("make", "text"), REFUSED)
def test_wrong_arguments(make: Callable, text: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert str(caught.value) == text
