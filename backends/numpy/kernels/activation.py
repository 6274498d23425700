"""Activations in one pass over the data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .pieces import for_pieces

_MANY = 2**19  # elements from which on threads share them out


class ReLU:
    """Override of `nnx.functional.relu`."""

    def supports(self, input: np.ndarray) -> str | None:
        return None if input.dtype.kind == "f" else "it takes floating-point arrays"

    def forward(self, input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        many = input.size >= _MANY
        output = _by_pieces(_forward, input) if many else np.maximum(input, 0)
        return output, output

    def backward(self, grad: np.ndarray, residuals: np.ndarray, needs: tuple) -> tuple:
        return (_by_pieces(_backward, grad, residuals) if grad.size >= _MANY else _backward(grad, residuals),)


def _forward(x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    return np.maximum(x, 0, out=out)


def _backward(grad: np.ndarray, output: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    return np.multiply(grad, np.not_equal(output, 0), out=out)


def _by_pieces(function: Callable[..., np.ndarray], *arrays: np.ndarray) -> np.ndarray:
    """Call an elementwise function of large arrays, and of the one to write to, piece by piece."""
    first = arrays[0]
    if not all(a.flags.c_contiguous and a.dtype == first.dtype for a in arrays):
        return function(*arrays)
    flat, out = [a.reshape(-1, 1) for a in arrays], np.empty((first.size, 1), first.dtype)
    for_pieces(lambda _, piece: function(*(a[piece] for a in flat), out[piece]), first.size, 1)
    return out.reshape(first.shape)
