"""The calls that the kernels of pooling are tested with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nnx import functional
from nnx.functional.unpooling import put_at_places
from tests.kernels.cases import LAYOUTS, Case, _grid, _normal, laid_out

# Shape, kernel_size, stride, padding. Windows that overlap, touch, leave gaps, hang over; one window of everything;
# images larger and smaller than a block of the kernel.
GEOMETRIES: list[tuple[tuple[int, ...], Any, Any, Any]] = [
    ((0, 4, 4, 3), 2, 2, 0),
    ((2, 4, 4, 0), 2, 2, 0),
    ((1, 1, 1, 1), 1, 1, 0),
    ((2, 7, 1), 2, 3, 1),
    ((3, 11, 5), 3, 1, 1),
    ((2, 5, 7, 3), 2, 2, 0),
    ((2, 5, 7, 3), (5, 7), 1, 0),
    ((2, 4, 6, 3), 2, 2, 1),
    ((2, 5, 6, 4, 3), (2, 3, 1), (2, 1, 3), (1, 1, 0)),
    ((130, 6, 5, 37), (1, 2), (1, 2), 0),
    ((1, 131, 61, 17), 3, 2, 1),
    ((2, 140, 61, 17), 2, 2, 0),
    ((3, 13, 9, 2), 3, 2, 1),
]


def _arrays(shape: tuple[int, ...], dtype: str, layout: str) -> Iterator[tuple[str, np.ndarray]]:
    x = _normal(shape, dtype)
    yield "", laid_out(x, layout)
    if x.size < 1000:
        yield " ties", laid_out(np.round(x), layout)


def _pool(name: str, shape: tuple[int, ...]) -> Callable:
    return getattr(functional, f"{name}_pool{len(shape) - 2}d")


def _cases(name: str) -> Iterator[tuple[str, Callable, np.ndarray, tuple, bool]]:
    for (shape, *geometry), dtype, layout in _grid(GEOMETRIES):
        for text, x in _arrays(shape, dtype, layout):
            for ceil_mode in (False, True):
                label = f"{shape} {geometry} {dtype} {layout}{text}{' ceil' if ceil_mode else ''}"
                yield label, _pool(name, shape), x, tuple(geometry), ceil_mode


def max_pool_cases() -> Iterator[Case]:
    for label, pool, x, geometry, ceil_mode in _cases("max"):
        for dilation in (1, 2) if x.shape[1] > 10 else (1,):
            options = {"ceil_mode": ceil_mode, "dilation": dilation}
            yield Case("max_pool", f"{label} {dilation}", pool, (x, *geometry), options, (0,))
    nan = np.asarray([[[1.0], [np.nan], [np.inf], [np.nan], [-np.inf], [-np.inf], [-0.0], [0.0]]])
    yield Case("max_pool", "special values", functional.max_pool1d, (nan, 2), {}, (0,))
    yield Case("max_pool", "special values, all", functional.max_pool1d, (nan, 8), {}, (0,))


def max_pool_places_cases() -> Iterator[Case]:
    for case in max_pool_cases():

        def places(*args: Any, pool: Callable = case.function, **options: Any) -> np.ndarray:
            return pool(*args, **options, return_indices=True)[1]

        yield Case("max_pool_places", case.label, places, case.args, case.options, ())


def avg_pool_cases() -> Iterator[Case]:
    for label, pool, x, geometry, ceil_mode in _cases("avg"):
        for options in ({"count_include_pad": True}, {"count_include_pad": False}, {"divisor_override": 3}):
            if "divisor_override" in options and x.ndim == 3:
                continue
            text = " ".join(f"{k}={v}" for k, v in options.items())
            yield Case("avg_pool", f"{label} {text}", pool, (x, *geometry, ceil_mode), options, (0,))


def put_at_places_cases() -> Iterator[Case]:
    for shape, count in (
        ((0, 3, 2), 4),
        ((2, 0, 2), 4),
        ((2, 3, 0), 4),
        ((1, 1, 1), 1),
        ((2, 7, 3), 5),
        ((3, 31, 5), 97),
    ):
        for dtype in ("float32", "float64"):
            for layout in LAYOUTS:
                values = laid_out(_normal(shape, dtype), layout)
                places = laid_out(np.random.default_rng(1).integers(0, count, shape), layout)  # some of them twice
                yield Case(
                    "put_at_places", f"{shape} {dtype} {layout}", put_at_places, (values, places, count), {}, (0,)
                )


CASES: dict[str, Callable[[], Iterator[Case]]] = {
    "avg_pool": avg_pool_cases,
    "max_pool": max_pool_cases,
    "max_pool_places": max_pool_places_cases,
    "put_at_places": put_at_places_cases,
}

_HALF = np.ones((1, 4, 1), "f2")
_FLOATS = "it takes float32 or float64 arrays"
REFUSED: dict[str, list[tuple[Callable, tuple, dict, str]]] = {
    "avg_pool": [(functional.avg_pool1d, (_HALF, 2), {}, _FLOATS)],
    "max_pool": [(functional.max_pool1d, (_HALF, 2), {}, _FLOATS)],
    "max_pool_places": [
        (functional.pooling_primitives.max_pool_places, (_HALF, (2,), (2,), (0,), (1,), (2,)), {}, _FLOATS)
    ],
    "put_at_places": [(put_at_places, (_HALF, np.zeros((1, 4, 1), "i8"), 4), {}, _FLOATS)],
}
