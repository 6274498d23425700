"""pad: against PyTorch, second derivatives, and its errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import ShapeError
from nnx.functional import pad
from tests.functional.convolution_cases import LENGTHS, assert_agrees, normal

SIDES = {
    1: [(1, 2), (0, 3), (-2, 1), (2, -3), (-1, -1), (0, 0)],
    2: [(1, 2, 3, 0), (0, 0, 2, 2), (-1, 2, 1, -3), (3, 3, 3, 3)],
    3: [(1, 2, 0, 1, 3, 1), (-1, 2, 2, -1, 0, 0)],
}
MODES = [("constant", None), ("constant", 2.5), ("reflect", None), ("replicate", None), ("circular", None)]
CASES = [(rank, sides, mode, value) for rank in SIDES for sides in SIDES[rank] for mode, value in MODES]


@pytest.mark.parametrize(("rank", "sides", "mode", "value"), CASES, ids=str)
def test_values_and_gradients_agree_with_torch(
    xp_backend: Any, rank: int, sides: tuple, mode: str, value: float | None
) -> None:
    torch = pytest.importorskip("torch")
    x = normal(2, *LENGTHS[rank], 3)
    assert_agrees(
        lambda a: pad(a, sides, mode, value),
        lambda t: torch.nn.functional.pad(t, sides, mode, value),
        [x],
        xp_backend.array,
    )


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_second_derivatives(xp_backend: Any, mode: str) -> None:
    x = xp_backend.array(normal(1, 3, 4, 2))
    nnx.check_grads(lambda a: pad(a * a * a, (2, 1, -1, 2), mode), (x,))


def test_as_far_as_it_goes(xp_backend: Any) -> None:
    """A reflection is one shorter than the axis, a turn as long as it; repeating has no end."""
    x = xp_backend.array(np.asarray([[[1.0], [2.0], [3.0]]]))

    def line(sides: tuple, mode: str) -> list:
        return nnx.to_numpy(pad(x, sides, mode))[0, :, 0].tolist()

    assert line((2, 2), "reflect") == [3, 2, 1, 2, 3, 2, 1]
    assert line((3, 3), "circular") == [1, 2, 3, 1, 2, 3, 1, 2, 3]
    assert line((4, 0), "replicate") == [1, 1, 1, 1, 1, 2, 3]
    assert line((-1, -2), "constant") == []


def test_fewer_pairs_pad_the_last_spatial_axes(xp_backend: Any) -> None:
    x = xp_backend.array(normal(2, 4, 5, 6, 3))
    assert tuple(pad(x, (1, 2)).shape) == (2, 4, 5, 9, 3)
    assert tuple(pad(x, [1, 2, 3, 4]).shape) == (2, 4, 12, 9, 3)
    assert tuple(pad(x, ()).shape) == (2, 4, 5, 6, 3)


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [("int64", 3, 3), ("uint8", None, 0), ("bool", True, True), ("float32", 2, 2.0), ("complex128", 1j, 1j)],
)
def test_dtypes(xp_backend: Any, dtype: str, value: Any, expected: Any) -> None:
    x = xp_backend.array(np.ones((1, 2, 1)), dtype)
    out = pad(x, (1, 0), value=value)
    assert out.dtype == x.dtype
    assert nnx.to_numpy(out)[0, 0, 0] == expected
    assert nnx.to_numpy(pad(x, (1, 0), "replicate")).tolist() == [[[1], [1], [1]]]


def test_minus_infinity_as_value(xp_backend: Any) -> None:
    out = nnx.to_numpy(pad(xp_backend.array(np.ones((1, 1, 1))), (1, 0), value=-float("inf")))
    assert out[0, :, 0].tolist() == [-np.inf, 1]


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("shape", [(0, 4, 5, 3), (2, 4, 5, 0)], ids=str)
def test_empty_batches_and_channels(xp_backend: Any, shape: tuple, mode: str) -> None:
    x = xp_backend.array(np.zeros(shape))
    out, pullback = nnx.vjp(lambda a: pad(a, (1, 1, 2, 0), mode), x)
    assert tuple(out.shape) == (shape[0], 6, 7, shape[3])
    assert tuple(pullback(out)[0].shape) == shape


def test_an_axis_of_length_0(xp_backend: Any) -> None:
    x = xp_backend.array(np.zeros((2, 0, 1)))
    assert nnx.to_numpy(pad(x, (1, 2), value=4.0)).tolist() == [[[4.0]] * 3] * 2
    with pytest.raises(ShapeError, match="expected at least 1 elements along axis 1 to pad 2 with mode 'replicate'"):
        pad(x, (1, 2), "replicate")


REFUSED: list = [
    ((2, 8, 8, 3), (8, 0), {"mode": "reflect"}, "expected at least 9 elements along axis 2 to pad 8 with mode "
     "'reflect', got 8 in (2, 8, 8, 3); pad less, or use mode 'constant'."),
    ((2, 8, 8, 3), (0, 0, 9, 0), {"mode": "circular"}, "expected at least 9 elements along axis 1 to pad 9 with "
     "mode 'circular', got 8 in (2, 8, 8, 3); pad less, or use mode 'constant'."),
    ((2, 8, 8, 3), (-2, 7), {"mode": "circular"}, "expected at least 9 elements along axis 2 to pad 7 with mode "
     "'circular', got 8 in (2, 8, 8, 3); pad less, or use mode 'constant'."),
    ((2, 8, 8, 3), (-5, -4), {}, "expected to take at most the 8 elements of axis 2 away, got (-5, -4) for an input "
     "of shape (2, 8, 8, 3)."),
    ((2, 8, 8, 3), (-9, 4), {}, "expected to take at most the 8 elements of axis 2 away, got (-9, 4) for an input "
     "of shape (2, 8, 8, 3)."),
    ((2, 8, 3), (1, 1, 1, 1), {}, "expected (N, *spatial, C) with at least 2 spatial axes, got (2, 8, 3). Batch and "
     "channels are not padded; add an axis for what is missing, e.g. x[..., None]."),
    ((2, 8), (1, 1), {}, "expected (N, *spatial, C) with at least one spatial axis, got (2, 8). Batch and channels "
     "are not padded; add an axis for what is missing, e.g. x[..., None]."),
    ((2, 8, 3), (1, 1, 1), {}, "expected pad to hold pairs (before, after), got 3 numbers."),
    ((2, 8, 3), 1, {}, "expected pad to be a tuple (before, after) for the last spatial axis, then for the one "
     "before it and so on, got 1."),
    ((2, 8, 3), (1, 1.5), {}, "expected pad[1] to be an integer, got 1.5."),
    ((2, 8, 3), (1, 1), {"mode": "zeros"}, "expected mode to be one of 'constant', 'reflect', 'replicate', "
     "'circular', got 'zeros'."),
    ((2, 8, 3), (1, 1), {"mode": "reflect", "value": 1.0}, "expected value only with mode 'constant', got value=1.0 "
     "with mode 'reflect'."),
    ((2, 8, 3), (1, 1), {"value": "a"}, "expected value to be a number that float64 can hold, got 'a'."),
    ((2, 8, 3), (1, 1), {"value": 1j}, "expected value to be a number that float64 can hold, got 1j."),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "sides", "options", "text"), REFUSED)
def test_what_it_refuses(xp_backend: Any, shape: tuple, sides: Any, options: dict, text: str) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        pad(xp_backend.array(np.zeros(shape)), sides, **options)
    assert str(caught.value) == f"pad: {text}"


def test_values_that_do_not_fit_and_what_is_no_array(xp_backend: Any) -> None:
    x = xp_backend.array(np.zeros((1, 2, 1)), "int64")
    with pytest.raises(TypeError, match=r"pad: expected value to be an integer, got 0\.5"):
        pad(x, (1, 1), value=0.5)
    with pytest.raises(TypeError, match=r"pad: expected input to be an array, got list; use nnx\.asarray\(input\)"):
        pad([1.0], (1, 1))
