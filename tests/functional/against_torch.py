"""Comparison of functions of images, features last, with those of PyTorch, features second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx


def channels_first(values: np.ndarray) -> np.ndarray:
    return np.moveaxis(values, -1, 1)


def channels_last(values: Any) -> np.ndarray:
    return np.moveaxis(values.detach().numpy(), 1, -1)


def close(actual: Any, expected: np.ndarray) -> None:
    np.testing.assert_allclose(nnx.to_numpy(actual), expected, rtol=1e-9, atol=1e-12)


def agree(
    xp_backend: Any,
    ours: Callable,
    theirs: Callable,
    *arrays: np.ndarray,
    plain: tuple[int, ...] = (),
    gradients: bool = True,
) -> None:
    """Raise unless outputs and gradients agree to 1e-9. `plain` are the numbers of the arguments without channels."""
    torch = pytest.importorskip("torch")
    tensors = [
        torch.tensor(array if i in plain else np.ascontiguousarray(channels_first(array)), requires_grad=True)
        for i, array in enumerate(arrays)
    ]
    expected = theirs(*tensors)
    out, pullback = nnx.vjp(ours, *[xp_backend.array(a) for a in arrays])
    close(out, channels_last(expected))
    if not gradients:
        return
    cotangent = np.random.default_rng(7).standard_normal(channels_last(expected).shape)
    expected.backward(torch.tensor(np.ascontiguousarray(channels_first(cotangent))))
    for i, (grad, tensor) in enumerate(zip(pullback(xp_backend.array(cotangent)), tensors, strict=True)):
        close(grad, tensor.grad.numpy() if i in plain else channels_last(tensor.grad))
