"""Arguments that a module does not take: one clear text, whichever layer it is and whichever way they come."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import ShapeError


class Bare(nnx.Module):
    """A module of a user's, without an ``__init__``."""

    def forward(self, x: Any) -> Any:
        return x


class Gate(nnx.Module):
    def __init__(self, size: int, *rest: int, inplace: bool = False, **options: Any) -> None:
        self.got = (size, rest, inplace, options)


class Mixin:
    def __init__(self, *names: str) -> None:
        self.names = names


class Mixed(nnx.Module, Mixin):
    pass


NO_INPLACE = "nnx has no inplace, layers return new arrays: leave it out."
WRONG: list[tuple[Callable, str]] = [
    (lambda: nnx.Tanh(5, "x"), "Tanh: expected no positional arguments, got 2; it takes none."),
    (lambda: nnx.ReLU(nonsense=3), "ReLU: got an unexpected argument nonsense=3; it takes none."),
    (lambda: Bare(1), "Bare: expected no positional arguments, got 1; it takes none."),
    (lambda: Bare(size=1), "Bare: got an unexpected argument size=1; it takes none."),
    (lambda: nnx.ReLU(inplace=True), f"ReLU: got an unexpected argument inplace=True; {NO_INPLACE}"),
    (lambda: nnx.ReLU(True), f"ReLU: expected no positional arguments, got 1; {NO_INPLACE}"),
    (lambda: nnx.Dropout(0.5, inplace=True), f"Dropout: got an unexpected argument inplace=True; {NO_INPLACE}"),
    (lambda: nnx.Dropout(0.5, True), f"Dropout: expected 1 positional argument, got 2; {NO_INPLACE}"),
    (lambda: nnx.LeakyReLU(0.1, True), f"LeakyReLU: expected 1 positional argument, got 2; {NO_INPLACE}"),
    (lambda: nnx.Hardtanh(-1, 1, True), f"Hardtanh: expected 2 positional arguments, got 3; {NO_INPLACE}"),
    (lambda: nnx.Softmax(dim=-1), "Softmax: got an unexpected argument dim=-1; it is called axis here."),
    (lambda: nnx.Dropout(q=0.5), "Dropout: got an unexpected argument q=0.5; it takes p."),
    (
        lambda: nnx.MSELoss(size_average=True),
        "MSELoss: got an unexpected argument size_average=True; it takes reduction.",
    ),
    (
        lambda: nnx.HingeLoss(1.0, "mean", 3),
        "HingeLoss: expected 2 positional arguments, got 3; it takes margin, reduction.",
    ),
]


@pytest.mark.parametrize(("make", "text"), WRONG)
def test_what_is_not_taken(make: Callable, text: str) -> None:
    with pytest.raises(TypeError) as caught:
        make()
    assert str(caught.value) == text


def test_what_is_missing_python_tells() -> None:
    with pytest.raises(TypeError, match=r"Linear\.__init__\(\) missing 1 required positional argument: 'out_features'"):
        nnx.Linear(3)


def test_what_a_class_takes_reaches_it() -> None:
    assert Gate(1, 2, 3, inplace=True, a=4).got == (1, (2, 3), True, {"a": 4})
    assert Mixed("a", "b").names == ("a", "b")
    nnx.Identity(5, inplace=True)
    assert copy.deepcopy(nnx.Dropout(0.25)).p == pickle.loads(pickle.dumps(nnx.Dropout(0.25))).p == 0.25


# ------------------------------------------------------------------ Residual and Softmax2d


class Pair(nnx.Module):
    def forward(self, x: Any) -> Any:
        return x, x


def test_residual_adds_arrays() -> None:
    x = np.ones((2, 3), "float32")
    with pytest.raises(TypeError, match=r"^Residual: expected an array from the layers, got tuple; wrap them"):
        nnx.Residual(Pair())(x)
    with pytest.raises(TypeError, match=r"^Residual: expected an array from the shortcut, got tuple"):
        nnx.Residual(nnx.ReLU(), shortcut=Pair())(x)
    for body in (("x",), (nnx.ReLU(), "x")):
        with pytest.raises(TypeError, match=rf"^Residual, argument {len(body) - 1}: expected a Module, got str"):
            nnx.Residual(*body)


def test_softmax2d_is_over_the_channels(xp_backend: Any) -> None:
    torch = pytest.importorskip("torch")
    for shape in ((2, 4, 5, 3), (4, 5, 3)):
        x = np.random.default_rng(0).standard_normal(shape)
        expected = torch.nn.Softmax2d()(torch.tensor(np.moveaxis(x, -1, -3))).numpy()
        found = nnx.Softmax2d()(xp_backend.array(x))
        np.testing.assert_allclose(nnx.to_numpy(found), np.moveaxis(expected, -3, -1), rtol=1e-9)
    with pytest.raises(ShapeError, match=r"Softmax2d: expected images \(N, H, W, C\) or \(H, W, C\), got \(2, 3\)"):
        nnx.Softmax2d()(xp_backend.array(np.ones((2, 3))))
