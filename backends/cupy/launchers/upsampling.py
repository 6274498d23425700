"""Interpolation: images of another size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnx.backend import device, get_backend

from ..compiler import Kernel
from ..launch import Machine, blocks_for, launch, too_large
from .channels import channels_per_thread, prepared, refusal
from .elements import contiguous
from .geometry import Three, three

RESAMPLE = {
    "float32": Kernel("upsampling.cu", "resample", (("REAL", "float"),)),
    "float16": Kernel("upsampling.cu", "resample", (("REAL", "f16"),)),
    "bfloat16": Kernel("upsampling.cu", "resample", (("REAL", "bf16"),)),
    "float64": Kernel("upsampling.cu", "resample_double", (("REAL", "float"),)),
}
KERNELS = tuple(RESAMPLE.values())

_PER_THREAD = 4  # as in upsampling.cu
_MOST_TABLES = 128

Rows = list[tuple[int, list[float]]]  # for each place that is made: the first that is read, and the weights from there
Tables = tuple[Any, Any, Three]  # spans and weights on a device, and the room for weights along each axis


def _rows(along: Any, length: int) -> Rows:
    """Return what each place of the output reads along an axis; `along` is a `Resampling` of nnx, or None."""
    if along is None or along.times is not None:
        times = 1 if along is None else along.times
        return [(i // times, [1.0]) for i in range(length * times)]
    rows: Rows = []
    for o in range(along.count):
        weights: dict[int, float] = {}
        for index, weight in along.taps:
            weights[index[o]] = weights.get(index[o], 0.0) + weight[o]  # at an edge one place may be there twice
        first = min(weights)
        rows.append((first, [weights.get(i, 0.0) for i in range(first, max(weights) + 1)]))
    return rows


def _transposed(rows: Rows, length: int) -> Rows:
    """Return which places of the output read each of the `length` of the input: neighbours, as both are sorted."""
    readers: list[dict[int, float]] = [{} for _ in range(length)]
    for o, (first, weights) in enumerate(rows):
        for k, weight in enumerate(weights):
            readers[first + k][o] = weight
    found: Rows = []
    for places in readers:
        first = min(places, default=0)
        found.append((first, [places.get(o, 0.0) for o in range(first, max(places, default=-1) + 1)]))
    return found


def _tables(each: Sequence[Rows], dtype: str, like: Any) -> Tables:
    """Return the rows of the three axes as the kernel reads them, on the device of an array."""
    taps = [max(len(weights) for _, weights in rows) for rows in each]
    spans = [(first, len(weights)) for rows in each for first, weights in rows]
    padded = [
        weight
        for rows, room in zip(each, taps, strict=True)
        for _, weights in rows
        for weight in (*weights, *(0.0,) * (room - len(weights)))
    ]
    backend, home = get_backend(like), device(like)
    on_device = [backend.asarray(np.asarray(v, t), device=home) for v, t in ((spans, "int32"), (padded, dtype))]
    backend.synchronize()  # once for each size: what is kept may be read in another stream than it was copied in
    return on_device[0], on_device[1], three(taps)


class Resample:
    """Override of ``resample`` in `nnx.functional.interpolation`, with tables that say what each place reads."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._kept: dict[tuple[Any, ...], Tables] = {}

    def supports(self, input: Any, axes: tuple[Any, ...]) -> str | None:
        return (
            refusal(input, "resample")
            or too_large(input.shape[0] * math.prod(self._counts(input.shape, axes)) * input.shape[-1])
            or self._machine.refusal(input)
        )

    def forward(self, input: Any, axes: tuple[Any, ...]) -> tuple[Any, Any]:
        counts = self._counts(input.shape, axes)
        return self._resampled(input, counts, axes, False), (input.shape, axes)

    def backward(self, grad: Any, residuals: Any, needs: tuple) -> tuple:
        shape, axes = residuals
        return (self._resampled(grad, shape[1:-1], axes, True),)

    def _counts(self, shape: tuple[int, ...], axes: tuple[Any, ...]) -> tuple[int, ...]:
        along = zip(shape[1:-1], axes, strict=True)
        return tuple([length if axis is None else axis.count for length, axis in along])

    def _resampled(self, input: Any, counts: tuple[int, ...], axes: tuple[Any, ...], transposed: bool) -> Any:
        input = contiguous(input)
        name, lengths = str(input.dtype), input.shape[1:-1]
        out = self._machine.empty((input.shape[0], *counts, input.shape[-1]), name, input)
        spans, weights, taps = self._tables_for(input, lengths, counts, axes, transposed)
        channels = input.shape[-1]
        each = channels_per_thread(self._machine, channels, input, out)
        depth, height, width = three(counts)
        quarter = -(-width // _PER_THREAD)
        n = input.shape[0] * depth * height * quarter * (channels // each)
        sizes = (*three(lengths), prepared(depth), prepared(height), width, *taps)
        numbers = (n, each > 1, prepared(channels // each), prepared(quarter), *sizes)
        kernel = RESAMPLE[name]
        launch(self._machine, kernel, blocks_for(n, kernel), (input, out, spans, weights, *numbers))
        return out

    def _tables_for(
        self, like: Any, lengths: tuple[int, ...], counts: tuple[int, ...], axes: tuple[Any, ...], transposed: bool
    ) -> Tables:
        dtype = "float64" if str(like.dtype) == "float64" else "float32"
        slot = (axes, lengths, transposed, dtype, str(device(like)))
        found = self._kept.get(slot)
        if found is None:
            sources = counts if transposed else lengths
            rows = [_rows(along, length) for along, length in zip(axes, sources, strict=True)]
            if transposed:
                rows = [_transposed(along, length) for along, length in zip(rows, counts, strict=True)]
            while len(rows) < 3:
                rows.insert(0, [(0, [1.0])])
            if len(self._kept) >= _MOST_TABLES:
                self._kept.pop(next(iter(self._kept)))
            found = self._kept[slot] = _tables(rows, dtype, like)
        return found
