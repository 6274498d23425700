"""The tests of nnx's kernels can fail: a bug in any of their files changes a result, or the simulator refuses it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnx import random
from tests.cuda import (
    bugs_convolution,
    bugs_convolution_hopper,
    bugs_convolution_special,
    bugs_norm_batch,
    bugs_pooling,
    bugs_upsampling,
)
from tests.cuda.own_kernels import array, launch, machine, module

SimulationError = module("simt.machine").SimulationError
RANDOM, DROPOUT, OPTIM = (module(f"cupy.launchers.{name}") for name in ("random", "dropout", "optim"))
KEY, COUNTER, N = (2**64 - 1, 3), 5, 2051


def draws(changed: Callable) -> bool:
    """Whether words, uniforms and masks are those of NumPy."""
    words = random.random_words(KEY, COUNTER, N)
    threshold = int(words[7])  # one word is equal to it
    good = True
    for kernel, extra, wanted in (
        (RANDOM.WORDS, (), words),
        (RANDOM.UNIFORM, (), random.uniform(KEY, COUNTER, N)),
        (RANDOM.MASK, (threshold,), words < threshold),
    ):
        out = machine().empty((N,), str(wanted.dtype), array([0.0]))
        launch(machine(), changed(kernel), 3, (*KEY, COUNTER, *extra, out, N))
        good = good and np.array_equal(np.asarray(out), wanted)
    return good


def drops(changed: Callable) -> bool:
    """Whether masked_scale is what NumPy computes."""
    x = array(np.random.default_rng(0).standard_normal(N), "f4")
    mask = array(np.random.default_rng(1).random(N) < 0.5)
    x[:4], mask[:4] = np.nan, array([True, False, True, False])
    out = machine().empty((N,), "float32", x)
    launch(machine(), changed(DROPOUT.MASKED_SCALE["float32"]), 2, (x, mask, 3.0, out, N))
    return np.array_equal(np.asarray(out), np.asarray(x) * (np.asarray(mask) * np.float32(3)), equal_nan=True)


def steps(changed: Callable) -> bool:
    """Whether Adam's step is that of its formula."""
    rng = np.random.default_rng(0)
    p, g, mean, square = (rng.standard_normal(N) for _ in range(4))
    square = square * square
    arrays = [array(v) for v in (p, g, mean, square)]
    launch(machine(), changed(OPTIM.ADAM["float64"]), 2, (*arrays, 0.9, -1.0, 0.1, 0.8, 0.7, 0.01, 0.2, N))
    gradient = -g + 0.1 * p
    mean, square = 0.8 * mean + gradient, 0.7 * square + gradient**2
    wanted = (0.9 * p - 0.2 * mean / (np.sqrt(square) + 0.01), g, mean, square)
    return all(np.allclose(np.asarray(a), w, rtol=1e-12, atol=1e-12) for a, w in zip(arrays, wanted, strict=True))


BUGS: list[tuple[Callable, str, str, str]] = [
    (draws, "philox.cuh", "round < 10", "round < 9"),
    (draws, "philox.cuh", "high1 ^ x1 ^ key0", "high1 ^ x1 ^ key1"),
    (draws, "philox.cuh", "0x9E3779B97F4A7C15ull", "0x9E3779B97F4A7C14ull"),
    (draws, "philox.cuh", "(u64)word < threshold", "word <= threshold"),
    (draws, "philox.cuh", "word >> 8", "word >> 9"),
    (draws, "random.cu", "counter + block", "counter + block + 1"),
    (draws, "random.cu", "block * 8, n, values", "block * 8, n - 1, values"),
    (draws, "vector.cuh", "if (i + k < n) to[i + k]", "to[i + k]"),
    (draws, "vector.cuh", "i + 8 <= n && is_aligned(to + i)", "is_aligned(to + i)"),
    (draws, "common.cuh", "blockIdx.x * blockDim.x", "blockIdx.x * 257"),
    (drops, "dropout.cu", "kept.of[k] ? scale : REAL(0)", "scale"),
    (drops, "dropout.cu", "values.of[k] * (kept.of[k] ? scale : REAL(0))", "kept.of[k] ? values.of[k] * scale : 0"),
    (drops, "dropout.cu", "thread_index() * 8", "thread_index() * 16"),
    (drops, "dropout.cu", "store_eight(out, i, n, scaled)", "store_eight(out, i, n + 1, scaled)"),
    (drops, "vector.cuh", "i + k < n ? from[i + k] : rest", "from[i + k]"),
    (steps, "optim.cu", "sign * gradients", "gradients"),
    (steps, "optim.cu", "+ penalty * values.of[k]", ""),
    (steps, "optim.cu", "shrink * values", "values"),
    (steps, "optim.cu", "beta2 * squares", "beta1 * squares"),
    (steps, "optim.cu", "sqrt(squares.of[k]) + eps", "sqrt(squares.of[k] + eps)"),
    (steps, "optim.cu", "    store_eight(mean, i, n, means);\n", ""),
    (steps, "optim.cu", "load_eight(square, i", "load_eight(mean, i"),
    *bugs_convolution.BUGS,
    *bugs_convolution_hopper.BUGS,
    *bugs_convolution_special.BUGS,
    *bugs_norm_batch.BUGS,
    *bugs_pooling.BUGS,
    *bugs_upsampling.BUGS,
]


def with_bug(kernel: Any, file: str, before: str, after: str) -> Any:
    """The kernel with one change in its file or in one of the headers."""
    good = kernel.source
    texts = {good.name: good.text, **dict(good.headers)}
    assert before in texts[file], f"{file} has no {before!r} any more"
    texts[file] = texts[file].replace(before, after)
    headers = tuple((name, texts[name]) for name, _ in good.headers)
    return dataclasses.replace(kernel, given=type(good)(good.name, texts[good.name], headers))


@pytest.mark.parametrize(("is_right", "file", "before", "after"), BUGS)
def test_a_bug_is_caught(is_right: Callable, file: str, before: str, after: str) -> None:
    try:
        with machine().running(checked=True):
            good = is_right(lambda kernel: with_bug(kernel, file, before, after))
    except SimulationError:
        good = False
    assert not good


@pytest.mark.parametrize("is_right", [draws, drops, steps])
@pytest.mark.parametrize("schedule", range(8))
def test_without_a_bug_all_is_well(is_right: Callable, schedule: int) -> None:
    with machine().running(schedule):
        assert is_right(lambda kernel: kernel)


def test_every_file_has_bugs() -> None:
    folder = module("cupy.source").FOLDER
    without = {
        "async_copy.cuh",
        "barrier.cuh",
        "tensor_core.cuh",
        "numbers.cuh",
        "warpgroup.cuh",
    }  # used by kernels of the tests so far
    assert {path.name for path in folder.iterdir()} - without == {file for _, file, _, _ in BUGS}
