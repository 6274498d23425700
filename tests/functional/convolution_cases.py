"""Grids of arguments for convolutions, and the comparison with PyTorch, whose channels come first."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import nnx

LENGTHS = {1: (9,), 2: (6, 7), 3: (5, 4, 6)}  # spatial axes of the inputs
CHANNELS, OUTPUTS = 4, 8


def covering(options: dict[str, Sequence], allowed: Callable[[dict], bool], strength: int = 3) -> Iterator[dict]:
    """Yield few of all combinations, among which every combination of `strength` options occurs (where allowed)."""
    names = list(options)
    every = [dict(zip(names, values, strict=True)) for values in itertools.product(*options.values())]
    random.Random(0).shuffle(every)
    seen: set = set()
    for case in filter(allowed, every):
        new = {tuple((name, case[name]) for name in some) for some in itertools.combinations(names, strength)} - seen
        if new:
            seen |= new
            yield case


def per_axis(value: Any, rank: int) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,) * rank


def mixed(rank: int, *values: int) -> Any:
    """Different numbers along the axes; where there is only one axis, the first."""
    return values[:rank] if rank > 1 else values[0]


def label(case: dict) -> str:
    return " ".join(f"{name}={value}".replace(" ", "") for name, value in case.items())


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def first(array: np.ndarray) -> np.ndarray:
    """(N, *spatial, C) to (N, C, *spatial), and (O, *kernel, C / g) to (O, C / g, *kernel)."""
    return np.moveaxis(array, -1, 1) if array.ndim > 1 else array


def last(array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, 1, -1) if array.ndim > 1 else array


def transposed_first(array: np.ndarray) -> np.ndarray:
    """The weights of transposed convolutions: (O / g, *kernel, C) to (C, O / g, *kernel)."""
    return np.moveaxis(array, -1, 0)


def transposed_last(array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, 0, -1)


def assert_agrees(
    ours: Callable, theirs: Callable, arrays: Sequence[np.ndarray], array: Callable, transposed: bool = False
) -> None:
    """Raise unless outputs and gradients agree to 1e-9. `arrays` are the input, the weight and perhaps a bias.

    `ours` takes arrays with the features last, made by `array`; `theirs` takes tensors with the channels first.
    """
    import torch

    to = [first, transposed_first if transposed else first, first]
    back = [last, transposed_last if transposed else last, last]
    tensors = [torch.tensor(np.ascontiguousarray(f(a)), requires_grad=True) for f, a in zip(to, arrays, strict=False)]
    expected = theirs(*tensors)
    cotangent = normal(*expected.shape, seed=1)
    expected.backward(torch.tensor(cotangent))
    out, pullback = nnx.vjp(ours, *[array(a) for a in arrays])
    _close(out, last(expected.detach().numpy()))
    grads = pullback(array(np.ascontiguousarray(last(cotangent))))
    assert len(grads) == len(tensors)
    for grad, tensor, f in zip(grads, tensors, back, strict=False):
        _close(grad, f(tensor.grad.numpy()))


def _close(actual: Any, expected: np.ndarray) -> None:
    found = nnx.to_numpy(actual)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
