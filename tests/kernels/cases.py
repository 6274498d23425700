"""The calls that every CPU kernel is tested with: for each kernel, awkward shapes, strides and dtypes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnx import functional
from nnx.functional.dropout import masked_scale

SHAPES = [(0,), (1,), (7,), (), (0, 3), (3, 0), (1, 1), (5, 3), (31, 17), (2, 3, 5), (301, 257)]
LAYOUTS = ("plain", "transposed", "negative", "sliced", "broadcast", "readonly")


@dataclass(frozen=True)
class Case:
    """One call of a primitive that its kernel supports."""

    kernel: str
    label: str
    function: Callable
    args: tuple
    options: dict
    differentiable: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.kernel}: {self.label}"


def laid_out(array: np.ndarray, layout: str) -> np.ndarray:
    """Return the values of an array in memory of another layout."""
    if layout == "transposed":
        return np.ascontiguousarray(array.T).T
    if layout == "negative":
        key = (slice(None, None, -1),) * array.ndim
        return np.ascontiguousarray(array[key])[key] if array.ndim else array
    if layout == "sliced":
        wide = np.zeros(tuple(2 * n for n in array.shape), array.dtype)
        wide[(slice(None, None, 2),) * array.ndim] = array
        return wide[(slice(None, None, 2),) * array.ndim]
    if layout == "broadcast" and array.ndim and array.shape[0]:
        return np.broadcast_to(array[:1], array.shape)
    if layout == "readonly":
        array = array.copy()
        array.flags.writeable = False
    return array


def _normal(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    return np.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


def _grid(shapes: list) -> Iterator[tuple[Any, str, str]]:
    """Every shape in every dtype, and every layout for some of the shapes."""
    for dtype in ("float32", "float64"):
        for shape in shapes:
            yield shape, dtype, "plain"
    for layout in LAYOUTS[1:]:
        for shape in shapes[-5:]:
            yield shape, "float64" if layout == "negative" else "float32", layout


def relu_cases() -> Iterator[Case]:
    for shape, dtype, layout in _grid(SHAPES):
        x = laid_out(_normal(shape, dtype), layout)
        yield Case("relu", f"{shape} {dtype} {layout}", functional.relu, (x,), {}, (0,))
    special = np.asarray([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-40, -1e-40], "float32")
    yield Case("relu", "special values", functional.relu, (special,), {}, (0,))


def masked_scale_cases() -> Iterator[Case]:
    for shape, dtype, layout in _grid(SHAPES):
        x = laid_out(_normal(shape, dtype), layout)
        mask = laid_out(_normal(shape, dtype, 1) > 0, layout)
        yield Case("masked_scale", f"{shape} {dtype} {layout}", masked_scale, (x, mask, 1 / 0.7), {}, (0,))
    x = np.asarray([np.nan, np.nan, 1.0, 2.0])
    mask = np.asarray([True, False, True, False])
    yield Case("masked_scale", "NaN", masked_scale, (x, mask, 2.0), {}, (0,))


LINEAR = [  # shape of the input, out_features
    ((0, 3), 2),
    ((3,), 2),
    ((1,), 1),
    ((4, 0), 3),
    ((4, 3), 0),
    ((0, 0), 0),
    ((1, 1), 1),
    ((7, 5), 1),
    ((2, 0, 3), 4),
    ((2, 3, 5), 4),
    ((2, 1, 3, 5), 7),
    ((5, 31), 257),
    ((257, 31), 5),
    ((300, 3), 301),
]


def linear_cases() -> Iterator[Case]:
    for (shape, out), dtype, layout in _grid(LINEAR):
        x = laid_out(_normal(shape, dtype), layout)
        weight = laid_out(_normal((out, shape[-1]), dtype, 1), layout)
        bias = laid_out(_normal((out,), dtype, 2), layout)
        label = f"{shape} to {out} {dtype} {layout}"
        yield Case("linear", label, functional.linear, (x, weight, bias), {}, (0, 1, 2))
        yield Case("linear", f"{label} no bias", functional.linear, (x, weight, None), {}, (0, 1))
    weight = np.frombuffer(np.ones(6, "f4").tobytes(), np.dtype("f4").newbyteorder("=")).reshape(2, 3)
    yield Case("linear", "memory of another owner", functional.linear, (np.ones((2, 3), "f4"), weight), {}, (0, 1))


def cross_entropy_cases() -> Iterator[Case]:
    for (n, classes), dtype, layout in _grid([(1, 1), (1, 5), (7, 1), (31, 17), (301, 257), (5, 3), (64, 10)]):
        logits = laid_out(_normal((n, classes), dtype) * 4, layout)
        target = laid_out(np.random.default_rng(3).integers(0, classes, n), layout)
        for reduction in ("mean", "sum", "none"):
            options = {"reduction": reduction}
            label = f"{(n, classes)} {dtype} {layout} {reduction}"
            yield Case("cross_entropy", label, functional.cross_entropy, (logits, target), options, (0,))
    big = np.asarray([[1000.0, -1000.0, 0.0], [-1e30, 1e30, 0.0]])
    yield Case("cross_entropy", "large", functional.cross_entropy, (big, np.asarray([1, 0])), {}, (0,))
    masked = np.asarray([[-np.inf, 1.0, 0.0], [2.0, -np.inf, 0.0]])
    yield Case("cross_entropy", "-inf", functional.cross_entropy, (masked, np.asarray([1, 0])), {}, (0,))
    yield Case(
        "cross_entropy",
        "an ignored class that does not occur",
        functional.cross_entropy,
        (_normal((4, 3), "float64"), np.asarray([1, 2, 1, 2])),
        {"ignore_index": 0},
        (0,),
    )


CASES: dict[str, Callable[[], Iterator[Case]]] = {
    "cross_entropy": cross_entropy_cases,
    "linear": linear_cases,
    "masked_scale": masked_scale_cases,
    "relu": relu_cases,
}

# Calls that a kernel has to leave to the reference, and the reason that it gives.
_X, _T = np.ones((4, 3)), np.asarray([0, 1, 2, 1])
_INDICES = "there are no class indices, or some are ignored or out of range"
_OPTIONS = "it does not take class weights or label smoothing"
_LOGITS = "it takes logits of shape (N, classes) and int64 class indices of shape (N,)"
REFUSED: dict[str, list[tuple[Callable, tuple, dict, str]]] = {
    "relu": [(functional.relu, (np.arange(3),), {}, "it takes floating-point arrays")],
    "masked_scale": [
        (masked_scale, (_X, np.ones(3, bool), 2.0), {}, "the shapes differ"),
        (masked_scale, (np.arange(3), np.ones(3, bool), 2.0), {}, "it takes floating-point arrays"),
    ],
    "linear": [
        (functional.linear, (_X, np.ones((2, 4)), None), {}, "the shapes do not fit"),
        (functional.linear, (_X, np.ones(3), None), {}, "the shapes do not fit"),
        (functional.linear, (np.asarray(1.0), np.ones((2, 1)), None), {}, "the shapes do not fit"),
        (functional.linear, (_X, np.ones((2, 3)), np.ones(3)), {}, "the shapes do not fit"),
        (functional.linear, (_X, np.ones((2, 3), "f4")), {}, "it takes float32 or float64 arrays of one dtype"),
        (
            functional.linear,
            (_X, np.ones((2, 3)), np.ones(2, "f4")),
            {},
            "it takes float32 or float64 arrays of one dtype",
        ),
        (
            functional.linear,
            (np.ones((1, 3), "f2"), np.ones((2, 3), "f2")),
            {},
            "it takes float32 or float64 arrays of one dtype",
        ),
    ],
    "cross_entropy": [
        (functional.cross_entropy, (_X, np.asarray([0, -100, 1, 2])), {}, _INDICES),
        (functional.cross_entropy, (_X, np.asarray([0, 3, 1, 2])), {}, _INDICES),
        (functional.cross_entropy, (np.ones((0, 3)), np.zeros(0, "i8")), {}, _INDICES),
        (functional.cross_entropy, (_X, _T), {"ignore_index": 1}, "some class indices are ignored"),
        (functional.cross_entropy, (_X, _T, np.ones(3)), {}, _OPTIONS),
        (functional.cross_entropy, (_X, _T), {"label_smoothing": 0.1}, _OPTIONS),
        (functional.cross_entropy, (_X, _X), {}, _LOGITS),
        (functional.cross_entropy, (_X, _T.astype("i4")), {}, _LOGITS),
        (functional.cross_entropy, (_X[0], np.asarray(1)), {}, _LOGITS),
        (functional.cross_entropy, (np.ones((2, 4, 3)), np.zeros((2, 4), "i8")), {}, _LOGITS),
    ],
}
