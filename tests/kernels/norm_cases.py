"""The calls that the kernels of the normalisations are tested with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nnx import functional
from tests.kernels.cases import Case, _grid, _normal, laid_out

# Shape of the input, how many axes are normalised. More than one piece of rows, rows longer than a piece, short rows.
TRAILING = [
    ((0, 3), 1),
    ((7,), 1),
    ((2, 0, 3), 1),
    ((3, 1), 1),
    ((2, 70001), 1),
    ((2, 513), 1),
    ((5, 3), 2),
    ((31, 17), 1),
    ((2, 3, 5), 2),
    ((2, 3, 5), 1),
    ((301, 257), 1),
]
# More than one piece, short rows of which several form one, an odd number of them
BATCHES = [
    (2, 1),
    (2, 3),
    (3, 70001),
    (7, 5),
    (31, 17),
    (2, 3, 4, 5),
    (40, 8, 8, 3),
    (301, 257),
]


def layer_norm_cases() -> Iterator[Case]:
    for (shape, axes), dtype, layout in _grid(TRAILING):
        lengths = shape[-axes:]
        x = laid_out(_normal(shape, dtype) + 3, layout)
        weight, bias = (laid_out(_normal(lengths, dtype, seed), layout) for seed in (1, 2))
        label = f"{shape} {axes} {dtype} {layout}"
        yield Case("layer_norm", label, functional.layer_norm, (x, lengths, weight, bias), {}, (0, 2, 3))
        yield Case("layer_norm", f"{label} plain", functional.layer_norm, (x, lengths), {"eps": 0.1}, (0,))
        yield Case("layer_norm", f"{label} no bias", functional.layer_norm, (x, lengths, weight), {}, (0, 2))
        yield Case("layer_norm", f"{label} no weight", functional.layer_norm, (x, lengths, None, bias), {}, (0, 3))


def rms_norm_cases() -> Iterator[Case]:
    for (shape, axes), dtype, layout in _grid(TRAILING):
        lengths = shape[-axes:]
        x = laid_out(_normal(shape, dtype) + 0.5, layout)
        weight = laid_out(_normal(lengths, dtype, 1), layout)
        label = f"{shape} {axes} {dtype} {layout}"
        yield Case("rms_norm", label, functional.rms_norm, (x, lengths, weight), {}, (0, 2))
        yield Case("rms_norm", f"{label} plain", functional.rms_norm, (x, lengths), {"eps": 0.1}, (0,))


def _batch_norm(input: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    return functional.batch_norm(input, None, None, weight, bias, True, eps=eps)


def _spread(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return numbers whose sums float32 holds exactly, with a variance in each channel.

    NumPy adds samples up one by one, so that the reference would be the less exact of the two.
    """
    values = np.round(np.random.default_rng(0).uniform(-16, 16, shape)) / 16
    values[::2] += 3
    return values.astype(dtype)


def batch_norm_cases() -> Iterator[Case]:
    for shape, dtype, layout in _grid(BATCHES):
        if layout == "broadcast":  # samples that are all alike have no variance: nothing to compare but rounding
            continue
        x = laid_out(_spread(shape, dtype), layout)
        weight, bias = (laid_out(_normal(shape[-1:], dtype, seed), layout) for seed in (1, 2))
        label = f"{shape} {dtype} {layout}"
        yield Case("batch_norm", label, _batch_norm, (x, weight, bias), {}, (0, 1, 2))
        yield Case("batch_norm", f"{label} plain", _batch_norm, (x,), {"eps": 0.1}, (0,))
        yield Case("batch_norm", f"{label} no weight", _batch_norm, (x, None, bias), {}, (0, 2))
    long = _spread((90001, 1), "float64")  # more terms than float32 can be expected to add up alike
    yield Case("batch_norm", "(90001, 1)", _batch_norm, (long, np.asarray([2.0]), np.asarray([1.0])), {}, (0, 1, 2))


def _batch_norm_relu(input: Any, weight: Any = None, bias: Any = None, residual: Any = None, eps: float = 1e-5) -> Any:
    return functional.batch_norm_relu(input, None, None, weight, bias, True, eps=eps, residual=residual)


def batch_norm_relu_cases() -> Iterator[Case]:
    for shape, dtype, layout in _grid(BATCHES):
        if layout == "broadcast":
            continue
        x = laid_out(_spread(shape, dtype), layout)
        residual = laid_out(_normal(shape, dtype, 3), layout)
        weight, bias = (laid_out(_normal(shape[-1:], dtype, seed), layout) for seed in (1, 2))
        label, name = f"{shape} {dtype} {layout}", "batch_norm_relu"
        yield Case(name, label, _batch_norm_relu, (x, weight, bias, residual), {}, (0, 1, 2, 3))
        yield Case(name, f"{label} no residual", _batch_norm_relu, (x, weight, bias), {"eps": 0.1}, (0, 1, 2))
        yield Case(name, f"{label} plain", _batch_norm_relu, (x,), {}, (0,))


def batch_norm_inference_cases() -> Iterator[Case]:
    """By given statistics, of which the gradient is wanted, too."""
    name = "batch_norm_inference"
    for shape, dtype, layout in _grid(BATCHES):
        x, residual = (laid_out(_normal(shape, dtype, seed), layout) for seed in (0, 3))
        weight, bias, mean = (laid_out(_normal(shape[-1:], dtype, seed), layout) for seed in (1, 2, 4))
        variance = laid_out(_normal(shape[-1:], dtype, 5) ** 2 + np.asarray(0.5, dtype), layout)
        label = f"{shape} {dtype} {layout}"
        plain, relu = functional.batch_norm, functional.batch_norm_relu
        yield Case(name, label, plain, (x, mean, variance, weight, bias), {}, (0, 1, 2, 3, 4))
        yield Case(name, f"{label} no affine", plain, (x, mean, variance), {"eps": 0.1}, (0,))
        added = (x, mean, variance, weight, bias, False, 0.1, 1e-5, residual)
        yield Case(name, f"{label} relu", relu, added, {}, (0, 1, 2, 3, 4, 8))
        yield Case(name, f"{label} relu, no residual", relu, added[:4], {}, (0, 2, 3))


CASES: dict[str, Callable[[], Iterator[Case]]] = {
    "batch_norm": batch_norm_cases,
    "batch_norm_inference": batch_norm_inference_cases,
    "batch_norm_relu": batch_norm_relu_cases,
    "layer_norm": layer_norm_cases,
    "rms_norm": rms_norm_cases,
}

_HALF, _REASON = (
    np.asarray([[1.0, 2.0, 4.0], [2.0, 5.0, 3.0]], "float16"),
    "it takes float32 or float64 arrays of one dtype",
)
REFUSED: dict[str, list[tuple[Callable, tuple, dict, str]]] = {
    "batch_norm": [(_batch_norm, (_HALF,), {}, _REASON)],
    "batch_norm_inference": [(functional.batch_norm, (_HALF, _HALF[0], _HALF[1]), {}, _REASON)],
    "batch_norm_relu": [(_batch_norm_relu, (_HALF,), {}, _REASON)],
    "layer_norm": [(functional.layer_norm, (_HALF, 3), {}, _REASON)],
    "rms_norm": [(functional.rms_norm, (_HALF, 3), {}, _REASON)],
}
