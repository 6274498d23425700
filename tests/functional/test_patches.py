"""unfold and fold: against PyTorch's and against convolution, second derivatives, errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import nnx
from nnx import functional
from nnx.errors import ShapeError
from nnx.functional import fold, unfold
from tests.functional.convolution_cases import covering, label, normal, per_axis

OPTIONS = {
    "kernel_size": [1, 2, (3, 2)],
    "dilation": [1, (2, 1)],
    "padding": [0, 1, (0, 2)],
    "stride": [1, 2, (1, 3)],
}
CASES = list(covering(OPTIONS, lambda case: True))
SIZE = (6, 7)


def to_torch_order(patches: Any, kernel: tuple) -> np.ndarray:
    """(N, places, kernel · C) to (N, C · kernel, places)."""
    patches = nnx.to_numpy(patches)
    n, places, features = patches.shape
    taps = math.prod(kernel)
    return patches.reshape(n, places, taps, features // taps).transpose(0, 3, 2, 1).reshape(n, features, places)


def from_torch_order(patches: np.ndarray, kernel: tuple) -> np.ndarray:
    n, features, places = patches.shape
    taps = math.prod(kernel)
    return patches.reshape(n, features // taps, taps, places).transpose(0, 3, 2, 1).reshape(n, places, features)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_they_agree_with_torch(xp_backend: Any, case: dict) -> None:
    torch = pytest.importorskip("torch")
    kernel = per_axis(case["kernel_size"], 2)
    x = normal(2, *SIZE, 3)
    image = torch.tensor(np.moveaxis(x, -1, 1).copy(), requires_grad=True)
    patches = torch.nn.functional.unfold(image, **case)
    out, pullback = nnx.vjp(lambda a: unfold(a, **case), xp_backend.array(x))
    np.testing.assert_allclose(to_torch_order(out, kernel), patches.detach().numpy(), rtol=1e-9)
    cotangent = normal(*patches.shape, seed=1)
    patches.backward(torch.tensor(cotangent))
    grad = pullback(xp_backend.array(from_torch_order(cotangent, kernel)))[0]
    np.testing.assert_allclose(np.moveaxis(nnx.to_numpy(grad), -1, 1), image.grad.numpy(), rtol=1e-9, atol=1e-12)

    given = torch.tensor(cotangent, requires_grad=True)
    images = torch.nn.functional.fold(given, SIZE, **case)
    out, pullback = nnx.vjp(lambda a: fold(a, SIZE, **case), xp_backend.array(from_torch_order(cotangent, kernel)))
    np.testing.assert_allclose(np.moveaxis(nnx.to_numpy(out), -1, 1), images.detach().numpy(), rtol=1e-9, atol=1e-12)
    images.backward(torch.tensor(np.moveaxis(x, -1, 1).copy()))
    grad = pullback(xp_backend.array(x))[0]
    np.testing.assert_allclose(to_torch_order(grad, kernel), given.grad.numpy(), rtol=1e-9)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_matrix_product_makes_a_convolution_of_them(xp_backend: Any, rank: int) -> None:
    lengths, kernel = (7, 6, 5)[:rank], (3, 2, 2)[:rank]
    options = {"stride": (2, 1, 1)[:rank], "padding": (1, 0, 1)[:rank], "dilation": (1, 2, 1)[:rank]}
    x, weight = normal(2, *lengths, 3), normal(4, *kernel, 3)
    expected = getattr(functional, f"conv{rank}d")(x, weight, **options)
    patches = nnx.to_numpy(unfold(xp_backend.array(x), kernel, **options))
    product = patches @ weight.reshape(4, -1).T
    np.testing.assert_allclose(product.reshape(expected.shape), expected, rtol=1e-10, atol=1e-12)
    back = nnx.to_numpy(fold(xp_backend.array(patches), lengths, kernel, **options))
    np.testing.assert_allclose(np.sum(back * x), np.sum(patches * patches), rtol=1e-12)  # fold is the transpose


def test_second_derivatives(xp_backend: Any) -> None:
    options = {"kernel_size": (2, 3), "dilation": (2, 1), "padding": 1, "stride": (1, 2)}
    x = xp_backend.array(normal(1, 3, 4, 2))
    nnx.check_grads(lambda a: unfold(a * a * a, **options), (x,))
    patches = xp_backend.array(normal(*unfold(x, **options).shape))
    nnx.check_grads(lambda a: fold(a * a * a, (3, 4), **options), (patches,))


def test_patches_that_do_not_overlap_are_put_back(xp_backend: Any) -> None:
    x = xp_backend.array(normal(2, 6, 4, 3))
    back = fold(unfold(x, 2, stride=2), (6, 4), 2, stride=2)
    np.testing.assert_array_equal(nnx.to_numpy(back), nnx.to_numpy(x))
    square = xp_backend.array(normal(2, 4, 4, 3))
    np.testing.assert_array_equal(nnx.to_numpy(fold(unfold(square, 1), 4, 1)), nnx.to_numpy(square))


@pytest.mark.parametrize("shape", [(0, 5, 6, 3), (2, 5, 6, 0)], ids=str)
def test_empty_batches_and_channels(xp_backend: Any, shape: tuple) -> None:
    x = xp_backend.array(np.zeros(shape))
    out, pullback = nnx.vjp(lambda a: unfold(a, (3, 2)), x)
    assert tuple(out.shape) == (shape[0], 15, 6 * shape[3])
    assert tuple(pullback(out)[0].shape) == shape
    out, pullback = nnx.vjp(lambda a: fold(a, (5, 6), (3, 2)), out)
    assert tuple(out.shape) == shape
    assert tuple(pullback(out)[0].shape) == (shape[0], 15, 6 * shape[3])


REFUSED: list = [
    (unfold, (2, 2, 3, 1), (3,), {}, "unfold: expected at least 3 × 3 elements, which the kernel covers, got 2 × 3 "
     "with padding, for an input of shape (2, 2, 3, 1); use a smaller kernel or dilation, or more padding."),
    (unfold, (4, 5), (3,), {}, "unfold: expected (N, *spatial, C) with one to three spatial axes, got (4, 5)."),
    (unfold, (1, 2, 3, 4, 5, 6), (1,), {}, "unfold: expected (N, *spatial, C) with one to three spatial axes, got "
     "(1, 2, 3, 4, 5, 6)."),
    (unfold, (2, 9, 9, 1), ((3, 3, 3),), {}, "unfold: expected kernel_size to be an integer or 2 of them, one per "
     "spatial axis, got (3, 3, 3)."),
    (unfold, (2, 9, 9, 1), (0,), {}, "unfold: expected kernel_size to be a positive integer, got 0."),
    (unfold, (2, 9, 9, 1), (3,), {"padding": "same"}, "unfold: expected padding to be a non-negative integer, got "
     "'same'."),
    (fold, (2, 36, 9), ((8, 9), 3), {}, "fold: expected (N, 42, a multiple of 9) for output_size (8, 9) and "
     "kernel_size (3, 3), got (2, 36, 9)."),
    (fold, (2, 42, 10), ((8, 9), 3), {}, "fold: expected (N, 42, a multiple of 9) for output_size (8, 9) and "
     "kernel_size (3, 3), got (2, 42, 10)."),
    (fold, (2, 27, 42), ((8, 9), 3), {}, "This looks like PyTorch's (N, C · kernel, places); there the channels "
     "come before the kernel, too: use nnx.functional.unfold for the patches."),
    (fold, (42, 9), ((8, 9), 3), {}, "The batch axis is missing; use x[None, ...]."),
    (fold, (2, 1, 9), ((2, 2), 3), {}, "fold: expected at least 3 × 3 elements, which the kernel covers, got 2 × 2 "
     "with padding, for an output_size of (2, 2); use a smaller kernel or dilation, or more padding."),
    (fold, (2, 1, 9), ((), 3), {}, "fold: expected output_size to have one to three lengths, got ()."),
    (fold, (2, 1, 9), (0, 3), {}, "fold: expected output_size to be a positive integer, got 0."),
]  # fmt: skip


@pytest.mark.parametrize(("function", "shape", "args", "options", "text"), REFUSED)
def test_what_they_refuse(xp_backend: Any, function: Any, shape: tuple, args: tuple, options: dict, text: str) -> None:
    with pytest.raises((ShapeError, ValueError, TypeError)) as caught:
        function(xp_backend.array(np.zeros(shape)), *args, **options)
    assert str(caught.value).endswith(text)


def test_what_is_no_array() -> None:
    with pytest.raises(TypeError, match=r"unfold: expected input to be an array, got list; use nnx\.asarray\(input\)"):
        unfold([1.0], 2)
    with pytest.raises(TypeError, match="fold: expected input to be an array, got list"):
        fold([1.0], 2, 2)
